"""How much of something may be had in a time: token buckets."""

from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar

K = TypeVar("K", bound=Hashable)

MAX_OWNERS = 100_000
"""Owners whose bucket is kept. When there are as many, those whose bucket is full again are forgotten."""


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

    def take(self, rate: Rate, now_s: float) -> float:
        """Take one. 0 if it was there, else the seconds until it will be; nothing is taken then."""
        self._left = min(float(rate.number), self._left + (now_s - self._at_s) * rate.per_second)
        self._at_s = now_s
        if self._left >= 1.0:
            self._left -= 1.0
            return 0.0
        return (1.0 - self._left) / rate.per_second

    def is_full(self, rate: Rate, now_s: float) -> bool:
        """Whether forgetting the bucket would change nothing."""
        return self._left + (now_s - self._at_s) * rate.per_second >= rate.number


class Buckets(Generic[K]):
    """A bucket for each owner of one rate, in bounded memory."""

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: dict[K, Bucket] = {}

    def take(self, owner: K, now_s: float) -> float:
        """Take one. 0 if it was there or there is no limit, else the seconds until it will be."""
        if not self._rate.number:
            return 0.0
        bucket = self._buckets.get(owner)
        if bucket is None:
            if len(self._buckets) >= MAX_OWNERS:
                self._forget(now_s)
            bucket = self._buckets[owner] = Bucket(self._rate, now_s)
        return bucket.take(self._rate, now_s)

    def _forget(self, now_s: float) -> None:
        kept = {owner: bucket for owner, bucket in self._buckets.items() if not bucket.is_full(self._rate, now_s)}
        self._buckets = kept if len(kept) < MAX_OWNERS else {}
