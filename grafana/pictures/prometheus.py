"""Asks Prometheus what the dashboards ask, with values in place of Grafana's variables."""

import json
import math
import re
import urllib.parse
import urllib.request
from typing import Any, NamedTuple

Json = dict[str, Any]
_LABEL_VALUES = re.compile(r"^label_values\((.+), (\w+)\)$")
POINTS = 300
"""Samples in a graph."""


class PrometheusError(Exception):
    """Prometheus refused a query."""


class Series(NamedTuple):
    """One line: its labels and its samples as (Unix time, value)."""

    labels: dict[str, str]
    samples: list[tuple[float, float]]

    @property
    def last(self) -> float | None:
        """The last value that is a number; NaN if there is none but NaN; None without samples."""
        numbers = [value for _, value in self.samples if not math.isnan(value)]
        if numbers:
            return numbers[-1]
        return math.nan if self.samples else None


class Source:
    """One Prometheus and one stretch of time."""

    def __init__(self, url: str, start: float, end: float, scrape_interval_s: float) -> None:
        self.start, self.end = start, end
        self.step = max(scrape_interval_s, math.ceil((end - start) / POINTS))
        self.variables = {
            "$__rate_interval": f"{math.ceil(max(4 * scrape_interval_s, self.step))}s",
            "$__range": f"{math.ceil(end - start)}s",
        }
        self._url = url.rstrip("/")

    def choose(self, variables: list[Json]) -> None:
        """Take for each variable what Grafana's `All` would."""
        for variable in variables:
            if variable["type"] == "query":
                values = self._label_values(variable["query"]["query"])
                everything = "|".join(re.escape(value).replace("\\", "\\\\") for value in values)
                self.variables[f"${variable['name']}"] = variable.get("allValue") or everything

    def _label_values(self, query: str) -> list[str]:
        match = _LABEL_VALUES.match(query)
        if match is None:
            raise PrometheusError(f"not understood: {query}")
        return sorted(series.labels[match[2]] for series in self.instant(f"group by ({match[2]}) ({match[1]})"))

    def ask(self, target: Json) -> list[Series]:
        """What a panel's target gets."""
        return self.instant(target["expr"]) if target["instant"] else self.range(target["expr"])

    def instant(self, expr: str) -> list[Series]:
        """The values at the end."""
        found = self._get("query", query=self._fill(expr), time=self.end)
        return [Series(each["metric"], _samples([each["value"]])) for each in found]

    def range(self, expr: str) -> list[Series]:
        """The values over time."""
        found = self._get("query_range", query=self._fill(expr), start=self.start, end=self.end, step=self.step)
        return [Series(each["metric"], _samples(each["values"])) for each in found]

    def _fill(self, expr: str) -> str:
        for name, value in self.variables.items():
            expr = expr.replace(name, value)
        return expr

    def _get(self, what: str, **parameters: str | float) -> list[Json]:
        body = urllib.parse.urlencode(parameters).encode()
        request = urllib.request.Request(f"{self._url}/api/v1/{what}", data=body)  # noqa: S310 - http, as asked for
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
                found: list[Json] = json.load(answer)["data"]["result"]
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{parameters['query']}: {error.read().decode()}") from error
        return found


def _samples(values: list[list[Any]]) -> list[tuple[float, float]]:
    return [(float(time), float(value)) for time, value in values]
