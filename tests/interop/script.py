"""What tests of several modules say again and again: steps of a call, and the shape of a refusal."""

from typing import Any
from unittest.mock import ANY

from tests.interop.client import Client, Heard


def refused(event: str, message: str, code: str, **more: object) -> Heard:
    """The `error` that tells why an event failed."""
    return ("error", {"message": message, "code": code, "event": event, **more})


def invalid(event: str, message: str, field: str | None, **more: object) -> Heard:
    """The `error` for a payload that does not have the form of its event. The wording of `detail` is free."""
    named = {} if field is None else {"field": field}
    return refused(event, message, "invalid_payload", detail=ANY, **named, **more)


async def ring(caller: Client, callee: Client, call_type: str = "video") -> str:
    """Place a call; the callee rings. Gives the call id."""
    caller.emit("call:initiate", {"to": callee.name, "callType": call_type})
    event, incoming = await callee.next()
    call_id = str(incoming["callId"])
    assert (event, incoming) == ("call:incoming", {"from": caller.name, "callType": call_type, "callId": call_id})
    assert await caller.next() == ("call:initiated", {"callId": call_id, "to": callee.name})
    return call_id


async def answered(caller: Client, callee: Client) -> str:
    """Place a call and accept it. Gives the call id."""
    call_id = await ring(caller, callee)
    callee.emit("call:accept", {"callId": call_id, "from": caller.name})
    accepted: Heard = ("call:accepted", {"callId": call_id, "by": callee.name})
    assert await caller.next() == accepted
    assert await callee.next() == accepted
    return call_id


async def status(asker: Client, user: str) -> tuple[bool, bool]:
    """Whether a user is online and in a call."""
    asker.emit("user:status", {"userId": user})
    event, report = await asker.next()
    assert event == "user:status"
    assert report == {"userId": user, "isOnline": ANY, "isInCall": ANY}
    return report["isOnline"], report["isInCall"]


async def all_hear(heard: Heard, *clients: Client) -> None:
    """Each of the clients hears this next."""
    for client in clients:
        assert await client.next() == heard


async def hear_nothing(*clients: Client) -> None:
    """None of the clients has heard anything more, and all are still connected."""
    for client in clients:
        await client.fence()


def ended(call_id: str, by: Client | None, code: str, reason: str | None = None) -> Heard:
    """A `call:ended`."""
    payload: dict[str, Any] = {"callId": call_id, "by": None if by is None else by.name, "code": code}
    return ("call:ended", payload if reason is None else {**payload, "reason": reason})


def rejected(call_id: str, by: Client, code: str, reason: str | None = None) -> Heard:
    """A `call:rejected`."""
    payload = {"callId": call_id, "by": by.name, "code": code}
    return ("call:rejected", payload if reason is None else {**payload, "reason": reason})
