"""Panels over time as SVG: lines, stacks, heatmaps and lanes."""

import html
import itertools
import math
import time
from typing import Any, NamedTuple

from grafana.pictures.prometheus import Series
from grafana.pictures.words import COLORS, PALETTE, color, written

Json = dict[str, Any]
LEFT, BOTTOM, TOP = 62, 20, 6
_TICKS = 4


class Line(NamedTuple):
    """A named series."""

    name: str
    series: Series


class Frame(NamedTuple):
    """Where a drawing stands, and what it spans."""

    width: float
    height: float
    start: float
    end: float
    low: float = 0
    high: float = 1

    def x(self, at: float) -> float:
        """The place of a time."""
        return LEFT + (at - self.start) / (self.end - self.start) * (self.width - LEFT - 8)

    def y(self, value: float) -> float:
        """The place of a value."""
        share = (value - self.low) / (self.high - self.low)
        return TOP + (1 - share) * (self.height - TOP - BOTTOM)


def svg(frame: Frame, body: list[str]) -> str:
    """The drawing as an element."""
    return f'<svg width="{frame.width:.0f}" height="{frame.height:.0f}">{"".join(body)}</svg>'


def _text(x: float, y: float, text: str, anchor: str = "end") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{html.escape(text)}</text>'


def _rule(x1: float, y1: float, x2: float, y2: float, style: str) -> str:
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" {style}/>'


def _clock(frame: Frame) -> list[str]:
    body = []
    for number in range(6):
        at = frame.start + (number + 0.5) * (frame.end - frame.start) / 6
        body.append(_text(frame.x(at), frame.height - 4, time.strftime("%H:%M", time.gmtime(at)), "middle"))
        body.append(_rule(frame.x(at), TOP, frame.x(at), frame.height - BOTTOM, 'class="grid"'))
    return body


def _nice(value: float) -> float:
    """The round number at or above a value, so that the axis has round numbers."""
    if value <= 0:
        return 1 / _TICKS
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value * 0.999)


def _finite(series: Series) -> list[tuple[float, float]]:
    return [(at, value) for at, value in series.samples if math.isfinite(value)]


def lines(panel: Json, found: list[Line], frame: Frame, marks: list[float]) -> str:
    """A time series panel: a line, or a layer of the stack, for each series."""
    config = panel["fieldConfig"]["defaults"]
    stacked = config["custom"]["stacking"]["mode"] == "normal"
    layers = _stack(found) if stacked else [(line.name, _finite(line.series), []) for line in found]
    unit = "none" if config["unit"].startswith("suffix:") else config["unit"]
    top = max((value for _, points, _ in layers for _, value in points), default=0)
    step = _nice(top / _TICKS)
    most: float = config.get("max", math.inf)
    frame = frame._replace(high=min(step * _TICKS, most) if top <= most else top)
    body = _clock(frame)
    for number in range(_TICKS + 1):
        value = frame.high * number / _TICKS
        body.append(_rule(LEFT, frame.y(value), frame.width - 8, frame.y(value), 'class="grid"'))
        body.append(_text(LEFT - 6, frame.y(value) + 4, written(value, unit)))
    body += [_rule(frame.x(at), TOP, frame.x(at), frame.height - BOTTOM, 'class="mark"') for at in marks]
    for number, (_, points, below) in enumerate(layers):
        body += _layer(points, below, PALETTE[number % len(PALETTE)], frame, stacked=stacked)
    if config["custom"]["thresholdsStyle"]["mode"] == "dashed":
        body += _thresholds(config, frame)
    return svg(frame, body)


def _stack(found: list[Line]) -> list[tuple[str, list[tuple[float, float]], list[tuple[float, float]]]]:
    height: dict[float, float] = {}
    layers = []
    for line in found:
        points = _finite(line.series)
        below = [(at, height.get(at, 0.0)) for at, _ in points]
        for at, value in points:
            height[at] = height.get(at, 0.0) + value
        layers.append((line.name, [(at, height[at]) for at, _ in points], below))
    return layers


def _layer(
    points: list[tuple[float, float]], below: list[tuple[float, float]], ink: str, frame: Frame, *, stacked: bool
) -> list[str]:
    if not points:
        return []
    path = " ".join(f"{frame.x(at):.1f},{frame.y(value):.1f}" for at, value in points)
    body = []
    if stacked:
        back = " ".join(f"{frame.x(at):.1f},{frame.y(value):.1f}" for at, value in reversed(below))
        body.append(f'<polygon points="{path} {back}" fill="{ink}" fill-opacity="0.35"/>')
    return [*body, f'<polyline points="{path}" fill="none" stroke="{ink}" stroke-width="1.4"/>']


def _thresholds(config: Json, frame: Frame) -> list[str]:
    return [
        _rule(
            LEFT,
            frame.y(step["value"]),
            frame.width - 8,
            frame.y(step["value"]),
            f'stroke="{COLORS[step["color"]]}" stroke-dasharray="6 5" stroke-opacity="0.9"',
        )
        for step in config["thresholds"]["steps"]
        if step["value"] is not None and frame.low < step["value"] <= frame.high
    ]


def heat(panel: Json, found: list[Line], frame: Frame) -> str:
    """A heatmap of a histogram's cumulative buckets."""
    unit = panel["fieldConfig"]["defaults"]["unit"]
    by_bound = sorted((float(line.series.labels["le"]), dict(_finite(line.series))) for line in found)
    cells: list[tuple[int, float, float]] = []
    lower: dict[float, float] = {}
    for row, (_, samples) in enumerate(by_bound):
        cells += [(row, at, value - lower.get(at, 0.0)) for at, value in samples.items()]
        lower = samples
    most = max((value for _, _, value in cells), default=0) or 1
    times = sorted({at for _, at, _ in cells})
    width = max(1.5, (frame.width - LEFT) / max(len(times), 1))
    frame = frame._replace(high=max(len(by_bound), 1))
    tall = frame.y(0) - frame.y(1)
    body = _clock(frame)
    for row, at, value in cells:
        if value > 1e-9:  # noqa: PLR2004 - the same noise that the panel filters
            shade = 0.15 + 0.85 * (value / most) ** 0.5
            place = f'x="{frame.x(at) - width:.1f}" y="{frame.y(row + 1):.1f}" width="{width:.2f}" height="{tall:.1f}"'
            body.append(f'<rect {place} fill="#ff9830" fill-opacity="{shade:.2f}"/>')
    every = max(1, math.ceil(len(by_bound) / 7))
    for row, (bound, _) in enumerate(by_bound):
        if row % every == 0:
            body.append(_text(LEFT - 6, frame.y(row + 1) + 5, "∞" if math.isinf(bound) else written(bound, unit)))
    return svg(frame, body)


def lanes(panel: Json, found: list[Line], frame: Frame) -> str:
    """A state timeline: a lane for each series, coloured by its thresholds."""
    defaults = panel["fieldConfig"]["defaults"]
    frame = frame._replace(high=max(len(found), 1))
    left = 120
    scale = (frame.width - left - 8) / (frame.end - frame.start)
    tall = frame.y(0) - frame.y(1)
    body = []
    for row, line in enumerate(found):
        top = frame.y(len(found) - row) + 2
        body.append(_text(left - 6, top + tall / 2 + 3, line.name))
        samples = line.series.samples
        step = min((b[0] - a[0] for a, b in itertools.pairwise(samples)), default=60)
        for at, value in samples:
            place = f'x="{left + (at - frame.start) * scale:.1f}" width="{step * scale + 0.6:.2f}"'
            ink = color(value, defaults)
            body.append(f'<rect {place} y="{top:.1f}" height="{tall - 5:.1f}" fill="{ink}" fill-opacity="0.8"/>')
    for number in range(6):
        at = frame.start + (number + 0.5) * (frame.end - frame.start) / 6
        body.append(
            _text(
                left + (at - frame.start) * scale, frame.height - 4, time.strftime("%H:%M", time.gmtime(at)), "middle"
            )
        )
    return svg(frame, body)
