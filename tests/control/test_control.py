import asyncio
from collections.abc import Sequence

import pytest

from service.adapters.memory.directory import MemoryDirectory
from service.control.control import MAX_ATTEMPTS, ContentionError
from service.control.outcome import Outcome
from service.control.session import Session
from service.domain.call import Call, State, step
from service.domain.effects import (
    Accepted,
    Ended,
    Incoming,
    Initiated,
    Joined,
    PeerReconnected,
    PeerReconnecting,
    Reason,
    Rejected,
    RelayCandidate,
    RelayOffer,
    Role,
    Snapshot,
    StatusReport,
)
from service.domain.events import (
    Accept,
    Answer,
    Candidate,
    HangUp,
    Lost,
    Media,
    MediaUp,
    NoAnswer,
    Offer,
    PartyEvent,
    QualityReport,
    Reject,
)
from service.domain.ids import CallId, SessionId, UserId
from service.domain.placing import Presence
from service.domain.quality import CallStats
from service.domain.requests import Initiate, Join, Relay, Request, Status
from service.errors import (
    AlreadyInCallError,
    AlreadyJoinedError,
    CallExpiredError,
    CallNotFoundError,
    NotJoinedError,
    ReceiverNotFoundError,
    SelfCallError,
    SignallingError,
    UnauthorizedError,
    UnavailableError,
    UserNotAvailableError,
    UserNotFoundError,
)
from service.ports import ConflictError, OutOfReachError, Precondition, Unchanged
from tests.control.harness import Rig

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")


async def both(rig: Rig) -> tuple[Session, Session]:
    alice, bob = await rig.join("alice"), await rig.join("bob")
    rig.heard.clear()
    return alice, bob


# --- joining and status ------------------------------------------------------------------------------------


async def test_joining_is_confirmed_to_the_sender_and_repeatable() -> None:
    rig = Rig()
    alice = rig.connect("alice-1")
    joined = Joined(to=(alice.id,), user=ALICE, session=alice.id)
    assert await rig.ask(alice, Join(ALICE)) == Outcome(joined)
    assert await rig.ask(alice, Join(ALICE)) == Outcome(joined)
    assert rig.take(alice) == [joined, joined]
    assert rig.dismissed == []


async def test_a_socket_speaks_for_one_user() -> None:
    rig = Rig()
    alice = await rig.join("alice")
    with pytest.raises(AlreadyJoinedError):
        await rig.ask(alice, Join(BOB))
    assert alice.user == ALICE
    assert not (await rig.directory.presence(BOB)).sessions


async def test_a_socket_with_an_identity_may_claim_no_other() -> None:
    rig = Rig()
    with pytest.raises(AlreadyJoinedError):
        await rig.ask(rig.connect("x", only_as="alice"), Join(BOB))
    await rig.ask(rig.connect("y", only_as="alice"), Join(ALICE))


async def test_a_second_socket_of_a_user_dismisses_the_first() -> None:
    rig = Rig()
    old = await rig.join("alice", "1")
    new = await rig.join("alice", "2")
    assert rig.dismissed == [old.id]
    await rig.leave(old)
    assert (await rig.directory.presence(ALICE)).sessions == (new.id,)
    with pytest.raises(NotJoinedError):
        await rig.ask(old, Initiate(BOB, Media.AUDIO))


async def test_status_of_the_unknown_the_idle_and_the_engaged_even_before_joining() -> None:
    rig = Rig()
    stranger = rig.connect("stranger")

    async def status(user: str) -> tuple[bool, bool]:
        outcome = await rig.ask(stranger, Status(UserId(user)))
        assert isinstance(outcome.confirmation, StatusReport)
        assert rig.take(stranger) == [outcome.confirmation]
        return outcome.confirmation.online, outcome.confirmation.in_call

    assert await status("alice") == (False, False)
    alice, bob = await both(rig)
    assert await status("alice") == (True, False)
    await rig.call(alice, "bob")
    assert await status("alice") == await status("bob") == (True, True)
    await rig.leave(bob)
    assert await status("bob") == (False, False)


# --- placing -----------------------------------------------------------------------------------------------


async def test_a_call_is_placed() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    outcome = await rig.ask(alice, Initiate(BOB, Media.VIDEO))
    call_id = CallId("0" * 31 + "1")
    assert outcome == Outcome(Initiated(to=(alice.id,), call_id=call_id, callee=BOB), call_id)
    assert [heard.session for heard in rig.heard] == [bob.id, alice.id]
    assert rig.take(bob) == [Incoming(to=(bob.id,), call_id=call_id, caller=ALICE, media=Media.VIDEO)]


async def test_why_a_call_is_not_placed() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    dave = await rig.join("dave")

    async def refusal(session: Session, to: str) -> type[SignallingError]:
        with pytest.raises(SignallingError) as refused:
            await rig.ask(session, Initiate(UserId(to), Media.AUDIO))
        return type(refused.value)

    assert await refusal(rig.connect("nobody"), "bob") is NotJoinedError
    assert await refusal(alice, "alice") is SelfCallError
    assert await refusal(alice, "carol") is UserNotFoundError
    await rig.call(alice, "bob")
    assert await refusal(alice, "bob") is AlreadyInCallError
    assert await refusal(bob, "dave") is AlreadyInCallError
    assert await refusal(dave, "bob") is UserNotAvailableError
    assert rig.take(dave) == [Joined(to=(dave.id,), user=UserId("dave"), session=dave.id)]


async def test_glare_becomes_one_answered_call() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob", Media.VIDEO)
    rig.heard.clear()
    outcome = await rig.ask(bob, Initiate(ALICE, Media.AUDIO))
    assert outcome == Outcome(Initiated(to=(bob.id,), call_id=call_id, callee=ALICE), call_id)
    accepted = Accepted(to=(alice.id, bob.id), call_id=call_id, by=BOB)
    assert rig.take(bob) == [outcome.confirmation, accepted]
    assert rig.take(alice) == [accepted]
    assert [(s.before is None, type(s.event)) for s in rig.watch.steps] == [(True, type(None)), (False, Accept)]
    await rig.passes(31)
    assert rig.take(alice) == []


# --- in a call ---------------------------------------------------------------------------------------------


async def test_an_accepted_call_rings_no_more() -> None:
    rig = Rig(ring_s=30)
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    rig.heard.clear()
    outcome = await rig.do(bob, call_id, Accept(by=bob.id))
    accepted = Accepted(to=(alice.id, bob.id), call_id=call_id, by=BOB)
    assert outcome == Outcome(accepted, call_id)
    await rig.passes(100)
    assert rig.take(alice) == rig.take(bob) == [accepted]


async def test_a_call_that_nobody_answers_is_rejected_on_time() -> None:
    rig = Rig(ring_s=30)
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    rig.heard.clear()
    await rig.passes(29.9)
    assert rig.heard == []
    await rig.passes(0.1)
    rejected = Rejected(to=(alice.id, bob.id), call_id=call_id, by=BOB, reason=Reason.NO_ANSWER)
    assert rig.take(alice) == rig.take(bob) == [rejected]
    await rig.call(bob, "alice")


async def test_rejecting_and_ending_are_confirmed_and_free_both() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    rejected = Rejected(to=(alice.id, bob.id), call_id=call_id, by=BOB, reason=Reason.REJECTED)
    assert await rig.do(bob, call_id, Reject(by=bob.id)) == Outcome(rejected, call_id)
    call_id = await rig.answered_call(bob, alice)
    assert await rig.do(bob, call_id, MediaUp(by=bob.id)) == Outcome(None, call_id)
    ended = Ended(to=(bob.id, alice.id), call_id=call_id, by=ALICE, reason=Reason.HANGUP)
    assert await rig.do(alice, call_id, HangUp(by=alice.id)) == Outcome(ended, call_id)
    assert (await rig.directory.presence(ALICE)).call is None


@pytest.mark.parametrize(
    ("event", "error"),
    [
        (Accept, CallExpiredError),
        (Reject, CallExpiredError),
        (HangUp, CallNotFoundError),
        (MediaUp, CallNotFoundError),
    ],
)
async def test_strangers_and_unknown_calls_get_the_same_answer(
    event: type[PartyEvent], error: type[SignallingError]
) -> None:
    rig = Rig()
    alice, _bob = await both(rig)
    carol = await rig.join("carol")
    call_id = await rig.call(alice, "bob")
    rig.heard.clear()
    for unknown in (call_id, CallId("f" * 32)):
        with pytest.raises(CallNotFoundError) as refused:
            await rig.do(carol, unknown, event(by=carol.id))
        assert type(refused.value) is error
    with pytest.raises(NotJoinedError):
        await rig.do(rig.connect("nobody"), call_id, event(by=SessionId("nobody")))
    assert rig.heard == []
    stored = await rig.directory.load(call_id)
    assert stored is not None
    assert stored.version == 1


async def test_reports_on_media_are_seen_and_told_to_nobody() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    call_id = await rig.answered_call(alice, bob)
    rig.heard.clear()
    report = QualityReport(bob.id, CallStats(round_trip_s=0.04))
    assert await rig.do(bob, call_id, report) == Outcome(None, call_id)
    assert rig.heard == []
    seen = rig.watch.steps[-1]
    assert seen.event is report
    assert seen.after is seen.before
    assert seen.effects == ()


async def test_who_may_not_report_on_media_gets_the_answer_for_no_call_at_all() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    carol = await rig.join("carol")
    call_id = await rig.call(alice, "bob")

    async def refused(session: Session, call: CallId) -> None:
        watched = len(rig.watch.steps)
        with pytest.raises(CallNotFoundError) as told:
            await rig.do(session, call, QualityReport(session.id, CallStats(round_trip_s=0.04)))
        assert type(told.value) is CallNotFoundError
        assert len(rig.watch.steps) == watched

    await refused(alice, call_id)
    await rig.do(bob, call_id, Accept(by=bob.id))
    await refused(carol, call_id)
    await refused(alice, CallId("f" * 32))
    await rig.do(bob, call_id, HangUp(by=bob.id))
    await refused(alice, call_id)
    nobody = rig.connect("nobody")
    with pytest.raises(NotJoinedError):
        await rig.do(nobody, call_id, QualityReport(nobody.id, CallStats(round_trip_s=0.04)))


# --- relays ------------------------------------------------------------------------------------------------


async def test_relays_reach_the_peer_alone_from_ringing_on() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob", Media.VIDEO)
    rig.heard.clear()
    assert await rig.ask(alice, Relay(BOB, None, Offer(alice.id, b"{}"))) == Outcome(None, call_id)
    await rig.ask(bob, Relay(ALICE, BOB, Candidate(bob.id, b"null")))
    assert rig.take(bob) == [RelayOffer(to=(bob.id,), sender=ALICE, description=b"{}", media=Media.VIDEO)]
    assert rig.take(alice) == [RelayCandidate(to=(alice.id,), sender=BOB, candidate=b"null")]
    assert rig.watch.steps[-1].before is rig.watch.steps[-1].after


async def test_who_may_not_relay() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    carol = await rig.join("carol")
    offer = Offer(alice.id, b"{}")

    async def refusal(session: Session, request: Request) -> type[SignallingError]:
        with pytest.raises(SignallingError) as refused:
            await rig.ask(session, request)
        return type(refused.value)

    assert await refusal(rig.connect("nobody"), Relay(BOB, None, offer)) is UnauthorizedError
    assert await refusal(alice, Relay(BOB, CAROL, offer)) is UnauthorizedError
    assert await refusal(alice, Relay(BOB, None, offer)) is ReceiverNotFoundError
    await rig.call(alice, "bob")
    rig.heard.clear()
    assert await refusal(alice, Relay(CAROL, None, offer)) is ReceiverNotFoundError
    assert await refusal(alice, Relay(ALICE, None, offer)) is ReceiverNotFoundError
    assert await refusal(carol, Relay(BOB, None, Answer(carol.id, b"{}"))) is ReceiverNotFoundError
    old_socket_of_bob = bob
    await rig.join("bob", "2")
    rig.heard.clear()
    assert await refusal(bob, Relay(ALICE, None, Answer(old_socket_of_bob.id, b"{}"))) is ReceiverNotFoundError
    assert rig.heard == []


async def test_the_sender_is_told_when_the_peer_cannot_be_reached() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await both(rig)
    await rig.answered_call(alice, bob)
    rig.connected.discard(bob.id)  # the socket is gone, the news of it still under way
    with pytest.raises(ReceiverNotFoundError):
        await rig.ask(alice, Relay(BOB, None, Candidate(alice.id, b"null")))


# --- loss, takeover, shutdown ------------------------------------------------------------------------------


async def test_a_lost_socket_ends_its_call_and_its_user_is_offline() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    call_id = await rig.answered_call(alice, bob)
    rig.heard.clear()
    await rig.leave(alice)
    assert rig.take(bob) == [Ended(to=(bob.id,), call_id=call_id, by=ALICE, reason=Reason.CONNECTION_LOST)]
    assert (await rig.directory.presence(ALICE)).sessions == ()
    await rig.leave(bob)
    await rig.leave(rig.connect("never-joined"))


async def test_a_lost_party_comes_back_within_the_grace() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await both(rig)
    call_id = await rig.answered_call(alice, bob)
    rig.heard.clear()
    await rig.leave(bob)
    assert rig.take(alice) == [PeerReconnecting(to=(alice.id,), call_id=call_id, user=BOB)]
    await rig.passes(9)
    bob_2 = await rig.join("bob", "2")
    snapshot = Snapshot(call_id, Media.AUDIO, Role.CALLEE, ALICE, "connecting")
    assert rig.take(bob_2) == [Joined(to=(bob_2.id,), user=BOB, session=bob_2.id, call=snapshot)]
    assert rig.take(alice) == [PeerReconnected(to=(alice.id,), call_id=call_id, user=BOB)]
    await rig.passes(60)
    assert rig.heard == []


async def test_a_lost_party_that_stays_away_ends_the_call() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await both(rig)
    call_id = await rig.answered_call(alice, bob)
    await rig.leave(bob)
    rig.heard.clear()
    await rig.passes(10)
    assert rig.take(alice) == [Ended(to=(alice.id,), call_id=call_id, by=BOB, reason=Reason.CONNECTION_LOST)]


async def test_a_goodbye_is_final() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await both(rig)
    await rig.answered_call(alice, bob)
    rig.heard.clear()
    await rig.leave(bob, goodbye=True)
    assert [type(effect) for effect in rig.take(alice)] == [Ended]


async def test_a_second_socket_takes_the_call_over() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    call_id = await rig.answered_call(alice, bob)
    rig.heard.clear()
    bob_2 = rig.connect("bob-2")
    snapshot = Snapshot(call_id, Media.AUDIO, Role.CALLEE, ALICE, "connecting")
    joined = Joined(to=(bob_2.id,), user=BOB, session=bob_2.id, call=snapshot)
    assert await rig.ask(bob_2, Join(BOB)) == Outcome(joined, call_id)
    assert rig.take(bob) == [Ended(to=(bob.id,), call_id=call_id, by=BOB, reason=Reason.REPLACED)]
    assert rig.dismissed == [bob.id]
    await rig.leave(bob)
    assert rig.take(alice) == []
    await rig.ask(alice, Relay(BOB, None, Candidate(alice.id, b"null")))
    assert [type(effect) for effect in rig.take(bob_2)] == [Joined, RelayCandidate]
    await rig.do(bob_2, call_id, HangUp(by=bob_2.id))
    assert [type(effect) for effect in rig.take(alice)] == [Ended]


async def test_joining_again_on_the_socket_of_the_call_tells_of_the_call() -> None:
    rig = Rig()
    alice, _bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    outcome = await rig.ask(alice, Join(ALICE))
    assert isinstance(outcome.confirmation, Joined)
    assert outcome.confirmation.call == Snapshot(call_id, Media.AUDIO, Role.CALLER, BOB, "ringing")


async def test_a_shutdown_ends_every_call_and_tells_the_parties() -> None:
    rig = Rig()
    alice, bob = await both(rig)
    carol, dave = await rig.join("carol"), await rig.join("dave")
    await rig.answered_call(alice, bob)
    await rig.call(carol, "dave")
    rig.heard.clear()
    await rig.control.shut_down()
    for session in (alice, bob, carol, dave):
        (ended,) = rig.take(session)
        assert isinstance(ended, Ended)
        assert (ended.reason, ended.by) == (Reason.SERVER_SHUTDOWN, None)
    assert list(await rig.directory.live_calls()) == []


async def test_those_who_run_the_service_end_a_call() -> None:
    rig = Rig()
    (alice, bob), (carol, dave) = await both(rig), (await rig.join("carol"), await rig.join("dave"))
    answered, ringing = await rig.answered_call(alice, bob), await rig.call(carol, "dave")
    rig.heard.clear()
    assert await rig.control.end(answered)
    assert await rig.control.end(ringing)
    for session, reason in ((alice, Reason.HANGUP), (bob, Reason.HANGUP), (carol, Reason.CANCELLED)):
        (ended,) = rig.take(session)
        assert isinstance(ended, Ended)
        assert (ended.reason, ended.by) == (reason, None)
    assert len(rig.take(dave)) == 1
    assert not await rig.control.end(answered)
    assert list(await rig.directory.live_calls()) == []


# --- conflicts ---------------------------------------------------------------------------------------------


class RacingDirectory(MemoryDirectory):
    """A directory in which another node acts just before a commit of ours."""

    def __init__(self) -> None:
        super().__init__()
        self.first: list[Call] = []
        self.joining: list[tuple[UserId, SessionId]] = []
        self.refusing = False

    async def commit(self, call: Call, preconditions: Sequence[Precondition]) -> None:
        """Let the other node's commit in first, or refuse for ever."""
        if self.refusing:
            raise ConflictError
        if self.first:
            await super().commit(self.first.pop(), ())
        if self.joining:
            await self.seat(*self.joining.pop())
        await super().commit(call, preconditions)


async def test_accept_against_cancel_has_one_winner_and_the_loser_is_told() -> None:
    directory = RacingDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    call = await directory.load(call_id)
    assert call is not None
    directory.first = [step(call, HangUp(by=alice.id), rig.clock.now()).call]
    rig.heard.clear()
    with pytest.raises(CallExpiredError):
        await rig.do(bob, call_id, Accept(by=bob.id))
    assert rig.heard == []


async def test_a_decision_on_an_old_version_is_made_again() -> None:
    directory = RacingDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    call = await directory.load(call_id)
    assert call is not None
    directory.first = [step(call, Accept(by=bob.id), rig.clock.now()).call]
    outcome = await rig.do(alice, call_id, HangUp(by=alice.id))
    assert isinstance(outcome.confirmation, Ended)
    assert outcome.confirmation.reason is Reason.HANGUP  # a cancel before, a hang-up now


async def test_of_two_callers_of_one_user_one_wins_and_the_other_is_told() -> None:
    directory = RacingDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    carol = await rig.join("carol")
    theirs = await call_of_another_node(carol, bob)
    directory.first = [theirs]
    rig.heard.clear()
    with pytest.raises(UserNotAvailableError):
        await rig.ask(alice, Initiate(BOB, Media.AUDIO))
    assert list(await directory.live_calls()) == [theirs]
    assert rig.heard == []


@pytest.mark.parametrize(("moved", "error"), [(ALICE, NotJoinedError), (BOB, None)])
async def test_a_call_is_placed_only_between_the_sockets_that_it_was_decided_on(
    moved: UserId, error: type[SignallingError] | None
) -> None:
    """Another socket joins just before the commit: the caller's is out, the callee's new one is rung."""
    directory = RacingDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    directory.joining = [(moved, SessionId(f"{moved}-2"))]
    rig.connected.add(SessionId(f"{moved}-2"))
    if error is not None:
        with pytest.raises(error):
            await rig.ask(alice, Initiate(BOB, Media.AUDIO))
        assert rig.heard == []
    else:
        await rig.ask(alice, Initiate(BOB, Media.AUDIO))
        assert rig.take(bob) == []
        assert {heard.session for heard in rig.heard} == {alice.id, SessionId("bob-2")}


async def test_a_caller_who_is_called_by_a_third_in_the_same_moment_is_engaged() -> None:
    directory = RacingDirectory()
    rig = Rig(directory=directory)
    alice, _bob = await both(rig)
    carol = await rig.join("carol")
    directory.first = [await call_of_another_node(carol, alice)]
    with pytest.raises(AlreadyInCallError):
        await rig.ask(alice, Initiate(BOB, Media.AUDIO))


async def test_glare_between_nodes_is_one_call() -> None:
    directory = RacingDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    theirs = await call_of_another_node(bob, alice)
    directory.first = [theirs]
    outcome = await rig.ask(alice, Initiate(BOB, Media.AUDIO))
    assert outcome.call_id == theirs.id
    assert list(await directory.live_calls()) == [step(theirs, Accept(by=alice.id), rig.clock.now()).call]


async def call_of_another_node(caller: Session, callee: Session) -> Call:
    other = Rig(first_call=100)
    for session in (caller, callee):
        assert session.user is not None
        other.connected.add(session.id)
        await other.directory.seat(session.user, session.id)
    assert callee.user is not None
    await other.ask(caller, Initiate(callee.user, Media.AUDIO))
    return (await other.directory.live_calls())[0]


async def test_a_directory_that_always_refuses_is_given_up_on() -> None:
    directory = RacingDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    carol = await rig.join("carol")
    await rig.join("dave")
    directory.refusing = True
    with pytest.raises(ContentionError):
        await rig.do(bob, call_id, Accept(by=bob.id))
    with pytest.raises(ContentionError):
        await rig.ask(carol, Initiate(UserId("dave"), Media.AUDIO))
    assert MAX_ATTEMPTS > 2


async def test_a_takeover_that_is_itself_taken_over_gets_no_call() -> None:
    directory = RacingDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    await rig.answered_call(alice, bob)

    class Overtaken(RacingDirectory):
        async def commit(self, call: Call, preconditions: Sequence[Precondition]) -> None:
            await self.seat(BOB, SessionId("bob-3"))
            await super().commit(call, preconditions)

    directory.__class__ = Overtaken
    outcome = await rig.ask(rig.connect("bob-2"), Join(BOB))
    assert isinstance(outcome.confirmation, Joined)
    assert outcome.confirmation.call is None


async def test_a_deadline_that_has_moved_or_whose_call_is_gone_does_nothing() -> None:
    rig = Rig(ring_s=30)
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    rig.heard.clear()
    await rig.control.wake(call_id)
    await rig.control.wake(CallId("f" * 32))
    assert rig.heard == []
    await rig.passes(30)
    assert [type(effect) for effect in rig.take(bob)] == [Rejected]


async def test_accept_against_timeout_has_one_winner() -> None:
    directory = RacingDirectory()
    rig = Rig(ring_s=30, directory=directory)
    alice, bob = await both(rig)
    call_id = await rig.call(alice, "bob")
    call = await directory.load(call_id)
    assert call is not None
    rig.clock.advance(30)
    directory.first = [step(call, Accept(by=bob.id), rig.clock.now()).call]
    rig.heard.clear()
    await rig.control.wake(call_id)
    assert rig.heard == []
    stored = await directory.load(call_id)
    assert stored is not None
    assert stored.state is State.CONNECTING
    with pytest.raises(ConflictError):
        await directory.commit(step(call, NoAnswer(), rig.clock.now()).call, (Unchanged(call_id, call.version),))


async def test_a_call_that_ends_while_the_server_stops_is_no_matter() -> None:
    class Vanishing(MemoryDirectory):
        async def load(self, call_id: CallId) -> Call | None:
            return None

    rig = Rig(directory=Vanishing())
    alice, _bob = await both(rig)
    await rig.call(alice, "bob")
    rig.heard.clear()
    await rig.control.shut_down()
    assert rig.heard == []


async def test_requests_of_many_pairs_interleave() -> None:
    rig = Rig()
    pairs = [(await rig.join(f"a{n}"), await rig.join(f"b{n}")) for n in range(20)]
    await asyncio.gather(*(rig.answered_call(caller, callee) for caller, callee in pairs))
    assert len(await rig.directory.live_calls()) == 20


# --- a directory that is out of reach ----------------------------------------------------------------------


class DistantDirectory(MemoryDirectory):
    """A directory that cannot always be reached, but always forgets a socket that has gone."""

    def __init__(self) -> None:
        super().__init__()
        self.out_of_reach = False

    async def presence(self, user: UserId) -> Presence:
        if self.out_of_reach:
            raise OutOfReachError
        return await super().presence(user)


async def test_who_asks_while_the_directory_is_out_of_reach_is_told_to_try_later() -> None:
    directory = DistantDirectory()
    rig = Rig(directory=directory)
    alice, _bob = await both(rig)
    directory.out_of_reach = True
    with pytest.raises(UnavailableError):
        await rig.ask(alice, Initiate(BOB, Media.AUDIO))
    directory.out_of_reach = False
    await rig.call(alice, "bob")


async def test_a_socket_that_is_lost_meanwhile_is_settled_afterwards() -> None:
    directory = DistantDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    call_id = await rig.answered_call(alice, bob)
    rig.heard.clear()
    directory.out_of_reach = True
    await rig.leave(alice)
    assert rig.take(bob) == []
    await rig.control.settle()  # still out of reach
    directory.out_of_reach = False
    assert (await directory.presence(ALICE)).sessions == ()
    await rig.control.settle()
    await rig.control.settle()
    (ended,) = rig.take(bob)
    assert isinstance(ended, Ended)
    assert (ended.call_id, ended.reason) == (call_id, Reason.CONNECTION_LOST)


@pytest.mark.parametrize("out_of_reach", [False, True], ids=["at once", "settled afterwards"])
async def test_whoever_watches_is_told_that_a_whole_node_was_lost(out_of_reach: bool) -> None:
    directory = DistantDirectory()
    rig = Rig(directory=directory)
    alice, bob = await both(rig)
    await rig.answered_call(alice, bob)
    directory.out_of_reach = out_of_reach
    await rig.control.left(alice, goodbye=False, with_node=True)
    directory.out_of_reach = False
    await rig.control.settle()
    assert rig.watch.steps[-1].event == Lost(by=alice.id, with_node=True)


async def test_who_is_sent_away_is_dismissed_wherever_he_is() -> None:
    rig = Rig()
    alice = await rig.join("alice")
    assert await rig.control.evict(UserId("alice")) == 1
    assert rig.dismissed == [alice.id]
    assert await rig.control.evict(UserId("nobody")) == 0
