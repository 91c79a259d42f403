"""The clients of one test, and which pairs of them there are.

Tests ask a `Stage` for clients and know nothing more of them. A stage hands out addresses, libraries and transports
in turn, so that two clients that are connected one after the other differ in all that they can differ in.

Every call-level test has pairs of JavaScript clients in each of the places (see `places.py`) and each of `MODES`.
Those that stand for a whole way of a call (answered and negotiated, rejected, not answered, busy, glare, left,
resumed) have more:

- `every_pair`: each pair of libraries in each place and each of `EVERY_MODE`, the mixed ones included: 60 cases.
- `every_pair_at_once`: the same where a loss shows at once: no polling.
- `some_pairs`, for tests that wait for a timeout or have many cases of their own: in each place JavaScript in each of
  `MODES`, and each other pair of libraries in one way of transport.
"""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator

import pytest

from tests.interop.client import Client, numbers
from tests.interop.js_client import Driver, Link, linked
from tests.interop.py_client import PyClient

MODES: dict[str, dict[str, object]] = {
    "websocket": {"transports": ["websocket"]},
    "polling": {"transports": ["polling"]},
    "upgrade": {"waitForUpgrade": True},
}
"""The ways of transport as options of the JavaScript client. The last is every client's default: polling first, then
an upgrade."""

AT_ONCE = ("websocket", "upgrade")
"""Where a loss shows at once."""

MIXED = ("websocket+polling", "polling+websocket")
"""What the clients of a test have in turn."""

EVERY_MODE = (*MODES, *MIXED)

JAVASCRIPT = "js-js"
PAIRS = (JAVASCRIPT, "js-py", "py-js", "py-py")
"""The libraries that the clients of a test have in turn: socket.io-client, python-socketio."""

every_pair = pytest.mark.parametrize(("pair", "mode"), list(itertools.product(PAIRS, EVERY_MODE)))
every_pair_at_once = pytest.mark.parametrize(("pair", "mode"), list(itertools.product(PAIRS, AT_ONCE)))
some_pairs = pytest.mark.parametrize(
    ("pair", "mode"),
    [
        *((JAVASCRIPT, mode) for mode in MODES),
        ("js-py", "websocket+polling"),
        ("py-js", "polling+websocket"),
        ("py-py", "upgrade"),
    ],
)


class Stage:
    """The clients of one test. Where there are several addresses, libraries or transports, they take turns."""

    def __init__(self, link: Link, urls: tuple[str, ...], mode: str, pair: str) -> None:
        self.urls = urls
        self._turns = zip(*map(itertools.cycle, (urls, pair.split("-"), mode.split("+"))), strict=True)
        self._link = link
        self._python: list[PyClient] = []

    async def connect(self, name: str, mode: str | None = None, **options: object) -> Client:
        """Connect a client that has not joined. The name is the test's own; it becomes unique.

        Options are those of the JavaScript client.
        """
        url, library, usual = next(self._turns)
        if library == "js":
            return await self._link.open(url, f"{name}-{next(numbers)}", {**MODES[mode or usual], **options})
        assert not options, "a Python client has no such options"
        client = PyClient(name)
        self._python.append(client)
        await client.open(url, mode or usual)
        return client

    async def join(self, *names: str) -> list[Client]:
        """Connect clients and let each join as the user of its own name."""
        clients = await asyncio.gather(*(self.connect(name) for name in names))
        for client in clients:
            client.emit("user:join", {"userId": client.name})
            assert await client.next() == (
                "user:joined",
                {"userId": client.name, "socketId": client.sid, "iceServers": []},
            )
        return list(clients)

    async def close(self) -> None:
        """Close the clients that do not go with the link."""
        await asyncio.gather(*(client.close() for client in self._python))


@contextlib.asynccontextmanager
async def stage(driver: Driver, urls: str | tuple[str, ...], mode: str, pair: str = JAVASCRIPT) -> AsyncIterator[Stage]:
    """A stage whose clients talk to the server at this address, or these in turn, in this mode, as this pair."""
    async with linked(driver) as link:
        opened = Stage(link, (urls,) if isinstance(urls, str) else urls, mode, pair)
        try:
            yield opened
        finally:
            await opened.close()
