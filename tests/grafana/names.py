"""Whether what a query asks for exists: in the catalogue, in the recording rules, or in Prometheus itself."""

from collections.abc import Iterator

from grafana.rules import GROUPS
from observability.catalogue import BY_NAME, PROCESS_METRICS, Kind, Metric
from tests.grafana.promql import Selector, parse

TARGET_LABELS = frozenset({"job", "instance"})
RECORDED = {rule.name: rule for _, rules in GROUPS for rule in rules}
PARTS = ("_bucket", "_sum", "_count")
OPEN_LABELS = frozenset({"error_type", "version", "revision", "python"})
"""Labels whose values are closed by their number or set once, not by a list."""
OF_PROMETHEUS = frozenset({"up", "scrape_samples_scraped"})
OF_HAPROXY = {"haproxy_server_status": frozenset({"proxy", "server", "state"})}
"""What HAProxy's own exporter says, with its labels; a test of the front reads it from a real one."""


def metric_of(name: str) -> tuple[Metric, str] | None:
    """The catalogue's metric behind a scraped name, and which part of a histogram it is."""
    if name in BY_NAME and BY_NAME[name].kind is not Kind.HISTOGRAM:
        return BY_NAME[name], ""
    for part in PARTS:
        base = BY_NAME.get(name.removesuffix(part)) if name.endswith(part) else None
        if base is not None and base.kind is Kind.HISTOGRAM:
            return base, part
    return None


def problems(query: str) -> list[str]:
    """What a query asks for that does not exist."""
    parsed = parse(query)
    found = [problem for selector in parsed.selectors for problem in _problems(selector)]
    known = {"le", "slo"} | TARGET_LABELS | {label for name in used(query) for label in BY_NAME[name].labels}
    known = known.union(*(OF_HAPROXY.get(selector.name, ()) for selector in parsed.selectors))
    return found + [f"no metric here has the label {label}" for label in sorted(parsed.grouping - known)]


def used(query: str) -> set[str]:
    """The catalogue's metrics in a query, by their full names."""
    found = (metric_of(selector.name) for selector in parse(query).selectors)
    return {pair[0].full_name for pair in found if pair is not None}


def _problems(selector: Selector) -> Iterator[str]:
    name = selector.name
    if name in RECORDED:
        yield from _unknown_labels(selector, TARGET_LABELS | {"slo"})
    elif name in OF_PROMETHEUS or name in PROCESS_METRICS:
        yield from _unknown_labels(selector, TARGET_LABELS)
    elif name in OF_HAPROXY:
        yield from _unknown_labels(selector, TARGET_LABELS | OF_HAPROXY[name])
    elif (pair := metric_of(name)) is not None:
        yield from _catalogue_problems(selector, *pair)
    else:
        yield f"{name or 'a selector without a name'} does not exist"


def _unknown_labels(selector: Selector, known: frozenset[str]) -> Iterator[str]:
    for matcher in selector.matchers:
        if matcher.label not in known:
            yield f"{selector.name} has no label {matcher.label}"


def _catalogue_problems(selector: Selector, metric: Metric, part: str) -> Iterator[str]:
    bounds = {str(bound) for bound in metric.buckets} | {"+Inf"} if part == "_bucket" else set()
    yield from _unknown_labels(
        selector, TARGET_LABELS | frozenset(metric.labels) | (frozenset({"le"}) if bounds else frozenset())
    )
    for matcher in selector.matchers:
        allowed = bounds if matcher.label == "le" else set(metric.labels.get(matcher.label, ()))
        if not allowed or matcher.label in OPEN_LABELS:
            continue
        for value in matcher.alternatives():
            if value not in allowed:
                yield f"{metric.full_name} has no {matcher.label} {value!r}"
