"""A server that the signalling server asks something: a real socket, whose every answer the test writes itself."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple


class Asked(NamedTuple):
    """A request as it came. Names of headers are in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


Answer = Callable[[Asked], Awaitable[bytes]]
"""The bytes to answer with; then the connection is closed."""


class Backend:
    """Answers with what `answer` is set to, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.url = ""
        self.answer: Answer = answer_with(http(b"{}"))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        with contextlib.closing(writer), contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            fields = (line.split(": ", 1) for line in head[1:] if line)
            headers = {name.lower(): value for name, value in fields}
            asked = Asked(head[0], headers, await reader.readexactly(int(headers.get("content-length", "0"))))
            self.asked.append(asked)
            writer.write(await self.answer(asked))
            await writer.drain()


def http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    """A response, whole and well-formed."""
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def answer_with(response: bytes) -> Answer:
    """Always the same."""

    async def answer(_asked: Asked) -> bytes:
        return response

    return answer


async def never(_asked: Asked) -> bytes:
    """No answer: the connection stays open until somebody closes it."""
    await asyncio.Event().wait()
    raise AssertionError


@contextlib.asynccontextmanager
async def running_backend(path: str = "/", tls: ssl.SSLContext | None = None) -> AsyncIterator[Backend]:
    """A backend on a free port of the loopback interface; `url` ends with this path."""
    backend = Backend()
    connections: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(backend.serve(reader, writer))
        connections.add(task)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=tls)
    backend.url = f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}{path}"
    try:
        yield backend
    finally:
        server.close()
        for task in connections:
            task.cancel()
        await asyncio.gather(*connections, return_exceptions=True)
