import pytest

from service.control.watches import OFFLINE, Status, Watches
from service.domain.ids import SessionId, UserId
from service.errors import TooManyWatchedError

ME, ALICE, BOB, CAROL = UserId("me"), UserId("alice"), UserId("bob"), UserId("carol")
ONE, OTHER = SessionId("1"), SessionId("2")


def test_only_what_is_new_counts() -> None:
    watches = Watches(3)
    assert watches.add(ONE, ME, (ALICE, BOB, ALICE)) == (ALICE, BOB)
    assert watches.add(ONE, ME, (BOB, CAROL)) == (CAROL,)
    assert watches.add(OTHER, ME, (BOB,)) == (BOB,)
    assert watches.add(OTHER, ME, ()) == ()
    assert watches.count == 4


def test_beyond_the_limit_nothing_changes() -> None:
    watches = Watches(2)
    watches.add(ONE, ME, (ALICE,))
    with pytest.raises(TooManyWatchedError):
        watches.add(ONE, ME, (ALICE, BOB, CAROL))
    assert watches.count == 1
    assert watches.watched(BOB) is None
    assert watches.add(ONE, ME, (ALICE, BOB)) == (BOB,)
    watches.remove(ONE, (ALICE,))
    assert watches.add(ONE, ME, (CAROL,)) == (CAROL,)


def test_who_is_watched_by_nobody_any_more_is_named_once() -> None:
    watches = Watches(3)
    watches.add(ONE, ME, (ALICE, BOB))
    watches.add(OTHER, ME, (BOB, CAROL))
    assert watches.remove(ONE, (ALICE, BOB, CAROL)) == (ALICE,)
    assert watches.remove(ONE, (ALICE,)) == ()
    assert set(watches.remove_all(OTHER)) == {BOB, CAROL}
    assert watches.remove_all(OTHER) == ()
    assert watches.count == 0
    assert {watches.watched(user) for user in (ALICE, BOB, CAROL)} == {None}


def test_each_watcher_has_been_told_something_of_his_own() -> None:
    watches = Watches(3)
    watches.add(ONE, ME, (ALICE,))
    watches.add(OTHER, CAROL, (ALICE,))
    watches.watcher(ONE, ALICE).tell(Status(online=True, in_call=False))
    first, second = watches.watcher(ONE, ALICE), watches.watcher(OTHER, ALICE)
    assert (first.user, first.told, first.times_told) == (ME, Status(online=True, in_call=False), 1)
    assert (second.user, second.told, second.times_told) == (CAROL, OFFLINE, 0)
