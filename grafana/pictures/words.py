"""Values as Grafana writes them, their colours, and the names of series."""

import math
import re
import time
from collections.abc import Callable
from typing import Any

Json = dict[str, Any]

COLORS = {
    "green": "#73bf69",
    "yellow": "#fade2a",
    "orange": "#ff9830",
    "red": "#f2495c",
    "blue": "#5794f2",
    "purple": "#b877d9",
    "text": "#8e8e8e",
}
PALETTE = (
    "#7eb26d",
    "#eab839",
    "#6ed0e0",
    "#ef843c",
    "#e24d42",
    "#1f78c1",
    "#ba43a9",
    "#705da0",
    "#508642",
    "#cca300",
    "#447ebc",
    "#c15c17",
)
_SCALES = {"bytes": (" B", " KiB", " MiB", " GiB"), "Bps": (" B/s", " kB/s", " MB/s", " GB/s")}
_PARTS = ((1, "s"), (1e-3, "ms"), (1e-6, "µs"))
_LONG = ((365.25 * 86_400, "years"), (7 * 86_400, "weeks"), (86_400, "days"), (3600, "hours"), (60, "mins"))


def written(value: float | None, unit: str, decimals: int | None = None) -> str:
    """The value with its unit."""
    if value is None or math.isnan(value):
        return "" if value is None else "no traffic"
    if unit in _SCALES:
        return _scaled(value, unit)
    writers: dict[str, Callable[[], str]] = {
        "s": lambda: _duration(value, decimals),
        "percentunit": lambda: _number(value * 100, decimals) + "%",
        "dateTimeFromNow": lambda: f"{_duration(time.time() - value / 1000, 0)} ago",
    }
    plain = unit.removeprefix("suffix:") if unit.startswith("suffix:") else ""
    return writers[unit]() if unit in writers else _number(value, decimals) + plain


def _number(value: float, decimals: int | None) -> str:
    if decimals is not None:
        return f"{value:.{decimals}f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value)))) if value else 0
    text = f"{value:.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _duration(seconds: float, decimals: int | None) -> str:
    for size, name in _LONG:
        if abs(seconds) >= size:
            return f"{_number(seconds / size, decimals or 1)} {name}"
    for size, name in _PARTS:
        if abs(seconds) >= size or (size, name) == _PARTS[-1]:
            return f"{_number(seconds / size, decimals)} {name}" if seconds else "0 s"
    return ""


def _scaled(value: float, unit: str) -> str:
    base = 1024 if unit == "bytes" else 1000
    power = min(int(math.log(abs(value), base)), 3) if abs(value) >= 1 else 0
    return _number(value / base**power, None) + _SCALES[unit][power]


def color(value: float | None, defaults: Json) -> str:
    """The colour of a value by its thresholds; grey for nothing."""
    if value is None or math.isnan(value):
        return COLORS["text"]
    for mapping in defaults.get("mappings", []):
        if mapping["type"] == "value" and f"{value:g}" in mapping["options"]:
            return COLORS[mapping["options"][f"{value:g}"]["color"]]
    steps = defaults["thresholds"]["steps"]
    return COLORS[[step["color"] for step in steps if step["value"] is None or value >= step["value"]][-1]]


def name(target: Json, labels: dict[str, str], otherwise: str) -> str:
    """What a series is called."""
    legend: str = target["legendFormat"]
    if legend == "__auto":
        return ", ".join(labels.values()) or otherwise
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend).strip()
