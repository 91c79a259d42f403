"""The admin API: who knows its token can send a user away."""

from collections.abc import Iterator

import aiohttp
import pytest

from tests.interop.raw_client import hear, raw_user
from tests.support.server import Server, running_server

TOKEN = "a token of the tests with more than 32 characters"  # noqa: S105 - made up


@pytest.fixture(scope="module")
def governed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("admin"), ADMIN_TOKEN=TOKEN) as running:
        yield running


async def evict(server: Server, user: str, token: str | None) -> tuple[int, dict[str, object]]:
    """Status and body of the answer."""
    headers = {} if token is None else {"Authorization": token}
    url = f"{server.url}/admin/users/{user}/connections"
    async with aiohttp.ClientSession() as http, http.delete(url, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_a_user_is_sent_away(governed: Server) -> None:
    async with (
        raw_user(governed.url, "websocket", "alice") as (alice, alice_id),
        raw_user(governed.url, "websocket", "alice") as (bob, _),
    ):
        assert await evict(governed, alice_id, f"Bearer {TOKEN}") == (200, {"closed": 1})
        assert await alice.receive() == "41"
        await bob.send('42["user:status",{"userId":"' + alice_id + '"}]')
        assert await hear(bob) == ("user:status", {"userId": alice_id, "isOnline": False, "isInCall": False})


async def test_nobody_is_there_to_be_sent_away(governed: Server) -> None:
    assert await evict(governed, "nobody%2Fat%20all", f"Bearer {TOKEN}") == (200, {"closed": 0})


@pytest.mark.parametrize("token", [None, "", TOKEN, f"Bearer {TOKEN}x", "Bearer ", f"bearer {TOKEN}", "Bearer é"])
async def test_without_the_token_nothing_happens(governed: Server, token: str | None) -> None:
    async with raw_user(governed.url, "websocket", "alice") as (alice, alice_id):
        status, body = await evict(governed, alice_id, token)
        assert (status, body["code"]) == (401, "unauthorized")
        await alice.send('42["user:status",{"userId":"nobody"}]')
        assert (await hear(alice))[0] == "user:status"


async def test_there_is_no_admin_api_without_a_token(server: Server) -> None:
    status, _ = await evict(server, "alice", "Bearer ")
    assert status == 404
