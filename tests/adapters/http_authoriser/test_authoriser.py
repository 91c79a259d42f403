"""A real backend says who may call whom, or fails to."""

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections.abc import AsyncIterator

import pytest

from service.adapters.http_authoriser.authoriser import MAX_CACHED, MAX_REQUESTS, HttpAuthoriser, Rules
from service.adapters.memory.clock import ManualClock
from service.domain.ids import UserId
from service.ports import Observer
from service.supervisor import Supervisor
from service.transport.lane import Lane
from tests.support.backend import Asked, Backend, answer_with, http, never, running_backend
from tests.support.server import free_port

SECRET = "the secret that the backend knows too"  # noqa: S105 - made up
ALICE, BOB = UserId("alice"), UserId("bob")
YES, NO = http(b'{"allowed": true}'), http(b'{"allowed": false, "reason": "blocked"}')


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """Lets everybody call everybody, until told otherwise."""
    async with running_backend("/may-call") as running:
        running.answer = answer_with(YES)
        yield running


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(start_s=9.0)


def authoriser(
    url: str, clock: ManualClock, *, cache_s: float = 10.0, allow_on_failure: bool = False, timeout_s: float = 10.0
) -> HttpAuthoriser:
    rules = Rules(timeout_s=timeout_s, cache_s=cache_s, allow_on_failure=allow_on_failure)
    return HttpAuthoriser(url=url, secret=SECRET, rules=rules, now=clock.now)


@pytest.mark.parametrize(("answer", "allowed"), [(YES, True), (NO, False)])
async def test_the_backends_word_counts(backend: Backend, clock: ManualClock, answer: bytes, *, allowed: bool) -> None:
    backend.answer = answer_with(answer)
    for on_failure in (False, True):
        assert await authoriser(backend.url, clock, allow_on_failure=on_failure).may_call(ALICE, BOB) is allowed


async def test_the_request_is_signed_as_it_is_described(backend: Backend, clock: ManualClock) -> None:
    before = int(time.time())
    user = UserId('"\u00e9\U0001f600')
    await authoriser(backend.url, clock).may_call(user, BOB)
    (asked,) = backend.asked
    assert asked.line == "POST /may-call HTTP/1.1"
    assert json.loads(asked.body) == {"caller": user, "callee": BOB}
    match = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", asked.headers["x-signalling-signature"])
    assert match is not None
    assert before <= int(match[1]) <= time.time()
    signed = match[1].encode() + b"." + asked.body
    assert match[2] == hmac.new(SECRET.encode(), signed, hashlib.sha256).hexdigest()


async def test_an_answer_is_good_for_a_while_and_for_one_direction(backend: Backend, clock: ManualClock) -> None:
    asking = authoriser(backend.url, clock, cache_s=10)
    assert await asking.may_call(ALICE, BOB)
    backend.answer = answer_with(NO)
    clock.advance(9.9)
    assert await asking.may_call(ALICE, BOB)
    assert not await asking.may_call(BOB, ALICE)
    clock.advance(0.1)
    assert not await asking.may_call(ALICE, BOB)
    assert len(backend.asked) == 3


async def test_it_may_be_asked_where_no_task_runs(backend: Backend, clock: ManualClock) -> None:
    """As by an event: the lane of its socket makes a task only when it has to wait."""
    asking = authoriser(backend.url, clock)
    answered: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

    async def ask() -> None:
        try:
            answered.set_result(await asking.may_call(ALICE, BOB))
        except Exception as error:
            answered.set_exception(error)
            raise

    lane = Lane("events of a socket", Supervisor(), limit=1)
    asyncio.get_running_loop().call_soon(lane.submit, ask)
    assert await asyncio.wait_for(answered, 10)


async def test_without_a_cache_every_call_asks(backend: Backend, clock: ManualClock) -> None:
    asking = authoriser(backend.url, clock, cache_s=0)
    for _ in range(3):
        assert await asking.may_call(ALICE, BOB)
    assert len(backend.asked) == 3


async def test_the_cache_forgets_the_oldest(
    backend: Backend, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.adapters.http_authoriser.authoriser.MAX_CACHED", 2)
    asking = authoriser(backend.url, clock)
    callees = [UserId(name) for name in ("bob", "carol", "dave")]
    for callee in (*callees, callees[2], callees[1]):
        await asking.may_call(ALICE, callee)
    assert len(backend.asked) == 3
    await asking.may_call(ALICE, callees[0])
    assert len(backend.asked) == 4
    assert MAX_CACHED == 10_000


async def test_an_answer_that_was_asked_for_again_is_not_the_oldest(
    backend: Backend, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.adapters.http_authoriser.authoriser.MAX_CACHED", 2)
    asking = authoriser(backend.url, clock, cache_s=10)
    for name in ("first", "second"):
        await asking.may_call(ALICE, UserId(name))
        clock.advance(6)
    for name in ("first", "third"):  # the first has expired
        await asking.may_call(ALICE, UserId(name))
    assert len(backend.asked) == 4
    await asking.may_call(ALICE, UserId("first"))
    assert len(backend.asked) == 4


FAILURES = {
    "error": http(b"", "500 Internal Server Error"),
    "refused": http(b'{"allowed": true}', "403 Forbidden"),
    "moved": http(b"", "307 Temporary Redirect", "Location: /elsewhere\r\n"),
    "empty": http(b""),
    "no json": http(b"yes"),
    "deep": http(b"[" * 10_000),
    "list": http(b"[true]"),
    "bare": http(b"true"),
    "no word": http(b"{}"),
    "text": http(b'{"allowed": "false"}'),
    "number": http(b'{"allowed": 1}'),
    "null": http(b'{"allowed": null}'),
    "huge": http(b'{"allowed": true, "pad": "' + b"x" * 20_000 + b'"}'),
    "no http": b"hello\r\n\r\n",
    "cut off": YES[:-2],
}


@pytest.mark.parametrize("answer", FAILURES.values(), ids=FAILURES.keys())
@pytest.mark.parametrize("on_failure", [False, True])
async def test_a_failure_means_what_is_set_and_is_not_kept(
    backend: Backend, clock: ManualClock, answer: bytes, *, on_failure: bool, caplog: pytest.LogCaptureFixture
) -> None:
    asking = authoriser(backend.url, clock, allow_on_failure=on_failure)
    backend.answer = answer_with(answer)
    assert [await asking.may_call(ALICE, BOB) for _ in range(3)] == [on_failure] * 3
    backend.answer = answer_with(NO if on_failure else YES)
    assert await asking.may_call(ALICE, BOB) is not on_failure
    failed, mended = caplog.messages
    assert failed.startswith("the backend does not say who may call whom (")
    assert failed.endswith(f"calls are {'allowed' if on_failure else 'refused'} meanwhile")
    assert mended == "the backend says again who may call whom"
    assert not any(private in failed for private in ("alice", "bob", "127.0.0.1"))


@pytest.mark.parametrize("on_failure", [False, True])
async def test_a_backend_that_is_not_there(clock: ManualClock, *, on_failure: bool) -> None:
    asking = authoriser(f"http://127.0.0.1:{free_port()}/", clock, allow_on_failure=on_failure)
    assert await asking.may_call(ALICE, BOB) is on_failure


async def test_what_the_backend_said_is_good_while_it_is_down(backend: Backend, clock: ManualClock) -> None:
    asking = authoriser(backend.url, clock)
    assert await asking.may_call(ALICE, BOB)
    backend.answer = answer_with(b"")
    assert await asking.may_call(ALICE, BOB)
    assert not await asking.may_call(BOB, ALICE)


async def test_a_backend_that_hangs_holds_nobody_longer_than_the_time_limit(
    backend: Backend, clock: ManualClock
) -> None:
    backend.answer = never
    asking = authoriser(backend.url, clock, timeout_s=0.3)
    callees = [UserId(str(number)) for number in range(2 * MAX_REQUESTS)]
    async with asyncio.timeout(20):
        assert not any(await asyncio.gather(*(asking.may_call(ALICE, callee) for callee in callees)))
    backend.answer = answer_with(YES)
    assert await asking.may_call(ALICE, BOB)


async def test_so_many_ask_at_once_and_the_others_wait(backend: Backend, clock: ManualClock) -> None:
    at_once, most = 0, 0

    async def count(_asked: Asked) -> bytes:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        return YES

    backend.answer = count
    asking = authoriser(backend.url, clock)
    callees = [UserId(str(number)) for number in range(3 * MAX_REQUESTS)]
    assert all(await asyncio.gather(*(asking.may_call(ALICE, callee) for callee in callees)))
    assert len(backend.asked) == len(callees)
    assert most <= MAX_REQUESTS


async def test_every_question_is_told_with_what_came_of_it(backend: Backend, clock: ManualClock) -> None:
    told: list[str] = []

    class Watch(Observer):
        def leave_asked(self, result: str, took_s: float) -> None:
            assert took_s >= 0
            told.append(result)

    rules = Rules(timeout_s=10, cache_s=10, allow_on_failure=False)
    asking = HttpAuthoriser(url=backend.url, secret=SECRET, rules=rules, now=clock.now, observer=Watch())
    answers = {
        "allowed": YES,
        "refused": NO,
        "unusable": http(b"{}", "500 Internal Server Error"),
        "malformed": b"what is this\r\n\r\n",
    }
    for number, answer in enumerate(answers.values()):
        backend.answer = answer_with(answer)
        await asking.may_call(ALICE, UserId(f"bob-{number}"))
    await asking.may_call(ALICE, UserId("bob-0"))  # from the cache
    assert told == list(answers)


async def test_a_question_without_an_answer_is_told_as_a_timeout(backend: Backend, clock: ManualClock) -> None:
    told: list[str] = []

    class Watch(Observer):
        def leave_asked(self, result: str, took_s: float) -> None:
            told.append(result)

    backend.answer = never
    rules = Rules(timeout_s=0.05, cache_s=10, allow_on_failure=False)
    asking = HttpAuthoriser(url=backend.url, secret=SECRET, rules=rules, now=clock.now, observer=Watch())
    assert not await asking.may_call(ALICE, BOB)
    assert told == ["timeout"]
