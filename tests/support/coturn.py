"""A real coturn in a process of its own, on the loopback interface."""

import contextlib
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tests.support.needs import need_program
from tests.support.server import free_port

START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 15.0
HOST = "127.0.0.1"


class Coturn(NamedTuple):
    """A running TURN server, for UDP and TCP. What it writes goes to `log`."""

    port: int
    log: Path

    @property
    def url(self) -> str:
        """How a client is told of it."""
        return f"turn:{HOST}:{self.port}?transport=udp"


@contextlib.contextmanager
def running_coturn(directory: Path, secrets: Sequence[str], *options: str) -> Iterator[Coturn]:
    """Start coturn with these secrets, wait until it listens, and stop it afterwards.

    Options of its command line count more than those given here.
    """
    program = need_program("turnserver", "coturn")
    port = free_port()
    log = directory / f"coturn-{port}.log"
    ours = [
        f"--listening-port={port}",
        f"--listening-ip={HOST}",
        f"--relay-ip={HOST}",
        "--allow-loopback-peers",
        "--no-cli",
        "--log-file=stdout",
        f"--userdb={directory}/coturn-{port}.db",
        f"--pidfile={directory}/coturn-{port}.pid",
        *(f"--static-auth-secret={secret}" for secret in secrets),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen([program, *ours, *options], cwd=directory, stdout=output, stderr=output)
    try:
        _wait_until_listening(process, port, log)
        yield Coturn(port, log)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_listening(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError(f"coturn did not start:\n{log.read_text(errors='replace')}")
