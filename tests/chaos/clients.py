"""Clients of the gateway whose frames and requests a test chooses one by one."""

import contextlib
import itertools
import json
from collections.abc import AsyncIterator

from tests.interop.conformance_clients import SOCKET, Client, opened, receive, target
from tests.interop.conformance_server import CALM, Conformance
from tests.support.server import Server

WEBSOCKET = target(SOCKET, transport="websocket")
POLLING = target(SOCKET, transport="polling")
_numbers = itertools.count(1)


@contextlib.asynccontextmanager
async def stranger(server: Server, transport: str = "websocket") -> AsyncIterator[Client]:
    """A connection on which nothing has been said yet."""
    async with opened(Conformance(server.port, CALM), transport, SOCKET) as client:
        yield client


@contextlib.asynccontextmanager
async def guest(server: Server, transport: str = "websocket") -> AsyncIterator[Client]:
    """A connection in the namespace `/` that has not joined."""
    async with stranger(server, transport) as client:
        await client.send("40")
        assert str(await receive(client)).startswith('40{"sid":"')
        yield client


@contextlib.asynccontextmanager
async def member(server: Server, transport: str = "websocket") -> AsyncIterator[tuple[Client, str]]:
    """A connection that has joined, and its user."""
    async with guest(server, transport) as client:
        user = f"chaos-{next(_numbers)}"
        await join(client, user)
        yield client, user


async def join(client: Client, user: str) -> None:
    """Join as a user."""
    await client.send(event("user:join", {"userId": user}))
    assert str(await receive(client)).startswith('42["user:joined",')


def event(name: str, payload: object) -> str:
    """The packet of an event."""
    return f"42{json.dumps([name, payload])}"


async def called(caller: Client, callee: Client, callee_id: str) -> str:
    """Let two members be in a call; gives its id."""
    await caller.send(event("call:initiate", {"to": callee_id, "callType": "video"}))
    incoming = json.loads(str(await receive(callee)).removeprefix("42"))
    assert incoming[0] == "call:incoming"
    call_id = str(incoming[1]["callId"])
    assert str(await receive(caller)).startswith('42["call:initiated",')
    await callee.send(event("call:accept", {"callId": call_id}))
    for party in (caller, callee):
        assert str(await receive(party)).startswith('42["call:accepted",')
    return call_id
