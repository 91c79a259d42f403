"""What was planned, what came of it, and how both are shown."""

from collections import Counter, deque
from typing import Any

from synthetic.call import BROKEN, INTERRUPTED, STOPPED, Played
from synthetic.plan import Kind, PlannedCall

SETUP_TIMES_KEPT = 10_000
PROBLEMS_KEPT = 10
OTHER_OUTCOMES = (INTERRUPTED, BROKEN, STOPPED)
PERCENTILES = (50, 95, 99)


class Tally:
    """Counts calls, in bounded memory: set-up times are those of the last 10,000 calls."""

    def __init__(self) -> None:
        self.planned: Counter[str] = Counter()
        self.observed: Counter[str] = Counter()
        self.as_planned: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.besides: Counter[str] = Counter()
        self.problems: deque[str] = deque(maxlen=PROBLEMS_KEPT)
        self._setup_s: deque[float] = deque(maxlen=SETUP_TIMES_KEPT)

    def begin(self, call: PlannedCall) -> None:
        """A call is placed."""
        self.planned[call.kind.value] += 1

    def end(self, call: PlannedCall, played: Played) -> None:
        """A call is over."""
        self.observed[str(played.observed)] += 1
        self.besides["glare"] += call.glare
        self.besides["renegotiations"] += call.restart_by is not None
        self.besides["status_questions"] += call.asks_status
        self.besides["goodbyes"] += call.caller_leaves_for_s is not None
        if played.setup_s is not None:
            self._setup_s.append(played.setup_s)
        if played.observed == call.kind:
            self.as_planned[call.kind.value] += 1
        elif played.observed != STOPPED:
            why = f": {played.problem}" if played.problem else ""
            self.problems.append(f"call {call.number}: planned {call.kind}, observed {played.observed}{why}")

    @property
    def placed(self) -> int:
        """The calls that were placed."""
        return self.planned.total()

    @property
    def over(self) -> int:
        """The calls that are over."""
        return self.observed.total()

    @property
    def unexpected(self) -> int:
        """The calls that did not go as planned. One that the person at the terminal stopped is none of them."""
        return self.over - self.as_planned.total() - self.observed[STOPPED]

    def report(self) -> dict[str, Any]:
        """Everything, for programs."""
        return {
            "calls": {
                "planned": self.placed,
                "as_planned": self.as_planned.total(),
                "unexpected": self.unexpected,
                "stopped": self.observed[STOPPED],
            },
            "kinds": {
                kind.value: {
                    "planned": self.planned[kind.value],
                    "observed": self.observed[kind.value],
                    "as_planned": self.as_planned[kind.value],
                }
                for kind in Kind
            },
            "other_outcomes": {name: self.observed[name] for name in self._other_names()},
            "setup_ms": self._setup_ms(),
            "errors": dict(sorted(self.errors.items())),
            "besides": dict(sorted(self.besides.items())),
            "problems": list(self.problems),
        }

    def _other_names(self) -> list[str]:
        known = {kind.value for kind in Kind}
        return [*OTHER_OUTCOMES, *sorted(set(self.observed) - known - set(OTHER_OUTCOMES))]

    def _setup_ms(self) -> dict[str, float | int | None]:
        times = sorted(self._setup_s)
        shares = {f"p{share}": _percentile(times, share) for share in PERCENTILES}
        return {"count": len(times), **shares}


def _percentile(times: list[float], share: int) -> float | None:
    if not times:
        return None
    place = min(len(times) - 1, len(times) * share // 100)
    return round(times[place] * 1000, 2)


def as_text(report: dict[str, Any]) -> str:
    """A report for people."""
    calls, setup = report["calls"], report["setup_ms"]
    lines = [f"{'':<14}{'planned':>9}{'observed':>10}{'as planned':>12}"]
    lines += [
        f"{name:<14}{kind['planned']:>9}{kind['observed']:>10}{kind['as_planned']:>12}"
        for name, kind in report["kinds"].items()
    ]
    lines += [f"{name:<14}{'':>9}{count:>10}" for name, count in report["other_outcomes"].items() if count]
    lines.append(f"{'all':<14}{calls['planned']:>9}{sum_observed(report):>10}{calls['as_planned']:>12}")
    if setup["count"]:
        lines.append("set-up time    " + "  ".join(f"p{share} {setup[f'p{share}']} ms" for share in PERCENTILES))
    lines.append("errors         " + (_listed(report["errors"]) or "none"))
    lines.append("besides        " + _listed(report["besides"]))
    lines += report["problems"]
    lines.append("every call went as planned" if not calls["unexpected"] else f"not as planned: {calls['unexpected']}")
    return "\n".join(lines)


def sum_observed(report: dict[str, Any]) -> int:
    """All calls that are over."""
    observed: int = sum(kind["observed"] for kind in report["kinds"].values())
    return observed + int(sum(report["other_outcomes"].values()))


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items() if count)
