"""Counters, gauges and histograms that cost next to nothing to move, collected by prometheus-client.

One thread writes (the event loop's), any thread may read: a scrape may see a histogram between two of its
additions, never a torn number. prometheus-client's own instruments take a lock and walk the buckets; docs/adr/0010
has the measurement that made these worth having.
"""

import itertools
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from observability.catalogue import ERROR_TYPES_AT_MOST, OTHER
from observability.metric import Kind, Metric

LabelValues = tuple[str, ...]


class _Number:
    """One value: move `value`, or set `read` for what something else knows and is looked up at each scrape."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0.0
        self.read: Callable[[], float] | None = None

    def now(self) -> float:
        """The value at this moment."""
        return self.value if self.read is None else self.read()


class Counter(_Number):
    """Counts up. Never add a negative number."""

    __slots__ = ()


class Gauge(_Number):
    """Goes up and down."""

    __slots__ = ()


class Histogram:
    """Sorts observations into buckets, and remembers one exemplar for each bucket."""

    __slots__ = ("bounds", "counts", "exemplars", "sum")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.sum = 0.0
        self.exemplars: dict[int, Exemplar] = {}

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)

    def observe(self, value: float) -> None:
        """Add an observation, in the metric's unit."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def observe_traced(self, value: float, trace_id: str) -> None:
        """Add an observation whose trace is certain to be kept."""
        self.observe(value)
        self.exemplars[bisect_left(self.bounds, value)] = Exemplar({"trace_id": trace_id}, value, time.time())


Instrument = Counter | Gauge | Histogram


class _Series(NamedTuple):
    metric: Metric
    children: dict[LabelValues, Instrument]


class Instruments(Collector):
    """The instruments of a set of metrics.

    All children of closed label sets are there from the start, at zero: a counter that first appears at 1 has no
    rate. Others are made on first use. Whoever moves a child on a hot path keeps it.

    A child whose label values are not among the metric's closed ones is counted under `_OTHER`, so that no bug
    can open the set. (`error_type` is closed by its number, `build_info` by being set once.)
    """

    def __init__(self, metrics: Iterable[Metric]) -> None:
        self._series = {metric.name: _Series(metric, {}) for metric in metrics}
        for series in self._series.values():
            for labels in itertools.product(*series.metric.labels.values()):
                if "" not in labels:  # a set that is closed by other means
                    self._child(series, labels)

    def counter(self, metric: Metric, *labels: str) -> Counter:
        """The counter of these label values, in the order of the metric's labels."""
        child = self._child(self._series[metric.name], labels)
        assert isinstance(child, Counter)  # noqa: S101 - the catalogue says which kind it is
        return child

    def gauge(self, metric: Metric, *labels: str) -> Gauge:
        """The gauge of these label values."""
        child = self._child(self._series[metric.name], labels)
        assert isinstance(child, Gauge)  # noqa: S101 - the catalogue says which kind it is
        return child

    def histogram(self, metric: Metric, *labels: str) -> Histogram:
        """The histogram of these label values."""
        child = self._child(self._series[metric.name], labels)
        assert isinstance(child, Histogram)  # noqa: S101 - the catalogue says which kind it is
        return child

    def collect(self) -> Iterator[Family]:
        """All series, for a scrape; from any thread."""
        for series in tuple(self._series.values()):
            yield _family(series.metric, dict(series.children))

    def registry(self) -> CollectorRegistry:
        """A registry of prometheus-client with these instruments in it."""
        registry = CollectorRegistry()
        registry.register(self)
        return registry

    def _child(self, series: _Series, labels: LabelValues) -> Instrument:
        child = series.children.get(labels)
        if child is None:
            labels = _closed(series, labels)
            child = series.children.get(labels)
            if child is None:
                child = series.children[labels] = _new(series.metric)
        return child


def _new(metric: Metric) -> Instrument:
    if metric.kind is Kind.COUNTER:
        return Counter()
    return Gauge() if metric.kind is Kind.GAUGE else Histogram(metric.buckets)


def _closed(series: _Series, labels: LabelValues) -> LabelValues:
    names = tuple(series.metric.labels)
    if len(labels) != len(names):
        raise ValueError(f"{series.metric.full_name} has the labels {names}")
    return tuple(
        value if _is_known(series, name, place, value) else OTHER
        for place, (name, value) in enumerate(zip(names, labels, strict=True))
    )


def _is_known(series: _Series, name: str, place: int, value: str) -> bool:
    known = series.metric.labels[name]
    if name != "error_type":
        return known == ("",) or value in known
    seen = {labels[place] for labels in series.children}
    return value in seen or len(seen) < ERROR_TYPES_AT_MOST


def _family(metric: Metric, children: Mapping[LabelValues, Instrument]) -> Family:
    names = tuple(metric.labels)
    if metric.kind is Kind.COUNTER:
        counters = CounterMetricFamily(metric.full_name, metric.help, labels=names)
        for labels, child in children.items():
            counters.add_metric(labels, child.now() if isinstance(child, Counter) else 0.0)
        return counters
    if metric.kind is Kind.GAUGE:
        gauges = GaugeMetricFamily(metric.full_name, metric.help, labels=names)
        for labels, child in children.items():
            gauges.add_metric(labels, child.now() if isinstance(child, Gauge) else 0.0)
        return gauges
    histograms = HistogramMetricFamily(metric.full_name, metric.help, labels=names)
    for labels, child in children.items():
        if isinstance(child, Histogram):
            histograms.add_metric(labels, _buckets(child), child.sum)
    return histograms


def _buckets(histogram: Histogram) -> "list[tuple[str, float] | tuple[str, float, Exemplar]]":
    total, buckets = 0, list[tuple[str, float] | tuple[str, float, Exemplar]]()
    exemplars = dict(histogram.exemplars)
    for place, (bound, count) in enumerate(zip((*histogram.bounds, None), tuple(histogram.counts), strict=True)):
        total += count
        le = "+Inf" if bound is None else str(bound)
        exemplar = exemplars.get(place)
        buckets.append((le, float(total)) if exemplar is None else (le, float(total), exemplar))
    return buckets
