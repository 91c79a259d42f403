"""What a server holds: read from its metrics and from the system, before a fault and after it."""

import asyncio
import contextlib
import re
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from tests.support.server import Server

PAGE_BYTES = 4096
RETURN_S = 20.0
"""How long a server may take to let go of everything. Only an upper bound: tests wait for the state, not for this."""
_LOOK_EVERY_S = 0.05
_OPEN = "01"
"""An established connection in `/proc/net/tcp`."""
_LINE = re.compile(r"(?m)^(signalling_\w+)(?:\{(.*)\})? (\S+)$")
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class Metrics:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self._lines = [
            (name, dict(_LABEL.findall(labels)), float(value)) for name, labels, value in _LINE.findall(text)
        ]

    def sum(self, name: str, **labels: str) -> float:
        """The sum of the series of a metric that have these labels; there must be one at least."""
        found = [
            value for it, has, value in self._lines if it == f"signalling_{name}" and labels.items() <= has.items()
        ]
        assert found, f"there is no metric {name} {labels}"
        return sum(found)


class Footprint(NamedTuple):
    """What grows when something is forgotten."""

    connections: float
    users: float
    calls: float
    events_in_progress: float
    tasks: float
    descriptors: int


async def scrape(server: Server) -> Metrics:
    """The metrics as of now."""
    return Metrics(await asyncio.to_thread(_fetch, server.metrics_url))


def _fetch(url: str) -> str:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - loopback
        return str(answer.read().decode())


async def footprint(server: Server) -> Footprint:
    """What the server holds now."""
    metrics = await scrape(server)
    return Footprint(
        connections=metrics.sum("connections"),
        users=metrics.sum("users_online"),
        calls=metrics.sum("calls"),
        events_in_progress=metrics.sum("events_in_progress"),
        tasks=metrics.sum("background_tasks"),
        descriptors=descriptors(server),
    )


def descriptors(server: Server) -> int:
    """Open file descriptors of the server, its sockets among them."""
    return sum(1 for _ in Path(f"/proc/{server.process.pid}/fd").iterdir())


def resident_bytes(server: Server) -> int:
    """The server's resident memory."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * PAGE_BYTES


async def settled(server: Server) -> Footprint:
    """What an idle server holds: seen twice in a row."""
    seen: list[Footprint] = []

    async def twice() -> bool:
        seen.append(await footprint(server))
        return seen[-2:-1] == seen[-1:]

    await until(twice, "the server comes to rest")
    return seen[-1]


async def returned(server: Server, baseline: Footprint) -> None:
    """Wait until the server holds no more than it held before."""
    now = None

    async def as_before() -> bool:
        nonlocal now
        now = await footprint(server)
        return all(has <= had for has, had in zip(now, baseline, strict=True))

    await until(as_before, lambda: f"the server comes back to {baseline}, from {now}")


async def counted(server: Server, least: float, name: str, **labels: str) -> float:
    """Wait until a metric has reached a value."""
    value = -1.0

    async def reached() -> bool:
        nonlocal value
        value = (await scrape(server)).sum(name, **labels)
        return value >= least

    await until(reached, lambda: f"{name} {labels} reaches {least}, from {value}")
    return value


async def until(holds: Callable[[], Awaitable[bool]], what: str | Callable[[], str]) -> None:
    """Look until something holds that nobody tells of."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(RETURN_S):
            while not await holds():  # noqa: ASYNC110 - another process has no event to wait for
                await asyncio.sleep(_LOOK_EVERY_S)
            return
    raise AssertionError(f"not within {RETURN_S:g} s: {what if isinstance(what, str) else what()}")


def unread_bytes(server: Server) -> int:
    """What the system holds for the server's sockets and the server has not read yet. Only IPv4, as loopback is."""
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    here = f":{server.port:04X}"
    return sum(int(field[4].partition(":")[2], 16) for field in fields if field[1].endswith(here) and field[3] == _OPEN)
