"""Messages from WebSocket frames: what RFC 6455 asks for and picows leaves to its user. No I/O."""

import struct

from picows import WSMsgType

from service.transport.engine.codes import CloseCode

TEXT_FRAME = 0x81
BINARY_FRAME = 0x82
_IN_TWO_BYTES, _IN_EIGHT_BYTES = 126, 127
_MAX_IN_TWO_BYTES = 0xFFFF
_SHORT = struct.Struct("!BB").pack
_MEDIUM = struct.Struct("!BBH").pack
_LONG = struct.Struct("!BBQ").pack

MAX_FRAGMENTS = 1024
"""Fragments of one message. Nobody splits a message of this server's sizes into more."""


class FrameError(Exception):
    """A client does not keep RFC 6455. `code` is for the close frame, `rule` says what it broke."""

    def __init__(self, code: CloseCode, rule: str) -> None:
        super().__init__(rule)
        self.code = code
        self.rule = rule


class Assembler:
    """The message that a connection is in the middle of (RFC 6455, section 5.4). Made for its first fragment."""

    __slots__ = ("_data", "_fragments", "_is_text")

    def __init__(self, kind: WSMsgType) -> None:
        if kind is WSMsgType.CONTINUATION:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "a continuation continues something (RFC 6455, 5.4)")
        self._is_text = kind is WSMsgType.TEXT
        self._data = bytearray()
        self._fragments = 0

    def add(self, kind: WSMsgType, payload: bytes, limit_bytes: int) -> None:
        """Take the next fragment.

        Raises:
            FrameError: it begins another message, or the message gets too big or too fragmented.
        """
        if self._fragments and kind is not WSMsgType.CONTINUATION:
            raise FrameError(CloseCode.PROTOCOL_ERROR, "one message ends before the next begins (RFC 6455, 5.4)")
        self._fragments += 1
        if self._fragments > MAX_FRAGMENTS or len(self._data) + len(payload) > limit_bytes:
            raise FrameError(CloseCode.MESSAGE_TOO_BIG, "the fragments of a message exceed the limit")
        self._data += payload

    def message(self) -> str | bytes:
        """The whole message, after its last fragment.

        Raises:
            FrameError: a text that is not UTF-8.
        """
        if not self._is_text:
            return bytes(self._data)
        try:
            return self._data.decode()
        except UnicodeDecodeError:
            raise invalid_text() from None


def whole_frame(head: int, payload: bytes) -> bytes:
    """An unmasked frame that is a whole message (RFC 6455, section 5.2). `head` is its first byte."""
    size = len(payload)
    if size < _IN_TWO_BYTES:
        return _SHORT(head, size) + payload
    if size <= _MAX_IN_TWO_BYTES:
        return _MEDIUM(head, _IN_TWO_BYTES, size) + payload
    return _LONG(head, _IN_EIGHT_BYTES, size) + payload


def reserved_bits() -> FrameError:
    """The error for a frame of an extension that was not negotiated; there are none (RFC 6455, section 5.2)."""
    return FrameError(CloseCode.PROTOCOL_ERROR, "reserved bits are zero (RFC 6455, 5.2)")


def invalid_text() -> FrameError:
    """The error for a text message that is not UTF-8 (RFC 6455, section 8.1)."""
    return FrameError(CloseCode.INVALID_TEXT, "a text message is UTF-8 (RFC 6455, 8.1)")
