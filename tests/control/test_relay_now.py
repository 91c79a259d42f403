"""Relays that need not wait: done at once where both parties are at hand, else left to the general way, untouched."""

import pytest

from service.control.session import Session
from service.domain.call import Call, IllegalEventError
from service.domain.effects import RelayAnswer, RelayCandidate, RelayOffer
from service.domain.events import Answer, Candidate, HangUp, Media, Offer
from service.domain.ids import CallId, SessionId, UserId
from service.domain.requests import Relay
from service.ports import CallStepped
from tests.control.harness import Rig

ALICE, BOB, CAROL = UserId("alice"), UserId("bob"), UserId("carol")


class Pair:
    """Alice and Bob in an answered call, Carol beside it; what led there is forgotten."""

    def __init__(self, rig: Rig, sessions: tuple[Session, Session, Session], call_id: CallId) -> None:
        self.rig = rig
        self.alice, self.bob, self.carol = sessions
        self.call_id = call_id
        rig.heard.clear()
        rig.watch.steps.clear()

    def refused_untouched(self, session: Session, request: Relay) -> None:
        assert self.rig.control.relay_now(session, request) is None
        self.untouched()

    def untouched(self) -> None:
        assert self.rig.heard == []
        assert self.rig.watch.steps == []

    async def call(self) -> Call:
        call = await self.rig.directory.load(self.call_id)
        assert call is not None
        return call


@pytest.fixture
async def pair() -> Pair:
    rig = Rig(grace_s=10.0)
    alice, bob, carol = [await rig.join(name) for name in (ALICE, BOB, CAROL)]
    return Pair(rig, (alice, bob, carol), await rig.answered_call(alice, bob))


@pytest.mark.parametrize("sender", [None, ALICE])
async def test_a_relay_to_a_peer_who_is_here_is_done_at_once_and_seen(pair: Pair, sender: UserId | None) -> None:
    before = await pair.call()
    offer = Offer(pair.alice.id, b"{}", Media.VIDEO)
    assert pair.rig.control.relay_now(pair.alice, Relay(BOB, sender, offer)) == pair.call_id
    effect = RelayOffer(to=(pair.bob.id,), sender=ALICE, description=b"{}", media=Media.VIDEO)
    assert pair.rig.take(pair.bob) == [effect]
    assert pair.rig.heard == []
    assert pair.rig.watch.steps == [CallStepped(before, before, offer, (effect,), pair.rig.clock.now())]
    assert await pair.call() is before


async def test_it_says_what_the_general_way_says(pair: Pair) -> None:
    for session, peer, to in ((pair.alice, pair.bob, BOB), (pair.bob, pair.alice, ALICE)):
        for event in (Offer(session.id, b"{}"), Answer(session.id, b'{"a":1}'), Candidate(session.id, b"null")):
            request = Relay(to, None, event)
            outcome = await pair.rig.ask(session, request)
            general = pair.rig.take(peer), pair.rig.watch.steps.pop()
            assert pair.rig.control.relay_now(session, request) == outcome.call_id == pair.call_id
            assert (pair.rig.take(peer), pair.rig.watch.steps.pop()) == general
            assert type(general[0][0]) in (RelayOffer, RelayAnswer, RelayCandidate)


async def test_it_works_while_the_call_rings() -> None:
    rig = Rig()
    alice, bob = await rig.join("alice"), await rig.join("bob")
    call_id = await rig.call(alice, "bob", Media.VIDEO)
    rig.heard.clear()
    assert rig.control.relay_now(alice, Relay(BOB, None, Offer(alice.id, b"{}"))) == call_id
    assert rig.take(bob) == [RelayOffer(to=(bob.id,), sender=ALICE, description=b"{}", media=Media.VIDEO)]


async def test_what_is_to_be_refused_is_left_alone(pair: Pair) -> None:
    def candidate(session: Session) -> Candidate:
        return Candidate(session.id, b"null")

    stranger = pair.rig.connect("stranger-1")
    for who, request in {
        "has not joined": (stranger, Relay(BOB, None, candidate(stranger))),
        "has not joined and claims to be a party": (stranger, Relay(BOB, ALICE, candidate(stranger))),
        "in the name of another": (pair.alice, Relay(BOB, CAROL, candidate(pair.alice))),
        "in the name of the peer": (pair.alice, Relay(BOB, BOB, candidate(pair.alice))),
        "in no call": (pair.carol, Relay(BOB, None, candidate(pair.carol))),
        "to somebody else": (pair.alice, Relay(CAROL, None, candidate(pair.alice))),
        "to nobody": (pair.alice, Relay(UserId("nobody"), None, candidate(pair.alice))),
        "to himself": (pair.alice, Relay(ALICE, None, candidate(pair.alice))),
    }.values():
        pair.refused_untouched(who, request)


async def test_a_call_that_is_over_takes_nothing(pair: Pair) -> None:
    await pair.rig.do(pair.alice, pair.call_id, HangUp(by=pair.alice.id))
    pair.rig.heard.clear()
    pair.rig.watch.steps.clear()
    pair.refused_untouched(pair.alice, Relay(BOB, None, Candidate(pair.alice.id, b"null")))


async def test_a_peer_who_is_away_is_not_waited_for(pair: Pair) -> None:
    """His socket is gone and call control has not heard of it yet: nothing can be delivered, nothing is told."""
    pair.rig.connected.discard(pair.bob.id)
    pair.refused_untouched(pair.alice, Relay(BOB, None, Candidate(pair.alice.id, b"null")))


async def test_a_peer_in_his_grace_is_not_there_at_once(pair: Pair) -> None:
    await pair.rig.leave(pair.bob)
    pair.rig.heard.clear()
    pair.rig.watch.steps.clear()
    pair.refused_untouched(pair.alice, Relay(BOB, None, Candidate(pair.alice.id, b"null")))


@pytest.mark.parametrize("by", ["alice-0", "carol-1", "nobody"])
async def test_a_session_that_does_not_speak_for_the_party_may_not(pair: Pair, by: str) -> None:
    with pytest.raises(IllegalEventError):
        pair.rig.control.relay_now(pair.alice, Relay(BOB, None, Candidate(SessionId(by), b"null")))
    pair.untouched()


async def test_a_socket_that_was_replaced_may_not(pair: Pair) -> None:
    await pair.rig.join("alice", "2")
    pair.rig.heard.clear()
    pair.rig.watch.steps.clear()
    with pytest.raises(IllegalEventError):
        pair.rig.control.relay_now(pair.alice, Relay(BOB, None, Candidate(pair.alice.id, b"null")))
    pair.untouched()


async def test_another_socket_of_a_callee_may_not_while_it_rings() -> None:
    """It rings at the socket that was there; a later one takes it over, and then the first may not."""
    rig = Rig()
    alice, bob = await rig.join("alice"), await rig.join("bob")
    call_id = await rig.call(alice, "bob")
    bob_2 = await rig.join("bob", "2")
    rig.heard.clear()
    with pytest.raises(IllegalEventError):
        rig.control.relay_now(bob, Relay(ALICE, None, Candidate(bob.id, b"null")))
    assert rig.heard == []
    assert rig.control.relay_now(bob_2, Relay(ALICE, None, Candidate(bob_2.id, b"null"))) == call_id
    assert rig.take(alice) == [RelayCandidate(to=(alice.id,), sender=BOB, candidate=b"null")]
