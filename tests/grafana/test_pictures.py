"""Real nodes, real calls, a real Prometheus: the dashboards' queries get answers, and a picture is made of them.

Two nodes on one Redis behind the shipped HAProxy: users are spread over both, so that calls pass between them.
"""

import asyncio
import contextlib
import math
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import socketio

from grafana.alert_types import JOB, PROBE_JOB
from grafana.build import GENERATED
from grafana.pictures.__main__ import main
from grafana.pictures.prometheus import PrometheusError, Source
from tests.front.support import running_site
from tests.grafana import shorter
from tests.grafana.asked import KEY, asked
from tests.grafana.boards import BOARDS, Json, panels
from tests.grafana.processes import SCRAPE_S, Prometheus, until
from tests.observability.collector import Collector
from tests.support.needs import ROOT, need_program
from tests.support.redis import running_redis
from tests.support.server import free_port
from tests.synthetic.support import started

MIX = "answered=60,rejected=8,unanswered=6,cancelled=8,busy=8,lost=5,failed=5"
SIMULATION = ("--rate", "8", "--duration", "9", "--speed", "20", "--mix", MIX)
PROBE = ("--interval", "1", "--timeout", "5")
SEEN = (
    "sum(rate(signalling_calls_ended_total[30s] offset 2s)) > 0",
    "signalling:sdt_seconds:mean_rate5m offset 2s > 0",
    'sum(rate(signalling_events_total{outcome!="ok"}[30s] offset 2s)) > 0',
    "min(sum by (instance) (rate(signalling_inbox_lag_seconds_count[30s] offset 2s))) > 0",
)
"""What must have been so two seconds ago: the last point of a graph is up to one step old."""
SETTINGS = {
    "RING_TIMEOUT_S": "1",
    "RECONNECT_GRACE_S": "0.4",  # long enough to be seen, short enough for the simulation not to wait
    "PING_INTERVAL_S": "1",
    "TRACE_RATIO": "1",
    "OTEL_BSP_SCHEDULE_DELAY": "200",
}
LONGEST_S = 60
SILENT = {
    " offset 1w)": "A week ago there was nothing.",
    " offset 1d)": "Nor a day ago.",
    'outcome="internal"}[$__rate_interval])) > 0': "No handler failed.",
    "signalling_event_exceptions_total": "No handler raised.",
    "signalling_observer_failures_total": "No observer raised.",
    'alertname!="Watchdog"}': "No alert fires.",
}
"""Queries that rightly have no answer where all is well, by a part of them, and why."""


class Watched(NamedTuple):
    """A Prometheus that has seen simulated calls."""

    url: str
    start: float

    def source(self) -> Source:
        return Source(self.url, self.start, time.time(), SCRAPE_S)


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    need_program("prometheus", "prometheus")
    folder = tmp_path_factory.mktemp("watched")
    start = time.time()
    prometheus = Prometheus(folder)
    shorter.write_rules(GENERATED / "prometheus", prometheus.rules)
    with contextlib.closing(Collector()) as collector, contextlib.ExitStack() as stack:
        redis = stack.enter_context(running_redis(folder))
        settings = {**SETTINGS, "REDIS_URL": redis.url, "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}
        settings |= stack.enter_context(asked())
        site = stack.enter_context(running_site(folder, **settings))
        port = str(free_port())
        probe = ("probe", "--url", site.front.url, "--metrics-port", port, *PROBE)
        stack.enter_context(started(*probe))
        stack.enter_context(prometheus.running())
        nodes = (site.left.metrics_url, site.right.metrics_url)
        prometheus.watch({JOB: nodes, PROBE_JOB: f"http://127.0.0.1:{port}/metrics"})
        signalling = [sys.executable, "-m", "service", "simulate", "--url", site.front.url, *SIMULATION]
        subprocess.run(signalling, cwd=ROOT, check=True, capture_output=True, timeout=LONGEST_S)
        asyncio.run(_refused(site.left.url))
        until(lambda: all(map(prometheus.ask, SEEN)), "calls have ended, and the rules have seen it")
        yield Watched(prometheus.url, start)


async def _refused(url: str) -> None:
    """Simulated calls ask for nothing that is refused; real clients do."""
    client = socketio.AsyncClient()
    await client.connect(url, transports=["websocket"], auth={"token": KEY.token()})
    for name, payload in (("call:initiate", {"to": "otto", "callType": "audio"}), ("call:end", {}), ("call:rign", {})):
        assert not (await client.call(name, payload))["ok"]
    await client.disconnect()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board["uid"]))
def test_every_panel_and_variable_has_an_answer(watched: Watched, board: Json) -> None:
    source = watched.source()
    source.choose(board["templating"]["list"])
    assert source.variables["$job"] == JOB
    empty = [
        f"{panel['title']}: {target['expr']}"
        for panel in panels(board)
        for target in panel["targets"]
        if _is_empty(source, target) and not _may_be_empty(target["expr"])
    ]
    assert empty == []


def _is_empty(source: Source, target: Json) -> bool:
    """Whether people would see nothing: no series, or nothing in them that is a number."""
    return all(series.last is None or math.isnan(series.last) for series in source.ask(target))


def _may_be_empty(expr: str) -> bool:
    return any(part in expr for part in SILENT)


@pytest.mark.parametrize("part", SILENT)
def test_what_may_be_empty_is_still_asked(part: str) -> None:
    assert any(part in target["expr"] for board in BOARDS for panel in panels(board) for target in panel["targets"])


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board["uid"]))
def test_every_annotation_is_understood(watched: Watched, board: Json) -> None:
    source = watched.source()
    source.choose(board["templating"]["list"])
    empty = [
        annotation["name"]
        for annotation in board["annotations"]["list"]
        if not source.range(annotation["target"]["expr"]) and not _may_be_empty(annotation["target"]["expr"])
    ]
    assert empty == []


def test_phases_and_events_are_timed(watched: Watched) -> None:
    (board,) = (board for board in BOARDS if board["uid"] == "signalling-calls")
    source = watched.source()
    source.choose(board["templating"]["list"])
    for title in ("Ring delivery", "Ringing", "Negotiation", "Media", "Set-up, our part", "Set-up without ringing"):
        (panel,) = (panel for panel in panels(board) if panel["title"] == title)
        for target in panel["targets"]:
            values = [value for series in source.ask(target) for _, value in series.samples]
            assert any(value > 0 for value in values), f"{title}: {target['legendFormat']}"


@pytest.mark.browser
def test_a_picture_of_each(watched: Watched, tmp_path: Path) -> None:
    chromium = need_program("chromium", "chromium")
    arguments = ["--prometheus", watched.url, "--minutes", "1", "--scrape-interval", str(SCRAPE_S)]
    assert main([*arguments, "--out", str(tmp_path), "--chromium", chromium]) == 0
    pictures = {path.stem for path in tmp_path.glob("*.png") if path.read_bytes().startswith(b"\x89PNG")}
    assert pictures == {f"dashboard-{path.stem.removeprefix('signalling-')}" for path in _generated()}


def _generated() -> list[Path]:
    return sorted((GENERATED / "dashboards").glob("*.json"))


def test_a_query_that_prometheus_refuses_is_an_error(watched: Watched) -> None:
    with pytest.raises(PrometheusError, match="parse error"):
        watched.source().instant("sum(")


def test_no_prometheus_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--prometheus", f"http://127.0.0.1:{free_port()}", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("pictures: ")
    assert list(tmp_path.iterdir()) == []
