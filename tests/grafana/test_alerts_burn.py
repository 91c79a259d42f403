"""The burn-rate alerts of every objective, under promtool: all speeds, the end of a burst, little traffic."""

from collections.abc import Callable
from pathlib import Path

import pytest

from grafana.slo import BURNS, SLOS, Burn, Slo
from grafana.slo_alerts import FAST, SLOW, threshold
from observability.catalogue import CALL_ATTEMPTS, CALL_PHASE_DURATION, CALLS_ENDED, CONNECTS, EVENTS_TOTAL, Phase
from tests.grafana.rules.cases import of
from tests.grafana.rules.promtool import A, Case, Firing, run


def _phase(phase: Phase, bound: float, bad: str, good: str, both: str) -> dict[str, str]:
    bucket = f'{CALL_PHASE_DURATION.full_name}_bucket{{{A},phase="{phase.value}",le="{bound}"}}'
    return {bucket: good, of(CALL_PHASE_DURATION, part="_count", phase=phase.value): both}


def _series(slo: Slo, bad: str, good: str, both: str) -> dict[str, str]:
    """The counters of an objective, when so many of its events are bad, good, and both together."""
    ended = {"fault": "server", "reason": "server_shutdown"}
    series: dict[str, dict[str, str]] = {
        "handler_availability": {
            of(EVENTS_TOTAL, event="call:answer", outcome="internal"): bad,
            of(EVENTS_TOTAL, event="call:answer", outcome="ok"): good,
        },
        "call_establishment": {
            of(CALLS_ENDED, phase="ringing", **ended): bad,
            of(CALL_ATTEMPTS, media="video"): both,
            of(EVENTS_TOTAL, event="call:initiate", outcome="internal"): "0x2000",
        },
        "ring_delivery": _phase(Phase.RING_DELIVERY, 0.25, bad, good, both),
        "call_setup": _phase(Phase.SETUP_TOTAL, 3.0, bad, good, both),
        "connects": {
            of(CONNECTS, transport="websocket", result="abandoned"): bad,
            of(CONNECTS, transport="websocket", result="ok"): good,
            of(CONNECTS, transport="websocket", result="malformed"): both,
            of(CONNECTS, transport="websocket", result="refused"): "0+1x2000",  # more are an alert of their own
        },
        "call_continuity": {
            of(CALLS_ENDED, phase="connected", **ended): bad,
            of(CALLS_ENDED, phase="connecting", reason="hangup", fault="none"): good,
        },
    }
    return series[slo.name]


def steady(share: float, per_minute: float) -> tuple[str, str, str]:
    """A constant share of bad events."""
    bad = round(share * per_minute, 9)
    return f"0+{bad}x2000", f"0+{per_minute - bad}x2000", f"0+{per_minute}x2000"


def burst(share: float, per_minute: float, start: int, length: int) -> tuple[str, str, str]:
    """No bad event before and after the burst."""
    bad = round(share * per_minute, 9)
    good, lost, after = per_minute - bad, bad * length, start + length
    before = f"0+{per_minute}x{start}"
    meanwhile = f"{per_minute * start + good}+{good}x{length - 1}"
    later = f"{per_minute * (after + 1) - lost}+{per_minute}x2000"
    return (
        f"0x{start - 1} 0+{bad}x{length} {lost}x2000",
        f"{before} {meanwhile} {later}",
        f"0+{per_minute}x2000",
    )


def _share(slo: Slo, speed: float) -> float:
    return min(1.0, speed * (1 - slo.objective))


def _firing(slo: Slo, share: float, burns: tuple[Burn, ...], name: str) -> tuple[Firing, ...]:
    return tuple(
        Firing({"job": "signalling", "slo": slo.name, "window": burn.long.name}, f"{share * 100:.4g}%")
        for burn in burns
        if (FAST if burn.severity == "page" else SLOW) == name and share > threshold(slo, burn)
    )


SPEEDS = (
    (20.0, "60m", FAST, (SLOW,)),
    (7.0, "60m", FAST, (SLOW,)),
    (4.0, "120m", SLOW, ()),
    (1.5, "120m", SLOW, ()),
)


@pytest.mark.parametrize("slo", SLOS, ids=lambda slo: slo.name)
@pytest.mark.parametrize(("speed", "at", "alert", "others"), SPEEDS, ids=str)
def test_each_speed_raises_its_alert(
    slo: Slo, speed: float, at: str, alert: str, others: tuple[str, ...], tmp_path: Path
) -> None:
    share = _share(slo, speed)
    firing = _firing(slo, share, BURNS, alert)
    assert firing
    run(Case(alert, "", _series(slo, *steady(share, 2000)), at, firing, others), tmp_path)


def _all(values: Callable[[Slo], tuple[str, str, str]]) -> dict[str, str]:
    return {name: text for slo in SLOS for name, text in _series(slo, *values(slo)).items()}


def test_within_the_budgets_nothing_fires(tmp_path: Path) -> None:
    run(Case(FAST, "", _all(lambda slo: steady(_share(slo, 0.9), 2000)), "120m"), tmp_path)


def test_a_few_bad_events_in_little_traffic_raise_nothing(tmp_path: Path) -> None:
    run(Case(FAST, "", _all(lambda _slo: steady(1.0, 0.05)), "120m"), tmp_path)


def test_no_traffic_raises_nothing(tmp_path: Path) -> None:
    run(Case(FAST, "", _all(lambda _slo: ("7x200", "7x200", "14x200")), "120m"), tmp_path)


def test_the_page_ends_soon_after_the_trouble_and_the_ticket_stays(tmp_path: Path) -> None:
    slo = next(slo for slo in SLOS if slo.name == "handler_availability")
    series = _series(slo, *burst(0.1, 1000, start=60, length=30))
    run(Case(FAST, "burning", series, "89m", _burning(slo, 89), (SLOW,)), tmp_path)
    run(Case(FAST, "over for 40 minutes", series, "130m", (), (SLOW,)), tmp_path)


def _burning(slo: Slo, minute: int) -> tuple[Firing, ...]:
    """Both windows page: of 60 and of 89 minutes, 29 had 10 % of bad events; rate() sees whole steps."""
    one_hour, since_the_start = 100 * 0.1 * 29 / 60, 100 * 0.1 * 29 / minute
    return (
        Firing({"job": "signalling", "slo": slo.name, "window": "1h"}, f"{one_hour:.4g}%"),
        Firing({"job": "signalling", "slo": slo.name, "window": "6h"}, f"{since_the_start:.4g}%"),
    )
