"""Who is told of which ICE servers, and how often a user may ring."""

import pytest

from service.control.session import Session
from service.domain.budget import Rate, Scope
from service.domain.effects import IceReport, Joined
from service.domain.events import HangUp, Media
from service.domain.ice import IceGrant, IceServer
from service.domain.ids import CallId, UserId
from service.domain.requests import AskIce, Initiate, Join
from service.errors import NotJoinedError, RateLimitedError, UserIdRequiredError
from tests.control.harness import Rig


def grant(session: Session, call_id: CallId | None) -> IceGrant:
    """Servers whose address says who asked."""
    return IceGrant((IceServer((f"turn:{session.user}:{call_id}",)),), 600)


async def test_who_joins_is_told_which_servers_to_use() -> None:
    rig = Rig(ice=grant)
    alice = await rig.join("alice")
    (joined,) = rig.take(alice)
    assert isinstance(joined, Joined)
    assert joined.ice == grant(alice, None)


async def test_who_asks_is_told_for_his_call() -> None:
    rig = Rig(ice=grant)
    alice, bob = await rig.join("alice"), await rig.join("bob")
    assert (await rig.ask(bob, AskIce())).confirmation == IceReport(to=(bob.id,), grant=grant(bob, None))
    call_id = await rig.answered_call(alice, bob)
    rig.take(bob)
    await rig.ask(bob, AskIce())
    assert rig.take(bob) == [IceReport(to=(bob.id,), grant=grant(bob, call_id))]


async def test_who_joins_again_is_told_for_his_call() -> None:
    rig = Rig(ice=grant)
    alice, bob = await rig.join("alice"), await rig.join("bob")
    call_id = await rig.answered_call(alice, bob)
    again = await rig.join("bob", "2")
    assert isinstance(joined := rig.take(again)[0], Joined)
    assert joined.ice == grant(again, call_id)


async def test_who_has_not_joined_is_told_nothing() -> None:
    rig = Rig(ice=grant)
    with pytest.raises(NotJoinedError):
        await rig.ask(rig.connect("x"), AskIce())


async def test_a_session_that_knows_its_user_need_not_name_it() -> None:
    rig = Rig()
    alice = rig.connect("x", only_as="alice")
    await rig.ask(alice, Join(None))
    assert alice.user == "alice"
    with pytest.raises(UserIdRequiredError):
        await rig.ask(rig.connect("y"), Join(None))


async def ring(rig: Rig, caller: Session, callee: str) -> None:
    """A call that the caller gives up at once."""
    call_id = await rig.call(caller, callee)
    await rig.do(caller, call_id, HangUp(caller.id))


async def test_a_user_rings_a_number_of_times_and_one_callee_half_as_often() -> None:
    rig = Rig(rings=Rate(4, 60.0))
    alice = await rig.join("alice")
    for user in ("bob", "carol", "dave"):
        await rig.join(user)
    await ring(rig, alice, "bob")
    await ring(rig, alice, "bob")
    with pytest.raises(RateLimitedError) as too_many:
        await rig.ask(alice, Initiate(UserId("bob"), Media.AUDIO))
    assert (too_many.value.retry_after_s, too_many.value.scope) == (30.0, Scope.PAIR)
    await ring(rig, alice, "carol")
    await ring(rig, alice, "dave")
    with pytest.raises(RateLimitedError) as too_many:
        await rig.ask(alice, Initiate(UserId("dave"), Media.AUDIO))
    assert (too_many.value.retry_after_s, too_many.value.scope) == (15.0, Scope.CALL)
    rig.clock.advance(15.0)
    await ring(rig, alice, "carol")


async def test_a_rate_follows_the_user_and_not_the_socket() -> None:
    rig = Rig(rings=Rate(2, 60.0))
    await rig.join("bob")
    await rig.join("carol")
    await ring(rig, await rig.join("alice", "1"), "bob")
    await ring(rig, await rig.join("alice", "2"), "carol")
    with pytest.raises(RateLimitedError):
        await rig.ask(await rig.join("alice", "3"), Initiate(UserId("bob"), Media.AUDIO))
