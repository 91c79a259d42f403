"""What is kept for a party that is away."""

from service.domain.effects import RelayAnswer, RelayCandidate, Relayed, RelayOffer
from service.domain.events import Media
from service.domain.ids import SessionId, UserId
from service.domain.missed import MAX_BYTES, MAX_MESSAGES, NOTHING, Missed

ALICE = UserId("alice")
BOB_2 = SessionId("bob-2")


def offer(size_bytes: int) -> RelayOffer:
    return RelayOffer(to=(), sender=ALICE, description=b"x" * size_bytes, media=Media.VIDEO)


def candidate(size_bytes: int = 4) -> RelayCandidate:
    return RelayCandidate(to=(), sender=ALICE, candidate=b"x" * size_bytes)


def after(*relays: Relayed) -> Missed:
    missed = NOTHING
    for relay in relays:
        missed = missed.with_one_more(relay)
    return missed


def test_relays_are_kept_in_order_and_addressed_to_who_comes_back() -> None:
    answer = RelayAnswer(to=(), sender=ALICE, description=b"yes")
    missed = after(offer(5), candidate(), answer)
    assert missed == Missed((offer(5), candidate(), answer), size_bytes=12)
    assert [relay.to for relay in missed.addressed_to(BOB_2)] == [(BOB_2,)] * 3
    assert missed.addressed_to(BOB_2)[2] == RelayAnswer(to=(BOB_2,), sender=ALICE, description=b"yes")


def test_the_number_is_bounded() -> None:
    full = after(*[candidate()] * MAX_MESSAGES)
    assert (len(full.relays), full.overflowed) == (MAX_MESSAGES, 0)
    over = full.with_one_more(candidate())
    assert (over.relays, over.overflowed) == (full.relays, 1)


def test_the_size_is_bounded_to_the_byte() -> None:
    assert after(offer(MAX_BYTES)).overflowed == 0
    assert after(offer(MAX_BYTES - 4), candidate(4)).overflowed == 0
    assert after(offer(MAX_BYTES - 4), candidate(5)).overflowed == 1
    assert after(offer(MAX_BYTES + 1)) == Missed((), 0, overflowed=1)


def test_after_an_overflow_nothing_is_kept_so_that_there_is_no_gap() -> None:
    """A candidate would fit after an offer that did not, and would belong to nothing."""
    missed = after(candidate(), offer(MAX_BYTES), candidate(), candidate())
    assert missed == Missed((candidate(),), 4, overflowed=3)
