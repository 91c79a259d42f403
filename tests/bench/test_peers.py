"""Both servers say the same, as far as the contract's first section goes; otherwise their costs are not comparable."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from bench.load.client import Client, LoadError, join
from bench.server import Process

PATIENCE_S = 10.0
_numbers = itertools.count(1)


class User:
    """A joined client whose events can be awaited one by one."""

    def __init__(self, client: Client) -> None:
        self._heard: asyncio.Queue[tuple[str, dict[str, Any]]] = asyncio.Queue()
        self._client = client
        self.name = client.user
        self.lost: asyncio.Future[LoadError] = asyncio.get_running_loop().create_future()
        client.hear = lambda event, payload: self._heard.put_nowait((event, payload))
        client.lost = self._once
        self.leave = client.leave

    def _once(self, error: LoadError) -> None:
        if not self.lost.done():
            self.lost.set_result(error)

    def tell(self, event: str, **payload: object) -> None:
        self._client.send(b"42" + orjson.dumps([event, {key.rstrip("_"): value for key, value in payload.items()}]))

    async def hears(self, event: str, **expected: object) -> dict[str, Any]:
        heard, payload = await asyncio.wait_for(self._heard.get(), PATIENCE_S)
        assert (heard, {key: payload.get(key) for key in expected}) == (event, expected)
        return payload


@pytest.fixture
async def ann(peer: Process) -> AsyncIterator[User]:
    async with _user(peer, "ann") as user:
        yield user


@pytest.fixture
async def bob(peer: Process) -> AsyncIterator[User]:
    async with _user(peer, "bob") as user:
        yield user


@contextlib.asynccontextmanager
async def _user(peer: Process, name: str) -> AsyncIterator[User]:
    """With a name that no other test uses: a server may hear of the end of a connection late."""
    user = User(await join(peer.port, f"{name}-{next(_numbers)}"))
    yield user
    await user.leave()


async def ring(caller: User, callee: User) -> str:
    caller.tell("call:initiate", to=callee.name, callType="audio")
    call_id = str((await callee.hears("call:incoming", callType="audio"))["callId"])
    await caller.hears("call:initiated", callId=call_id, to=callee.name)
    return call_id


async def test_status(ann: User, bob: User) -> None:
    ann.tell("user:status", userId=bob.name)
    await ann.hears("user:status", userId=bob.name, isOnline=True, isInCall=False)
    await ring(ann, bob)
    ann.tell("user:status", userId=bob.name)
    await ann.hears("user:status", userId=bob.name, isOnline=True, isInCall=True)
    ann.tell("user:status", userId="who")
    await ann.hears("user:status", userId="who", isOnline=False, isInCall=False)


async def test_rejected(ann: User, bob: User) -> None:
    call_id = await ring(ann, bob)
    bob.tell("call:reject", callId=call_id, from_=ann.name)
    for user in (ann, bob):
        await user.hears("call:rejected", callId=call_id, by=bob.name)


async def test_refusals(ann: User, bob: User) -> None:
    ann.tell("call:initiate", to="who", callType="audio")
    await ann.hears("error", message="User not found")
    ann.tell("call:offer", offer={}, from_=bob.name, to=bob.name, callType="audio")
    await ann.hears("error", message="Unauthorized")
    ann.tell("ice:candidate", candidate={}, from_=ann.name, to="who")
    await ann.hears("error", message="Receiver not found")
    ann.tell("call:end", callId="none")
    await ann.hears("error", message="Call not found")
    await ring(ann, bob)
    ann.tell("call:initiate", to=bob.name, callType="audio")
    await ann.hears("error", message="Already in a call")


async def test_disconnected(ann: User, bob: User) -> None:
    call_id = await ring(ann, bob)
    await ann.leave()
    await bob.hears("call:ended", callId=call_id, by=ann.name, reason="User disconnected")
    bob.tell("call:initiate", to=ann.name, callType="audio")
    await bob.hears("error", message="User not found")


async def test_an_older_socket_goes(peer: Process, ann: User) -> None:
    newer = User(await join(peer.port, ann.name))
    assert isinstance(await asyncio.wait_for(ann.lost, PATIENCE_S), LoadError)
    await newer.leave()
