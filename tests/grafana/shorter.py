"""The generated rules and routes with time made shorter, so that a test need not wait as long as people do.

A minute becomes a second. That holds for every duration in the files: `for`, `interval`, windows such as `[5m]`,
offsets, Alertmanager's waits. It also holds for a number of seconds that an expression multiplies or divides by, since
that is the length of a window or an interval. Thresholds stay: those on wall time (`> 10` seconds of silence), shares,
counts. So do names, texts and labels, though some speak of the longer times.
"""

import re
from pathlib import Path
from typing import Any

import yaml

FACTOR = 60
_UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_DURATION = re.compile(r"^(\d+)([smhdw])$")
_WINDOW = re.compile(r"(?<=\[)\d+[smhdw](?=\])|(?<=offset )\d+[smhdw]\b")
_SECONDS = re.compile(r"(?<=[*/] )\d{2,}(?![\w.])")


def duration(text: str) -> str:
    """A duration of Prometheus or Alertmanager, shorter."""
    match = _DURATION.match(text)
    assert match is not None, text
    return f"{int(match[1]) * _UNITS_S[match[2]] * 1000 // FACTOR}ms"


def expression(expr: str) -> str:
    """A query with shorter windows, offsets and numbers of seconds."""
    expr = _WINDOW.sub(lambda match: duration(match[0]), expr)
    return _SECONDS.sub(lambda match: f"{int(match[0]) / FACTOR:.12g}", expr)


def rules(text: str) -> str:
    """A file of rules with shorter times."""
    return str(yaml.safe_dump(_shorter(yaml.safe_load(text), {"for", "keep_firing_for", "interval"})))


def routes(text: str) -> str:
    """Alertmanager's configuration with shorter waits."""
    return str(yaml.safe_dump(_shorter(yaml.safe_load(text), {"group_wait", "group_interval", "repeat_interval"})))


def write_rules(source: Path, target: Path) -> None:
    """All files of rules of a folder, shorter, into another."""
    target.mkdir(exist_ok=True)
    for path in source.glob("*.rules.yml"):
        (target / path.name).write_text(rules(path.read_text("utf-8")), "utf-8")


def _shorter(node: Any, durations: set[str]) -> Any:
    if isinstance(node, list):
        return [_shorter(each, durations) for each in node]
    if not isinstance(node, dict):
        return node
    return {key: _value(key, value, durations) for key, value in node.items()}


def _value(key: str, value: Any, durations: set[str]) -> Any:
    if key in durations:
        return duration(value)
    return expression(value) if key == "expr" else _shorter(value, durations)
