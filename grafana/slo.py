"""The service level objectives: what is promised over 30 days, and what counts against it.

Each is a ratio of bad events to all events, taken from the catalogue's metrics. `docs/slo.md` explains the choices.
"""

from collections.abc import Callable
from typing import NamedTuple

from grafana.query import ANYWHERE, Values, aggregate, observed, selector
from observability.catalogue import (
    CALL_ATTEMPTS,
    CALL_PHASE_DURATION,
    CALLS_ENDED,
    CONNECTS,
    EVENTS_TOTAL,
    Fault,
    Metric,
    Phase,
)
from service.domain.call import State
from service.protocol.client import CallInitiate

DAY_S = 86_400


class Window(NamedTuple):
    """A stretch of time as PromQL writes it, and its length."""

    name: str
    seconds: int


W5M, W30M, W1H = Window("5m", 300), Window("30m", 1800), Window("1h", 3600)
W2H, W6H = Window("2h", 7200), Window("6h", 21_600)
W1D, W3D, W30D = Window("1d", DAY_S), Window("3d", 3 * DAY_S), Window("30d", 30 * DAY_S)

COUNTED_WINDOWS = (W5M, W30M, W1H, W2H, W6H)
"""Taken from the counters themselves."""
SUMMED_WINDOWS = (W1D, W3D, W30D)
"""Summed from the recorded five-minute rates: the counters of so long a time are too many samples to read."""
WINDOWS = COUNTED_WINDOWS + SUMMED_WINDOWS


INTERVAL_S = 60
"""How often the objectives are evaluated. Stated in the rule file, since the summed windows count on it."""


def bad(window: Window) -> str:
    """The recorded rate of bad events, by job and SLO."""
    return f"signalling:slo_errors:rate{window.name}"


def events(window: Window) -> str:
    """The recorded rate of all events that an SLO counts."""
    return f"signalling:slo_events:rate{window.name}"


def error_ratio(window: Window) -> str:
    """The recorded share of bad events."""
    return f"signalling:slo_error_ratio:rate{window.name}"


class Burn(NamedTuple):
    """A speed at which the error budget burns, seen over a long window and still going on in a short one."""

    factor: float
    long: Window
    short: Window
    severity: str
    for_: str


BURNS = (
    Burn(14.4, W1H, W5M, "page", "2m"),
    Burn(6.0, W6H, W30M, "page", "5m"),
    Burn(3.0, W1D, W2H, "ticket", "15m"),
    Burn(1.0, W3D, W6H, "ticket", "30m"),
)
"""2 % of the 30 days' budget in an hour, 5 % in six, 10 % in a day, 10 % in three days."""

MIN_BAD_EVENTS = 10
"""Fewer bad events than this in the long window raise nothing: with little traffic one of them is a large share."""


class Slo(NamedTuple):
    """One objective. `bad` and `all_` give the rates per job over a window; `dashboard` is where to look first."""

    name: str
    objective: float
    title: str
    bad: Callable[[Window], str]
    all_: Callable[[Window], str]
    dashboard: str
    advice: str


INITIATE = CallInitiate.event
ANSWERED = (State.CONNECTING.value, State.CONNECTED.value)
"""The states of a call that was answered."""
RING_DELIVERY_S = 0.25
SETUP_S = 3.0


def _sum(window: Window, metric: Metric, **labels: Values) -> str:
    return aggregate("sum", f"rate({selector(metric, scope=ANYWHERE, labels=labels)}[{window.name}])", "job")


def _attempts(window: Window) -> str:
    return f"{_sum(window, CALL_ATTEMPTS)}\n+ {_refused(window)}"


def _refused(window: Window) -> str:
    return _sum(window, EVENTS_TOTAL, event=INITIATE, outcome="internal")


def phase_slower(phase: Phase, seconds: float, window: Window) -> str:
    """The rate of a phase's observations above a bucket's bound.

    Raises:
        ValueError: no bucket ends there.
    """
    if seconds not in CALL_PHASE_DURATION.buckets:
        raise ValueError(f"{CALL_PHASE_DURATION.full_name} has no bucket that ends at {seconds}")
    bucket = selector(
        CALL_PHASE_DURATION, part="_bucket", scope=f'le="{seconds}"', labels={"phase": phase.value}
    )  # clients write whole numbers as 3.0, and so does Prometheus 3
    return f"{phase_count(phase, window)}\n- sum by (job) (rate({bucket}[{window.name}]))"


def phase_count(phase: Phase, window: Window) -> str:
    """The rate of a phase's observations."""
    return observed(CALL_PHASE_DURATION, "count", "job", window=window.name, scope=ANYWHERE, phase=phase.value)


SLOS: tuple[Slo, ...] = (
    Slo(
        "handler_availability",
        0.9995,
        "Client events that the server could handle",
        bad=lambda window: _sum(window, EVENTS_TOTAL, outcome="internal"),
        all_=lambda window: _sum(window, EVENTS_TOTAL),
        dashboard="signalling-errors",
        advice="See which event fails with which exception, and roll back if it began with a deploy.",
    ),
    Slo(
        "call_establishment",
        0.999,
        "Calls that the server did not lose before they were answered",
        bad=lambda window: (
            f"{_sum(window, CALLS_ENDED, fault=Fault.SERVER.value, phase=State.RINGING.value)}\n+ {_refused(window)}"
        ),
        all_=_attempts,
        dashboard="signalling-calls",
        advice="See by which reason calls end while they ring, and whether a node restarts or fails.",
    ),
    Slo(
        "ring_delivery",
        0.99,
        "Rings that reached the callee's socket within 250 ms",
        bad=lambda window: phase_slower(Phase.RING_DELIVERY, RING_DELIVERY_S, window),
        all_=lambda window: phase_count(Phase.RING_DELIVERY, window),
        dashboard="signalling-calls",
        advice="Compare the event loop's lag of the nodes; the slow one is overloaded or blocked.",
    ),
    Slo(
        "call_setup",
        0.95,
        "Calls that were set up within 3 s, without the ringing",
        bad=lambda window: phase_slower(Phase.SETUP_TOTAL, SETUP_S, window),
        all_=lambda window: phase_count(Phase.SETUP_TOTAL, window),
        dashboard="signalling-calls",
        advice="See which phase takes the time: negotiation and media are the clients', setup_server is ours.",
    ),
    Slo(
        "connects",
        0.999,
        "Connections that came about",
        bad=lambda window: _sum(window, CONNECTS, result="abandoned"),
        all_=lambda window: _sum(window, CONNECTS, result=("ok", "abandoned")),
        dashboard="signalling-connections",
        advice="See whether one transport or one node is hit; look at the proxy's sticky sessions and upgrades.",
    ),
    Slo(
        "call_continuity",
        0.999,
        "Answered calls that the server did not cut off",
        bad=lambda window: _sum(window, CALLS_ENDED, fault=Fault.SERVER.value, phase=ANSWERED),
        all_=lambda window: _sum(window, CALLS_ENDED, phase=ANSWERED),
        dashboard="signalling-calls",
        advice="See by which reason calls are cut off, and whether a node restarts without draining.",
    ),
)
