"""What a party is sent while it is away is there when it comes back: once each, in order, or the gap is told."""

import pytest

from service.adapters.memory.directory import MemoryDirectory
from service.control.control import ContentionError
from service.control.session import Session
from service.domain.call import Call
from service.domain.effects import (
    Ended,
    Incoming,
    Joined,
    PeerReconnected,
    RelayAnswer,
    RelayCandidate,
    Relayed,
    RelayOffer,
)
from service.domain.events import Answer, Candidate, Media, Offer
from service.domain.ids import UserId
from service.domain.missed import MAX_BYTES, MAX_MESSAGES, Missed
from service.domain.requests import Join, Relay
from service.errors import ReceiverNotFoundError
from service.ports import ConflictError
from tests.control.harness import Rig

ALICE, BOB = UserId("alice"), UserId("bob")


async def connected(rig: Rig) -> tuple[Session, Session]:
    """Alice and Bob in a call."""
    alice, bob = await rig.join("alice"), await rig.join("bob")
    await rig.answered_call(alice, bob)
    rig.heard.clear()
    return alice, bob


async def say(rig: Rig, sender: Session, receiver: UserId, *texts: str) -> None:
    """Relay candidates, the fast way where that is open, as the gateway does."""
    for text in texts:
        request = Relay(receiver, None, Candidate(sender.id, text.encode()))
        if rig.control.relay_now(sender, request) is None:
            await rig.ask(sender, request)


def candidates(rig: Rig, session: Session) -> list[str]:
    """The candidates that a session has heard."""
    return [effect.candidate.decode() for effect in rig.take(session) if isinstance(effect, RelayCandidate)]


@pytest.mark.parametrize("both", [False, True])
async def test_who_was_only_taken_for_lost_is_back_when_the_node_is(both: bool) -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    for lost in (bob, alice)[: 1 + both]:  # what another node makes of a node without a sign of life
        await rig.control.left(lost, goodbye=False, with_node=True)
    if not both:
        await say(rig, alice, BOB, "1", "2")
    rig.heard.clear()
    for lost, user in ((bob, BOB), (alice, ALICE))[: 1 + both]:
        await rig.directory.seat(user, lost.id)
    for _ in range(2):  # the second time there is nothing left to do
        await rig.control.settle()
    assert candidates(rig, bob) == ([] if both else ["1", "2"])
    await say(rig, alice, BOB, "3")
    await say(rig, bob, ALICE, "4")
    assert (candidates(rig, bob), candidates(rig, alice)) == (["3"], ["4"])
    await rig.passes(11)
    assert await rig.directory.live_calls()


async def test_what_is_missed_comes_after_the_join_once_and_in_order() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    await rig.ask(alice, Relay(BOB, None, Offer(alice.id, b"offer", Media.VIDEO)))
    await say(rig, alice, BOB, "1", "2")
    await rig.ask(alice, Relay(BOB, None, Answer(alice.id, b"answer")))
    rig.heard.clear()
    bob_2 = await rig.join("bob", "2")
    joined, *missed = rig.take(bob_2)
    assert isinstance(joined, Joined)
    assert joined.call is not None
    assert joined.call.missed == 0
    to = (bob_2.id,)
    assert missed == [
        RelayOffer(to=to, sender=ALICE, description=b"offer", media=Media.VIDEO),
        RelayCandidate(to=to, sender=ALICE, candidate=b"1"),
        RelayCandidate(to=to, sender=ALICE, candidate=b"2"),
        RelayAnswer(to=to, sender=ALICE, description=b"answer"),
    ]
    assert [type(effect) for effect in rig.take(alice)] == [PeerReconnected]
    await say(rig, alice, BOB, "3")
    assert candidates(rig, bob_2) == ["3"]
    assert rig.watch.missed == {"kept": 4, "delivered": 4}


async def test_joining_again_on_the_same_socket_brings_nothing_twice() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    await say(rig, alice, BOB, "1")
    bob_2 = await rig.join("bob", "2")
    assert candidates(rig, bob_2) == ["1"]
    await rig.ask(bob_2, Join(BOB))
    assert candidates(rig, bob_2) == []


async def test_a_takeover_brings_nothing_twice() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    await say(rig, alice, BOB, "1")
    bob_2 = await rig.join("bob", "2")
    bob_3 = await rig.join("bob", "3")
    await rig.leave(bob_2)
    await say(rig, alice, BOB, "2")
    assert candidates(rig, bob_2) == ["1"]
    assert candidates(rig, bob_3) == ["2"]


async def test_a_party_that_is_lost_twice_gets_what_it_missed_each_time() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    await say(rig, alice, BOB, "1")
    bob_2 = await rig.join("bob", "2")
    await rig.leave(bob_2)
    await say(rig, alice, BOB, "2", "3")
    bob_3 = await rig.join("bob", "3")
    assert candidates(rig, bob_2) == ["1"]
    assert candidates(rig, bob_3) == ["2", "3"]


async def test_both_are_lost_and_each_gets_its_own() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    await say(rig, alice, BOB, "for bob")
    await rig.leave(alice)
    bob_2 = await rig.join("bob", "2")
    assert candidates(rig, bob_2) == ["for bob"]
    await say(rig, bob_2, ALICE, "for alice")
    alice_2 = await rig.join("alice", "2")
    assert candidates(rig, alice_2) == ["for alice"]


async def test_a_callee_that_is_lost_while_it_rings_hears_the_ring_before_the_offer() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await rig.join("alice"), await rig.join("bob")
    await rig.call(alice, "bob")
    await rig.leave(bob)
    await rig.ask(alice, Relay(BOB, None, Offer(alice.id, b"offer")))
    bob_2 = await rig.join("bob", "2")
    assert [type(effect) for effect in rig.take(bob_2)] == [Joined, Incoming, RelayOffer]


async def test_what_does_not_fit_is_refused_to_the_sender_and_told_to_who_comes_back() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    fitting = [str(number) for number in range(MAX_MESSAGES)]
    await say(rig, alice, BOB, *fitting)
    for _ in range(2):
        with pytest.raises(ReceiverNotFoundError):
            await say(rig, alice, BOB, "too many")
    bob_2 = await rig.join("bob", "2")
    joined, *missed = rig.take(bob_2)
    assert isinstance(joined, Joined)
    assert joined.call is not None
    assert joined.call.missed == 2
    assert [relay.candidate.decode() for relay in missed if isinstance(relay, RelayCandidate)] == fitting
    assert rig.watch.missed == {"kept": MAX_MESSAGES, "overflowed": 2, "delivered": MAX_MESSAGES}


async def test_a_description_that_does_not_fit_takes_its_candidates_with_it() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    with pytest.raises(ReceiverNotFoundError):
        await rig.ask(alice, Relay(BOB, None, Offer(alice.id, b"x" * (MAX_BYTES + 1))))
    with pytest.raises(ReceiverNotFoundError):
        await say(rig, alice, BOB, "of that offer")
    bob_2 = await rig.join("bob", "2")
    assert candidates(rig, bob_2) == []


async def test_what_is_kept_ends_with_the_call() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    await say(rig, alice, BOB, "of the first call")
    await rig.passes(10)
    assert [type(effect) for effect in rig.take(alice)][-1] is Ended
    bob_2 = await rig.join("bob", "2")
    await rig.answered_call(alice, bob_2)
    await rig.leave(bob_2)
    bob_3 = await rig.join("bob", "3")
    assert candidates(rig, bob_2) == candidates(rig, bob_3) == []


async def test_nothing_is_kept_after_a_goodbye() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob, goodbye=True)
    with pytest.raises(ReceiverNotFoundError):
        await say(rig, alice, BOB, "too late")


async def test_relays_of_an_overflow_are_not_seen_as_relayed() -> None:
    rig = Rig(grace_s=10)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    before = len(rig.watch.steps)
    await say(rig, alice, BOB, "kept")
    assert len(rig.watch.steps) == before + 1
    with pytest.raises(ReceiverNotFoundError):
        await rig.ask(alice, Relay(BOB, None, Offer(alice.id, b"x" * (MAX_BYTES + 1))))
    assert len(rig.watch.steps) == before + 1


class ReturningDirectory(MemoryDirectory):
    """A directory in which the party that is away comes back just before something is kept for it."""

    def __init__(self) -> None:
        super().__init__()
        self.rig: Rig | None = None
        self.refusing = False

    async def hold(self, call: Call, user: UserId, relay: Relayed) -> bool:
        """Let the party come back first, or refuse for ever."""
        if self.refusing:
            raise ConflictError
        if self.rig is not None:
            rig, self.rig = self.rig, None
            await rig.join("bob", "2")
        return await super().hold(call, user, relay)


async def test_who_comes_back_in_the_same_moment_gets_it_at_once() -> None:
    directory = ReturningDirectory()
    rig = Rig(grace_s=10, directory=directory)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    directory.rig = rig
    await say(rig, alice, BOB, "1")
    assert candidates(rig, rig.sessions["bob-2"]) == ["1"]
    call = (await directory.live_calls())[0]
    assert await directory.collect(call.id, BOB) == Missed()


async def test_a_directory_that_never_keeps_anything_is_given_up_on() -> None:
    directory = ReturningDirectory()
    rig = Rig(grace_s=10, directory=directory)
    alice, bob = await connected(rig)
    await rig.leave(bob)
    directory.refusing = True
    with pytest.raises(ContentionError):
        await say(rig, alice, BOB, "1")
