"""The commands as processes, and a server that comes back on the same port."""

import contextlib
import io
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from service.__main__ import main
from tests.support.needs import ROOT
from tests.support.server import Server, free_port

TIMEOUT_S = 30.0


class Finished(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def report(self) -> Any:
        return json.loads(self.out)


def signalling(*arguments: str) -> Finished:
    """Run a command to its end, in this process: starting another takes longer than most of them run."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(arguments))
    return Finished(code, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def started(*arguments: str, stderr: int = subprocess.PIPE) -> "Iterator[subprocess.Popen[str]]":
    """A command that runs until it is told to stop; killed if it does not."""
    process = subprocess.Popen(
        [sys.executable, "-m", "service", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def stopped(process: "subprocess.Popen[str]", number: int) -> Finished:
    """Send a signal and wait for the end."""
    process.send_signal(number)
    out, err = process.communicate(timeout=TIMEOUT_S)
    return Finished(process.returncode, out, err)


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait for a condition that must come."""
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def scrape(url: str) -> dict[str, float]:
    """All series of a metrics endpoint, none where it does not answer yet."""
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - loopback
            lines = answer.read().decode().splitlines()
    except (urllib.error.URLError, ConnectionError):
        return {}
    return {
        name: float(value)
        for name, value in (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
    }


@contextlib.contextmanager
def back_again(server: Server, **settings: str) -> Iterator[str]:
    """A new server on the port of one that has ended; gives the address of its metrics."""
    metrics_port = free_port()
    addresses = {"HOST": "127.0.0.1", "PORT": str(server.port), "METRICS_PORT": str(metrics_port)}
    with server.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "service", "serve"],
            cwd=ROOT,
            env={**os.environ, **addresses, **settings},
            stdout=subprocess.DEVNULL,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{metrics_port}/metrics"
    finally:
        process.terminate()
        process.wait(TIMEOUT_S)
