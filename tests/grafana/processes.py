"""A real Prometheus and a real Alertmanager, each in a process of its own on a free port."""

import contextlib
import json
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from tests.support.needs import need_program
from tests.support.server import free_port

DEADLINE_S = 120.0
SCRAPE_S = 1
STOP_S = 30.0

Jobs = Mapping[str, str | tuple[str, ...]]
"""Jobs, and the address of the metrics of each, or of each of its nodes."""


def until(holds: Callable[[], object], what: str = "", deadline_s: float = DEADLINE_S) -> None:
    """Wait for a condition that must come."""
    deadline = time.monotonic() + deadline_s
    while not holds():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)


def answers(url: str) -> bool:
    """Whether there is a good answer at this address."""
    with contextlib.suppress(OSError), urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback
        return bool(answer.status == 200)
    return False


class Prometheus:
    """Scrapes and evaluates every second. Rules are those in the folder `rules` beside its configuration."""

    def __init__(self, folder: Path, environment: str = "", alertmanager: str = "") -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        self.rules = folder / "rules"
        self._folder = folder
        self._environment, self._alertmanager = environment, alertmanager

    def watch(self, jobs: Jobs) -> None:
        """Scrape these from now on, with the rules that are there now; returns when all are scraped."""
        self._write(jobs)
        self._post("/-/reload")
        for job, addresses in _addresses(jobs).items():
            for address in addresses:
                up = f'up{{job="{job}",instance="{address}"}} == 1'
                until(partial(self.ask, up), up)

    def ask(self, expr: str) -> list[dict[str, Any]]:
        """What a query gives now."""
        answer = self._post("/api/v1/query", query=expr)
        found: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
        return found

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """It runs, and scrapes nothing yet."""
        self._write({})
        command = [
            need_program("prometheus", "prometheus"),
            f"--config.file={self._folder}/prometheus.yml",
            f"--storage.tsdb.path={self._folder}/data",
            f"--web.listen-address={urllib.parse.urlsplit(self.url).netloc}",
            "--web.enable-lifecycle",
            f"--rules.alert.resend-delay={SCRAPE_S}s",  # a minute by default: as all times, a sixtieth
        ]
        with _process(command, self._folder / "prometheus.log", f"{self.url}/-/ready"):
            yield

    def _write(self, jobs: Jobs) -> None:
        config: dict[str, Any] = {
            "global": {"scrape_interval": f"{SCRAPE_S}s", "evaluation_interval": f"{SCRAPE_S}s"},
            "rule_files": [f"{self.rules}/*.yml"],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": addresses}]}
                for job, addresses in _addresses(jobs).items()
            ],
        }
        if self._environment:
            config["global"]["external_labels"] = {"environment": self._environment}
        if self._alertmanager:
            targets = [urllib.parse.urlsplit(self._alertmanager).netloc]
            config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": targets}]}]}
        (self._folder / "prometheus.yml").write_text(yaml.safe_dump(config), "utf-8")

    def _post(self, path: str, **fields: str) -> str:
        body = urllib.parse.urlencode(fields).encode()
        with urllib.request.urlopen(self.url + path, data=body, timeout=30) as answer:  # noqa: S310 - loopback
            return str(answer.read().decode())


def _addresses(jobs: Jobs) -> dict[str, list[str]]:
    """Hosts and ports of each job."""
    return {
        job: [urllib.parse.urlsplit(url).netloc for url in ((urls,) if isinstance(urls, str) else urls)]
        for job, urls in jobs.items()
    }


@contextlib.contextmanager
def running_alertmanager(configuration: Path, directory: Path) -> Iterator[str]:
    """An Alertmanager with this configuration; gives its address."""
    program = need_program("prometheus-alertmanager", "prometheus-alertmanager")
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={configuration}",
        f"--storage.path={directory}",
        f"--web.listen-address={urllib.parse.urlsplit(url).netloc}",
        "--cluster.listen-address=",
    ]
    with _process(command, directory / "alertmanager.log", f"{url}/-/ready"):
        yield url


@contextlib.contextmanager
def _process(command: list[str], log: Path, ready: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        until(lambda: process.poll() is not None or answers(ready), ready)
        assert process.poll() is None, log.read_text("utf-8")
        yield
    finally:
        process.terminate()
        process.wait(STOP_S)
