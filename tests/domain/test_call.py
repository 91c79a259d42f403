import itertools

import pytest

from service.domain.call import (
    TRANSITIONS,
    Call,
    IllegalEventError,
    Party,
    Policy,
    State,
    due,
    ring,
    step,
)
from service.domain.effects import (
    Accepted,
    Ended,
    Incoming,
    Initiated,
    PeerReconnected,
    PeerReconnecting,
    Reason,
    Rejected,
    RelayAnswer,
    RelayCandidate,
    RelayOffer,
    Role,
    Snapshot,
)
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
    NoAnswer,
    Offer,
    PartyEvent,
    QualityReport,
    Reject,
    Returned,
    Shutdown,
    Terminate,
)
from service.domain.ids import SessionId, UserId
from service.domain.quality import CallStats
from tests.domain.playbook import (
    ALICE,
    ALICE_2,
    ALICE_ID,
    BOB,
    BOB_2,
    BOB_3,
    BOB_ID,
    CALL,
    GRACE_S,
    ILLEGAL,
    MALLORY,
    RING_S,
    STARTED_S,
    Passes,
    Playbook,
    ringing,
)


def test_the_callee_hears_of_the_call_before_the_caller_does() -> None:
    rung = ring(
        CALL, Party(ALICE_ID, (ALICE,)), Party(BOB_ID, (BOB, BOB_2)), Media.AUDIO, Policy(RING_S, GRACE_S), STARTED_S
    )
    call = rung.call
    assert rung.effects == (
        Incoming(to=(BOB, BOB_2), call_id=CALL, caller=ALICE_ID, media=Media.AUDIO),
        Initiated(to=(ALICE,), call_id=CALL, callee=BOB_ID),
    )
    assert (call.state, call.version, call.deadline_s) == (State.RINGING, 1, STARTED_S + RING_S)


def test_a_call_is_answered_connected_and_hung_up() -> None:
    assert (
        Playbook(ringing())
        >> Offer(ALICE, b'"early"', Media.VIDEO)
        << RelayOffer(to=(BOB,), sender=ALICE_ID, description=b'"early"', media=Media.VIDEO)
        >> Candidate(ALICE, b'"a1"')
        << RelayCandidate(to=(BOB,), sender=ALICE_ID, candidate=b'"a1"')
        >> Accept(by=BOB)
        << Accepted(to=(ALICE, BOB), call_id=CALL, by=BOB_ID)
        << State.CONNECTING
        >> Answer(BOB, b'"yes"')
        << RelayAnswer(to=(ALICE,), sender=BOB_ID, description=b'"yes"')
        >> MediaUp(by=ALICE)
        << State.CONNECTED
        >> MediaUp(by=BOB)
        << State.CONNECTED
        >> Offer(BOB, b'"restart"')
        << RelayOffer(to=(ALICE,), sender=BOB_ID, description=b'"restart"', media=Media.VIDEO)
        >> HangUp(by=BOB)
        << Ended(to=(ALICE, BOB), call_id=CALL, by=BOB_ID, reason=Reason.HANGUP)
        << State.ENDED
    )


def test_reports_on_media_are_taken_from_the_parties_from_the_answer_on_and_change_nothing() -> None:
    stats = CallStats(round_trip_s=0.04)
    assert Playbook(ringing()) >> QualityReport(ALICE, stats) << ILLEGAL
    call = step(ringing(), Accept(by=BOB), STARTED_S + 1).call
    connected = step(call, MediaUp(by=ALICE), STARTED_S + 2).call
    for live in (call, connected):
        for party in (ALICE, BOB):
            done = step(live, QualityReport(party, stats), STARTED_S + 3)
            assert done.call is live
            assert done.effects == ()
        assert Playbook(live) >> QualityReport(MALLORY, stats) << ILLEGAL
    over = step(connected, HangUp(by=ALICE), STARTED_S + 4).call
    assert Playbook(over) >> QualityReport(ALICE, stats) << ILLEGAL


def test_the_times_of_a_call_are_kept() -> None:
    call = ringing()
    call = step(call, Accept(by=BOB), STARTED_S + 4).call
    call = step(call, MediaUp(by=BOB), STARTED_S + 5).call
    again = step(call, MediaUp(by=ALICE), STARTED_S + 6).call
    assert again is call
    call = step(call, HangUp(by=ALICE), STARTED_S + 65).call
    assert (call.placed_at_s, call.answered_at_s, call.connected_at_s, call.ended_at_s) == (
        STARTED_S,
        STARTED_S + 4,
        STARTED_S + 5,
        STARTED_S + 65,
    )
    assert (call.reason, call.version, call.deadline_s) == (Reason.HANGUP, 4, None)


@pytest.mark.parametrize(("busy", "reason"), [(False, Reason.REJECTED), (True, Reason.BUSY)])
def test_the_callee_declines(busy: bool, reason: Reason) -> None:
    assert (
        Playbook(ringing())
        >> Reject(by=BOB, busy=busy)
        << Rejected(to=(ALICE, BOB), call_id=CALL, by=BOB_ID, reason=reason)
        << State.ENDED
    )


def test_the_caller_cancels() -> None:
    assert (
        Playbook(ringing())
        >> HangUp(by=ALICE)
        << Ended(to=(ALICE, BOB), call_id=CALL, by=ALICE_ID, reason=Reason.CANCELLED)
        << State.ENDED
        >> Accept(by=BOB)
        << ILLEGAL
    )


def test_the_callee_that_hangs_up_a_ringing_call_declines_it() -> None:
    assert (
        Playbook(ringing()) >> HangUp(by=BOB) << Ended(to=(ALICE, BOB), call_id=CALL, by=BOB_ID, reason=Reason.REJECTED)
    )


def test_a_call_without_media_ends_as_failed() -> None:
    assert (
        Playbook(ringing())
        >> Accept(by=BOB)
        << Accepted(to=(ALICE, BOB), call_id=CALL, by=BOB_ID)
        >> HangUp(by=ALICE, failed=True)
        << Ended(to=(ALICE, BOB), call_id=CALL, by=ALICE_ID, reason=Reason.FAILED)
    )


def test_nobody_answers() -> None:
    assert (
        Playbook(ringing())
        >> Passes(RING_S - 0.001)
        >> NoAnswer()
        << ILLEGAL
        >> Passes(0.001)
        >> NoAnswer()
        << Rejected(to=(ALICE, BOB), call_id=CALL, by=BOB_ID, reason=Reason.NO_ANSWER)
        << State.ENDED
    )


def test_an_accepted_call_rings_no_more() -> None:
    assert (
        Playbook(ringing())
        >> Accept(by=BOB)
        << Accepted(to=(ALICE, BOB), call_id=CALL, by=BOB_ID)
        >> Passes(RING_S)
        >> NoAnswer()
        << ILLEGAL
    )


def test_one_of_several_sessions_answers_and_the_others_stop_ringing() -> None:
    assert (
        Playbook(ringing(at=(BOB, BOB_2, BOB_3)))
        >> Accept(by=BOB_2)
        << Accepted(to=(ALICE, BOB_2), call_id=CALL, by=BOB_ID)
        << Ended(to=(BOB, BOB_3), call_id=CALL, by=BOB_ID, reason=Reason.ANSWERED_ELSEWHERE)
        << State.CONNECTING
        >> Accept(by=BOB)
        << ILLEGAL
    )


def test_a_transport_lost_without_grace_ends_the_call() -> None:
    assert (
        Playbook(ringing())
        >> Lost(by=ALICE)
        << Ended(to=(BOB,), call_id=CALL, by=ALICE_ID, reason=Reason.CONNECTION_LOST)
        << State.ENDED
    )


def test_a_goodbye_ends_the_call_even_with_grace() -> None:
    assert (
        Playbook(ringing(grace_s=GRACE_S))
        >> Lost(by=BOB, goodbye=True)
        << Ended(to=(ALICE,), call_id=CALL, by=BOB_ID, reason=Reason.CONNECTION_LOST)
        << State.ENDED
    )


def test_a_lost_party_returns_in_time() -> None:
    assert (
        Playbook(ringing(grace_s=GRACE_S))
        >> Accept(by=BOB)
        << Accepted(to=(ALICE, BOB), call_id=CALL, by=BOB_ID)
        >> Lost(by=BOB)
        << PeerReconnecting(to=(ALICE,), call_id=CALL, user=BOB_ID)
        << State.CONNECTING
        >> Candidate(ALICE, b"null")
        << RelayCandidate(to=(), sender=ALICE_ID, candidate=b"null")
        >> Passes(GRACE_S - 1)
        >> Returned(by=BOB_2, user=BOB_ID)
        << PeerReconnected(to=(ALICE,), call_id=CALL, user=BOB_ID)
        << State.CONNECTING
        >> Passes(GRACE_S)
        >> GraceOver()
        << ILLEGAL
        >> Candidate(ALICE, b"null")
        << RelayCandidate(to=(BOB_2,), sender=ALICE_ID, candidate=b"null")
    )


@pytest.mark.parametrize(("gone", "left", "user"), [(ALICE, BOB, ALICE_ID), (BOB, ALICE, BOB_ID)])
def test_a_lost_party_that_does_not_return_ends_the_call(gone: SessionId, left: SessionId, user: UserId) -> None:
    assert (
        Playbook(ringing(grace_s=GRACE_S))
        >> Accept(by=BOB)
        << Accepted(to=(ALICE, BOB), call_id=CALL, by=BOB_ID)
        >> Lost(by=gone)
        << PeerReconnecting(to=(left,), call_id=CALL, user=user)
        >> Passes(GRACE_S - 0.001)
        >> GraceOver()
        << ILLEGAL
        >> Passes(0.001)
        >> GraceOver()
        << Ended(to=(left,), call_id=CALL, by=user, reason=Reason.CONNECTION_LOST)
        << State.ENDED
    )


def test_both_parties_are_lost_and_the_first_to_expire_ends_the_call() -> None:
    book = (
        Playbook(ringing(grace_s=GRACE_S))
        >> Lost(by=ALICE)
        << PeerReconnecting(to=(BOB,), call_id=CALL, user=ALICE_ID)
        >> Passes(1)
        >> Lost(by=BOB)
        << PeerReconnecting(to=(), call_id=CALL, user=BOB_ID)
    )
    assert book
    assert book.call.deadline_s == STARTED_S + GRACE_S
    assert (
        book
        >> Passes(GRACE_S - 1)
        >> GraceOver()
        << Ended(to=(), call_id=CALL, by=ALICE_ID, reason=Reason.CONNECTION_LOST)
    )


def test_a_session_takes_the_call_over() -> None:
    assert (
        Playbook(ringing())
        >> Accept(by=BOB)
        << Accepted(to=(ALICE, BOB), call_id=CALL, by=BOB_ID)
        >> Returned(by=ALICE_2, user=ALICE_ID, displaced=(ALICE,))
        << Ended(to=(ALICE,), call_id=CALL, by=ALICE_ID, reason=Reason.REPLACED)
        << State.CONNECTING
        >> Lost(by=ALICE)
        << ILLEGAL
        >> HangUp(by=ALICE_2)
        << Ended(to=(ALICE_2, BOB), call_id=CALL, by=ALICE_ID, reason=Reason.HANGUP)
    )


def test_a_ringing_callee_that_returns_is_rung_again_beside_its_other_sessions() -> None:
    assert (
        Playbook(ringing(at=(BOB, BOB_2)))
        >> Returned(by=BOB_3, user=BOB_ID, displaced=(BOB,))
        << Ended(to=(BOB,), call_id=CALL, by=BOB_ID, reason=Reason.REPLACED)
        << Incoming(to=(BOB_3,), call_id=CALL, caller=ALICE_ID, media=Media.VIDEO)
        >> Accept(by=BOB_3)
        << Accepted(to=(ALICE, BOB_3), call_id=CALL, by=BOB_ID)
        << Ended(to=(BOB_2,), call_id=CALL, by=BOB_ID, reason=Reason.ANSWERED_ELSEWHERE)
    )


def test_a_ringing_callee_loses_one_of_several_sessions() -> None:
    assert (
        Playbook(ringing(at=(BOB, BOB_2)))
        >> Lost(by=BOB)
        << State.RINGING
        >> Lost(by=BOB_2)
        << Ended(to=(ALICE,), call_id=CALL, by=BOB_ID, reason=Reason.CONNECTION_LOST)
    )


def test_the_server_ends_a_call_it_cannot_hand_over() -> None:
    assert (
        Playbook(ringing())
        >> Shutdown()
        << Ended(to=(ALICE, BOB), call_id=CALL, by=None, reason=Reason.SERVER_SHUTDOWN)
    )


def test_those_who_run_the_service_end_a_call() -> None:
    assert Playbook(ringing()) >> Terminate() << Ended(to=(ALICE, BOB), call_id=CALL, by=None, reason=Reason.CANCELLED)
    for state in (State.CONNECTING, State.CONNECTED):
        assert (
            Playbook(_in_state(state))
            >> Terminate()
            << Ended(to=(ALICE, BOB), call_id=CALL, by=None, reason=Reason.HANGUP)
        )


def test_what_is_due() -> None:
    call = ringing(grace_s=GRACE_S)
    assert due(call, STARTED_S + RING_S - 0.001) is None
    assert due(call, STARTED_S + RING_S) == NoAnswer()
    away = step(call, Lost(by=BOB), STARTED_S).call
    assert due(away, STARTED_S + GRACE_S) == GraceOver()
    assert due(step(call, HangUp(by=ALICE), STARTED_S).call, STARTED_S + 3600) is None


def test_each_party_sees_the_call_from_its_side() -> None:
    call = ringing()
    assert call.snapshot(Role.CALLER) == Snapshot(CALL, Media.VIDEO, Role.CALLER, BOB_ID, "ringing")
    assert call.snapshot(Role.CALLEE) == Snapshot(CALL, Media.VIDEO, Role.CALLEE, ALICE_ID, "ringing")
    assert call.role_of_user(UserId("mallory")) is None


# --- every state times every event -------------------------------------------------------------------------

LONG_AFTER_S = STARTED_S + 10_000


def _in_state(state: State) -> Call:
    call = ringing(grace_s=GRACE_S)
    if state is State.RINGING:
        return call
    if state is State.ENDED:
        return step(call, HangUp(by=ALICE), STARTED_S).call
    call = step(call, Accept(by=BOB), STARTED_S).call
    return step(call, MediaUp(by=ALICE), STARTED_S).call if state is State.CONNECTED else call


def _events_of(session: SessionId, user: UserId) -> tuple[PartyEvent, ...]:
    return (
        Accept(session),
        Reject(session),
        HangUp(session),
        MediaUp(session),
        Offer(session, b"1"),
        Answer(session, b"2"),
        Candidate(session, b"3"),
        Lost(session),
        Returned(session, user),
    )


PARTY_EVENTS = _events_of(ALICE, ALICE_ID) + _events_of(BOB, BOB_ID)
SERVER_EVENTS: tuple[Event, ...] = (NoAnswer(), GraceOver(), Shutdown(), Terminate())
EVERY_PAIR = [*itertools.product(State, PARTY_EVENTS + SERVER_EVENTS)]
RELAYS = (Offer, Answer, Candidate)
BY_ANY_PARTY: dict[State, dict[type[Event], State]] = {
    State.RINGING: {HangUp: State.ENDED, **dict.fromkeys((*RELAYS, Lost, Returned), State.RINGING)},
    State.CONNECTING: {
        HangUp: State.ENDED,
        MediaUp: State.CONNECTED,
        **dict.fromkeys((*RELAYS, Lost, Returned), State.CONNECTING),
    },
    State.CONNECTED: {HangUp: State.ENDED, **dict.fromkeys((*RELAYS, MediaUp, Lost, Returned), State.CONNECTED)},
    State.ENDED: {},
}
BY_CALLEE_OF_RINGING = {Accept: State.CONNECTING, Reject: State.ENDED}


def _expected(state: State, event: Event) -> State | None:
    if isinstance(event, Shutdown | Terminate):
        return None if state is State.ENDED else State.ENDED
    if isinstance(event, NoAnswer):
        return State.ENDED if state is State.RINGING else None
    if isinstance(event, GraceOver):
        return None  # nobody is away in these calls
    if state is State.RINGING and type(event) in BY_CALLEE_OF_RINGING:
        return BY_CALLEE_OF_RINGING[type(event)] if event.by == BOB else None  # type: ignore[attr-defined]
    return BY_ANY_PARTY[state].get(type(event))


@pytest.mark.parametrize(("state", "event"), EVERY_PAIR)
def test_every_event_in_every_state(state: State, event: Event) -> None:
    call = _in_state(state)
    expected = _expected(state, event)
    if expected is None:
        with pytest.raises(IllegalEventError, match=f"{type(event).__name__} is illegal in state {state}"):
            step(call, event, LONG_AFTER_S)
    else:
        assert step(call, event, LONG_AFTER_S).call.state is expected


@pytest.mark.parametrize(("state", "event"), [*itertools.product(State, _events_of(MALLORY, UserId("mallory")))])
def test_a_stranger_can_do_nothing_in_any_state(state: State, event: Event) -> None:
    with pytest.raises(IllegalEventError):
        step(_in_state(state), event, LONG_AFTER_S)


@pytest.mark.parametrize(("state", "event"), EVERY_PAIR)
def test_a_version_counts_every_change_and_nothing_else(state: State, event: Event) -> None:
    call = _in_state(state)
    if _expected(state, event) is None:
        return
    after = step(call, event, LONG_AFTER_S).call
    assert (after is call) if after.version == call.version else (after.version == call.version + 1)
    if after.state is not call.state:
        assert after.version == call.version + 1


def test_the_table_has_no_row_that_cannot_be_reached() -> None:
    """Of the rows for one state, event and role, all but the last have a guard."""
    keyed: dict[object, list[bool]] = {}
    for row in TRANSITIONS:
        keyed.setdefault((row.state, row.event, row.role), []).append(row.when is not None)
    assert all(all(guarded[:-1]) for guarded in keyed.values())


def test_rows_that_end_a_call_name_a_reason_and_others_do_not() -> None:
    assert all((row.to is State.ENDED) == (row.reason is not None) for row in TRANSITIONS)
