"""A real server, real calls, a real Prometheus: the dashboards' queries get answers, and a picture is made of them."""

import contextlib
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from grafana.build import GENERATED
from grafana.pictures.__main__ import main
from grafana.pictures.prometheus import PrometheusError, Source
from tests.grafana.boards import BOARDS, Json, panels
from tests.support.needs import ROOT, need_program
from tests.support.server import free_port, running_server

DEADLINE_S = 60
SCRAPE_S = 1
SIMULATION = ("--rate", "5", "--duration", "6", "--speed", "20", "--mix", "answered=1")
NOT_HERE = ("ALERTS", "offset 1w", "signalling_probe", "signalling:")
"""Parts of queries that ask for what this Prometheus has not: rules, a probe, last week."""
NOTHING_WRONG = re.compile(r"> 0\)?$")
"""The end of a query that has an answer only when something is wrong."""


class Watched(NamedTuple):
    """A Prometheus that has seen simulated calls."""

    url: str
    start: float


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    folder = tmp_path_factory.mktemp("watched")
    start = time.time()
    with running_server(folder) as server, _prometheus(folder, server.metrics_url) as url:
        subprocess.run(
            [sys.executable, "-m", "service", "simulate", "--url", server.url, *SIMULATION],
            cwd=ROOT,
            check=True,
            capture_output=True,
            timeout=DEADLINE_S,
        )
        _until(lambda: _ended(url, start) > 0)
        yield Watched(url, start)


def _ended(url: str, start: float) -> float:
    found = Source(url, start, time.time(), SCRAPE_S).instant("sum(rate(signalling_calls_ended_total[30s]))")
    return found[0].last or 0 if found else 0


@contextlib.contextmanager
def _prometheus(folder: Path, target: str) -> Iterator[str]:
    config = {
        "global": {"scrape_interval": f"{SCRAPE_S}s"},
        "scrape_configs": [
            {"job_name": "signalling", "static_configs": [{"targets": [target.split("/")[2]]}]},
        ],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")
    url = f"http://127.0.0.1:{free_port()}"
    command = [need_program("prometheus", "prometheus"), f"--config.file={folder}/prometheus.yml"]
    command += [f"--storage.tsdb.path={folder}/data", f"--web.listen-address={url.removeprefix('http://')}"]
    with (folder / "prometheus.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        _until(lambda: _answers(f"{url}/-/ready"))
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _answers(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - loopback
        return bool(answer.status == 200)
    return False


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.2)


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: str(board["uid"]))
def test_every_panel_has_an_answer(watched: Watched, board: Json) -> None:
    source = Source(watched.url, watched.start, time.time(), SCRAPE_S)
    source.choose(board["templating"]["list"])
    assert source.variables["$job"] == "signalling"
    empty = [
        f"{panel['title']}: {target['expr']}"
        for panel in panels(board)
        for target in panel["targets"]
        if not source.ask(target) and not _may_be_empty(target["expr"])
    ]
    assert empty == []


def _may_be_empty(expr: str) -> bool:
    return any(part in expr for part in NOT_HERE) or NOTHING_WRONG.search(expr) is not None


def test_phases_and_events_are_timed(watched: Watched) -> None:
    (board,) = (board for board in BOARDS if board["uid"] == "signalling-calls")
    source = Source(watched.url, watched.start, time.time(), SCRAPE_S)
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
        Source(watched.url, watched.start, time.time(), SCRAPE_S).instant("sum(")


def test_no_prometheus_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["--prometheus", f"http://127.0.0.1:{free_port()}", "--out", str(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith("pictures: ")
    assert list(tmp_path.iterdir()) == []
