"""Engine.IO packets and payloads, as they are on the wire. No I/O.

A text packet is its type and its data. A binary message is a packet without a type on a websocket, and `b` and
base64 in a payload (section "Packet encoding").
"""

import binascii
from base64 import b64decode, b64encode
from collections.abc import Sequence

OPEN = b"0"
CLOSE = b"1"
PING = b"2"
MESSAGE = b"4"
NOOP = b"6"
PROBE_ANSWER = b"3probe"

SEPARATOR = "\x1e"
BINARY_MARK = "b"
MAX_PACKETS_PER_ANSWER = 16
"""Packets in one answer to a poll. python-socketio's clients refuse a payload of more."""


class ProtocolError(Exception):
    """The client does not keep the protocol. `rule` says which rule, in words that hold nothing of the client's."""

    def __init__(self, rule: str) -> None:
        super().__init__(rule)
        self.rule = rule


def split_payload(payload: bytes, limit: int) -> list[str]:
    """The packets of a payload that a client has posted.

    Raises:
        ProtocolError: it is not UTF-8, or has more packets than `limit`.
    """
    try:
        text = payload.decode()
    except UnicodeDecodeError:
        raise ProtocolError("a payload is UTF-8") from None
    if text.count(SEPARATOR) >= limit:
        raise ProtocolError("too many packets in one payload")
    return text.split(SEPARATOR)


def join_payload(packets: Sequence[bytes]) -> bytes:
    """The payload of packets that are in the form of payloads already."""
    return SEPARATOR.encode().join(packets)


def binary_in_payload(data: bytes) -> bytes:
    """A binary message in the form of payloads."""
    return b"b" + b64encode(data)


def binary_from_payload(packet: str) -> bytes:
    """The binary message in a packet that begins with `b`.

    Raises:
        ProtocolError: not base64.
    """
    try:
        return b64decode(packet[1:], validate=True)
    except (binascii.Error, ValueError):
        raise ProtocolError("a binary packet is base64") from None
