"""Alerts on the speed at which error budgets burn: one for each objective and pair of windows.

The long window says that it matters, the short one that it still goes on, so the alert ends soon after the trouble.
"""

from grafana.alert_types import PAGE, Alert
from grafana.slo import BURNS, MIN_BAD_EVENTS, SLOS, Burn, Slo, bad, error_ratio

FAST = "ErrorBudgetBurnFast"
SLOW = "ErrorBudgetBurnSlow"


def burn_alerts() -> tuple[Alert, ...]:
    """All of them."""
    return tuple(_alert(slo, burn) for slo in SLOS for burn in BURNS)


def threshold(slo: Slo, burn: Burn) -> float:
    """The share of bad events at which the budget burns this fast."""
    return round(burn.factor * (1 - slo.objective), 6)


def _alert(slo: Slo, burn: Burn) -> Alert:
    matcher, limit = f'{{slo="{slo.name}"}}', f"{threshold(slo, burn):g}"
    return Alert(
        name=FAST if burn.severity == PAGE else SLOW,
        severity=burn.severity,
        expression="\n".join(
            (
                f"{error_ratio(burn.long)}{matcher} > {limit}",
                f"and {error_ratio(burn.short)}{matcher} > {limit}",
                f"and {bad(burn.long)}{matcher} * {burn.long.seconds} >= {MIN_BAD_EVENTS}",
            )
        ),
        for_=burn.for_,
        summary=f"{slo.title}: {_speed(burn)}",
        description=(
            f"Over the last {burn.long.name}, {{{{ $value | humanizePercentage }}}} of the events of {slo.name} on "
            f"{{{{ $labels.job }}}} were bad; {_percent(1 - slo.objective)} is allowed. {slo.advice}"
        ),
        dashboard=slo.dashboard,
        labels={"slo": slo.name, "window": burn.long.name},
        anchor=slo.name,
    )


def _speed(burn: Burn) -> str:
    if burn.factor == 1:
        return "the error budget will not last"
    return f"the error budget burns {burn.factor:g} times too fast"


def _percent(share: float) -> str:
    return f"{round(share * 100, 4):g}%"
