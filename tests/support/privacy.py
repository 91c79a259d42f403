"""What a server may have told of its clients, checked over everything that a run of the suite made it say."""

import json
import re
import urllib.request

from observability import catalogue as c
from tests.support.server import Server

LINE_FIELDS = frozenset(
    {"time", "level", "message", "logger", "event", "outcome", "trace_id", "span_id", "error_type", "count"}
    | {"media", "glare", "result", "reason", "fault", "ended_in", "lasted_s", "stage"}
)
"""Every field of a log line. `exception` is missing: a run of the suite makes a healthy server log none."""

_CLOSED = frozenset(value for metric in c.METRICS for values in metric.labels.values() for value in values)
_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
_OWN_WORDS = ("message", "time", "level", "logger")


def assert_nothing_private(server: Server) -> None:
    """Hold the log and the metrics of a server against what may be in them."""
    for line in map(json.loads, server.log.read_text().splitlines()):
        assert set(line) <= LINE_FIELDS, line
        for field, value in line.items():
            if isinstance(value, str) and field not in _OWN_WORDS:
                assert value in _CLOSED or _ID.fullmatch(value), line
    with urllib.request.urlopen(server.metrics_url, timeout=10) as answer:  # noqa: S310 - loopback
        scrape = answer.read().decode()
    for name, labels in re.findall(r"(?m)^(signalling_\w+)\{(.*)\} ", scrape):
        if name != c.BUILD_INFO.full_name:
            for label, value in re.findall(r'(\w+)="([^"]*)"', labels):
                assert label == "le" or value in _CLOSED, (name, labels)
