"""A real server in a process of its own, on a free port of the loopback interface."""

import contextlib
import os
import random
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.needs import ROOT

START_TIMEOUT_S = 30.0
SERVE = ("-m", "service", "serve")


class Server(NamedTuple):
    """A running server. What it writes to stderr goes to `log`."""

    url: str
    port: int
    metrics_url: str
    process: "subprocess.Popen[bytes]"
    log: Path

    def stop(self, number: int = signal.SIGTERM, timeout_s: float = 30.0) -> int:
        """Send a signal, wait for the end, give the exit code."""
        self.process.send_signal(number)
        return self.process.wait(timeout_s)


_PORTS = range(15_000, 32_000)
"""Below the range that the kernel gives to outgoing connections, which would take a free port away again."""


def free_port() -> int:
    """A port that nobody listens on now."""
    while True:
        port = random.choice(_PORTS)
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextlib.contextmanager
def running_server(directory: Path, command: Sequence[str] = SERVE, **settings: str) -> Iterator[Server]:
    """Start a server with these settings, wait until it is ready, and stop it afterwards."""
    port = int(settings.get("PORT") or free_port())
    metrics_port = int(settings.get("METRICS_PORT") or free_port())
    host = settings.get("HOST", "127.0.0.1")
    addresses = {"HOST": host, "PORT": str(port), "METRICS_PORT": str(metrics_port)}
    environment = {**os.environ, **addresses, **settings}
    log = directory / f"server-{port}.log"
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
        )
    server = Server(f"http://{host}:{port}", port, f"http://127.0.0.1:{metrics_port}/metrics", process, log)
    try:
        _wait_until_ready(server)
        yield server
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_until_ready(server: Server) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            break
        with contextlib.suppress(urllib.error.URLError, ConnectionError):
            urllib.request.urlopen(f"{server.url}/readyz", timeout=1).close()  # noqa: S310 - loopback
            return
        time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{server.log.read_text()}")
