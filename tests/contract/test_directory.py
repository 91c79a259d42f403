"""The contract of `service.ports.Directory`."""

import pytest
from msgspec.structs import replace

from service.domain.call import Call, step
from service.domain.events import Accept, HangUp
from service.domain.ids import CallId, SessionId, UserId
from service.domain.placing import Presence
from service.ports import ConflictError, Directory, Free, Precondition, Seat, Seated, Unchanged
from tests.domain.playbook import ALICE, ALICE_2, ALICE_ID, BOB, BOB_ID, CALL, STARTED_S, ringing

NEW_CALL = (Unchanged(CALL, 0), Free(ALICE_ID), Free(BOB_ID), Seated(ALICE_ID, ALICE), Seated(BOB_ID, BOB))


async def with_a_call(directory: Directory) -> Call:
    await directory.seat(ALICE_ID, ALICE)
    await directory.seat(BOB_ID, BOB)
    call = ringing()
    await directory.commit(call, NEW_CALL)
    return call


async def test_nobody_is_known_at_first(directory: Directory) -> None:
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID)
    assert await directory.load(CALL) is None
    assert list(await directory.live_calls()) == []


async def test_a_seated_session_is_present_until_it_vacates(directory: Directory) -> None:
    assert await directory.seat(ALICE_ID, ALICE) == Seat((), None)
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID, (ALICE,))
    assert await directory.vacate(ALICE_ID, ALICE)
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID)


async def test_seating_is_repeatable(directory: Directory) -> None:
    await directory.seat(ALICE_ID, ALICE)
    assert await directory.seat(ALICE_ID, ALICE) == Seat((), None)


async def test_a_new_session_displaces_the_old_one_which_can_no_longer_vacate(directory: Directory) -> None:
    await directory.seat(ALICE_ID, ALICE)
    assert await directory.seat(ALICE_ID, ALICE_2) == Seat((ALICE,), None)
    assert not await directory.vacate(ALICE_ID, ALICE)
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID, (ALICE_2,))


async def test_vacating_an_unknown_seat_changes_nothing(directory: Directory) -> None:
    assert not await directory.vacate(ALICE_ID, ALICE)
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID)


async def test_a_committed_call_is_found_by_its_id_and_by_its_users(directory: Directory) -> None:
    call = await with_a_call(directory)
    assert await directory.load(CALL) == call
    assert await directory.presence(BOB_ID) == Presence(BOB_ID, (BOB,), call)
    assert list(await directory.live_calls()) == [call]


async def test_a_call_that_is_at_hand_is_the_live_one_as_it_stands(directory: Directory) -> None:
    """A directory need not have it at hand; what it has is never old."""

    async def at_hand_is_live() -> None:
        for user in (ALICE_ID, BOB_ID, UserId("carol")):
            at_hand = directory.call_at_hand(user)
            assert at_hand is None or at_hand == (await directory.presence(user)).call

    await at_hand_is_live()
    call = await with_a_call(directory)
    await at_hand_is_live()
    accepted = step(call, Accept(by=BOB), STARTED_S).call
    await directory.commit(accepted, (Unchanged(CALL, call.version),))
    await at_hand_is_live()
    await directory.vacate(BOB_ID, BOB)
    await at_hand_is_live()
    await directory.commit(step(accepted, HangUp(by=ALICE), STARTED_S).call, ())
    assert directory.call_at_hand(ALICE_ID) is None
    assert directory.call_at_hand(BOB_ID) is None


async def test_seating_a_user_in_a_call_tells_of_the_call(directory: Directory) -> None:
    call = await with_a_call(directory)
    assert await directory.seat(ALICE_ID, ALICE_2) == Seat((ALICE,), call)


async def test_a_new_version_takes_the_place_of_the_old(directory: Directory) -> None:
    call = await with_a_call(directory)
    accepted = step(call, Accept(by=BOB), STARTED_S).call
    await directory.commit(accepted, (Unchanged(CALL, call.version),))
    assert await directory.load(CALL) == accepted


async def test_an_ended_call_is_gone_and_its_users_are_free(directory: Directory) -> None:
    call = await with_a_call(directory)
    ended = step(call, HangUp(by=ALICE), STARTED_S).call
    await directory.commit(ended, (Unchanged(CALL, call.version),))
    assert await directory.load(CALL) is None
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID, (ALICE,))
    assert await directory.presence(BOB_ID) == Presence(BOB_ID, (BOB,))


async def test_a_user_who_is_away_keeps_the_call(directory: Directory) -> None:
    call = await with_a_call(directory)
    await directory.vacate(ALICE_ID, ALICE)
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID, (), call)
    ended = step(call, HangUp(by=BOB), STARTED_S).call
    await directory.commit(ended, (Unchanged(CALL, call.version),))
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID)


@pytest.mark.parametrize(
    "broken",
    [
        Unchanged(CALL, 0),
        Unchanged(CALL, 2),
        Unchanged(CallId("e" * 32), 1),
        Free(ALICE_ID),
        Free(BOB_ID),
        Seated(ALICE_ID, ALICE_2),
        Seated(UserId("carol"), SessionId("carol-1")),
    ],
)
async def test_a_commit_whose_precondition_does_not_hold_changes_nothing(
    directory: Directory, broken: Precondition
) -> None:
    call = await with_a_call(directory)
    accepted = step(call, Accept(by=BOB), STARTED_S).call
    with pytest.raises(ConflictError):
        await directory.commit(accepted, (Unchanged(CALL, call.version), broken))
    assert await directory.load(CALL) == call


async def test_preconditions_that_hold(directory: Directory) -> None:
    call = await with_a_call(directory)
    accepted = step(call, Accept(by=BOB), STARTED_S).call
    holding = (Unchanged(CALL, 1), Seated(ALICE_ID, ALICE), Free(UserId("carol")), Unchanged(CallId("e" * 32), 0))
    await directory.commit(accepted, holding)
    assert await directory.load(CALL) == accepted


async def test_ending_an_old_call_leaves_the_new_one_of_its_users(directory: Directory) -> None:
    """Two nodes may end the same call; the second must not free users that have gone on."""
    old = await with_a_call(directory)
    ended = step(old, HangUp(by=ALICE), STARTED_S).call
    await directory.commit(ended, (Unchanged(CALL, 1),))
    await directory.seat(ALICE_ID, ALICE)
    new_id = CallId("f" * 32)
    new = replace(old, id=new_id)
    await directory.commit(new, (Unchanged(new_id, 0), Free(ALICE_ID), Free(BOB_ID)))
    await directory.commit(ended, ())
    assert (await directory.presence(ALICE_ID)).call == new


async def test_a_directory_forgets_users_who_are_neither_here_nor_in_a_call(directory: Directory) -> None:
    call = await with_a_call(directory)
    await directory.vacate(ALICE_ID, ALICE)
    await directory.vacate(BOB_ID, BOB)
    await directory.commit(step(call, HangUp(by=BOB), STARTED_S).call, ())
    assert await directory.presence(ALICE_ID) == Presence(ALICE_ID)
    assert not await directory.vacate(BOB_ID, BOB)
