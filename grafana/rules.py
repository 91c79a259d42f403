"""The rule files, and the recording rules in them.

Every rule keeps the label `job`, so that two installations on one Prometheus stay apart. A share of nothing is 0
where an objective is judged (without traffic nothing fails) and no sample at all where a speed or a success ratio
is reported (without traffic there is none). No rule ever yields NaN.
"""

from typing import NamedTuple

from grafana import alertmanager, alerts
from grafana.query import ANYWHERE, buckets, observed, rate
from grafana.slo import (
    COUNTED_WINDOWS,
    INITIATE,
    INTERVAL_S,
    SLOS,
    SUMMED_WINDOWS,
    W5M,
    Slo,
    Window,
    bad,
    error_ratio,
    events,
    phase_count,
)
from grafana.yamltext import Commented, document
from observability.catalogue import (
    CALL_ATTEMPTS,
    CALL_DURATION,
    CALL_MILESTONES,
    CALL_PHASE_DURATION,
    CALLS_ENDED,
    CONNECTIONS,
    EVENTS_TOTAL,
    Milestone,
    Phase,
)
from service.domain.call import State
from service.domain.effects import Reason
from service.errors import BacklogFullError, InternalError, UserNotAvailableError, UserNotFoundError

RECORDING_FILE = "prometheus/signalling-recording.rules.yml"
ALERTS_FILE = "prometheus/signalling-alerts.rules.yml"
ALERTMANAGER_FILE = "alertmanager/alertmanager.yml"


class Recording(NamedTuple):
    """One recording rule. `comment` says what it is."""

    name: str
    expression: str
    labels: dict[str, str]
    comment: str = ""


def objectives() -> list[Recording]:
    """What is promised, as series: dashboards draw it beside what is kept."""
    return [
        Recording("signalling:slo_objective", f"vector({slo.objective})", {"slo": slo.name}, slo.title + ".")
        for slo in SLOS
    ]


def counted() -> list[Recording]:
    """Bad and all events of each SLO, from the counters."""
    return [rule for window in COUNTED_WINDOWS for slo in SLOS for rule in _counted(slo, window)]


def _counted(slo: Slo, window: Window) -> tuple[Recording, Recording]:
    labels = {"slo": slo.name}
    return (
        Recording(bad(window), slo.bad(window), labels),
        Recording(events(window), slo.all_(window), labels),
    )


def summed() -> list[Recording]:
    """The same over days: the sum of the five-minute rates, weighted as the traffic was."""
    return [
        Recording(name(window), f"sum_over_time({name(W5M)}[{window.name}]) * {INTERVAL_S} / {window.seconds}", {})
        for window in SUMMED_WINDOWS
        for name in (bad, events)
    ]


def ratios(windows: tuple[Window, ...]) -> list[Recording]:
    """The share of bad events; 0 without traffic."""
    return [
        Recording(error_ratio(window), f"{bad(window)} / ({events(window)} > 0)\nor\n{events(window)} * 0", {})
        for window in windows
    ]


def rfc6076() -> list[Recording]:
    """RFC 6076's measures of telephony, in this server's terms."""
    return [
        Recording("signalling:ser:ratio_rate5m", _share(_answered()), {}, _SER),
        Recording(
            "signalling:seer:ratio_rate5m", _share(f"{_answered()}\n  + {_user_ended()}\n  + {_busy()}"), {}, _SEER
        ),
        Recording("signalling:srd_seconds:p95_rate5m", _srd(), {}, _SRD),
        Recording("signalling:sdt_seconds:mean_rate5m", _sdt(), {}, _SDT),
    ]


_SER = """Session establishment ratio (RFC 6076, 4.6): of all attempts, those that were answered.
An attempt is a call:initiate that asks for a call and is not at fault itself: placed, or turned down because the
callee is offline or busy, or because the server failed. Without attempts there is no sample."""
_SEER = """Session establishment effectiveness ratio (RFC 6076, 4.7): as SER, but what the callee decides counts as a
success of the server: declined, busy, offline, not answered. What is missing to 1 was cancelled, lost or failed."""
_SRD = """Successful session request delay (RFC 6076, 4.3.1), 95th percentile: from the attempt's arrival to the
ring at the callee's socket, where a SIP caller would get "180 Ringing". Without rings there is no sample."""
_SDT = """Successful session duration (RFC 6076, 4.5.1), mean: from the answer to the end, of the calls that ended in
the last five minutes. Without ended calls there is no sample."""


def _answered() -> str:
    milestone = Milestone.ANSWERED.value
    return rate(CALL_MILESTONES, "job", window=W5M.name, scope=ANYWHERE, milestone=milestone)


def _user_ended() -> str:
    reasons = tuple(reason.value for reason in (Reason.REJECTED, Reason.BUSY, Reason.NO_ANSWER))
    return rate(CALLS_ENDED, "job", window=W5M.name, scope=ANYWHERE, phase=State.RINGING.value, reason=reasons)


def _busy() -> str:
    outcomes = (UserNotFoundError.code, UserNotAvailableError.code)
    return rate(EVENTS_TOTAL, "job", window=W5M.name, scope=ANYWHERE, event=INITIATE, outcome=outcomes)


def _share(part: str) -> str:
    outcomes = ("ok", UserNotFoundError.code, UserNotAvailableError.code, BacklogFullError.code, InternalError.code)
    whole = rate(EVENTS_TOTAL, "job", window=W5M.name, scope=ANYWHERE, event=INITIATE, outcome=outcomes)
    return f"clamp_max(\n  ({part})\n  / ({whole} > 0),\n  1\n)"


def _srd() -> str:
    phase = Phase.RING_DELIVERY
    delay = buckets(CALL_PHASE_DURATION, "job", window=W5M.name, scope=ANYWHERE, phase=phase.value)
    return f"histogram_quantile(0.95, {delay})\nand\n{phase_count(phase, W5M)} > 0"


def _sdt() -> str:
    total = observed(CALL_DURATION, "sum", "job", window=W5M.name, scope=ANYWHERE)
    count = observed(CALL_DURATION, "count", "job", window=W5M.name, scope=ANYWHERE)
    return f"{total}\n/ ({count} > 0)"


def levels() -> list[Recording]:
    """What alerts compare with earlier times."""
    return [
        Recording("signalling:connections:sum", f"sum by (job) ({CONNECTIONS.full_name})", {}, "Open connections."),
        Recording(
            "signalling:call_attempts:rate5m",
            rate(CALL_ATTEMPTS, "job", window=W5M.name, scope=ANYWHERE),
            {},
            "Calls placed per second.",
        ),
    ]


GROUPS: tuple[tuple[str, list[Recording]], ...] = (
    ("signalling-objectives", objectives()),
    ("signalling-slo", [*counted(), *ratios(COUNTED_WINDOWS)]),
    ("signalling-slo-days", [*summed(), *ratios(SUMMED_WINDOWS)]),
    ("signalling-calls", [*rfc6076(), *levels()]),
)


def _recording(rule: Recording) -> object:
    node: dict[str, object] = {"record": rule.name, "expr": rule.expression}
    if rule.labels:
        node["labels"] = rule.labels
    return Commented(rule.comment, node) if rule.comment else node


def recording_file() -> str:
    """The recording rules as Prometheus reads them."""
    return document(
        {
            "groups": [
                {"name": name, "interval": f"{INTERVAL_S}s", "rules": [_recording(rule) for rule in rules]}
                for name, rules in GROUPS
            ]
        }
    )


def files() -> dict[str, str]:
    """Every generated file of rules, alerts and notifications: path below `grafana/generated`, and content."""
    return {
        RECORDING_FILE: recording_file(),
        ALERTS_FILE: alerts.file(),
        ALERTMANAGER_FILE: alertmanager.file(),
    }
