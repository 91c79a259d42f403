"""Socket.IO packets other than plain events of `/`: which are well formed (Socket.IO protocol v5)."""

import enum
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import msgspec

RESERVED_EVENTS = frozenset(
    {"connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"}
)
"""Names that Socket.IO keeps for itself (Socket.IO protocol v5; Node's `RESERVED_EVENTS`)."""

MAX_ATTACHMENTS = 10
"""As in Node's parser."""

MAX_DEPTH = 32
"""How deep JSON may be nested. Nothing that this server or WebRTC knows comes near."""

_HEAD = re.compile(r"([0-6])(?:([0-9]{1,4})-)?(?:(/[^,]{0,256}),?)?([0-9]{0,15})")
_JSON = msgspec.json.Decoder(Any)
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"?|[\[{]|[\]}]', re.DOTALL)  # one pass, also over a string without an end


class Kind(enum.IntEnum):
    """Packet types."""

    CONNECT = 0
    DISCONNECT = 1
    EVENT = 2
    ACK = 3
    CONNECT_ERROR = 4
    BINARY_EVENT = 5
    BINARY_ACK = 6


class MalformedPacketError(Exception):
    """Not a packet that a client may send. Its sender cannot be talked to; the connection is closed."""

    def __init__(self, rule: str = "a packet is one of Socket.IO protocol 5") -> None:
        super().__init__(rule)
        self.rule = rule


class Head(NamedTuple):
    """What stands before the payload of a packet."""

    kind: Kind
    namespace: str
    attachments: int


def check(packet: str) -> Head:
    """Judge a packet of a client.

    Raises:
        MalformedPacketError: says which rule it breaks.
    """
    found = _HEAD.match(packet)
    if found is None:
        raise MalformedPacketError("the type of a packet is a digit from 0 to 6")
    kind, ack_id = Kind(int(found[1])), found[4]
    namespace = (found[3] or "/").partition("?")[0]
    is_binary = kind in (Kind.BINARY_EVENT, Kind.BINARY_ACK)
    if is_binary == (found[2] is None):
        raise MalformedPacketError("attachments are counted in binary packets, and only there")
    attachments = int(found[2] or 0)
    if attachments > MAX_ATTACHMENTS:
        raise MalformedPacketError(f"a packet has {MAX_ATTACHMENTS} attachments at most")
    payload = _payload(packet[found.end() :])
    _check_payload(kind, ack_id, payload)
    if is_binary and sorted(_placeholders(payload)) != list(range(attachments)):
        raise MalformedPacketError("each attachment has one placeholder")
    return Head(kind, namespace, attachments)


def check_depth(text: str) -> None:
    """Refuse JSON that is nested too deeply, before anything recurses into it.

    Raises:
        MalformedPacketError: deeper than `MAX_DEPTH`.
    """
    if text.count("{") + text.count("[") <= MAX_DEPTH:
        return
    depth = 0
    for token in _BRACKETS.finditer(text):
        first = token[0][0]
        if first in "[{":
            depth += 1
            if depth > MAX_DEPTH:
                raise MalformedPacketError(f"JSON is nested {MAX_DEPTH} levels deep at most")
        elif first in "]}":
            depth -= 1


def _payload(text: str) -> object:
    if not text:
        return msgspec.UNSET
    check_depth(text)
    try:
        return _JSON.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise MalformedPacketError("a payload is JSON") from None


def _check_payload(kind: Kind, ack_id: str, payload: object) -> None:
    match kind:
        case Kind.CONNECT:
            ok = not ack_id and (payload is msgspec.UNSET or isinstance(payload, dict))
        case Kind.DISCONNECT:
            ok = not ack_id and payload is msgspec.UNSET
        case Kind.EVENT | Kind.BINARY_EVENT:
            ok = isinstance(payload, list) and bool(payload) and _is_name(payload[0])
        case Kind.ACK | Kind.BINARY_ACK:
            ok = bool(ack_id) and isinstance(payload, list)
        case Kind.CONNECT_ERROR:
            ok = False
    if not ok:
        raise MalformedPacketError(f"a client's {kind.name} packet has the form of Socket.IO protocol 5")


def _is_name(value: object) -> bool:
    is_name = isinstance(value, str | int | float) and not isinstance(value, bool)
    return is_name and value not in RESERVED_EVENTS


def _placeholders(value: object) -> Iterator[int]:
    if isinstance(value, dict):
        if value.get("_placeholder") and "num" in value:  # as python-socketio sees it
            number = value["num"]
            yield number if isinstance(number, int) and not isinstance(number, bool) else -1
            return
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _placeholders(item)
