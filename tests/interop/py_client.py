"""The official Python client."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any, TypeVar

import aiohttp
import socketio

from tests.interop.client import PATIENCE_S, Client, numbers

IN_JAVASCRIPT = {"client disconnect": "io client disconnect", "server disconnect": "io server disconnect"}
"""Reasons of an end for which the JavaScript client has other words."""

T = TypeVar("T")


class PyClient(Client):
    """One python-socketio client.

    Each step is a task: these begin in the order in which they were made, and then the library only queues.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}-py-{next(numbers)}")
        self._sessions: list[aiohttp.ClientSession] = []
        self._client = socketio.AsyncClient(reconnection=False, http_session=self._new_session)
        self._client.on("*", self._hear)
        self._client.on("disconnect", self._hear_disconnect)
        self._steps: set[asyncio.Task[Any]] = set()

    def _new_session(self) -> aiohttp.ClientSession:
        """The library asks for another one where its loops outlive the connection, and leaves that open."""
        session = aiohttp.ClientSession()
        self._sessions.append(session)
        return session

    async def _hear(self, event: str, payload: Any) -> None:
        self._heard.put_nowait((event, payload))

    async def _hear_disconnect(self, reason: str) -> None:
        self._heard.put_nowait(("disconnect", IN_JAVASCRIPT.get(reason, reason)))

    def _do(self, step: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.create_task(step)
        self._steps.add(task)
        task.add_done_callback(self._steps.discard)
        return task

    async def open(self, url: str, mode: str) -> None:
        """Connect, with one transport or with both: `upgrade`."""
        await self._client.connect(url, transports=None if mode == "upgrade" else [mode])
        self.sid = str(self._client.get_sid())

    async def connect(self, url: str, transport: str) -> dict[str, Any]:
        """Connect and join; gives `user:joined`."""
        await self.open(url, transport)
        answer = await self.ask("user:join", {"userId": self.name})
        event, joined = await self.next()
        assert event == "user:joined"
        assert answer == {"ok": True, **joined}
        return dict(joined)

    def emit(self, event: str, *args: object) -> asyncio.Task[None]:
        """Send an event without asking for an acknowledgement. The task is done when it is on its way."""
        return self._do(self._client.emit(event, args))

    async def ask(self, event: str, *args: object) -> Any:
        return await self._do(self._client.call(event, args, timeout=PATIENCE_S))

    def disconnect(self) -> None:
        self._do(self._client.disconnect())

    def close_engine(self) -> None:
        polling = self._client.transport() == "polling"
        self._do(self._client.eio.disconnect() if polling else self.drop())

    def fall_silent(self) -> None:
        self._client.eio.write_loop_task.cancel()

    async def transport(self) -> str:
        return str(self._client.transport())

    async def drop(self) -> None:
        """Lose the websocket without a goodbye."""
        await self._client.eio.ws.close()

    async def close(self) -> None:
        """Say goodbye, and leave nothing behind."""
        await self._client.disconnect()
        loops = [task for task in (self._client.eio.read_loop_task, self._client.eio.write_loop_task) if task]
        for task in (*loops, *self._steps):
            task.cancel()
        await asyncio.gather(*loops, *self._steps, return_exceptions=True)
        await asyncio.gather(*(session.close() for session in self._sessions))


@contextlib.asynccontextmanager
async def py_client(url: str, transport: str, name: str) -> AsyncIterator[PyClient]:
    """A client that has joined, and says goodbye in the end."""
    client = PyClient(name)
    await client.connect(url, transport)
    try:
        yield client
    finally:
        await client.close()
