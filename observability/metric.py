"""What a metric is, as the catalogue declares it."""

from collections.abc import Mapping
from typing import NamedTuple

from service.domain.words import Word

PREFIX = "signalling_"


class Kind(Word):
    """What Prometheus makes of a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


class Metric(NamedTuple):
    """One metric. `name` is without the prefix; `labels` maps each label to its closed values.

    The empty value stands for a set that is closed by other means: build facts, which are set once, and exception
    types, of which `ERROR_TYPES_AT_MOST` get series of their own.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: Mapping[str, tuple[str, ...]]
    buckets: tuple[float, ...] = ()
    since: str = "0.1.0"

    @property
    def full_name(self) -> str:
        """The name as it is scraped and queried."""
        return PREFIX + self.name

    @property
    def series(self) -> int:
        """How many time series the metric can have at the most."""
        combinations = 1
        for values in self.labels.values():
            combinations *= len(values)
        return combinations * (len(self.buckets) + 3 if self.kind is Kind.HISTOGRAM else 1)


HISTOGRAM_UNITS = {
    "_bytes": "bytes",
    "_bytes_per_second": "bytes per second",
    "_seconds": "seconds",
    "_ratio": "ratio",
    "_batch_size": "messages",
}
"""The unit of a histogram, by how its name ends."""


def counter(name: str, help_: str, **labels: tuple[str, ...]) -> Metric:
    """A metric that counts up."""
    unit = "bytes" if name.endswith("_bytes_total") else "1"
    return Metric(name, Kind.COUNTER, unit, help_, labels)


def gauge(name: str, unit: str, help_: str, **labels: tuple[str, ...]) -> Metric:
    """A metric that goes up and down."""
    return Metric(name, Kind.GAUGE, unit, help_, labels)


def histogram(name: str, help_: str, buckets: tuple[float, ...], **labels: tuple[str, ...]) -> Metric:
    """A metric that sorts observations into buckets; its unit is how its name ends."""
    unit = next(unit for suffix, unit in HISTOGRAM_UNITS.items() if name.endswith(suffix))
    return Metric(name, Kind.HISTOGRAM, unit, help_, labels, buckets)
