"""What will happen: which calls, when, and how each goes. Pure: the same seed gives the same plan."""

import enum
import math
import random
from collections.abc import Iterator, Mapping
from typing import NamedTuple


class Kind(enum.StrEnum):
    """How a call goes."""

    ANSWERED = "answered"
    REJECTED = "rejected"
    UNANSWERED = "unanswered"
    CANCELLED = "cancelled"
    BUSY = "busy"
    LOST = "lost"
    FAILED = "failed"


class Side(enum.StrEnum):
    """One of the two parties."""

    CALLER = "caller"
    CALLEE = "callee"


class Traffic(NamedTuple):
    """What traffic is wanted. Times are seconds; `speed` makes the times inside a call shorter, not the rate."""

    rate_per_s: float
    duration_s: float
    mix: Mapping[Kind, float]
    ring_mean_s: float = 4.0
    talk_mean_s: float = 30.0
    speed: float = 1.0


class PlannedCall(NamedTuple):
    """A call to come. Times are seconds, those inside the call already divided by the speed."""

    number: int
    at_s: float
    kind: Kind
    media: str
    ring_s: float
    talk_s: float
    acting: Side
    """Who hangs up, fails or is lost, where that can be either."""
    lost_while_ringing: bool
    caller_candidates: int
    callee_candidates: int
    glare: bool
    restart_by: Side | None
    asks_status: bool
    caller_leaves_for_s: float | None
    """How long the caller says goodbye for afterwards, None where he stays."""
    payload_seed: int


RING_SIGMA, TALK_SIGMA = 0.5, 0.8
RING_CAP, TALK_CAP = 4.0, 5.0
"""Longest time, in means. A ring must end before the server's own ring timeout does."""
GLARE_SHARE, RESTART_SHARE, STATUS_SHARE, LEAVE_SHARE = 0.03, 0.08, 0.1, 0.05
VIDEO_SHARE = 0.6
AWAY_MEAN_S = 5.0
CANDIDATES = (4, 8)

TRANSPORTS = {
    "websocket": (("websocket",), 80),
    "upgrade": (("polling", "websocket"), 10),
    "polling": (("polling",), 10),
}
"""How users connect, and the share of each in the mix. Most apps go to websocket at once."""


def plan(seed: int, traffic: Traffic) -> Iterator[PlannedCall]:
    """The calls, in the order of their arrival: a Poisson process. Without end where the duration is 0."""
    chance = random.Random(seed)  # noqa: S311 - traffic, not cryptography
    at_s, number = 0.0, 0
    while True:
        at_s += chance.expovariate(traffic.rate_per_s)
        if traffic.duration_s and at_s >= traffic.duration_s:
            return
        number += 1
        yield _call(chance, number, at_s, traffic)


def transports_of(seed: int, users: int, choice: str) -> list[tuple[str, ...]]:
    """The transports of each user: all the same, or a mix."""
    if choice != "mix":
        return [TRANSPORTS[choice][0]] * users
    chance = random.Random(seed)  # noqa: S311 - traffic, not cryptography
    return [
        found[0]
        for found in chance.choices(
            list(TRANSPORTS.values()), weights=[share for _, share in TRANSPORTS.values()], k=users
        )
    ]


def users_for(traffic: Traffic) -> int:
    """How many users it takes so that hardly any call must wait for two who are free."""
    at_once = traffic.rate_per_s * (traffic.ring_mean_s + traffic.talk_mean_s) / traffic.speed
    return 2 * math.ceil(at_once + 4 * math.sqrt(at_once)) + 6


def _call(chance: random.Random, number: int, at_s: float, traffic: Traffic) -> PlannedCall:
    kind = chance.choices(list(traffic.mix), weights=list(traffic.mix.values()))[0]
    answered = kind is Kind.ANSWERED
    restarts, leaves = chance.random() < RESTART_SHARE, chance.random() < LEAVE_SHARE
    return PlannedCall(
        number=number,
        at_s=at_s,
        kind=kind,
        media="video" if chance.random() < VIDEO_SHARE else "audio",
        ring_s=_time(chance, traffic.ring_mean_s, RING_SIGMA, RING_CAP) / traffic.speed,
        talk_s=_time(chance, traffic.talk_mean_s, TALK_SIGMA, TALK_CAP) / traffic.speed,
        acting=_side(chance),
        lost_while_ringing=chance.random() < 0.5,  # noqa: PLR2004 - evenly
        caller_candidates=chance.randint(*CANDIDATES),
        callee_candidates=chance.randint(*CANDIDATES),
        glare=chance.random() < GLARE_SHARE and answered,
        restart_by=_side(chance) if answered and restarts else None,
        asks_status=chance.random() < STATUS_SHARE,
        caller_leaves_for_s=chance.expovariate(1 / AWAY_MEAN_S) / traffic.speed if leaves else None,
        payload_seed=chance.getrandbits(32),
    )


def _time(chance: random.Random, mean: float, sigma: float, cap: float) -> float:
    """Log-normal with this mean: many short ones, a few long ones."""
    return min(chance.lognormvariate(math.log(mean) - sigma**2 / 2, sigma), cap * mean)


def _side(chance: random.Random) -> Side:
    return Side.CALLER if chance.random() < 0.5 else Side.CALLEE  # noqa: PLR2004 - evenly
