"""A complete client for one-to-one calls, on the command line.

    python examples/python/client.py --user bob --media
    python examples/python/client.py --user alice --call bob --media --talk 5

Without `--media` it signals only and needs python-socketio and aiohttp. With it, it sends and receives audio
(silence) through aiortc.
"""

import argparse
import asyncio
import contextlib
import importlib.util
import logging
import random
import sys
from dataclasses import dataclass
from typing import Any

import socketio

with contextlib.suppress(ImportError):  # signalling works without it
    from aiortc import RTCPeerConnection, RTCSessionDescription
    from aiortc.mediastreams import AudioStreamTrack
    from aiortc.sdp import candidate_from_sdp

ACK_TIMEOUT_S = 5
MEDIA_TIMEOUT_S = 20
MAX_TRIES = 3
MAX_RECONNECT_DELAY_S = 30
EVENTS = (
    "call:incoming",
    "call:accepted",
    "call:rejected",
    "call:ended",
    "call:offer",
    "call:answer",
    "ice:candidate",
    "call:peer-reconnecting",
    "call:peer-reconnected",
    "server:draining",
)
RETRYABLE = {"internal", "backlog_full", "unavailable"}
log = logging.getLogger("client")


class RefusedError(Exception):
    """The server refused an event. `code` is for programs, the text for people."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["message"])
        self.code: str = error["code"]


@dataclass
class Call:
    """The one call of this client. `id` is unknown until the server has confirmed the attempt."""

    peer: str
    id: str | None = None
    answered: bool = False


class Media:
    """A peer connection with one audio track. It tells what happens to it through `inbox`."""

    def __init__(self, inbox: "asyncio.Queue[tuple[str, Any]]") -> None:
        self._connection = RTCPeerConnection()
        self._connection.addTrack(AudioStreamTrack())
        self._described = False
        self._early: list[dict[str, Any] | None] = []

        @self._connection.on("connectionstatechange")
        def changed() -> None:
            inbox.put_nowait(("media", self._connection.connectionState))

    async def offer(self) -> dict[str, str]:
        """Our description, for the peer to answer."""
        await self._connection.setLocalDescription(await self._connection.createOffer())
        return self._local()

    async def answer(self, offer: dict[str, str]) -> dict[str, str]:
        """Our answer to the peer's description."""
        await self.describe(offer)
        await self._connection.setLocalDescription(await self._connection.createAnswer())
        return self._local()

    async def describe(self, description: dict[str, str]) -> None:
        """Take the peer's description, and the candidates that came before it."""
        await self._connection.setRemoteDescription(RTCSessionDescription(**description))
        self._described = True
        early, self._early = self._early, []
        for candidate in early:
            await self.add(candidate)

    async def add(self, candidate: dict[str, Any] | None) -> None:
        """Take one candidate of the peer; null means that there are no more."""
        if not self._described:
            self._early.append(candidate)
        elif candidate is None or not candidate["candidate"]:
            await self._connection.addIceCandidate(None)
        else:
            parsed = candidate_from_sdp(candidate["candidate"].removeprefix("candidate:"))
            parsed.sdpMid = candidate.get("sdpMid")
            parsed.sdpMLineIndex = candidate.get("sdpMLineIndex")
            await self._connection.addIceCandidate(parsed)

    async def close(self) -> None:
        """Stop sending and receiving."""
        await self._connection.close()

    def _local(self) -> dict[str, str]:
        description = self._connection.localDescription
        return {"type": description.type, "sdp": description.sdp}


class Client:
    """Joins as one user, calls or is called, and keeps at most one call.

    Everything that happens goes through one queue and is dealt with in order. `over` is set when the client has
    nothing more to do; `answered` says whether there was a call.
    """

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._user: str = options.user
        self._dial: str | None = options.call
        self._call: Call | None = None
        self._media: Media | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._inbox: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self.answered = False
        self.over = False
        self._socket = socketio.AsyncClient(reconnection=False, handle_sigint=False)
        self._socket.on("connect", lambda: self._inbox.put_nowait(("connect", None)))
        for event in EVENTS:
            self._socket.on(event, lambda data, event=event: self._inbox.put_nowait((event, data)))

    async def run(self) -> None:
        """Stay connected until it is over."""
        worker = asyncio.ensure_future(self._work())
        delay_s = 1.0
        while not self.over:
            try:
                await self._socket.connect(self._options.url, transports=["websocket"])
                delay_s = 1.0
                waiting = asyncio.ensure_future(self._socket.wait())
                await asyncio.wait({waiting, worker}, return_when=asyncio.FIRST_COMPLETED)
            except socketio.exceptions.ConnectionError as error:
                log.info("cannot connect: %s", error)
            if not self.over:
                # A node that went away has left many clients behind. They must not all come at once.
                await asyncio.sleep(delay_s * random.uniform(0.5, 1.5))  # noqa: S311 - not cryptography
                delay_s = min(2 * delay_s, MAX_RECONNECT_DELAY_S)
        await worker
        await self._socket.disconnect()

    async def request(self, event: str, payload: dict[str, Any]) -> dict[str, Any]:
        """Send an event and wait for its acknowledgement.

        Raises:
            RefusedError: the server refused it; nothing has changed.
            TimeoutError: no acknowledgement came. Whether the event was dealt with is unknown.
        """
        for attempt in range(1, MAX_TRIES + 1):
            try:
                ack: dict[str, Any] = await self._socket.call(event, payload, timeout=ACK_TIMEOUT_S)
            except socketio.exceptions.TimeoutError:
                raise TimeoutError(event) from None
            if ack["ok"]:
                return ack
            error = ack["error"]
            wait_ms = error.get("retryAfterMs", 500 * attempt if error["code"] in RETRYABLE else None)
            if wait_ms is None or attempt == MAX_TRIES:
                raise RefusedError(error)
            await asyncio.sleep(wait_ms / 1000)
        raise AssertionError

    async def _work(self) -> None:
        while not self.over:
            event, data = await self._inbox.get()
            try:
                await self._on(event, data)
            except RefusedError as refused:
                log.info("%s failed: %s (%s)", event, refused, refused.code)
                # The call has ended meanwhile, or the peer is away: the server tells which.
            except (TimeoutError, socketio.exceptions.SocketIOError) as error:
                log.info("%s failed: %s", event, error or "the connection is lost")

    async def _on(self, event: str, data: Any) -> None:  # noqa: ANN401 - whatever the event brings
        match event:
            case "connect":
                await self._joined(await self.request("user:join", {"userId": self._user}))
            case "call:incoming":
                await self._incoming(data)
            case "call:accepted" if self._is_mine(data):
                await self._accepted(data)
            case "call:rejected" | "call:ended" if self._is_mine(data):
                await self._ended(data)
            case "call:peer-reconnecting" | "call:peer-reconnected" if self._is_mine(data):
                away = event == "call:peer-reconnecting"
                log.info("%s is %s", data["userId"], "away" if away else "back")
            case "server:draining":
                log.info("the node goes away; it closes the connection in %d ms", data["reconnectInMs"])
            case "hang up" if self._call is not None:
                await self.request("call:end", {"callId": self._call.id, **data})
            case _:
                await self._on_media(event, data)

    async def _on_media(self, event: str, data: Any) -> None:  # noqa: ANN401 - whatever the event brings
        call = self._call
        if call is None or (self._media is None and not self._options.media):
            return
        self._media = media = self._media or Media(self._inbox)
        match event:
            case "call:offer":
                answer = await media.answer(data["offer"])
                await self.request("call:answer", {"answer": answer, "from": self._user, "to": call.peer})
            case "call:answer":
                await media.describe(data["answer"])
            case "ice:candidate":
                await media.add(data["candidate"])
            case "media" if data == "connected":
                log.info("media flows")
                await self.request("call:connected", {"callId": call.id})
                self._hang_up_after(self._options.talk)
            case "media" if data == "failed":
                self._inbox.put_nowait(("hang up", {"code": "failed"}))

    async def _joined(self, ack: dict[str, Any]) -> None:
        log.info("joined as %s", self._user)
        resumed = ack.get("call")
        if self._call is not None and (resumed is None or resumed["callId"] != self._call.id):
            await self._ended({"code": "connection_lost"})  # it ended while we were away
        elif resumed is not None and self._call is None:
            # Another device of this user, or an earlier run, left it. This one has no media for it.
            await self.request("call:end", {"callId": resumed["callId"]})
        if self._dial is not None and self._call is None:
            await self._place(self._dial)

    async def _place(self, callee: str) -> None:
        self._dial = None
        try:
            ack = await self.request("call:initiate", {"to": callee, "callType": "audio"})
        except RefusedError as refused:
            log.info("cannot call %s: %s (%s)", callee, refused, refused.code)
            self.over = True
            return
        self._call = Call(callee, ack["callId"])
        log.info("calling %s", callee)

    async def _incoming(self, data: dict[str, Any]) -> None:
        if self._call is not None:
            return  # glare: the call that we placed is this one, and `call:accepted` follows
        self._call = Call(data["from"], data["callId"])
        log.info("%s is calling", data["from"])
        answer = "call:reject" if self._options.reject else "call:accept"
        await self.request(answer, {"callId": data["callId"], "from": data["from"]})

    async def _accepted(self, data: dict[str, Any]) -> None:
        call = self._call
        assert call is not None  # noqa: S101 - `_is_mine` has seen it
        call.answered = self.answered = True
        log.info("in a call with %s", call.peer)
        if not self._options.media:
            self._hang_up_after(self._options.talk)
            return
        self._hang_up_after(MEDIA_TIMEOUT_S, code="failed")
        if data["by"] != self._user:  # the callee is named; we are the caller, so the offer is ours
            self._media = self._media or Media(self._inbox)
            offer = await self._media.offer()
            description = {"offer": offer, "from": self._user, "to": call.peer, "callType": "audio"}
            await self.request("call:offer", description)

    async def _ended(self, data: dict[str, Any]) -> None:
        log.info("call over: %s", data.get("reason", data["code"]))
        self._call = None
        self._hang_up_after(None)
        media, self._media = self._media, None
        if media is not None:
            await media.close()
        # A replaced client must not join again: it would take the call back from the new one.
        self.over = self._options.call is not None or self._options.once or data["code"] == "replaced"

    def _is_mine(self, data: dict[str, Any]) -> bool:
        return self._call is not None and data["callId"] == self._call.id

    def _hang_up_after(self, seconds: float | None, **payload: str) -> None:
        if self._timer is not None:
            self._timer.cancel()
        loop = asyncio.get_running_loop()
        hang_up = ("hang up", payload)
        self._timer = None if seconds is None else loop.call_later(seconds, self._inbox.put_nowait, hang_up)


def options() -> argparse.Namespace:
    """What was asked for on the command line."""
    parser = argparse.ArgumentParser(description="A client for one-to-one calls.")
    parser.add_argument("--user", required=True, help="the user to join as")
    parser.add_argument("--call", metavar="USER", help="the user to call; without it, wait to be called")
    parser.add_argument("--url", default="http://localhost:8001")
    parser.add_argument("--media", action="store_true", help="send and receive audio (needs aiortc)")
    parser.add_argument("--talk", type=float, metavar="SECONDS", help="hang up after this time")
    parser.add_argument("--reject", action="store_true", help="decline every call")
    parser.add_argument("--once", action="store_true", help="end after one call")
    chosen = parser.parse_args()
    if chosen.media and importlib.util.find_spec("aiortc") is None:
        parser.error("--media needs aiortc: pip install aiortc")
    return chosen


def main() -> int:
    """Run until the call is over: 0 if it was answered, 1 if not."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stdout)
    log.setLevel(logging.INFO)
    client = Client(options())
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(client.run())
    return 0 if client.answered else 1


if __name__ == "__main__":
    sys.exit(main())
