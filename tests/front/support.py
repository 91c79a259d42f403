"""A real HAProxy with the configuration that is shipped, before real nodes that it finds through DNS."""

import asyncio
import contextlib
import http.client
import os
import re
import subprocess
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from tests.front.nameserver import Nameserver, running_nameserver
from tests.support.needs import ROOT, need_program
from tests.support.server import Server, free_port, running_server

CONFIG = ROOT / "deploy" / "haproxy" / "haproxy.cfg"
PATIENCE_S = 20.0
HANDSHAKE = "/socket.io/?EIO=4&transport=polling"
SWITCHED = ("-m", "tests.front.switched")
"""A node whose readiness a signal switches off and on."""


class Front(NamedTuple):
    """A running HAProxy. What it writes goes to `log`."""

    url: str
    port: int
    metrics_url: str
    names: Nameserver
    process: "subprocess.Popen[bytes]"
    log: Path

    def servers(self) -> Counter[str]:
        """How many nodes HAProxy sees in which state: UP, NOLB, DOWN, MAINT."""
        found = re.findall(r'haproxy_server_status\{proxy="nodes",.*?state="(\w+)"\} 1\b', fetch(self.metrics_url))
        return Counter(found)

    def processes(self) -> list[str]:
        """The processes that HAProxy has started, by number: a reload adds one."""
        return re.findall(r"New worker \((\d+)\) forked", self.log.read_text())

    def sees(self, **states: int) -> bool:
        """Whether so many nodes are in each of these states now."""
        servers = self.servers()
        return all(servers[state] == count for state, count in states.items())

    def get(self, path: str, source: str = "127.0.0.1", **headers: str) -> tuple[int, bytes]:
        """Status and body of an answer to a GET request from a source address, on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S, source_address=(source, 0))
        with contextlib.closing(connection):
            connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
            response = connection.getresponse()
            return response.status, response.read()


def fetch(url: str) -> str:
    """The text at an address on the loopback interface; empty where nobody answers."""
    try:
        with urllib.request.urlopen(url, timeout=5) as response:  # noqa: S310 - loopback
            return str(response.read().decode())
    except (urllib.error.URLError, ConnectionError):
        return ""


def connections(node: Server, transport: str = r"\w+") -> int:
    """How many Socket.IO connections a node has."""
    found = re.findall(rf'(?m)^signalling_connections\{{transport="{transport}"\}} (\S+)$', fetch(node.metrics_url))
    return sum(round(float(value)) for value in found)


async def until(condition: Callable[[], bool]) -> None:
    """Wait until something is true.

    Raises:
        AssertionError: it has not become so in time.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not await asyncio.to_thread(condition):
        assert time.monotonic() < deadline, "has not come true"
        await asyncio.sleep(0.05)


@contextlib.contextmanager
def running_front(directory: Path, port: int, *addresses: str, certificate: Path | None = None) -> Iterator[Front]:
    """Start HAProxy before nodes at these addresses and this port, wait for them, and stop it afterwards."""
    program = need_program("haproxy", "haproxy")
    listen, metrics = free_port(), free_port()
    log = directory / f"haproxy-{listen}.log"
    with running_nameserver() as names:
        names.addresses = addresses
        environment = {
            **os.environ,
            "FRONT_LISTEN": f"127.0.0.1:{listen}",
            "FRONT_NODES": f"nodes.test:{port}",
            "FRONT_NAMESERVER": f"127.0.0.1:{names.port}",
            "FRONT_METRICS": f"127.0.0.1:{metrics}",
        }
        if certificate is not None:
            environment["FRONT_CERTIFICATE"] = str(certificate)
        with log.open("wb") as output:
            process = subprocess.Popen(
                [program, "-W", "-db", "-f", str(CONFIG)], env=environment, stdout=output, stderr=output
            )
        front = Front(f"http://127.0.0.1:{listen}", listen, f"http://127.0.0.1:{metrics}/metrics", names, process, log)
        try:
            _wait_for_nodes(front, len(addresses))
            yield front
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def _wait_for_nodes(front: Front, count: int) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not front.sees(UP=count):
        if front.process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"HAProxy did not start:\n{front.log.read_text()}")
        time.sleep(0.05)


class Site(NamedTuple):
    """Two nodes and HAProxy before them."""

    front: Front
    left: Server
    right: Server

    def counts(self, transport: str = r"\w+") -> tuple[int, int]:
        """How many clients are on each node."""
        return connections(self.left, transport), connections(self.right, transport)


LEFT, RIGHT, THIRD = "127.0.0.2", "127.0.0.3", "127.0.0.4"


@contextlib.contextmanager
def node(directory: Path, host: str, port: int, **settings: str) -> Iterator[Server]:
    """A node at an address of the loopback network, behind one proxy."""
    given = {"HOST": host, "PORT": str(port), "TRUSTED_PROXIES": "1", "JOIN_TIMEOUT_S": "0", **settings}
    place = directory / host
    place.mkdir()
    with running_server(place, SWITCHED, **given) as running:
        yield running


@contextlib.contextmanager
def running_site(directory: Path, **settings: str) -> Iterator[Site]:
    """Two nodes with the same settings, and HAProxy."""
    port = free_port()
    with (
        node(directory, LEFT, port, **settings) as left,
        node(directory, RIGHT, port, **settings) as right,
        running_front(directory, port, LEFT, RIGHT) as front,
    ):
        yield Site(front, left, right)
