"""The stock stack: python-socketio's server on its own engine under Sanic, as bare as the Node server beside it.

Usage: `HOST=127.0.0.1 PORT=8001 python -m bench.peers.stock`. The same events, checks and answers in one process. No
logs, no metrics, no validation beyond those checks.
"""

import os
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import socketio
from sanic import HTTPResponse, Request, Sanic, json

Payload = dict[str, Any]
Handle = Callable[[str, Payload], Awaitable[str | None]]
"""Of a socket and what it said. Returns what is wrong with that, if something is."""


class Call(NamedTuple):
    """Two users, from the ringing on."""

    caller: str
    callee: str


sio = socketio.AsyncServer(async_mode="sanic", cors_allowed_origins="*")
users: dict[str, str] = {}
"""Socket of each user."""
names: dict[str, str] = {}
"""User of each socket."""
calls: dict[str, Call] = {}
busy: dict[str, str] = {}
"""Call of each user in one."""


async def tell(user: str, event: str, payload: Payload) -> None:
    """Send to a user, if there."""
    if user in users:
        await sio.emit(event, payload, to=users[user])


def finish(call_id: str) -> Call | None:
    """Forget a call."""
    call = calls.pop(call_id, None)
    for party in call or ():
        busy.pop(party, None)
    return call


def on(event: str, failure: str) -> Callable[[Handle], Handle]:
    """Give an event to a handler, and its sender what went wrong."""

    def add(handle: Handle) -> Handle:
        async def guarded(sid: str, payload: Payload) -> None:
            try:
                wrong = await handle(sid, payload)
            except (KeyError, TypeError):
                wrong = failure
            if wrong is not None:
                await sio.emit("error", {"message": wrong}, to=sid)

        sio.on(event, guarded)
        return handle

    return add


def relay(event: str, failure: str, kept: tuple[str, ...]) -> None:
    """Pass an event on to the user that it names."""

    async def handle(sid: str, payload: Payload) -> str | None:
        if sid not in names or payload["from"] != names[sid]:
            return "Unauthorized"
        if payload["to"] not in users:
            return "Receiver not found"
        await tell(payload["to"], event, {key: payload[key] for key in kept})
        return None

    on(event, failure)(handle)


relay("call:offer", "Failed to send offer", ("offer", "from", "callType"))
relay("call:answer", "Failed to send answer", ("answer", "from"))
relay("ice:candidate", "Failed to send ICE candidate", ("candidate", "from"))


@on("user:join", "Failed to join")
async def join(sid: str, payload: Payload) -> str | None:
    """Take the user's place."""
    user = payload.get("userId")
    if not user:
        return "User ID is required"
    older = users.get(user)
    if older and older != sid:
        await sio.disconnect(older)
    users[user], names[sid] = sid, user
    await sio.emit("user:joined", {"userId": user, "socketId": sid}, to=sid)
    return None


@on("user:status", "Failed to get user status")
async def status(sid: str, payload: Payload) -> str | None:
    """Whether a user is there, and free."""
    user = payload["userId"]
    answer = {"userId": user, "isOnline": user in users, "isInCall": user in busy}
    await sio.emit("user:status", answer, to=sid)
    return None


@on("call:initiate", "Failed to initiate call")
async def initiate(sid: str, payload: Payload) -> str | None:
    """Ring."""
    me, callee = names.get(sid), payload["to"]
    if me is None:
        return "User not authenticated"
    if me in busy:
        return "Already in a call"
    if callee not in users:
        return "User not found"
    if callee in busy:
        return "User is not available"
    call_id = f"{me}-{callee}"
    calls[call_id] = Call(me, callee)
    busy[me] = busy[callee] = call_id
    await tell(callee, "call:incoming", {"from": me, "callType": payload["callType"], "callId": call_id})
    await sio.emit("call:initiated", {"callId": call_id, "to": callee}, to=sid)
    return None


@on("call:accept", "Failed to accept call")
async def accept(sid: str, payload: Payload) -> str | None:
    """Begin to talk."""
    if sid not in names:
        return "User not authenticated"
    if payload["callId"] not in calls:
        return "Call not found or expired"
    said = {"callId": payload["callId"], "by": names[sid]}
    await tell(payload["from"], "call:accepted", said)
    await sio.emit("call:accepted", said, to=sid)
    return None


@on("call:reject", "Failed to reject call")
async def reject(sid: str, payload: Payload) -> str | None:
    """Do not."""
    if sid not in names:
        return "User not authenticated"
    finish(payload["callId"])
    said = {"callId": payload["callId"], "by": names[sid]}
    await tell(payload["from"], "call:rejected", said)
    await sio.emit("call:rejected", said, to=sid)
    return None


@on("call:end", "Failed to end call")
async def end(sid: str, payload: Payload) -> str | None:
    """Hang up."""
    if sid not in names:
        return "User not authenticated"
    call = finish(payload["callId"])
    if call is None:
        return "Call not found"
    for party in call:
        await tell(party, "call:ended", {"callId": payload["callId"], "by": names[sid]})
    return None


@sio.event  # type: ignore[untyped-decorator] # python-socketio has no types
async def disconnect(sid: str, _reason: str) -> None:
    """Free the other party."""
    me = names.pop(sid, None)
    if me is None or users.get(me) != sid:
        return
    del users[me]
    call_id = busy.get(me, "")
    for party in finish(call_id) or ():
        await tell(party, "call:ended", {"callId": call_id, "by": me, "reason": "User disconnected"})


async def livez(_request: Request) -> HTTPResponse:
    """The process answers."""
    return json({"status": "live"})


def main() -> None:
    """Serve until the process is ended."""
    app = Sanic("stock")
    sio.attach(app)
    app.add_route(livez, "/livez")
    host, port = os.environ["HOST"], int(os.environ["PORT"])
    app.run(host, port, single_process=True, motd=False, access_log=False)


if __name__ == "__main__":
    main()
