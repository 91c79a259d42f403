"""Tokens in the handshake, over real sockets and from a server whose settings ask for them."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from service.errors import ALL_ERRORS
from tests.adapters.jwt.tokens import AUDIENCE, ISSUER, NEW_SECRET, OLD_SECRET, USER, secret_token
from tests.interop.raw_client import RawClient, emit, hear, raw_engine
from tests.support.privacy import assert_nothing_private
from tests.support.server import Server, running_server

both_transports = pytest.mark.parametrize("transport", ["polling", "websocket"])


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"AUTH_JWT_SECRETS": f"{NEW_SECRET},{OLD_SECRET}", "AUTH_ISSUER": ISSUER, "AUTH_AUDIENCE": AUDIENCE}
    with running_server(tmp_path_factory.mktemp("guarded"), **settings) as running:
        yield running
        assert_nothing_private(running)
        assert USER not in running.log.read_text()


async def answer(client: RawClient, credentials: Any) -> str:
    """What a CONNECT with these credentials is answered with."""
    await client.send(f"40{json.dumps(credentials)}")
    return await client.receive()


async def let_in(client: RawClient, credentials: Any) -> bool:
    return (await answer(client, credentials)).startswith('40{"sid"')


@both_transports
@pytest.mark.parametrize("secret", [NEW_SECRET, OLD_SECRET])
async def test_the_bearer_of_a_token_joins_as_its_user(guarded: Server, transport: str, secret: str) -> None:
    async with raw_engine(guarded.url, transport) as client:
        assert await let_in(client, {"token": secret_token(secret)})
        await emit(client, "user:join", {"userId": USER})
        event, joined = await hear(client)
        assert (event, joined["userId"]) == ("user:joined", USER)


@both_transports
async def test_the_bearer_of_a_token_may_not_join_as_somebody_else(guarded: Server, transport: str) -> None:
    async with raw_engine(guarded.url, transport) as client:
        assert await let_in(client, {"token": secret_token()})
        await emit(client, "user:join", {"userId": "somebody-else"})
        event, error = await hear(client)
        assert (event, error["code"]) == ("error", "already_joined")


@both_transports
@pytest.mark.parametrize(
    ("credentials", "code"),
    [
        ({}, "unauthenticated"),
        ({"token": None}, "unauthenticated"),
        ({"token": "a.b.c"}, "token_invalid"),
        ({"token": secret_token("another secret of thirty-two bytes and more")}, "token_invalid"),
        ({"token": "x" * 100_000}, "token_invalid"),
        ({"token": secret_token(exp=1)}, "token_expired"),
        ({"token": secret_token(nbf=4_000_000_000)}, "token_not_yet_valid"),
    ],
    ids=["none", "null", "garbage", "forged", "huge", "expired", "early"],
)
async def test_others_are_not_let_in_and_told_why(guarded: Server, transport: str, credentials: Any, code: str) -> None:
    (error,) = [each for each in ALL_ERRORS if each.code == code]
    async with raw_engine(guarded.url, transport) as client:
        refusal = await answer(client, credentials)
        assert refusal.startswith("44")
        assert json.loads(refusal[2:]) == {"message": error.message, "data": {"code": code}}
