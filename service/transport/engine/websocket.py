"""One websocket: RFC 6455 on picows' frames, and how a connection passes from Sanic to it.

picows checks opcodes, masks, lengths and close codes; reserved bits, fragments, sizes of messages, UTF-8, the
close handshake and a client that does not read are checked here.
"""

import asyncio
import logging
from base64 import b64decode
from typing import Any, Protocol

from multidict import CIMultiDict
from picows import WSAutoPingStrategy, WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSCloseHandshake, WSProtocol  # type: ignore[attr-defined] # not in the stubs
from sanic import Request
from sanic.server import HttpProtocol

from service.transport.engine.codes import CloseCode
from service.transport.engine.frames import (
    BINARY_FRAME,
    TEXT_FRAME,
    Assembler,
    FrameError,
    invalid_text,
    reserved_bits,
    whole_frame,
)

CLOSE_GRACE_S = 2.0
"""How long a client has to answer a close frame before its connection is cut."""

READ_BUFFER_BYTES = 2048
KEY_BYTES = 16
_TEXT, _BINARY, _PING, _CLOSE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.PING, WSMsgType.CLOSE
_DATA = (_TEXT, _BINARY, WSMsgType.CONTINUATION)
_NEVER_SENT = frozenset({0, 1004, 1005, 1006})
_FIRST_UNDEFINED_CODE = 5000
_NO_HEADERS: CIMultiDict[str] = CIMultiDict()


_log = logging.getLogger(__name__)


class Receiver(Protocol):
    """Who a websocket's messages are for. `lost` is always the last call and always comes."""

    def opened(self) -> None:
        """The handshake is done."""

    def text(self, text: str) -> None:
        """A text message has come."""

    def binary(self, data: bytes) -> None:
        """A binary message has come."""

    def broken(self, rule: str) -> None:
        """The client has broken the protocol. The websocket is closing."""

    def overflowed(self) -> None:
        """More waits to be sent than may wait."""

    def lost(self) -> None:
        """The websocket is gone."""


class WebSocket(WSListener):
    """A websocket to a client, from the handshake on."""

    __slots__ = (
        "_closing", "_cork", "_limit_bytes", "_outgoing_bytes", "_partial", "_paused", "_receiver", "_transport",
        "_waiting", "_write",
    )  # fmt: skip

    _transport: WSTransport

    def __init__(self, receiver: Receiver, limit_bytes: int, outgoing_bytes: int, cork: "Cork") -> None:
        """A websocket whose handshake is still to come.

        Args:
            receiver: who its messages are for.
            limit_bytes: of one message from the client.
            outgoing_bytes: that may wait for the client to read, beside what the system buffers.
            cork: gathers what is sent.
        """
        self._receiver = receiver
        self._limit_bytes = limit_bytes
        self._outgoing_bytes = outgoing_bytes
        self._cork = cork
        self._waiting: list[bytes] = []
        self._partial: Assembler | None = None
        self._paused = False
        self._closing = False

    def adopt(self, receiver: Receiver) -> None:
        """Let another receiver have what comes from here on."""
        self._receiver = receiver

    def send_text(self, text: bytes) -> None:
        """Send a text message, at the end of this turn of the loop. Does nothing once the websocket is closing."""
        if not self._closing:
            if not self._waiting:
                self._cork.add(self)
            self._waiting.append(whole_frame(TEXT_FRAME, text))

    def send_binary(self, data: bytes) -> None:
        """Send a binary message, as `send_text` does."""
        if not self._closing:
            if not self._waiting:
                self._cork.add(self)
            self._waiting.append(whole_frame(BINARY_FRAME, data))

    def flush(self) -> None:
        """Write what was sent in this turn."""
        waiting = self._waiting
        if waiting and not (self._transport.is_disconnected or self._transport.is_close_frame_sent):
            self._write(waiting[0] if len(waiting) == 1 else b"".join(waiting))
        waiting.clear()
        if self._paused and self.waiting_bytes > self._outgoing_bytes:
            self._receiver.overflowed()

    @property
    def waiting_bytes(self) -> int:
        """What waits in this process for a client that reads slowly; 0 while it keeps up."""
        if not self._paused or self._closing:
            return 0
        return self._transport.underlying_transport.get_write_buffer_size()

    def close(self, code: CloseCode, reason: str = "") -> None:
        """Begin the close handshake, after what was sent. Nothing of the client is listened to any more."""
        if not self._closing:
            self._closing = True
            self._partial = None
            self.flush()
            self._transport.send_close(code, reason)  # type: ignore[arg-type] # any number is a code
            asyncio.get_running_loop().call_later(CLOSE_GRACE_S, self._transport.disconnect, False)

    def abort(self) -> None:
        """Cut the connection, without what still waits to be sent."""
        self._closing = True
        self._transport.disconnect(False)

    # --- what picows calls --------------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """See picows."""
        self._transport = transport
        self._write = transport.underlying_transport.write
        transport.request.headers = _NO_HEADERS  # kept by picows for as long as the connection
        transport.response.headers = _NO_HEADERS
        self._receiver.opened()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """See picows."""
        if self._closing or transport.is_close_frame_sent:  # by picows, which has found a fault and goes on reading
            if frame.msg_type is _CLOSE:
                transport.disconnect()
            return
        try:
            if frame.rsv1 or frame.rsv2 or frame.rsv3:
                raise reserved_bits()
            kind = frame.msg_type
            if kind is _TEXT and frame.fin and self._partial is None:
                self._receiver.text(frame.get_payload_as_utf8_text())
            elif kind in _DATA:
                self._data(frame)
            elif kind is _PING:
                transport.send_pong(frame.get_payload_as_bytes())
            elif kind is _CLOSE:
                self._answer_close(transport, frame.get_payload_as_bytes()[:2])
        except UnicodeDecodeError:
            self._break(invalid_text())
        except FrameError as error:
            self._break(error)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """See picows."""
        handshake: WSCloseHandshake | None = transport.close_handshake
        if not self._closing and handshake is not None and handshake.sent is not None:  # picows has found a fault
            self._receiver.broken(f"{handshake.sent.reason} (RFC 6455)")
        self._closing = True
        self._receiver.lost()

    def pause_writing(self) -> None:
        """See picows: the client reads more slowly than we send."""
        self._paused = True

    def resume_writing(self) -> None:
        """See picows."""
        self._paused = False

    # ------------------------------------------------------------------------------------------------------

    def _data(self, frame: WSFrame) -> None:
        kind, payload = frame.msg_type, frame.get_payload_as_bytes()
        if self._partial is None:
            if kind is _BINARY and frame.fin:
                self._receiver.binary(payload)
                return
            self._partial = Assembler(kind)
        self._partial.add(kind, payload, self._limit_bytes)
        if frame.fin:
            message = self._partial.message()
            self._partial = None
            if isinstance(message, str):
                self._receiver.text(message)
            else:
                self._receiver.binary(message)

    def _answer_close(self, transport: WSTransport, sent: bytes) -> None:
        code = int.from_bytes(sent) if sent else CloseCode.NORMAL
        if code in _NEVER_SENT or code >= _FIRST_UNDEFINED_CODE:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a close code is one that may be sent (RFC 6455, 7.4)")
        self._closing = True
        self.flush()
        transport.send_close(code)  # type: ignore[arg-type] # any number is a code
        transport.disconnect()

    def _break(self, error: FrameError) -> None:
        self.close(error.code, error.rule)
        self._receiver.broken(error.rule)


class Cork:
    """Gathers what websockets send in one turn of the loop, so that it takes one call of the system for each.

    A message that brings five candidates is answered with one write to the peer, not with five: calls of the
    system are the largest part of what an event costs.
    """

    __slots__ = ("_websockets",)

    def __init__(self) -> None:
        self._websockets: list[WebSocket] = []

    def add(self, websocket: WebSocket) -> None:
        """Flush this websocket at the end of the turn."""
        if not self._websockets:
            asyncio.get_running_loop().call_soon(self._flush)
        self._websockets.append(websocket)

    def _flush(self) -> None:
        websockets, self._websockets = self._websockets, []
        for websocket in websockets:
            websocket.flush()


class _FailuresOnly:
    """The logger that picows gets: clients' mistakes are told by whoever closes the connection, ours are failures.

    A real logger would get a child for each connection.
    """

    def isEnabledFor(self, _level: int) -> bool:  # noqa: N802 - logging's name
        return False

    def _nothing(self, *_args: object) -> None:
        pass

    debug = info = warning = error = log = _nothing

    def exception(self, _message: str) -> None:
        _log.exception("a websocket failed on a message")


_FAILURES_ONLY = _FailuresOnly()


class HandoverProtocol(HttpProtocol):
    """Sanic's HTTP protocol, which lets go of a connection that has become a websocket."""

    __slots__ = ("_handed_over",)

    def __init__(self, **options: Any) -> None:  # noqa: ANN401 - Sanic's own
        super().__init__(**options)
        self._handed_over = False

    def hand_over(self) -> bytes:
        """Forget the connection. Returns what has been read of it beyond the request."""
        self._handed_over = True
        self.connections.discard(self)
        check: asyncio.TimerHandle | None = self._callback_check_timeouts
        if check is not None:
            check.cancel()
        return bytes(self.recv_buffer)

    def close(self, timeout: float | None = None) -> None:
        """Close the connection, if it is still this protocol's."""
        if not self._handed_over:
            super().close(timeout=timeout)


def is_handshake(request: Request) -> bool:
    """Whether a request is the opening handshake of a websocket (RFC 6455, section 4.2.1)."""
    return (
        request.method == "GET"
        and request.headers.getone("upgrade", "").lower() == "websocket"
        and "upgrade" in request.headers.getone("connection", "").lower()
        and request.headers.getone("sec-websocket-version", "") == "13"
        and _is_key(request.headers.getone("sec-websocket-key", ""))
    )


def _is_key(value: str) -> bool:
    try:
        return len(b64decode(value, validate=True)) == KEY_BYTES
    except ValueError:
        return False


def hand_over(request: Request, websocket: WebSocket, limit_bytes: int) -> None:
    """Let a websocket take over the connection of its handshake request, and answer that.

    The handler must return None afterwards. picows reads the handshake itself, so it is given one; Sanic's
    protocol, request and task for this connection are free as soon as the handler returns.
    """
    transport: Any = request.transport  # of uvloop
    beyond = transport.get_protocol().hand_over()
    taker = WSProtocol(
        None, "/", False, lambda _request: websocket, _FAILURES_ONLY, True, None, False, None, None,
        WSAutoPingStrategy.PING_WHEN_IDLE, False, limit_bytes, None, READ_BUFFER_BYTES,
    )  # fmt: skip
    transport.set_protocol(taker)
    taker.connection_made(transport)
    key = request.headers["sec-websocket-key"].encode()
    _feed(taker, _HANDSHAKE % key + beyond)
    transport.resume_reading()


_HANDSHAKE = (
    b"GET / HTTP/1.1\r\nHost: -\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %b\r\n\r\n"
)


def _feed(taker: Any, data: bytes) -> None:  # noqa: ANN401 - a BufferedProtocol
    view = memoryview(data)
    while view:
        buffer = taker.get_buffer(-1)
        size = min(len(buffer), len(view))
        buffer[:size] = view[:size]
        taker.buffer_updated(size)
        view = view[size:]
