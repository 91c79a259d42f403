"""What observation costs in line: the sights of real calls, shown again to the telemetry, each timed by itself."""

import statistics
import time
from collections import defaultdict
from collections.abc import Callable

from service.ports import CallStepped, EventHandled, Observer

Sight = tuple[str, object]
CLOCK_CALLS = 2000


class Recorder(Observer):
    """Keeps what an observer is shown."""

    def __init__(self) -> None:
        self.sights: list[Sight] = []

    def call_stepped(self, record: CallStepped) -> None:
        """See `Observer.call_stepped`."""
        self.sights.append(("call_stepped", record))

    def event_handled(self, record: EventHandled) -> None:
        """See `Observer.event_handled`."""
        self.sights.append(("event_handled", record))

    def message_received(self, size_bytes: int) -> None:
        """See `Observer.message_received`."""
        self.sights.append(("message_received", size_bytes))

    def message_sent(self, size_bytes: int) -> None:
        """See `Observer.message_sent`."""
        self.sights.append(("message_sent", size_bytes))


def costs_us(sights: list[Sight], observer: Observer) -> dict[str, float]:
    """Mean microseconds of each kind of sight, without the cost of looking at the clock."""
    now = time.perf_counter
    idle = []
    for _ in range(CLOCK_CALLS):
        started = now()
        idle.append(now() - started)
    overhead = statistics.median(idle)
    spent: defaultdict[str, list[float]] = defaultdict(list)
    for name, seen in sights:
        look: Callable[[object], None] = getattr(observer, name)
        started = now()
        look(seen)
        spent[_kind(name, seen)].append(now() - started - overhead)
    return {kind: statistics.fmean(times) * 1e6 for kind, times in spent.items()}


def _kind(name: str, seen: object) -> str:
    if isinstance(seen, CallStepped):
        return f"{name} {type(seen.event).__name__}"
    return f"{name} {seen.event}" if isinstance(seen, EventHandled) else name


def candidate_us(costs: dict[str, float]) -> float:
    """What a relayed candidate costs: received, relayed, sent, handled."""
    kinds = ("message_received", "call_stepped Candidate", "message_sent", "event_handled ice:candidate")
    return sum(costs[kind] for kind in kinds)
