"""The issuer's key set on a real server: rotated, dead, slow, huge, broken, and asked for by strangers."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.adapters.http.client import HttpClient
from service.adapters.jwt.keys import (
    MAX_AGE_S,
    MAX_KEYS,
    MAX_SET_BYTES,
    MIN_INTERVAL_S,
    KeysUnavailableError,
    RemoteKeys,
)
from service.adapters.memory.clock import ManualClock
from service.ports import Observer
from service.supervisor import Supervisor
from service.transport.lane import Lane
from tests.adapters.jwt.tokens import issuer_key, key_set
from tests.support.backend import Asked, Backend, answer_with, http, never, running_backend
from tests.support.server import free_port

ONE, TWO = issuer_key("ES256", "one"), issuer_key("EdDSA", "two")


@pytest.fixture
async def issuer() -> AsyncIterator[Backend]:
    """Publishes the first key."""
    async with running_backend("/jwks.json") as backend:
        backend.answer = answer_with(http(key_set(ONE)))
        yield backend


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start_s=50.0)


@pytest.fixture
def keys(issuer: Backend, clock: ManualClock) -> RemoteKeys:
    return RemoteKeys(issuer.url, clock.now)


async def known(keys: RemoteKeys, *names: str) -> list[str]:
    """Which of these ids the keys have; `?` where they cannot tell."""
    found = []
    for name in names:
        try:
            key = await keys.find(name)
        except KeysUnavailableError:
            found.append("?")
        else:
            found.append(str(key.key_id) if key else "-")
    return found


async def test_the_set_is_fetched_once_and_kept(issuer: Backend, keys: RemoteKeys) -> None:
    assert await known(keys, "one", "one", "one") == ["one", "one", "one"]
    assert len(issuer.asked) == 1


async def test_a_new_key_is_found_when_it_is_first_used(issuer: Backend, clock: ManualClock, keys: RemoteKeys) -> None:
    assert await known(keys, "one") == ["one"]
    issuer.answer = answer_with(http(key_set(ONE, TWO)))
    clock.advance(MIN_INTERVAL_S)
    assert await known(keys, "two", "one") == ["two", "one"]
    assert len(issuer.asked) == 2


async def test_a_withdrawn_key_is_refused_when_the_set_has_grown_old(
    issuer: Backend, clock: ManualClock, keys: RemoteKeys
) -> None:
    assert await known(keys, "one") == ["one"]
    issuer.answer = answer_with(http(key_set(TWO)))
    clock.advance(MAX_AGE_S - 1)
    assert await known(keys, "one") == ["one"]
    clock.advance(1)
    assert await known(keys, "one", "two") == ["-", "two"]


async def test_made_up_key_ids_do_not_reach_the_issuer(issuer: Backend, clock: ManualClock, keys: RemoteKeys) -> None:
    assert await known(keys, "one", "made-up") == ["one", "?"]
    for _ in range(20):
        clock.advance(1)
        assert set(await known(keys, *(f"made-up-{number}" for number in range(50)))) <= {"-", "?"}
        assert await known(keys, "one") == ["one"]
    assert len(issuer.asked) == 3


async def test_that_a_key_does_not_exist_is_said_only_when_the_issuer_was_asked(
    clock: ManualClock, keys: RemoteKeys
) -> None:
    assert await known(keys, "one", "made-up") == ["one", "?"]
    clock.advance(MIN_INTERVAL_S)
    assert await known(keys, "made-up", "made-up") == ["-", "?"]


async def test_without_an_id_the_only_key_is_meant(issuer: Backend, clock: ManualClock, keys: RemoteKeys) -> None:
    key = await keys.find(None)
    assert key is not None
    assert key.key_id == "one"
    issuer.answer = answer_with(http(key_set(ONE, TWO)))
    clock.advance(MAX_AGE_S)
    assert await keys.find(None) is None
    assert await keys.find(None) is None
    assert len(issuer.asked) == 2


async def test_many_who_come_at_once_cost_one_request(issuer: Backend, keys: RemoteKeys) -> None:
    found = await asyncio.gather(*(keys.find("one") for _ in range(50)))
    assert {key.key_id for key in found if key} == {"one"}
    assert len(issuer.asked) == 1


async def test_it_may_be_asked_where_no_task_runs(keys: RemoteKeys) -> None:
    """As by a packet: the lane of its socket makes a task only when it has to wait."""
    found: asyncio.Future[object] = asyncio.get_running_loop().create_future()

    async def find() -> None:
        try:
            found.set_result(await keys.find("one"))
        except Exception as error:
            found.set_exception(error)
            raise

    lane = Lane("packets of a socket", Supervisor(), limit=1)
    asyncio.get_running_loop().call_soon(lane.submit, find)
    assert await asyncio.wait_for(found, 10) is not None


async def test_who_knows_the_key_does_not_wait_for_a_slow_issuer(
    issuer: Backend, clock: ManualClock, keys: RemoteKeys
) -> None:
    assert await known(keys, "one") == ["one"]
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(_asked: Asked) -> bytes:
        asked.set()
        await go_on.wait()
        return http(key_set(ONE, TWO))

    issuer.answer = slowly
    clock.advance(MAX_AGE_S)
    waiting = asyncio.gather(keys.find("two"), keys.find("two"))
    await asked.wait()
    assert await known(keys, "one") == ["one"]
    go_on.set()
    assert [key.key_id for key in await waiting if key] == ["two", "two"]


async def test_a_fetch_whose_client_goes_away_leaves_the_next_one_free(
    issuer: Backend, clock: ManualClock, keys: RemoteKeys
) -> None:
    asked = asyncio.Event()

    async def slowly(_asked: Asked) -> bytes:
        asked.set()
        return await never(_asked)

    issuer.answer = slowly
    waiting = asyncio.ensure_future(keys.find("one"))
    await asked.wait()
    waiting.cancel()
    assert await asyncio.gather(waiting, return_exceptions=True)
    issuer.answer = answer_with(http(key_set(ONE)))
    clock.advance(MIN_INTERVAL_S)
    assert await known(keys, "one") == ["one"]


# --- An issuer that fails ----------------------------------------------------------------------------------

FAILURES: dict[str, bytes] = {
    "error": http(b"", "500 Internal Server Error"),
    "moved": http(b"", "302 Found", "Location: /elsewhere\r\n"),
    "gone": http(key_set(TWO), "404 Not Found"),
    "no http": b"220 smtp.example ESMTP\r\n\r\n",
    "cut off": http(key_set(TWO))[:-10],
    "no json": http(b"<html>"),
    "not utf-8": http(b"\xff\xfe"),
    "deep": http(b"[" * 100_000),
    "list": http(b"[]"),
    "null": http(b"null"),
    "no keys": http(b"{}"),
    "keys of another kind": http(b'{"keys": {"one": 1}}'),
    "empty": http(b'{"keys": []}'),
    "too many": http(key_set(*[TWO] * (MAX_KEYS + 1))),
    "huge": http(b'{"keys": [], "pad": "' + b"x" * MAX_SET_BYTES + b'"}'),
}


@pytest.mark.parametrize("response", FAILURES.values(), ids=FAILURES.keys())
async def test_what_fails_leaves_known_keys_in_use_and_others_undecided(
    response: bytes,
    issuer: Backend,
    clock: ManualClock,
    keys: RemoteKeys,
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert await known(keys, "one") == ["one"]
    issuer.answer = answer_with(response)
    for _ in range(3):
        clock.advance(MAX_AGE_S)
        assert await known(keys, "one", "two") == ["one", "?"]
    assert len(issuer.asked) == 4
    issuer.answer = answer_with(http(key_set(TWO)))
    clock.advance(MIN_INTERVAL_S)
    assert await known(keys, "one", "two") == ["-", "two"]
    failed, mended = caplog.messages
    assert failed.startswith("the keys of the token issuer cannot be fetched (")
    assert mended == "the keys of the token issuer can be fetched again"
    assert "127.0.0.1" not in failed


async def test_an_issuer_that_was_never_there(clock: ManualClock) -> None:
    keys = RemoteKeys(f"http://127.0.0.1:{free_port()}/", clock.now)
    assert await known(keys, "one") == ["?"]


async def test_an_issuer_that_never_answers_is_given_up(
    issuer: Backend, clock: ManualClock, keys: RemoteKeys, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await known(keys, "one") == ["one"]
    issuer.answer = never
    monkeypatch.setattr(keys, "_client", HttpClient(issuer.url, timeout_s=0.05, max_bytes=1))
    clock.advance(MAX_AGE_S)
    assert await known(keys, "one", "two") == ["one", "?"]


# --- Keys that are none ------------------------------------------------------------------------------------

_RSA = issuer_key("RS256", "rsa").public
USELESS: dict[str, Any] = {
    "no object": "key",
    "empty": {},
    "shared secret": {"kty": "oct", "k": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "kid": "bad"},
    "shared secret in disguise": {"kty": "oct", "k": "AAAA", "alg": "RS256", "kid": "bad"},
    "for encryption": {**_RSA, "use": "enc", "kid": "bad"},
    "for encryption by algorithm": {**_RSA, "alg": "RSA-OAEP", "kid": "bad"},
    "other algorithm": {**_RSA, "alg": "PS256", "kid": "bad"},
    "no algorithm": {**_RSA, "alg": "none", "kid": "bad"},
    "algorithm of another kind": {**_RSA, "alg": "ES256", "kid": "bad"},
    "algorithm that is no text": {**_RSA, "alg": ["RS256"], "kid": "bad"},
    "other curve": {**ONE.public, "alg": None, "crv": "P-521", "kid": "bad"},
    "point off the curve": {**ONE.public, "x": ONE.public["y"], "kid": "bad"},
    "no modulus": {"kty": "RSA", "e": "AQAB", "kid": "bad"},
    "modulus that is no text": {**_RSA, "n": 5, "kid": "bad"},
    "even exponent": {**_RSA, "e": "Ag", "kid": "bad"},
    "unknown kind": {"kty": "AKP", "alg": "ML-DSA-44", "kid": "bad"},
    "kind that is no text": {"kty": ["RSA"], "kid": "bad"},
    "id that is no text": {**TWO.public, "kid": 5},
}


@pytest.mark.parametrize("entry", USELESS.values(), ids=USELESS.keys())
async def test_a_key_that_is_of_no_use_is_passed_over(entry: Any, issuer: Backend, keys: RemoteKeys) -> None:
    issuer.answer = answer_with(http(key_set(entry, ONE)))
    assert await known(keys, "bad", "one") == ["-", "one"]


async def test_a_key_that_names_neither_algorithm_nor_use_has_the_one_of_its_kind(
    issuer: Backend, keys: RemoteKeys
) -> None:
    entries = [
        {name: value for name, value in entry.items() if name not in ("alg", "use")}
        for entry in (_RSA, ONE.public, TWO.public)
    ]
    issuer.answer = answer_with(http(key_set(*entries)))
    found = [await keys.find(name) for name in ("rsa", "one", "two")]
    assert [key.algorithm_name for key in found if key] == ["RS256", "ES256", "EdDSA"]


async def test_every_fetch_is_told_with_what_came_of_it(issuer: Backend, clock: ManualClock) -> None:
    told: list[str] = []

    class Watch(Observer):
        def keys_fetched(self, result: str) -> None:
            told.append(result)

    keys = RemoteKeys(issuer.url, clock.now, Watch())
    answers = {
        "ok": http(key_set(ONE)),
        "unusable": http(b"{}"),
        "malformed": b"what is this\r\n\r\n",
        "too_large": http(b" " * (MAX_SET_BYTES + 1)),
    }
    for answer in answers.values():
        issuer.answer = answer_with(answer)
        await known(keys, "two", "two")
        clock.advance(MIN_INTERVAL_S)
    assert told == list(answers)
