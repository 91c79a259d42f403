"""One HTTP/1.1 request on a connection of its own: h11 for the protocol, asyncio for the socket.

What the server asks of others is rare and small: keys of a token issuer, leave for a call. So there is no pool, no
redirect, no proxy, no compression and no retry here, and nothing that an answer can do but be read or refused.
"""

import asyncio
import enum
import ssl
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

import h11

_CHUNK_BYTES = 65_536

Header = tuple[str, str]


class Failure(enum.StrEnum):
    """Why there is no answer, in a word that says nothing of the address."""

    UNREACHABLE = "unreachable"
    TIMEOUT = "timeout"
    TOO_LARGE = "too_large"
    MALFORMED = "malformed"


class HttpError(Exception):
    """There is no answer that could be read. The message is the failure's word and nothing else."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Answer(NamedTuple):
    """A whole response."""

    status: int
    body: bytes


class HttpClient:
    """Sends requests to one URL (http or https, without credentials in it).

    `timeout_s` holds for a whole request from the look-up of the name to the last byte, `max_bytes` for the body of
    an answer. Certificates are checked against those of the system.
    """

    def __init__(self, url: str, *, timeout_s: float, max_bytes: int) -> None:
        self._url = urlsplit(url)
        self._timeout_s = timeout_s
        self._max_bytes = max_bytes
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None

    async def get(self) -> Answer:
        """Fetch the URL.

        Raises:
            HttpError: see `Failure`. An answer with an error status is an answer.
        """
        return await self._request("GET", b"", ())

    async def post(self, body: bytes, headers: Sequence[Header]) -> Answer:
        """Send JSON to the URL, with these headers besides those that HTTP asks for.

        Raises:
            HttpError: as for `get`. Whether the request was received is then unknown.
        """
        return await self._request("POST", body, (("Content-Type", "application/json"), *headers))

    async def _request(self, method: str, body: bytes, headers: Sequence[Header]) -> Answer:
        request = h11.Request(
            method=method,
            target=_target(self._url),
            headers=[
                ("Host", self._url.netloc),
                ("Accept", "application/json"),
                ("Accept-Encoding", "identity"),
                ("Connection", "close"),
                ("Content-Length", str(len(body))),
                *headers,
            ],
        )
        await in_a_task()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await self._exchange(request, body)
        except TimeoutError:
            raise HttpError(Failure.TIMEOUT) from None
        except OSError:  # refused, reset, no such name, a certificate that is not accepted
            raise HttpError(Failure.UNREACHABLE) from None
        except h11.ProtocolError:
            raise HttpError(Failure.MALFORMED) from None

    async def _exchange(self, request: h11.Request, body: bytes) -> Answer:
        port = self._url.port or (443 if self._tls else 80)
        reader, writer = await asyncio.open_connection(self._url.hostname, port, ssl=self._tls)
        try:
            connection = h11.Connection(h11.CLIENT)
            for event in (request, h11.Data(data=body), h11.EndOfMessage()):
                writer.write(connection.send(event) or b"")
            await writer.drain()
            return await self._read(connection, reader)
        finally:
            writer.transport.abort()  # nothing more is to be said, and nobody waits for a goodbye

    async def _read(self, connection: h11.Connection, reader: asyncio.StreamReader) -> Answer:
        status = 0
        body = bytearray()
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                connection.receive_data(await reader.read(_CHUNK_BYTES))
            elif isinstance(event, h11.Response):
                status = event.status_code
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > self._max_bytes:
                    raise HttpError(Failure.TOO_LARGE)
            elif isinstance(event, h11.EndOfMessage):
                return Answer(status, bytes(body))


async def in_a_task() -> None:
    """Return in a task, which time limits of asyncio need.

    An event's handling has none before it waits for something for the first time (`service.transport.lane`).
    """
    await asyncio.sleep(0)


def _target(url: SplitResult) -> str:
    path = url.path or "/"
    return f"{path}?{url.query}" if url.query else path
