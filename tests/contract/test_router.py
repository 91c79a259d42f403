"""The contract of `service.ports.Router`."""

from collections.abc import AsyncIterator

import pytest

from service.adapters.memory.router import MemoryRouter
from service.adapters.redis.router import MOST_POSTED
from service.domain.effects import Effect, PeerReconnected
from service.domain.ids import CallId, SessionId, UserId
from service.ports import Router
from tests.contract.conftest import fresh_members
from tests.support.redis import until

HERE, ALSO_HERE, NOWHERE = SessionId("here"), SessionId("also-here"), SessionId("nowhere")


class RecordingOutlet:
    """Two sockets that note what they are told."""

    def __init__(self) -> None:
        self.told: list[tuple[SessionId, Effect | None]] = []

    async def has_been_told(self, things: int) -> None:
        """Wait until so much has arrived."""
        await until(lambda: len(self.told) >= things)

    def deliver(self, session: SessionId, effect: Effect) -> bool:
        """See `service.ports.Outlet.deliver`."""
        if session == NOWHERE:
            return False
        self.told.append((session, effect))
        return True

    def dismiss(self, session: SessionId) -> None:
        """See `service.ports.Outlet.dismiss`."""
        self.told.append((session, None))


@pytest.fixture
def outlet() -> RecordingOutlet:
    return RecordingOutlet()


here = pytest.mark.parametrize("router", ["memory", "redis"], indirect=True)
"""For routers whose sessions are all on this node."""


@pytest.fixture(params=["memory", "redis", "across nodes"])
async def router(request: pytest.FixtureRequest, outlet: RecordingOutlet) -> AsyncIterator[Router]:
    if request.param == "memory":
        local = MemoryRouter()
        local.attach(outlet)
        yield local
        return
    async with fresh_members(request.getfixturevalue("redis"), 2) as (near, far):
        home = near if request.param == "redis" else far
        home.attach(outlet)
        near.directory.routes.learn({HERE: home.name, ALSO_HERE: home.name})
        yield near.router


def effect(*to: SessionId, user: str = "alice") -> PeerReconnected:
    return PeerReconnected(to=to, call_id=CallId("c" * 32), user=UserId(user))


async def test_effects_arrive_in_order_at_each_session_once(router: Router, outlet: RecordingOutlet) -> None:
    first, second = effect(HERE, ALSO_HERE, user="first"), effect(HERE, user="second")
    assert await router.send((first, second)) == frozenset()
    await outlet.has_been_told(3)
    assert outlet.told == [(HERE, first), (ALSO_HERE, first), (HERE, second)]


async def test_the_sender_is_told_at_once_who_cannot_be_reached(router: Router, outlet: RecordingOutlet) -> None:
    both = effect(NOWHERE, HERE)
    assert await router.send((both,)) == {NOWHERE}
    await outlet.has_been_told(1)
    assert [(session, told.user) for session, told in outlet.told if isinstance(told, PeerReconnected)] == [
        (HERE, both.user)
    ]


async def test_what_is_told_arrives_in_order_and_before_what_is_sent_after_it(
    router: Router, outlet: RecordingOutlet
) -> None:
    first, second, sent = effect(HERE, ALSO_HERE, user="first"), effect(HERE, user="second"), effect(HERE, user="sent")
    router.tell((first, second))
    await router.send((sent,))
    await outlet.has_been_told(4)
    assert outlet.told == [(HERE, first), (ALSO_HERE, first), (HERE, second), (HERE, sent)]


async def test_whom_nobody_can_tell_hinders_nobody(router: Router, outlet: RecordingOutlet) -> None:
    router.tell((effect(NOWHERE), effect(NOWHERE, HERE, user="both")))
    await outlet.has_been_told(1)
    assert [(session, told.user) for session, told in outlet.told if isinstance(told, PeerReconnected)] == [
        (HERE, "both")
    ]


@here
async def test_what_is_posted_is_delivered_at_once(router: Router, outlet: RecordingOutlet) -> None:
    both = effect(HERE, ALSO_HERE)
    assert router.post(both)
    assert outlet.told == [(HERE, both), (ALSO_HERE, both)]


@here
async def test_posting_reaches_those_who_are_here(router: Router, outlet: RecordingOutlet) -> None:
    some = effect(NOWHERE, HERE)
    assert router.post(some)
    assert outlet.told == [(HERE, some)]


@pytest.mark.parametrize("to", [(), (NOWHERE,)])
async def test_posting_to_nobody_who_is_here_says_so(
    router: Router, outlet: RecordingOutlet, to: tuple[SessionId, ...]
) -> None:
    assert not router.post(effect(*to))
    assert outlet.told == []


across = pytest.mark.parametrize("router", ["across nodes"], indirect=True)
"""For routers whose sessions are all on another node."""


def unwanted() -> None:
    pytest.fail("what arrived was said not to have")


@across
async def test_posting_to_another_node_needs_somebody_to_tell(router: Router, outlet: RecordingOutlet) -> None:
    assert not router.post(effect(HERE))
    assert not router.post(effect(HERE, ALSO_HERE), unwanted)
    await router.send((effect(HERE),))
    await outlet.has_been_told(1)
    assert len(outlet.told) == 1


@across
async def test_what_is_posted_to_another_node_keeps_its_place(router: Router, outlet: RecordingOutlet) -> None:
    effects = [effect(HERE, user=f"{n}") for n in range(6)]
    assert router.post(effects[0], unwanted)
    assert router.post(effects[1], unwanted)
    await router.send((effects[2],))
    assert router.post(effects[3], unwanted)
    assert router.post(effects[4], unwanted)
    await router.send((effects[5],))
    await outlet.has_been_told(6)
    assert outlet.told == [(HERE, each) for each in effects]


@across
async def test_not_more_is_posted_than_may_wait(router: Router, outlet: RecordingOutlet) -> None:
    taken = 0
    while router.post(effect(HERE, user=f"{taken}"), unwanted):
        taken += 1
    assert taken == MOST_POSTED
    await router.send((effect(HERE, user="last"),))
    await outlet.has_been_told(taken + 1)
    assert [told.user for _, told in outlet.told if isinstance(told, PeerReconnected)] == [
        *(f"{n}" for n in range(taken)),
        "last",
    ]


@here
async def test_what_was_sent_before_comes_before_what_is_posted(router: Router, outlet: RecordingOutlet) -> None:
    sent, posted = effect(HERE, user="sent"), effect(HERE, user="posted")
    await router.send((sent,))
    router.post(posted)
    assert outlet.told == [(HERE, sent), (HERE, posted)]


async def test_a_dismissal_comes_after_what_was_sent_before(router: Router, outlet: RecordingOutlet) -> None:
    last_words = effect(HERE)
    await router.send((last_words,))
    await router.dismiss(HERE)
    await outlet.has_been_told(2)
    assert outlet.told == [(HERE, last_words), (HERE, None)]


async def test_nobody_is_reachable_before_the_sockets_are_attached() -> None:
    router = MemoryRouter()
    assert await router.send((effect(HERE),)) == {HERE}
    assert not router.post(effect(HERE))
    router.tell((effect(HERE),))
    await router.dismiss(HERE)
