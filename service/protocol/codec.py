"""Socket.IO EVENT and ACK packets of the namespace `/`, to and from messages.

Packets are what Engine.IO calls the data of a message: `2["name",{...}]`, `2<ack id>["name",{...}]` and
`3<ack id>[{...}]` (Socket.IO protocol v5, "Packet encoding"). A packet is decoded once, into its type, and
opaque parts stay the bytes that they were.
"""

import re
from typing import Any

import msgspec

from service.domain.ids import CallId
from service.errors import InvalidPayloadError, ReservedEventError, SignallingError, UnknownEventError
from service.protocol import client
from service.protocol.client import CLIENT_MESSAGES, ClientMessage
from service.protocol.framing import RESERVED_EVENTS, MalformedPacketError, check_depth
from service.protocol.server import SERVER_MESSAGES, Error, ServerMessage

MAX_ECHOED_NAME_CHARS = 64
_PREFIX = re.compile(r'2([0-9]{0,15})(\["([^"\\]{0,256})"|\[)')
_FIELD = re.compile(r"`\$\[1\]\.([A-Za-z]+)")
_MISSING = re.compile(r"required field `([A-Za-z]+)`")


class Packet(msgspec.Struct, frozen=True, gc=False):
    """An EVENT packet whose name is known and whose payload is still to be decoded."""

    event: str
    ack_id: str | None
    body: str


class _Arguments(msgspec.Struct, array_like=True, frozen=True):
    """The name and the payload. Further arguments are ignored, as the original ignored them."""

    name: str


def _decoder(kind: type[ClientMessage]) -> "msgspec.json.Decoder[Any]":
    payload = (
        ("payload", kind) if kind.__struct_fields__ else ("payload", kind, kind())
    )  # nothing to say: may be left out
    arguments = msgspec.defstruct(
        f"{kind.__name__}Arguments", [payload], bases=(_Arguments,), array_like=True, frozen=True
    )
    return msgspec.json.Decoder(arguments)


_KINDS: dict[str, type[ClientMessage]] = {kind.event: kind for kind in CLIENT_MESSAGES}
_DECODERS = {kind.event: _decoder(kind) for kind in CLIENT_MESSAGES}
_ANY_ARGUMENTS = msgspec.json.Decoder(list[Any])
_ENCODER = msgspec.json.Encoder()
_OPENINGS = {kind: f'2["{kind.event}",'.encode() for kind in SERVER_MESSAGES}


RELAYED = frozenset(kind.event for kind in (client.CallOffer, client.CallAnswer, client.Candidate))
"""Events that are passed on to the other party as they are."""


def kind_of(event: str) -> type[ClientMessage] | None:
    """The message type of an event of the contract, None for any other name."""
    return _KINDS.get(event)


def split(packet: str) -> Packet:
    """Find the name and the acknowledgement id of an EVENT packet without decoding its payload.

    Raises:
        MalformedPacketError: not an EVENT packet: wrong type, ack id that is no number, no array, no name.
    """
    check_depth(packet)
    if packet.startswith('2["'):  # nearly all: no acknowledgement asked for
        name = packet[3 : packet.find('"', 3)]
        if name in _KINDS:
            return Packet(name, None, packet[1:])
    found = _PREFIX.match(packet)
    if found is None:
        raise MalformedPacketError("an event is an array that begins with its name")
    ack_id, name, body = found[1] or None, found[3], packet[found.start(2) :]
    if name not in _KINDS:  # rare: unknown, reserved, or spelt with escapes or blanks
        name = _name(body)
    return Packet(name, ack_id, body)


def _name(body: str) -> str:
    try:
        arguments = _ANY_ARGUMENTS.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedPacketError("a payload is JSON") from error
    if not arguments or not isinstance(arguments[0], str | int | float) or isinstance(arguments[0], bool):
        raise MalformedPacketError("an event is an array that begins with its name")
    return str(arguments[0])


def decode(packet: Packet) -> ClientMessage:
    """The message in a packet.

    Raises:
        MalformedPacketError: the packet is not JSON.
        ReservedEventError: the name belongs to the protocol.
        UnknownEventError: the name is not in the contract.
        InvalidPayloadError: the payload does not have the form of the event; says which field.
    """
    decoder = _DECODERS.get(packet.event)
    if decoder is None:
        raise ReservedEventError if packet.event in RESERVED_EVENTS else UnknownEventError
    try:
        message: ClientMessage = decoder.decode(packet.body).payload
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise MalformedPacketError("a payload is JSON") from error
    return message


def _invalid(report: str) -> SignallingError:
    """The error for what msgspec reports, as in "Expected `str`, got `int` - at `$[1].to`"."""
    found = _FIELD.search(report) or _MISSING.search(report)
    if found is None:
        return InvalidPayloadError(None, "one object is expected as the payload")
    expectation = report.split(" - at ", 1)[0].replace(" | null", "")
    return InvalidPayloadError(found[1], expectation.replace("`", ""))


def call_id_of(message: ClientMessage) -> CallId | None:
    """The call that a message names, if it names one."""
    call_id: CallId | None = getattr(message, "call_id", None)
    return call_id


def traceparent_of(message: ClientMessage) -> str | None:
    """The client's own trace context, where the message carries one."""
    traceparent: str | msgspec.UnsetType = getattr(message, "traceparent", msgspec.UNSET)
    return None if traceparent is msgspec.UNSET else traceparent


def encode(message: ServerMessage) -> bytes:
    """The EVENT packet of a message."""
    return b"%b%b]" % (_OPENINGS[type(message)], _ENCODER.encode(message))


def encode_ack(ack_id: str, confirmation: ServerMessage | None) -> bytes:
    """The ACK packet of an event that succeeded: `ok` and the fields of its confirmation."""
    fields = b"" if confirmation is None else _ENCODER.encode(confirmation)[1:-1]
    separator = b"," if fields else b""
    return b'3%b[{"ok":true%b%b}]' % (ack_id.encode(), separator, fields)


def encode_error_ack(ack_id: str, error: Error) -> bytes:
    """The ACK packet of an event that failed."""
    return b'3%b[{"ok":false,"error":%b}]' % (ack_id.encode(), _ENCODER.encode(error))
