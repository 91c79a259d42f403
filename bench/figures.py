"""The arithmetic of the comparison: percentiles, medians over rounds, the table."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import NamedTuple

Figures = Mapping[str, float]
"""What one round measured of one server, by the figure's name."""


class Row(NamedTuple):
    """One figure of both servers."""

    name: str
    ours: float
    node: float
    ratio: float
    """Ours over Node's: the median of the rounds' own ratios, since what disturbs a round disturbs both its halves.

    Not a number where Node's figure is nothing, as the memory of a few connections can be.
    """
    lowest: float
    highest: float


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def compare(ours: Sequence[Figures], node: Sequence[Figures]) -> list[Row]:
    """A row for each figure, from as many rounds of the one as of the other."""
    return [_row(name, [each[name] for each in ours], [each[name] for each in node]) for name in ours[0]]


def _row(name: str, ours: list[float], node: list[float]) -> Row:
    ratios = [mine / theirs if theirs else math.nan for mine, theirs in zip(ours, node, strict=True)]
    median = statistics.median
    return Row(name, median(ours), median(node), median(ratios), min(ratios), max(ratios))


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    lines = [
        f"| {row.name} | {_number(row.ours)} | {_number(row.node)} | {row.ratio:.2f} |"
        f" {row.lowest:.2f} to {row.highest:.2f} |"
        for row in rows
    ]
    return "\n".join(["| figure | ours | Node | ours/Node | over the rounds |", "|---|--:|--:|--:|--:|", *lines])


def _number(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
