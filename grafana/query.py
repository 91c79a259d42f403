"""PromQL from the catalogue's metrics: a name, label or value that does not exist is an error when it is written.

Every ratio here answers with 0 when there is no traffic, and with nothing at all when no node answers: a panel then
shows its `noValue` text instead of a calm zero.
"""

from typing import NamedTuple

from observability.catalogue import PROCESS_METRICS, Kind, Metric

NODES = 'job=~"$job",instance=~"$instance"'
"""The nodes that the reader chose."""
ANYWHERE = ""
"""For what is not scraped from a node: the probe, the rules."""
WINDOW = "$__rate_interval"
"""For graphs: as short as the scrape interval allows."""
NOW = "5m"
"""For single numbers: long enough to be steady, short enough to be called now."""
OUR_OUTCOMES = ("internal",)
"""The outcomes of an event that are the server's fault."""
BAD_FAULTS = ("server", "network", "client")
"""Calls that ended for one of these did not end as their users wanted."""
NODES_UP = f"sum(up{{{NODES}}})"


class Not(NamedTuple):
    """A label has none of these values."""

    values: tuple[str, ...]


Values = str | tuple[str, ...] | Not


def selector(metric: Metric, *, part: str = "", scope: str = NODES, labels: dict[str, Values] | None = None) -> str:
    """A metric, or `part` of a histogram, with its label matchers.

    Raises:
        ValueError: the metric has no such label, or the label no such value.
    """
    matchers = [scope] if scope else []
    matchers += [_matcher(metric, label, values) for label, values in (labels or {}).items()]
    return f"{metric.full_name}{part}" + (f"{{{','.join(matchers)}}}" if matchers else "")


def _matcher(metric: Metric, label: str, wanted: Values) -> str:
    if label not in metric.labels:
        raise ValueError(f"{metric.full_name} has no label {label}")
    negative = isinstance(wanted, Not)
    values = (wanted,) if isinstance(wanted, str) else wanted.values if isinstance(wanted, Not) else wanted
    unknown = sorted(set(values) - set(metric.labels[label]))
    if unknown:
        raise ValueError(f"{metric.full_name} has no {label} {', '.join(unknown)}")
    if len(values) == 1:
        return f'{label}{"!=" if negative else "="}"{values[0]}"'
    return f'{label}{"!~" if negative else "=~"}"{"|".join(values)}"'


def _need(metric: Metric, *kinds: Kind) -> None:
    if metric.kind not in kinds:
        raise ValueError(f"{metric.full_name} is a {metric.kind}")


def aggregate(how: str, expression: str, *by: str) -> str:
    """`sum by (a, b) (expression)`."""
    return f"{how} by ({', '.join(by)}) ({expression})" if by else f"{how}({expression})"


def rate(metric: Metric, *by: str, window: str = WINDOW, offset: str = "", scope: str = NODES, **labels: Values) -> str:
    """How often per second."""
    return _over("rate", metric, *by, window=window, offset=offset, scope=scope, **labels)


def increase(
    metric: Metric, *by: str, window: str = WINDOW, offset: str = "", scope: str = NODES, **labels: Values
) -> str:
    """How often in the window."""
    return _over("increase", metric, *by, window=window, offset=offset, scope=scope, **labels)


def appeared(metric: Metric, *by: str, window: str = WINDOW, scope: str = NODES, **labels: Values) -> str:
    """How often in the window, for series that begin with their first event: `increase` does not see that one."""
    _need(metric, Kind.COUNTER)
    series = selector(metric, scope=scope, labels=labels)
    return aggregate("sum", f"({series} unless {series} offset {window}) or increase({series}[{window}])", *by)


def _over(
    function: str, metric: Metric, *by: str, window: str, offset: str = "", scope: str = NODES, **labels: Values
) -> str:
    _need(metric, Kind.COUNTER)
    shifted = f" offset {offset}" if offset else ""
    return aggregate("sum", f"{function}({selector(metric, scope=scope, labels=labels)}[{window}]{shifted})", *by)


def gauge(metric: Metric, *by: str, how: str = "sum", offset: str = "", scope: str = NODES, **labels: Values) -> str:
    """A gauge over the nodes, aggregated `how`."""
    _need(metric, Kind.GAUGE)
    shifted = f" offset {offset}" if offset else ""
    return aggregate(how, selector(metric, scope=scope, labels=labels) + shifted, *by)


def quantile(q: float, histogram: Metric, *by: str, window: str = WINDOW, scope: str = NODES, **labels: Values) -> str:
    """A quantile of a histogram; NaN where nothing was observed."""
    return f"histogram_quantile({q:g}, {buckets(histogram, *by, window=window, scope=scope, **labels)})"


def buckets(histogram: Metric, *by: str, window: str = WINDOW, scope: str = NODES, **labels: Values) -> str:
    """The buckets of a histogram, as rates."""
    _need(histogram, Kind.HISTOGRAM)
    return aggregate(
        "sum", f"rate({selector(histogram, part='_bucket', scope=scope, labels=labels)}[{window}])", "le", *by
    )


def observed(histogram: Metric, part: str, *by: str, window: str = WINDOW, scope: str = NODES, **labels: Values) -> str:
    """The rate of a histogram's `sum` or `count`."""
    _need(histogram, Kind.HISTOGRAM)
    return aggregate("sum", f"rate({selector(histogram, part=f'_{part}', scope=scope, labels=labels)}[{window}])", *by)


def mean(histogram: Metric, *by: str, window: str = WINDOW, scope: str = NODES, **labels: Values) -> str:
    """The mean of what a histogram observed; NaN where nothing was."""
    total = observed(histogram, "sum", *by, window=window, scope=scope, **labels)
    count = observed(histogram, "count", *by, window=window, scope=scope, **labels)
    return f"{total} / {count}"


def process(name: str, scope: str = NODES) -> str:
    """One of the process metrics that every Prometheus client has.

    Raises:
        ValueError: there is none of this name.
    """
    if name not in PROCESS_METRICS:
        raise ValueError(f"no process metric {name}")
    return f"{name}{{{scope}}}"


def quiet(expression: str, calm: str = "0") -> str:
    """The expression, or `calm` while nodes answer and it has nothing to say; nothing when no node answers."""
    return f"({expression}) or ({calm} + 0 * ({NODES_UP} > 0))"


def ratio(part: str, whole: str) -> str:
    """The share of `part` in `whole` over all nodes: 0 without traffic, nothing when no node answers."""
    return quiet(f"({quiet(part)}) / (({whole}) > 0)")


def ratio_by(part: str, whole: str, *by: str) -> str:
    """As `ratio` for each value of a label: 0 where there was traffic and no such part, nothing without traffic."""
    on = f"on ({', '.join(by)})"
    return f"(({part}) or {on} 0 * ({whole})) / {on} (({whole}) > 0)"


# --- the recording rules; `grafana/rules.py` declares them, a test holds the two together ---


def recorded(name: str, *by: str) -> str:
    """A recording rule of the chosen jobs; the worst of them where there are several."""
    return aggregate("max", f'signalling:{name}{{job=~"$job"}}', *by)


def burn_rate(window: str) -> str:
    """How many times faster than allowed each SLO's error budget burns; the rules give 0 without traffic."""
    return (
        f"{recorded(f'slo_error_ratio:rate{window}', 'slo')} / on (slo) (1 - max by (slo) (signalling:slo_objective))"
    )


def budget_left() -> str:
    """The share of each SLO's error budget of 30 days that is left; below 0 the SLO is missed."""
    return f"1 - {burn_rate('30d')}"
