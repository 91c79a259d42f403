"""A backend is asked before a call, by a server whose settings name it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.interop.py_client import PyClient, py_client
from tests.support.backend import Asked, Backend, http, running_backend
from tests.support.privacy import assert_nothing_private
from tests.support.server import running_server

SECRET = "the secret that the backend knows too"  # noqa: S105 - made up


async def who_blocks(asked: Asked) -> bytes:
    """Nobody may call whose name begins with `shy`."""
    return http(json.dumps({"allowed": not json.loads(asked.body)["callee"].startswith("shy")}).encode())


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    async with running_backend("/may-call") as running:
        running.answer = who_blocks
        yield running


def settings(backend: Backend) -> dict[str, str]:
    return {"AUTHORIZE_URL": backend.url, "AUTHORIZE_SECRET": SECRET}


async def refusal(caller: PyClient, callee: str) -> tuple[str, str]:
    ack = await caller.ask("call:initiate", {"to": callee, "callType": "audio"})
    assert not ack["ok"]
    await caller.next()
    return ack["error"]["code"], ack["error"]["message"]


async def test_a_call_needs_the_backends_leave(backend: Backend, tmp_path: Path) -> None:
    with running_server(tmp_path, **settings(backend)) as server:
        async with (
            py_client(server.url, "websocket", "alice") as alice,
            py_client(server.url, "websocket", "shy") as shy,
        ):
            assert await refusal(alice, shy.name) == ("not_allowed", "Not allowed to call this user")
            assert (await shy.ask("call:initiate", {"to": alice.name, "callType": "audio"}))["ok"]
        assert [json.loads(asked.body)["callee"] for asked in backend.asked] == [shy.name, alice.name]
        assert all(asked.headers["x-signalling-signature"].startswith("t=") for asked in backend.asked)
        assert_nothing_private(server)


async def test_who_may_not_call_cannot_tell_whether_anybody_is_there(backend: Backend, tmp_path: Path) -> None:
    with running_server(tmp_path, HIDE_PRESENCE="true", **settings(backend)) as server:
        async with (
            py_client(server.url, "websocket", "alice") as alice,
            py_client(server.url, "websocket", "shy") as shy,
        ):
            blocked = await refusal(alice, shy.name)
            assert blocked == await refusal(alice, "nobody") == ("user_not_found", "User not found")
            for user in (shy.name, "nobody"):
                status = await alice.ask("user:status", {"userId": user})
                assert (status["isOnline"], status["isInCall"]) == (False, False)
                await alice.next()
        assert_nothing_private(server)
