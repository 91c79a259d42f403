"""The arithmetic of the comparison: percentiles, medians over rounds, the table."""

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

Figures = Mapping[str, float]
"""What one round measured of one server, by the figure's name."""


class Row(NamedTuple):
    """One figure of all servers."""

    name: str
    medians: Mapping[str, float]
    """By server. Not a number where it was not measured."""
    ratio: float
    """The first server's over the second's: the median of the rounds' own ratios, since what disturbs a round disturbs
    both its halves.

    Not a number where the second's figure is nothing, as the memory of a few connections can be.
    """
    lowest: float
    highest: float


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least this share of the values does not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def compare(rounds: Mapping[str, Sequence[Figures]]) -> list[Row]:
    """A row for each figure of the first server. Every server has as many rounds."""
    mine, theirs = list(rounds.values())[:2]
    return [_row(name, rounds, zip(mine, theirs, strict=True)) for name in mine[0]]


def _row(name: str, rounds: Mapping[str, Sequence[Figures]], pairs: Iterable[tuple[Figures, Figures]]) -> Row:
    medians = {
        server: statistics.median(figures.get(name, math.nan) for figures in each) for server, each in rounds.items()
    }
    ratios = [mine[name] / theirs[name] if theirs[name] else math.nan for mine, theirs in pairs]
    return Row(name, medians, statistics.median(ratios), min(ratios), max(ratios))


def table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table."""
    first, second, *further = rows[0].medians
    header = _line("figure", first, second, f"{first}/{second}", "over the rounds", *further)
    return "\n".join([header, "|---" + "|--:" * (4 + len(further)) + "|", *map(_of_row, rows)])


def _of_row(row: Row) -> str:
    first, second, *further = (_number(value) for value in row.medians.values())
    ratio = ("-", "-") if math.isnan(row.ratio) else (f"{row.ratio:.2f}", f"{row.lowest:.2f} to {row.highest:.2f}")
    return _line(row.name, first, second, *ratio, *further)


def _line(*cells: str) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
