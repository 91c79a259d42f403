"""The contract of `service.ports.Directory`."""

import asyncio

import pytest
from msgspec.structs import replace

from service.domain.call import Call, step
from service.domain.effects import RelayCandidate
from service.domain.events import Accept, HangUp
from service.domain.ids import CallId, SessionId, UserId
from service.domain.missed import MAX_MESSAGES, Missed
from service.domain.placing import Presence
from service.ports import ConflictError, Directory, Free, Precondition, Seat, Seated, Unchanged
from tests.domain.playbook import ALICE, ALICE_2, ALICE_ID, BOB, BOB_ID, CALL, STARTED_S, ringing

NEW_CALL = (Unchanged(CALL, 0), Free(ALICE_ID), Free(BOB_ID), Seated(ALICE_ID, ALICE), Seated(BOB_ID, BOB))


@pytest.fixture
def told(directory: Directory) -> list[UserId]:
    """Of whose changes the directory has told."""
    users: list[UserId] = []
    directory.attach(users.append)
    return users


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


async def test_those_who_are_followed_are_told_of_when_they_come_and_go(
    directory: Directory, told: list[UserId]
) -> None:
    await directory.follow((ALICE_ID,))
    await directory.seat(ALICE_ID, ALICE)
    assert ALICE_ID in told
    told.clear()
    await directory.vacate(ALICE_ID, ALICE)
    assert ALICE_ID in told


async def test_those_who_are_followed_are_told_of_when_they_get_a_call_and_are_free(
    directory: Directory, told: list[UserId]
) -> None:
    await directory.follow((ALICE_ID, BOB_ID))
    call = await with_a_call(directory)
    assert {ALICE_ID, BOB_ID} <= set(told)
    told.clear()
    await directory.commit(step(call, HangUp(by=ALICE), STARTED_S).call, (Unchanged(CALL, call.version),))
    assert {ALICE_ID, BOB_ID} <= set(told)


async def test_what_is_told_is_stored_already(directory: Directory) -> None:
    seen: list[Presence] = []
    reading: list[asyncio.Task[None]] = []

    async def read(user: UserId) -> None:
        seen.append(await directory.presence(user))

    directory.attach(lambda user: reading.append(asyncio.create_task(read(user))))
    await directory.follow((ALICE_ID,))
    await directory.seat(ALICE_ID, ALICE)
    await asyncio.gather(*reading)
    assert seen[-1] == Presence(ALICE_ID, (ALICE,))


async def test_following_is_repeatable_and_ends_at_once(directory: Directory, told: list[UserId]) -> None:
    await directory.follow((ALICE_ID, BOB_ID))
    await directory.follow((ALICE_ID,))
    directory.unfollow((ALICE_ID, UserId("carol")))
    await directory.seat(ALICE_ID, ALICE)
    await directory.seat(BOB_ID, BOB)
    assert set(told) == {BOB_ID}


async def test_nobody_is_told_of_who_is_not_followed(directory: Directory, told: list[UserId]) -> None:
    await with_a_call(directory)
    assert told == []


async def test_following_needs_nobody_who_listens(directory: Directory) -> None:
    await directory.follow((ALICE_ID,))
    assert await directory.seat(ALICE_ID, ALICE) == Seat((), None)


def candidate(number: int) -> RelayCandidate:
    return RelayCandidate(to=(), sender=ALICE_ID, candidate=b"%d" % number)


async def test_what_is_held_for_a_user_is_collected_once_and_in_order(directory: Directory) -> None:
    call = await with_a_call(directory)
    for number in range(3):
        assert await directory.hold(call, BOB_ID, candidate(number))
    assert await directory.collect(CALL, ALICE_ID) == Missed()
    assert await directory.collect(CALL, BOB_ID) == Missed((candidate(0), candidate(1), candidate(2)), size_bytes=3)
    assert await directory.collect(CALL, BOB_ID) == Missed()
    assert await directory.hold(call, BOB_ID, candidate(3))
    assert (await directory.collect(CALL, BOB_ID)).relays == (candidate(3),)


async def test_what_does_not_fit_is_counted(directory: Directory) -> None:
    call = await with_a_call(directory)
    for number in range(MAX_MESSAGES):
        assert await directory.hold(call, BOB_ID, candidate(number))
    for number in range(2):
        assert not await directory.hold(call, BOB_ID, candidate(number))
    assert await directory.hold(call, ALICE_ID, candidate(0))
    missed = await directory.collect(CALL, BOB_ID)
    assert (missed.relays, missed.overflowed) == (tuple(map(candidate, range(MAX_MESSAGES))), 2)


async def test_nothing_is_held_in_a_call_that_has_changed(directory: Directory) -> None:
    call = await with_a_call(directory)
    accepted = step(call, Accept(by=BOB), STARTED_S).call
    await directory.commit(accepted, (Unchanged(CALL, call.version),))
    with pytest.raises(ConflictError):
        await directory.hold(call, BOB_ID, candidate(1))
    assert await directory.collect(CALL, BOB_ID) == Missed()


async def test_what_is_held_goes_on_through_changes_and_ends_with_the_call(directory: Directory) -> None:
    call = await with_a_call(directory)
    await directory.hold(call, BOB_ID, candidate(1))
    accepted = step(call, Accept(by=BOB), STARTED_S).call
    await directory.commit(accepted, (Unchanged(CALL, call.version),))
    await directory.hold(accepted, BOB_ID, candidate(2))
    assert (await directory.collect(CALL, BOB_ID)).relays == (candidate(1), candidate(2))
    await directory.hold(accepted, BOB_ID, candidate(3))
    ended = step(accepted, HangUp(by=ALICE), STARTED_S).call
    await directory.commit(ended, (Unchanged(CALL, accepted.version),))
    assert await directory.collect(CALL, BOB_ID) == Missed()
    with pytest.raises(ConflictError):
        await directory.hold(accepted, BOB_ID, candidate(4))
