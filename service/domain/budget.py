"""How much of something may be had in a time: token buckets."""

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

from service.domain.words import Word

K = TypeVar("K", bound=Hashable)

MAX_OWNERS = 100_000
"""Owners whose bucket is kept. When there are as many, those whose bucket is full again are forgotten."""


class Scope(Word):
    """What may be had at a rate, and whose that is.

    Events of a socket, user or address; calls of a user, or from one user to another; users whose status was asked
    for; connections of an address.
    """

    SOCKET = "socket"
    USER = "user"
    ADDRESS = "address"
    CALL = "call"
    PAIR = "pair"
    LOOKUP = "lookup"
    CONNECT = "connect"


class Rate(NamedTuple):
    """`number` in `period_s` seconds, all at once or spread out. A number of 0 stands for no limit."""

    number: int
    period_s: float

    @property
    def per_second(self) -> float:
        """How fast a bucket fills again."""
        return self.number / self.period_s


UNLIMITED = Rate(0, 1.0)


class Bucket:
    """What is left of one rate for one owner."""

    __slots__ = ("_at_s", "_left")

    def __init__(self, rate: Rate, now_s: float) -> None:
        self._left = float(rate.number)
        self._at_s = now_s

    def take(self, rate: Rate, now_s: float, count: float = 1.0) -> float:
        """Take `count`. 0 if they were there, else the seconds until they will be; nothing is taken then."""
        number, period_s = rate
        left = self._left + (now_s - self._at_s) * (number / period_s)
        if left > number:  # noqa: PLR1730 - on the way of every event, where `min` costs more
            left = number
        self._at_s = now_s
        if left >= count:
            self._left = left - count
            return 0.0
        self._left = left
        return (count - left) / rate.per_second

    def is_full(self, rate: Rate, now_s: float) -> bool:
        """Whether forgetting the bucket would change nothing."""
        return self._left + (now_s - self._at_s) * rate.per_second >= rate.number


class Buckets(Generic[K]):
    """A bucket for each owner of one rate, in bounded memory."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: dict[K, Bucket] = {}

    def take(self, owner: K, now_s: float, count: int = 1) -> float:
        """Take `count`. 0 if they were there or there is no limit, else the seconds until they will be.

        More than there can ever be is taken as all that there can be.
        """
        if not self._rate.number:
            return 0.0
        bucket = self._buckets.get(owner)
        if bucket is None:
            self._buckets = _with_room(self._buckets, self._rate, now_s)
            bucket = self._buckets[owner] = Bucket(self._rate, now_s)
        return bucket.take(self._rate, now_s, min(count, self._rate.number))


class SharedBucket(Bucket):
    """A bucket that several hold."""

    __slots__ = ("holders",)

    def __init__(self, rate: Rate, now_s: float) -> None:
        super().__init__(rate, now_s)
        self.holders = 0


class SharedBuckets(Generic[K]):
    """A bucket for each owner of one rate, in the hands of those who take from it.

    While it is held it stays. When nobody holds it any more it is kept until it is full again, so that an owner who
    comes back finds what he left; that takes bounded memory.
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._held: dict[K, SharedBucket] = {}
        self._kept: dict[K, SharedBucket] = {}

    def hold(self, owner: K, now_s: float) -> SharedBucket:
        """The owner's bucket, until `release`."""
        bucket = self._held.get(owner)
        if bucket is None:
            kept = self._kept.pop(owner) if owner in self._kept else SharedBucket(self._rate, now_s)
            bucket = self._held[owner] = kept
        bucket.holders += 1
        return bucket

    def release(self, owner: K, now_s: float) -> None:
        """One holder needs the owner's bucket no longer. To be called once for each `hold`."""
        bucket = self._held[owner]
        bucket.holders -= 1
        if bucket.holders:
            return
        del self._held[owner]
        if not bucket.is_full(self._rate, now_s):
            self._kept = _with_room(self._kept, self._rate, now_s)
            self._kept[owner] = bucket


B = TypeVar("B", bound=Bucket)


def _with_room(buckets: dict[K, B], rate: Rate, now_s: float) -> dict[K, B]:
    """These, or what is left of too many of them."""
    if len(buckets) < MAX_OWNERS:
        return buckets
    kept = {owner: bucket for owner, bucket in buckets.items() if not bucket.is_full(rate, now_s)}
    return kept if len(kept) < MAX_OWNERS else {}
