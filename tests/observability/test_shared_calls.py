"""What one node tells of a call that it shares with another, which is played by the test."""

from collections.abc import Iterator

import pytest
from msgspec.structs import replace

from observability.ledger import LEAVE_S
from service.domain.call import Call, Party, Policy, ring, step
from service.domain.events import (
    Accept,
    Answer,
    Candidate,
    Event,
    GraceOver,
    HangUp,
    Lost,
    Media,
    MediaUp,
    Offer,
    Returned,
)
from service.domain.ids import CallId, SessionId, UserId
from service.ports import CallStepped, LinkClosed, LinkOpened
from tests.observability.node import ObservedNode

ALICE, BOB, CAROL = (SessionId(name) for name in ("session-alice", "session-bob", "session-bob-again"))
CALL_ID = CallId("0af7651916cd43dd8448eb211c80319c")
LIVE = "calls{"


class SharedNode(ObservedNode):
    """A node with some of the sessions of one call. What happens here is stepped, the rest is heard of."""

    def __init__(self, *here: SessionId, ratio: float = 1.0) -> None:
        super().__init__(ratio, shared=True)
        for session in here:
            self.opens(session)
        parties = Party(UserId("alice"), (ALICE,)), Party(UserId("bob"), (BOB,))
        policy = Policy(reconnect_grace_s=10)
        self.placed = ring(CALL_ID, *parties, Media.AUDIO, policy, self.clock.now())
        self.agreed: Call = self.placed.call

    def opens(self, session: SessionId) -> None:
        self.telemetry.observer.link_opened(LinkOpened(session, "websocket", 0.1))

    def closes(self, session: SessionId) -> None:
        self.telemetry.observer.link_closed(LinkClosed(session, "websocket", "transport_lost", 1.0))

    def place(self) -> None:
        """The caller is here."""
        now = self.clock.now()
        self.telemetry.observer.call_stepped(CallStepped(None, self.agreed, None, self.placed.effects, now))

    def hear_of_it(self) -> None:
        """The callee is here, and the caller elsewhere."""
        self.telemetry.redis_watch.call_changed(self.agreed)

    def here(self, event: Event) -> None:
        """It happens on this node."""
        before, now = self.agreed, self.clock.now()
        done = step(before, event, now)
        self.agreed = done.call
        self.telemetry.observer.call_stepped(CallStepped(before, done.call, event, done.effects, now))

    def elsewhere(self, event: Event) -> None:
        """It happens on the other node, and this one is told."""
        self.agreed = step(self.agreed, event, self.clock.now()).call
        if self.agreed.ended_at_s is None:
            self.telemetry.redis_watch.call_changed(self.agreed)
        else:
            self.telemetry.redis_watch.call_over(self.agreed.id, self.agreed)

    def counted(self, metric: str) -> dict[str, float]:
        """The samples of a metric that are not zero, by their labels."""
        return {name.partition("{")[2][:-1]: value for name, value in self.scrape().items() if name.startswith(metric)}

    async def names(self) -> list[str]:
        """What is exported, by name."""
        return sorted(span.name for span in await self.spans())


@pytest.fixture
def caller() -> Iterator[SharedNode]:
    """The node of the caller, who has placed the call."""
    node = SharedNode(ALICE)
    node.place()
    yield node
    node.close()


@pytest.fixture
def callee() -> Iterator[SharedNode]:
    """The node of the callee, at whom it rings."""
    node = SharedNode(BOB)
    node.hear_of_it()
    yield node
    node.close()


async def test_the_node_of_the_caller_counts_what_it_did_and_shows_the_call(caller: SharedNode) -> None:
    caller.elsewhere(Accept(BOB))
    assert caller.counted(LIVE) == {'state="connecting"': 1}
    caller.telemetry.redis_watch.answer_came(ALICE)
    caller.elsewhere(MediaUp(BOB))
    assert caller.counted(LIVE) == {'state="connected"': 1}
    caller.elsewhere(HangUp(BOB))
    assert caller.counted("call_milestones_total") == {'milestone="attempted"': 1}
    assert caller.counted(LIVE) == caller.counted("calls_ended_total") == {}
    assert await caller.names() == []
    assert caller.counted("call_traces_total") == {}


async def test_the_node_of_the_callee_counts_the_rest(callee: SharedNode) -> None:
    callee.here(Accept(BOB))
    callee.here(Answer(BOB, b"{}"))
    callee.here(MediaUp(BOB))
    assert callee.counted(LIVE) == {}
    callee.here(HangUp(BOB))
    assert callee.counted("call_milestones_total") == {
        f'milestone="{name}"': 1 for name in ("answered", "negotiated", "connected", "ended")
    }
    assert callee.counted("calls_ended_total") == {'fault="none",phase="connected",reason="hangup"': 1}
    names = ["call", "call.connected", "call.hangup", "call.setup", "media", "negotiation", "ringing"]
    assert await callee.names() == names
    assert callee.counted("call_traces_total") == {'decision="kept_ratio"': 1}


async def test_an_answer_from_elsewhere_is_no_fault_of_the_client_that_hangs_up(caller: SharedNode) -> None:
    caller.elsewhere(Accept(BOB))
    caller.here(Offer(ALICE, b"{}"))
    caller.telemetry.redis_watch.answer_came(ALICE)
    caller.here(Offer(ALICE, b"{}"))
    caller.here(HangUp(ALICE))
    assert caller.counted("calls_ended_total") == {'fault="none",phase="connecting",reason="hangup"': 1}
    assert caller.scrape()["renegotiations_total"] == 1


async def test_an_answer_that_comes_before_the_call_is_answered(caller: SharedNode) -> None:
    caller.telemetry.redis_watch.answer_came(ALICE)
    caller.elsewhere(Accept(BOB))
    caller.here(HangUp(ALICE))
    assert caller.counted("calls_ended_total") == {'fault="none",phase="connecting",reason="hangup"': 1}


async def test_media_is_not_timed_where_the_negotiation_was_not_seen(caller: SharedNode) -> None:
    caller.elsewhere(Accept(BOB))
    caller.here(MediaUp(ALICE))
    assert set(caller.counted("call_phase_duration_seconds_count")) == {'phase="setup_total"'}


async def test_a_call_of_which_nobody_says_how_it_ended_is_let_go(caller: SharedNode) -> None:
    caller.telemetry.redis_watch.call_over(CALL_ID, None)
    caller.telemetry.redis_watch.call_over(CALL_ID, None)
    caller.telemetry.redis_watch.call_changed(replace(caller.agreed, version=9))
    assert caller.counted(LIVE) == {}
    await caller.names()
    assert not caller.telemetry.ledger.is_kept(CALL_ID)


async def test_news_that_is_no_news_changes_nothing(caller: SharedNode) -> None:
    before = caller.agreed
    caller.elsewhere(Accept(BOB))
    caller.telemetry.redis_watch.call_changed(before)
    assert caller.counted(LIVE) == {'state="connecting"': 1}


async def test_what_has_no_part_here_is_not_followed(callee: SharedNode) -> None:
    stranger = SharedNode(CAROL)
    stranger.telemetry.redis_watch.call_changed(callee.agreed)
    stranger.telemetry.redis_watch.call_over(CALL_ID, callee.agreed)
    stranger.telemetry.redis_watch.answer_came(CAROL)
    stranger.telemetry.redis_watch.answer_came(BOB)
    assert not stranger.telemetry.ledger.is_kept(CALL_ID)
    stranger.close()


async def test_a_call_is_shown_where_its_caller_is_and_else_where_its_callee_is(callee: SharedNode) -> None:
    callee.here(Accept(BOB))
    assert callee.counted(LIVE) == {}
    callee.elsewhere(Lost(ALICE))
    assert callee.counted(LIVE) == {'state="connecting"': 1}
    assert callee.scrape()["calls_peak"] == 1
    callee.elsewhere(Returned(CAROL, UserId("alice")))
    assert callee.counted(LIVE) == {}


async def test_a_call_that_goes_on_elsewhere_is_let_go(caller: SharedNode) -> None:
    caller.elsewhere(Accept(BOB))
    caller.closes(ALICE)
    caller.here(Lost(ALICE))
    assert caller.counted(LIVE) == {}
    await caller.passes(10 + LEAVE_S - 0.1)
    assert caller.telemetry.ledger.is_kept(CALL_ID)
    await caller.passes(0.2)
    assert not caller.telemetry.ledger.is_kept(CALL_ID)
    assert caller.counted("calls_ended_total") == {}
    assert await caller.names() == []


async def test_a_party_that_comes_back_here_keeps_the_call_here(caller: SharedNode) -> None:
    caller.elsewhere(Accept(BOB))
    caller.closes(ALICE)
    caller.here(Lost(ALICE))
    caller.opens(CAROL)
    await caller.passes(3)
    caller.here(Returned(CAROL, UserId("alice")))
    await caller.passes(60)
    assert caller.counted(LIVE) == {'state="connecting"': 1}
    caller.here(HangUp(CAROL))
    assert (await caller.names()).count("call.reconnecting") == 1


async def test_an_absence_is_told_by_the_node_that_sees_its_end(caller: SharedNode, callee: SharedNode) -> None:
    for node in (caller, callee):
        (node.elsewhere if node is caller else node.here)(Accept(BOB))
    callee.closes(BOB)
    callee.here(Lost(BOB))
    caller.elsewhere(Lost(BOB))
    caller.opens(CAROL)
    await caller.passes(4)
    caller.here(Returned(CAROL, UserId("bob")))
    caller.here(HangUp(CAROL))
    await callee.passes(60)
    assert "call.reconnecting" not in await callee.names()
    (absence,) = (span for span in await caller.spans() if span.name == "call.reconnecting")
    assert ((absence.end_time or 0) - (absence.start_time or 0)) / 1e9 == pytest.approx(4)
    assert caller.counted("resumes_total") == {'result="returned"': 1}


@pytest.mark.parametrize("both", [False, True], ids=["one party's", "both parties'"])
async def test_a_third_node_that_looks_after_a_dead_one(both: bool) -> None:
    third = SharedNode(ratio=0.0)
    third.agreed = step(third.agreed, Accept(BOB), third.clock.now()).call
    third.here(Lost(ALICE, with_node=True))
    if both:
        third.here(Lost(BOB, with_node=True))
    assert third.counted("calls_recovered_total") == {'result="waiting"': 1}
    await third.passes(10)
    third.here(GraceOver())
    assert third.counted("calls_ended_total") == {'fault="network",phase="connecting",reason="connection_lost"': 1}
    spans = await third.spans()
    names = ["call", "call.hangup", "call.node_lost", *["call.reconnecting"] * (1 + both), "call.setup"]
    assert sorted(span.name for span in spans) == names
    (root,) = (span for span in spans if span.name == "call")
    assert (root.attributes or {})["signalling.call.node_lost"] is True
    third.close()


@pytest.mark.parametrize(("goodbye", "kept"), [(True, []), (False, ["ice.trickle"])], ids=["goodbye", "lost"])
async def test_the_other_node_keeps_its_part_of_what_was_lost_and_not_of_a_goodbye(
    goodbye: bool, kept: list[str]
) -> None:
    node = SharedNode(ALICE, ratio=0.0)
    node.place()
    node.elsewhere(Accept(BOB))
    node.here(Candidate(ALICE, b"{}"))
    node.elsewhere(Lost(BOB, goodbye=goodbye))
    if not goodbye:
        await node.passes(10)
        node.elsewhere(GraceOver())
    assert await node.names() == kept
    node.close()


async def test_a_set_up_that_took_long_is_kept_by_both() -> None:
    node = SharedNode(ALICE, ratio=0.0)
    node.place()
    node.elsewhere(Accept(BOB))
    node.here(Candidate(ALICE, b"{}"))
    await node.passes(4)
    node.elsewhere(MediaUp(BOB))
    node.elsewhere(HangUp(BOB))
    assert await node.names() == ["ice.trickle"]
    node.close()
