"""TCP, HTTP and websocket frames by hand: any bit can be set wrongly on purpose, and answers are seen as they are."""

import asyncio
import base64
import contextlib
import hashlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Mapping
from http.client import HTTPMessage, HTTPResponse
from io import BytesIO
from typing import NamedTuple, cast

from tests.interop.raw_client import PATIENCE_S, Closed

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
MASK = b"\x37\xfa\x21\x3d"
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_CHUNK = 1 << 16


class Wire:
    """A TCP connection. What the server said before it hung up can be read even when writing fails."""

    def __init__(self, connected: socket.socket) -> None:
        self._socket = connected
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()

    async def write(self, data: bytes) -> None:
        """Send all of it. If the server has hung up, that is for the reader to find out."""
        with contextlib.suppress(ConnectionError):
            async with asyncio.timeout(PATIENCE_S):
                await self._loop.sock_sendall(self._socket, data)

    async def read_exactly(self, count: int) -> bytes:
        """The next bytes.

        Raises:
            Closed: there are not as many, and will not be.
        """
        while len(self._read) < count:
            await self._more()
        return self._take(count)

    async def read_head(self) -> bytes:
        """The bytes up to an empty line, that line included.

        Raises:
            Closed: there is none, and will be none.
        """
        while (end := self._read.find(b"\r\n\r\n")) < 0:
            await self._more()
        return self._take(end + 4)

    async def read_to_end(self) -> bytes:
        """All that comes until the server hangs up."""
        with contextlib.suppress(Closed):
            while True:
                await self._more()
        return self._take(len(self._read))

    def _take(self, count: int) -> bytes:
        taken = bytes(self._read[:count])
        del self._read[:count]
        return taken

    async def _more(self) -> None:
        async with asyncio.timeout(PATIENCE_S):
            try:
                data = await self._loop.sock_recv(self._socket, _CHUNK)
            except ConnectionError:
                data = b""
        if not data:
            raise Closed
        self._read += data


@contextlib.asynccontextmanager
async def connected(port: int) -> AsyncIterator[Wire]:
    """A connection to a port of the loopback interface."""
    with socket.socket() as opened:
        opened.setblocking(False)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(opened, ("127.0.0.1", port))
        yield Wire(opened)


class Reply(NamedTuple):
    """An HTTP answer."""

    status: int
    headers: HTTPMessage
    body: str


def request(method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP request after which the connection is over."""
    fields = {"Host": "127.0.0.1", "Connection": "close", **(headers or {})}
    if body:
        fields = {"Content-Type": "text/plain;charset=UTF-8", "Content-Length": str(len(body)), **fields}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items())]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def reply(wire: Wire, method: str = "GET") -> Reply:
    """The answer to the one request of a connection.

    Raises:
        Closed: the server hung up without one.
    """
    said = await wire.read_to_end()
    if not said:
        raise Closed
    parsed = HTTPResponse(cast("socket.socket", _Recorded(said)), method=method)
    parsed.begin()
    return Reply(parsed.status, parsed.headers, parsed.read().decode())


async def ask(port: int, method: str, target: str, body: bytes = b"") -> Reply:
    """One request on a connection of its own.

    Raises:
        Closed: the server hung up without an answer.
    """
    async with connected(port) as wire:
        await wire.write(request(method, target, body))
        return await reply(wire, method)


class _Recorded:
    """Bytes in the place of a socket, for the parser of the standard library."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def makefile(self, _: str) -> BytesIO:
        return BytesIO(self._data)


class Frame(NamedTuple):
    """A frame that the server sent."""

    opcode: int
    payload: bytes
    fin: bool = True
    reserved: int = 0


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: bytes | None = None,
) -> bytes:
    """A frame of a client. `length` replaces the seven bits and their extension, right or wrong (RFC 6455, 5.2)."""
    extended = bytearray(_length(len(payload)) if length is None else length)
    extended[0] |= 0x80 if masked else 0
    head = bytes([(0x80 if fin else 0) | reserved << 4 | opcode]) + extended
    return head + (MASK + _mask(payload) if masked else payload)


def closing(code: int, reason: bytes = b"") -> bytes:
    """The payload of a close frame."""
    return struct.pack("!H", code) + reason


def _length(count: int) -> bytes:
    if count < 126:
        return bytes([count])
    return struct.pack("!BH", 126, count) if count < 1 << 16 else struct.pack("!BQ", 127, count)


def _mask(payload: bytes) -> bytes:
    key = (MASK * (len(payload) // 4 + 1))[: len(payload)]
    return (int.from_bytes(payload) ^ int.from_bytes(key)).to_bytes(len(payload))


class Refused(Exception):  # noqa: N818 - an outcome that tests expect
    """The server did not open the websocket. The argument is the status of its answer."""


class Frames:
    """An open websocket, frame by frame. Nothing is answered unless the test does."""

    def __init__(self, wire: Wire, headers: HTTPMessage) -> None:
        self.wire = wire
        self.headers = headers

    async def send(self, *frames: bytes) -> None:
        """Send frames, as they are, in one go."""
        await self.wire.write(b"".join(frames))

    async def receive(self) -> Frame:
        """The next frame. A server does not mask (RFC 6455, 5.1).

        Raises:
            Closed: the server hung up without a close frame.
        """
        first, second = await self.wire.read_exactly(2)
        assert not second & 0x80, "the server masks its frames"
        count = second & 0x7F
        if count > 125:
            count = int.from_bytes(await self.wire.read_exactly(2 if count == 126 else 8))
        payload = await self.wire.read_exactly(count)
        return Frame(first & 0x0F, payload, bool(first & 0x80), first >> 4 & 0x07)

    async def receive_end(self) -> bytes:
        """The payload of the close frame which must come next, and be the last that comes on the TCP connection.

        It is answered, as the protocol asks: a server may wait a moment for that before it hangs up.
        """
        last = await self.receive()
        assert (last.opcode, last.fin, last.reserved) == (CLOSE, True, 0), last
        await self.send(frame(CLOSE, last.payload))
        assert await self.wire.read_to_end() == b""
        return last.payload


@contextlib.asynccontextmanager
async def websocket(port: int, target: str, headers: Mapping[str, str] | None = None) -> AsyncIterator[Frames]:
    """A websocket that the server has accepted.

    Raises:
        Refused: it has not.
    """
    key = base64.b64encode(os.urandom(16))
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    async with connected(port) as wire:
        fields = {**upgrade, "Sec-WebSocket-Key": key.decode(), **(headers or {})}
        await wire.write(request("GET", target, headers=fields))
        answer = HTTPResponse(cast("socket.socket", _Recorded(await wire.read_head())))
        answer.begin()
        if answer.status != 101:
            raise Refused(answer.status)
        expected = base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())
        assert answer.headers["Sec-WebSocket-Accept"] == expected.decode()
        yield Frames(wire, answer.headers)
