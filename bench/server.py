"""Servers in processes of their own, and what the system says that they use."""

import asyncio
import contextlib
import os
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NODE_SERVERS = ROOT / "bench" / "peers" / "node"
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 30.0
LISTENING_PORTS = range(10_000, 32_000)
"""Below those that Linux gives to clients (`net.ipv4.ip_local_port_range`)."""

SETTLE_STEP_S = 0.25
SETTLE_STEPS = 40

REDIS = ("sh", "-c", 'exec redis-server --port "$PORT" --bind "$HOST" --save "" --appendonly no')
OURS = (sys.executable, "-m", "service", "serve")


def node_command(program: str = "server.mjs") -> Sequence[str]:
    """The command that starts one of the Node servers.

    Raises:
        FileNotFoundError: Node or its packages are not installed.
    """
    node = shutil.which("node")
    if node is None or not (ROOT / "node_modules" / "socket.io").is_dir():
        raise FileNotFoundError("the Node server needs node and its packages (run: make node)")
    return node, "--expose-gc", str(NODE_SERVERS / program)


class Process:
    """A running server, seen from outside."""

    def __init__(self, pid: int, port: int) -> None:
        self.port = port
        self._pid = pid
        self._proc = Path("/proc") / str(pid)

    def cpu_s(self) -> float:
        """Seconds of CPU since its start, in user mode and in the kernel, of all its threads."""
        after_name = (self._proc / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        user, system = after_name[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """The memory that it holds."""
        pages = (self._proc / "statm").read_text(encoding="utf-8").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    async def settled_bytes(self, collects: bool) -> int:
        """The memory that it holds once that has stopped changing.

        Args:
            collects: whether it takes SIGUSR2 as the wish to collect its garbage first.
        """
        before = -1
        for _ in range(SETTLE_STEPS):
            if collects:
                os.kill(self._pid, signal.SIGUSR2)
            await asyncio.sleep(SETTLE_STEP_S)
            now = self.resident_bytes()
            if abs(now - before) <= now // 1000:
                break
            before = now
        return self.resident_bytes()


@contextlib.contextmanager
def running(command: Sequence[str], **settings: str) -> Iterator[Process]:
    """Start a server on a free port of the loopback interface, wait until it listens, and stop it afterwards."""
    port = free_port()
    environment = {**os.environ, "HOST": "127.0.0.1", "PORT": str(port), **settings}
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=silent, stderr=silent) as server:
        try:
            _wait_until_listening(server, port)
            yield Process(server.pid, port)
        finally:
            server.terminate()
            try:
                server.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                server.kill()


def cpu_per_event_us(seconds: float) -> float:
    """Microseconds of CPU for each client event of a server under simulated calls over websockets."""
    metrics_port = free_port()
    with running(OURS, METRICS_PORT=str(metrics_port)) as server:
        metrics = f"http://127.0.0.1:{metrics_port}/metrics"
        _simulate(server.port, 2.0)  # connections, joins and imports are not what is measured
        before = _cpu_and_events(metrics)
        _simulate(server.port, seconds)
        after = _cpu_and_events(metrics)
    return (after[0] - before[0]) / (after[1] - before[1]) * 1e6


def raise_file_limit() -> int:
    """As far as the system allows, and return how far that is.

    Every connection is a file here, and in the servers, which inherit the limit.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def free_port() -> int:
    """A port that nobody listens on now, and that the system gives to no connection of a client meanwhile."""
    while True:
        port = random.choice(LISTENING_PORTS)  # noqa: S311 - nobody is kept from guessing it
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


def scrape(url: str) -> str:
    """What a server of ours tells Prometheus."""
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
        text: str = answer.read().decode()
    return text


def _wait_until_listening(server: "subprocess.Popen[bytes]", port: int) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and server.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise RuntimeError("the server did not start")


def _simulate(port: int, seconds: float) -> None:
    options = ["--rate", "20", "--duration", str(seconds), "--seed", "7", "--speed", "60", "--transport", "websocket"]
    mix = ["--mix", "answered=90,rejected=10", "--url", f"http://127.0.0.1:{port}"]
    command = [sys.executable, "-m", "service", "simulate", *options, *mix]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _cpu_and_events(url: str) -> tuple[float, float]:
    text = scrape(url)
    cpu = float(re.findall(r"(?m)^process_cpu_seconds_total (\S+)$", text)[0])
    events = sum(float(value) for value in re.findall(r"(?m)^signalling_events_total\{.*\} (\S+)$", text))
    return cpu, events
