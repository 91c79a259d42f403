"""Watching users: what is told at once, what is pushed, how often, and to whom not."""

import asyncio
from collections.abc import Callable

import pytest

from service.adapters.memory.directory import MemoryDirectory
from service.control.presence import BATCH, MAX_QUESTIONS, PUSH_INTERVAL_S
from service.control.session import Session
from service.domain.budget import Rate, Scope
from service.domain.effects import Effect, StatusReport
from service.domain.events import HangUp
from service.domain.ids import SessionId, UserId
from service.domain.placing import Presence
from service.domain.requests import Status, Unwatch, Watch
from service.errors import NotJoinedError, RateLimitedError, TooManyWatchedError
from service.ports import Authoriser
from tests.control.harness import Rig

ALICE, BOB, CAROL, DAVE = UserId("alice"), UserId("bob"), UserId("carol"), UserId("dave")
AWAY, HERE, TALKING = (False, False), (True, False), (True, True)


async def settle(rig: Rig, seconds: float = 0.0) -> None:
    """Time goes by, and all that it woke is done."""
    rig.clock.advance(seconds)
    for _ in range(10):
        await asyncio.sleep(0)


def seen(effects: list[Effect]) -> list[tuple[UserId, tuple[bool, bool]]]:
    """What the reports among these say."""
    return [(each.user, (each.online, each.in_call)) for each in effects if isinstance(each, StatusReport)]


async def watching(rig: Rig, name: str, *users: UserId) -> Session:
    """A socket that watches, and has taken its answer."""
    session = await rig.join(name)
    await rig.ask(session, Watch(users))
    rig.take(session)
    return session


async def test_watching_tells_at_once_how_each_user_is_and_once() -> None:
    rig = Rig()
    alice, carol = await rig.join(ALICE), await rig.join(CAROL)
    await rig.join(BOB)
    await rig.call(carol, BOB)
    rig.take(alice)
    outcome = await rig.ask(alice, Watch((BOB, DAVE, ALICE, BOB)))
    assert outcome.confirmation is None
    assert seen(rig.take(alice)) == [(BOB, TALKING), (DAVE, AWAY), (ALICE, HERE)]
    await settle(rig, 1)
    assert rig.take(alice) == []
    assert rig.watch.pushed == 0


async def test_a_watcher_is_told_of_every_change() -> None:
    rig = Rig()
    alice = await watching(rig, ALICE, BOB)
    carol = await rig.join(CAROL)
    bob = await rig.join(BOB)
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(BOB, HERE)]
    call_id = await rig.call(carol, BOB)
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(BOB, TALKING)]
    await rig.do(bob, call_id, HangUp(by=bob.id))
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(BOB, HERE)]
    await rig.leave(bob)
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(BOB, AWAY)]
    assert seen(rig.take(carol)) == []
    assert rig.watch.pushed == 4


async def test_a_user_in_his_grace_is_away_and_in_a_call() -> None:
    rig = Rig(grace_s=10)
    alice = await watching(rig, ALICE, BOB)
    carol, bob = await rig.join(CAROL), await rig.join(BOB)
    await rig.answered_call(carol, bob)
    await settle(rig, 1)
    rig.take(alice)
    await rig.leave(bob)
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(BOB, (False, True))]
    await rig.join(BOB, "2")
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(BOB, TALKING)]


async def test_another_device_is_no_change() -> None:
    rig = Rig()
    await rig.join(BOB)
    alice = await watching(rig, ALICE, BOB)
    await rig.join(BOB, "2")
    await settle(rig, 1)
    assert rig.take(alice) == []


async def test_who_no_longer_watches_hears_no_more_and_the_others_do() -> None:
    rig = Rig()
    alice, carol = await watching(rig, ALICE, BOB, DAVE), await watching(rig, CAROL, BOB)
    await rig.ask(alice, Unwatch((BOB, UserId("never watched"))))
    assert rig.presence.watches() == 2
    await rig.join(BOB)
    await rig.join(DAVE)
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(DAVE, HERE)]
    assert seen(rig.take(carol)) == [(BOB, HERE)]


async def test_watches_end_with_the_socket_and_nobody_is_followed_for_nothing() -> None:
    rig = Rig()
    alice = await watching(rig, ALICE, BOB)
    assert rig.presence.watches() == 1
    told: list[UserId] = []
    await rig.leave(alice)
    rig.directory.attach(told.append)
    await rig.join(BOB)
    assert told == []
    assert rig.presence.watches() == 0


async def test_a_push_that_was_under_way_spares_who_has_left() -> None:
    rig = Rig()
    alice, carol = await watching(rig, ALICE, BOB), await watching(rig, CAROL, BOB)
    await rig.join(BOB)
    await rig.ask(alice, Unwatch((BOB,)))
    await settle(rig)
    assert rig.take(alice) == []
    assert seen(rig.take(carol)) == [(BOB, HERE)]
    await rig.leave(rig.sessions["bob-1"])
    await rig.ask(carol, Unwatch((BOB,)))
    await settle(rig, 1)
    assert rig.take(carol) == []


@pytest.mark.parametrize("request_", [Watch((BOB,)), Unwatch((BOB,))])
async def test_only_who_has_joined_may_watch(request_: Watch | Unwatch) -> None:
    rig = Rig()
    stranger = rig.connect("stranger")
    with pytest.raises(NotJoinedError):
        await rig.ask(stranger, request_)
    assert rig.presence.watches() == 0


async def test_beyond_the_limit_nothing_changes() -> None:
    rig = Rig(max_watched=2)
    alice = await watching(rig, ALICE, BOB)
    with pytest.raises(TooManyWatchedError):
        await rig.ask(alice, Watch((CAROL, DAVE)))
    await rig.join(CAROL)
    await settle(rig, 1)
    assert rig.take(alice) == []
    await rig.ask(alice, Watch((BOB, CAROL)))
    assert seen(rig.take(alice)) == [(BOB, AWAY), (CAROL, HERE)]


# --- storms -----------------------------------------------------------------------------------------------


async def test_a_storm_of_changes_is_a_few_pushes_and_the_last_state_arrives() -> None:
    rig = Rig()
    alice, carol = await watching(rig, ALICE, BOB), await watching(rig, CAROL, BOB)
    changes, took_s = 1000, 1.0
    for number in range(changes):
        if number % 2:
            await rig.leave(rig.sessions["bob-1"])
        else:
            await rig.join(BOB)
        await settle(rig, took_s / changes)
    await rig.join(BOB)
    await settle(rig, PUSH_INTERVAL_S)
    pushes = seen(rig.take(alice))
    assert 1 < len(pushes) <= 1 + took_s / PUSH_INTERVAL_S + 1
    assert pushes[-1] == (BOB, HERE)
    assert seen(rig.take(carol)) == pushes
    assert rig.watch.pushed == 2 * len(pushes)
    await settle(rig, 10)
    assert rig.take(alice) == []


async def test_a_change_there_and_back_within_the_interval_is_not_worth_a_push() -> None:
    rig = Rig()
    alice = await watching(rig, ALICE, BOB)
    bob = await rig.join(BOB)
    await settle(rig)
    assert seen(rig.take(alice)) == [(BOB, HERE)]
    await rig.leave(bob)
    await rig.join(BOB)
    await settle(rig, PUSH_INTERVAL_S)
    assert rig.take(alice) == []


async def test_the_interval_is_kept_and_no_longer() -> None:
    rig = Rig()
    alice = await watching(rig, ALICE, BOB)
    bob = await rig.join(BOB)
    await settle(rig)
    await rig.leave(bob)
    rig.take(alice)
    await settle(rig, PUSH_INTERVAL_S * 0.9)
    assert rig.take(alice) == []
    await settle(rig, PUSH_INTERVAL_S * 0.2)
    assert seen(rig.take(alice)) == [(BOB, AWAY)]


async def test_nobody_is_looked_at_when_the_storm_is_over() -> None:
    class CountingDirectory(MemoryDirectory):
        looked = 0

        async def presence(self, user: UserId) -> Presence:
            self.looked += 1
            return await super().presence(user)

    directory = CountingDirectory()
    rig = Rig(directory=directory)
    await watching(rig, ALICE, BOB)
    bob = await rig.join(BOB)
    await settle(rig)
    await rig.leave(bob)
    for _ in range(3):
        await settle(rig, PUSH_INTERVAL_S)
    looked = directory.looked
    for _ in range(10):
        await settle(rig, PUSH_INTERVAL_S)
    assert directory.looked == looked


async def test_a_user_with_many_watchers_is_told_of_in_batches_and_to_all() -> None:
    rig = Rig()
    watchers = [await watching(rig, f"watcher-{number}", BOB) for number in range(2 * BATCH + 1)]
    await rig.join(BOB)
    rig.heard.clear()
    await asyncio.sleep(0)
    assert len(rig.heard) == BATCH
    await rig.leave(watchers[-1])
    await settle(rig)
    told = [heard.session for heard in rig.heard]
    assert sorted(told) == sorted(watcher.id for watcher in watchers[:-1])


# --- what others do meanwhile -----------------------------------------------------------------------------


class SlowDirectory(MemoryDirectory):
    """Its `presence` gives what was so when it was asked, once the gate is open."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[asyncio.Event] = []

    async def presence(self, user: UserId) -> Presence:
        known = await super().presence(user)
        if self.gates:
            await self.gates.pop(0).wait()
        return known


async def test_an_answer_that_a_push_has_overtaken_says_what_the_push_said() -> None:
    directory = SlowDirectory()
    rig = Rig(directory=directory)
    alice = await rig.join(ALICE)
    rig.take(alice)
    gate = asyncio.Event()
    directory.gates = [gate]
    asking = asyncio.create_task(rig.ask(alice, Watch((BOB,))))
    await settle(rig)
    await rig.join(BOB)
    await settle(rig)
    assert seen(rig.take(alice)) == [(BOB, HERE)]
    gate.set()
    await asking
    assert seen(rig.take(alice)) == [(BOB, HERE)]


async def test_a_push_that_read_too_early_is_put_right_by_the_next() -> None:
    directory = SlowDirectory()
    rig = Rig(directory=directory)
    alice = await watching(rig, ALICE, BOB)
    gate = asyncio.Event()
    directory.gates = [gate]
    bob = await rig.join(BOB)
    await settle(rig)
    await rig.leave(bob)
    assert rig.take(alice) == []
    gate.set()
    await settle(rig)
    assert seen(rig.take(alice)) == [(BOB, HERE)]
    await settle(rig, PUSH_INTERVAL_S)
    assert seen(rig.take(alice)) == [(BOB, AWAY)]


async def test_who_leaves_during_a_push_is_not_told() -> None:
    directory = SlowDirectory()
    rig = Rig(directory=directory)
    alice = await watching(rig, ALICE, BOB)
    gate = asyncio.Event()
    directory.gates = [gate]
    await rig.join(BOB)
    await settle(rig)
    await rig.ask(alice, Unwatch((BOB,)))
    gate.set()
    await settle(rig, 1)
    assert rig.take(alice) == []
    assert rig.watch.pushed == 0


class UnwillingDirectory(MemoryDirectory):
    """Cannot follow anybody, or cannot say how anybody is."""

    def __init__(self, broken: str) -> None:
        super().__init__()
        self.broken = broken
        self.unfollowed: list[UserId] = []
        setattr(self, broken, self._fail)

    async def _fail(self, *_: object) -> None:
        raise ConnectionError(self.broken)

    def unfollow(self, users: object) -> None:
        self.unfollowed.extend(users)  # type: ignore[arg-type]  # users are a sequence


@pytest.mark.parametrize("broken", ["follow", "presence"])
async def test_a_watch_that_fails_leaves_nothing_behind(broken: str) -> None:
    directory = UnwillingDirectory(broken)
    rig = Rig(directory=directory)
    alice = rig.connect("alice-1")
    alice.user = ALICE
    with pytest.raises(ConnectionError):
        await rig.ask(alice, Watch((BOB, CAROL)))
    assert rig.presence.watches() == 0
    assert set(directory.unfollowed) == {BOB, CAROL}


# --- hidden presence --------------------------------------------------------------------------------------


class Rules(Authoriser):
    """`allows` says who may call whom. Keeps the most questions that it had at a time."""

    def __init__(self, allows: Callable[[UserId, UserId], bool]) -> None:
        self.allows = allows
        self.open = 0
        self.most_open = 0

    async def may_call(self, caller: UserId, callee: UserId) -> bool:
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        await asyncio.sleep(0)
        self.open -= 1
        return self.allows(caller, callee)


async def test_hidden_presence_shows_watchers_what_user_status_shows() -> None:
    rig = Rig(authoriser=Rules(lambda caller, _: caller == CAROL), hide_presence=True)
    await rig.join(DAVE)
    alice, carol = await watching(rig, ALICE, BOB), await watching(rig, CAROL, BOB)
    for session, shown in ((alice, AWAY), (carol, HERE)):
        await rig.ask(session, Watch((DAVE,)))
        await rig.ask(session, Status(DAVE))
        assert seen(rig.take(session)) == [(DAVE, shown), (DAVE, shown)]
    await rig.join(BOB)
    await rig.leave(rig.sessions["dave-1"])
    await settle(rig, 1)
    assert rig.take(alice) == []
    assert seen(rig.take(carol)) == [(BOB, HERE), (DAVE, AWAY)]


async def test_hidden_presence_is_asked_about_again_at_each_change() -> None:
    blocked: set[UserId] = set()
    rig = Rig(authoriser=Rules(lambda caller, _: caller not in blocked), hide_presence=True)
    bob = await rig.join(BOB)
    alice = await watching(rig, ALICE, BOB)
    carol = await rig.join(CAROL)
    blocked.add(ALICE)
    call_id = await rig.call(carol, BOB)
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(BOB, AWAY)]
    await rig.do(bob, call_id, HangUp(by=bob.id))
    await settle(rig, 1)
    assert rig.take(alice) == []
    blocked.clear()
    await rig.call(carol, BOB)
    await settle(rig, 1)
    assert seen(rig.take(alice)) == [(BOB, TALKING)]


async def test_one_sees_oneself() -> None:
    rig = Rig(authoriser=Rules(lambda *_: False), hide_presence=True)
    alice = await rig.join(ALICE)
    rig.take(alice)
    await rig.ask(alice, Watch((ALICE,)))
    assert seen(rig.take(alice)) == [(ALICE, HERE)]


async def test_watches_leave_places_for_the_questions_of_calls() -> None:
    rules = Rules(lambda *_: True)
    rig = Rig(authoriser=rules, hide_presence=True)
    users = tuple(UserId(f"user-{number}") for number in range(3 * MAX_QUESTIONS))
    alice = await rig.join(ALICE)
    rig.take(alice)
    await rig.ask(alice, Watch(users))
    assert [user for user, _ in seen(rig.take(alice))] == list(users)
    assert rules.most_open == MAX_QUESTIONS


def test_a_socket_that_never_watched_leaves_as_it_came() -> None:
    rig = Rig()
    rig.presence.left(SessionId("nobody"))
    assert rig.presence.watches() == 0


# --- how many may be asked for ---


async def test_each_user_who_is_asked_for_counts_whichever_event_asks() -> None:
    rig = Rig(lookups=Rate(6, 60.0))
    alice = await rig.join(ALICE)
    await rig.ask(alice, Watch((BOB, CAROL, DAVE)))
    await rig.ask(alice, Status(BOB))
    with pytest.raises(RateLimitedError) as too_many:
        await rig.ask(alice, Watch((BOB, CAROL, DAVE)))
    assert (too_many.value.retry_after_s, too_many.value.scope) == (10.0, Scope.LOOKUP)
    assert rig.presence.watches() == 3
    await rig.ask(alice, Watch((BOB, BOB, CAROL)))
    with pytest.raises(RateLimitedError):
        await rig.ask(await rig.join(ALICE, "another socket"), Status(BOB))
    rig.clock.advance(10.0)
    await rig.ask(alice, Status(BOB))


async def test_who_has_not_joined_asks_for_himself() -> None:
    rig = Rig(lookups=Rate(1, 60.0))
    for name in ("one", "other"):
        await rig.ask(rig.connect(name), Status(BOB))
        with pytest.raises(RateLimitedError):
            await rig.ask(rig.connect(name), Status(BOB))
