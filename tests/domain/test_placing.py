import pytest

from service.domain.call import Call, Policy, State, step
from service.domain.effects import Accepted, Incoming, Initiated
from service.domain.events import Accept, Media
from service.domain.ids import CallId, UserId
from service.domain.placing import Attempt, Presence, Refusal, RefusedError, is_glare, place
from tests.domain.playbook import ALICE, ALICE_2, ALICE_ID, BOB, BOB_ID, CALL, STARTED_S, ringing

NEW = CallId("d" * 32)
POLICY = Policy(ring_timeout_s=5.0)


def attempt_of_alice(
    callee: Presence, *, call: Call | None = None, session: str = ALICE, media: Media = Media.AUDIO
) -> Attempt:
    return Attempt(NEW, ALICE if session == ALICE else ALICE_2, Presence(ALICE_ID, (ALICE,), call), callee, media)


def test_a_free_user_rings() -> None:
    placed = place(attempt_of_alice(Presence(BOB_ID, (BOB,))), POLICY, STARTED_S)
    assert placed.effects == (
        Incoming(to=(BOB,), call_id=NEW, caller=ALICE_ID, media=Media.AUDIO),
        Initiated(to=(ALICE,), call_id=NEW, callee=BOB_ID),
    )
    assert placed.call.ring_until_s == STARTED_S + 5.0


@pytest.mark.parametrize(
    ("attempt", "refusal"),
    [
        (attempt_of_alice(Presence(ALICE_ID, (ALICE,), ringing()), call=ringing()), Refusal.SELF),
        (attempt_of_alice(Presence(UserId("carol"), ()), call=ringing()), Refusal.IN_CALL),
        (attempt_of_alice(Presence(BOB_ID, (BOB,), ringing()), call=ringing()), Refusal.IN_CALL),
        (attempt_of_alice(Presence(BOB_ID, (), ringing())), Refusal.OFFLINE),
        (attempt_of_alice(Presence(BOB_ID, ())), Refusal.OFFLINE),
        (attempt_of_alice(Presence(BOB_ID, (BOB,), ringing())), Refusal.BUSY),
    ],
)
def test_the_first_reason_to_refuse_is_given(attempt: Attempt, refusal: Refusal) -> None:
    with pytest.raises(RefusedError) as refused:
        place(attempt, POLICY, STARTED_S)
    assert refused.value.why is refusal


def test_who_calls_his_caller_answers() -> None:
    call = ringing()
    bob, alice = Presence(BOB_ID, (BOB,), call), Presence(ALICE_ID, (ALICE,), call)
    met = place(Attempt(NEW, BOB, bob, alice, Media.AUDIO), POLICY, STARTED_S + 1)
    assert met.call.state is State.CONNECTING
    assert met.effects == (
        Initiated(to=(BOB,), call_id=CALL, callee=ALICE_ID),
        Accepted(to=(ALICE, BOB), call_id=CALL, by=BOB_ID),
    )


def test_glare_is_only_with_the_caller_of_a_call_that_rings_at_this_very_session() -> None:
    call = ringing()
    assert is_glare(call, BOB, ALICE_ID)
    assert not is_glare(call, ALICE, BOB_ID)
    assert not is_glare(call, BOB, UserId("carol"))
    assert not is_glare(call, ALICE_2, ALICE_ID)
    assert not is_glare(step(call, Accept(by=BOB), STARTED_S).call, BOB, ALICE_ID)
