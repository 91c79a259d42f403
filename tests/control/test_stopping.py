"""A node that is going away places no new calls, and leaves those that there are alone."""

import pytest

from service.control.control import RETURN_S
from service.control.session import Session
from service.domain.effects import Accepted, Incoming
from service.domain.events import Accept, Media
from service.domain.ids import UserId
from service.domain.requests import Initiate
from service.errors import DrainingError, SelfCallError, UnavailableError
from service.ports import Identity
from tests.control.harness import Rig

ALICE, BOB = UserId("alice"), UserId("bob")


async def test_a_new_call_is_refused_until_the_clients_have_gone() -> None:
    rig = Rig()
    alice = await rig.join("alice")
    await rig.join("bob")
    rig.control.refuse_calls(until_s=rig.clock.now() + 5)
    for left_s in (5.0, 2.0, 0.0):
        with pytest.raises(DrainingError) as refused:
            await rig.ask(alice, Initiate(BOB, Media.AUDIO))
        assert refused.value.retry_after_s == left_s + RETURN_S
        assert refused.value.code == UnavailableError.code
        rig.clock.advance(3)
    assert not any(isinstance(heard.effect, Incoming) for heard in rig.heard)


async def test_a_ringing_call_can_be_answered_by_calling_back_and_by_accepting() -> None:
    rig = Rig()
    alice, bob, carol, dave = [await rig.join(name) for name in ("alice", "bob", "carol", "dave")]
    await rig.call(alice, "bob")
    call_id = await rig.call(carol, "dave")
    rig.heard.clear()
    rig.control.refuse_calls(until_s=rig.clock.now() + 5)
    await rig.ask(bob, Initiate(ALICE, Media.AUDIO))
    await rig.do(dave, call_id, Accept(by=dave.id))
    for session in (alice, carol):
        assert [type(effect) for effect in rig.take(session)] == [Accepted]


async def test_what_is_wrong_anyway_is_refused_for_that() -> None:
    rig = Rig()
    alice = await rig.join("alice")
    rig.control.refuse_calls(until_s=rig.clock.now())
    with pytest.raises(SelfCallError):
        await rig.ask(alice, Initiate(ALICE, Media.AUDIO))


async def test_who_is_in_a_call() -> None:
    rig = Rig()
    alice, bob, carol = [await rig.join(name) for name in ("alice", "bob", "carol")]
    await rig.call(alice, "bob")
    assert [rig.control.is_in_call(session) for session in (alice, bob, carol)] == [True, True, False]
    assert not rig.control.is_in_call(Session(alice.id, Identity()))
