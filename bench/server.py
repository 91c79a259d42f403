"""What an event costs a real server: its CPU time under real clients, over the events that it says it handled."""

import os
import re
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT_S = 30.0


def cpu_per_event_us(seconds: float) -> float:
    """Microseconds of CPU for each client event of a server under simulated calls over websockets."""
    port, metrics_port = free_port(), free_port()
    addresses = {"HOST": "127.0.0.1", "PORT": str(port), "METRICS_PORT": str(metrics_port)}
    command = [sys.executable, "-m", "service", "serve"]
    silent = subprocess.DEVNULL
    with subprocess.Popen(command, cwd=ROOT, env={**os.environ, **addresses}, stdout=silent, stderr=silent) as server:
        try:
            metrics = f"http://127.0.0.1:{metrics_port}/metrics"
            _wait_for(metrics)
            _simulate(port, 2.0)  # connections, joins and imports are not what is measured
            before = _cpu_and_events(metrics)
            _simulate(port, seconds)
            after = _cpu_and_events(metrics)
        finally:
            server.terminate()
    return (after[0] - before[0]) / (after[1] - before[1]) * 1e6


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


def _simulate(port: int, seconds: float) -> None:
    options = ["--rate", "20", "--duration", str(seconds), "--seed", "7", "--speed", "60", "--transport", "websocket"]
    mix = ["--mix", "answered=90,rejected=10", "--url", f"http://127.0.0.1:{port}"]
    command = [sys.executable, "-m", "service", "simulate", *options, *mix]
    subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            urllib.request.urlopen(url, timeout=1).close()  # noqa: S310 - loopback
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the server did not start")


def _cpu_and_events(url: str) -> tuple[float, float]:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310 - loopback
        text = answer.read().decode()
    cpu = float(re.findall(r"(?m)^process_cpu_seconds_total (\S+)$", text)[0])
    events = sum(float(value) for value in re.findall(r"(?m)^signalling_events_total\{.*\} (\S+)$", text))
    return cpu, events
