"""The official Python client as tests want it: one queue of what was heard, and acknowledged calls."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator
from typing import Any

import socketio

PATIENCE_S = 10.0
_numbers = itertools.count(1)


class PyClient:
    """One python-socketio client that has joined as the user of its name."""

    def __init__(self, name: str) -> None:
        self.name = f"{name}-py-{next(_numbers)}"
        self._heard: asyncio.Queue[tuple[str, Any]] = asyncio.Queue()
        self._client = socketio.AsyncClient(reconnection=False)
        self._client.on("*", self._hear)
        self._client.on("disconnect", self._hear_disconnect)

    async def _hear(self, event: str, payload: Any) -> None:
        self._heard.put_nowait((event, payload))

    async def _hear_disconnect(self, reason: str) -> None:
        self._heard.put_nowait(("disconnect", reason))

    async def connect(self, url: str, transport: str) -> dict[str, Any]:
        """Connect and join; gives `user:joined`."""
        await self._client.connect(url, transports=[transport])
        answer = await self.ask("user:join", {"userId": self.name})
        event, joined = await self.next()
        assert event == "user:joined"
        assert answer == {"ok": True, **joined}
        return dict(joined)

    async def emit(self, event: str, payload: object) -> None:
        """Send an event without asking for an acknowledgement."""
        await self._client.emit(event, payload)

    async def ask(self, event: str, payload: object) -> Any:
        """Send an event and give the acknowledgement."""
        return await self._client.call(event, payload, timeout=PATIENCE_S)

    async def next(self) -> tuple[str, Any]:
        """The next event as name and payload."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._heard.get()

    async def drop(self) -> None:
        """Lose the websocket without a goodbye."""
        await self._client.eio.ws.close()

    async def close(self) -> None:
        """Say goodbye."""
        await self._client.disconnect()


@contextlib.asynccontextmanager
async def py_client(url: str, transport: str, name: str) -> AsyncIterator[PyClient]:
    """A client that has joined, and says goodbye in the end."""
    client = PyClient(name)
    await client.connect(url, transport)
    try:
        yield client
    finally:
        await client.close()
