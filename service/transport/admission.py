"""Who may open a connection: limits by address and in total, judged before anything else is looked at."""

import math
from collections import Counter
from typing import NamedTuple

from service.domain.budget import UNLIMITED, Buckets, Rate

FULL_RETRY_S = 10
"""What a client is told to wait when the server is full."""


class AdmissionLimits(NamedTuple):
    """See `service.config.Settings` for each. 0 stands for no limit."""

    connections: int = 0
    connections_per_address: int = 0
    connects: Rate = UNLIMITED


class Turned(NamedTuple):
    """A connection that may not be opened."""

    status: int
    code: str
    message: str
    retry_after_s: int


class Admission:
    """Keeps count of connections and of attempts."""

    def __init__(self, limits: AdmissionLimits) -> None:
        self._limits = limits
        self._total = 0
        self._by_address: Counter[str] = Counter()
        self._connects: Buckets[str] = Buckets(limits.connects)

    def judge(self, address: str, now_s: float) -> Turned | None:
        """Whether a connection from this address may be opened now. An attempt counts towards its rate."""
        limits = self._limits
        wait_s = self._connects.take(address, now_s)
        if wait_s:
            return Turned(429, "rate_limited", "Too many connections are opened", math.ceil(wait_s))
        if limits.connections and self._total >= limits.connections:
            return Turned(503, "server_full", "The server is full", FULL_RETRY_S)
        if limits.connections_per_address and self._by_address[address] >= limits.connections_per_address:
            return Turned(429, "too_many_connections", "Too many connections are open", FULL_RETRY_S)
        return None

    def opened(self, address: str) -> None:
        """A connection from this address stands."""
        self._total += 1
        if self._limits.connections_per_address:
            self._by_address[address] += 1

    def closed(self, address: str) -> None:
        """It is gone."""
        self._total -= 1
        if self._limits.connections_per_address:
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]
