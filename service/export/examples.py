"""One example of every message, from one story: alice calls bob, who answers.

Values come from the types. The story below only names what a type cannot know.
"""

from typing import Any

import msgspec
from msgspec import inspect as types

from service.domain.effects import Reason
from service.domain.ids import CallId
from service.errors import CallExpiredError
from service.export.catalogue import AnyStruct, Field, Kind, described, fields
from service.protocol import client, server
from service.protocol.translate import to_error

CALL_ID = "7d44a1d0b5c94ee0a6f0d3c0a1b2c3d4"

_OFFER = {"type": "offer", "sdp": "v=0\r\n..."}
_ANSWER = {"type": "answer", "sdp": "v=0\r\n..."}
_CANDIDATE = {
    "candidate": "candidate:1 1 udp 2122260223 192.0.2.1 54321 typ host",
    "sdpMid": "0",
    "sdpMLineIndex": 0,
}

_BY_FIELD: dict[str, Any] = {
    "to": "bob",
    "by": "bob",
    "peer": "bob",
    "from": "alice",
    "callId": CALL_ID,
    "callType": "video",
    "socketId": "Wq3pXv9sT0aLk2fYAAAB",
    "offer": _OFFER,
    "answer": _ANSWER,
    "candidate": _CANDIDATE,
    "isOnline": True,
    "isInCall": False,
}
_BY_EVENT: dict[str, dict[str, Any]] = {
    "call:accept": {"from": "alice"},
    "call:reject": {"from": "alice"},
    "call:offer": {"from": "alice", "callType": "video"},
    "call:answer": {"from": "bob", "to": "alice"},
    "ice:candidate": {"from": "alice"},
    "call:quality": {
        "stats": {
            "ice": "connected",
            "pair": {"local": "host", "remote": "srflx", "protocol": "udp"},
            "roundTripTime": 0.043,
            "jitter": 0.004,
            "fractionLost": 0.01,
            "inboundBitrate": 1_450_000,
            "outboundBitrate": 1_380_000,
        }
    },
    "call:rejected": {"code": Reason.REJECTED.value},
    "call:ended": {"code": Reason.HANGUP.value},
    "call:peer-reconnecting": {"userId": "bob"},
    "call:peer-reconnected": {"userId": "bob"},
}


def example(kind: Kind) -> dict[str, Any]:
    """A payload of this message: its required fields, and the optional ones that the story names."""
    if kind is server.Error:
        return _error_example()
    told = _BY_EVENT.get(kind.event, {})
    return _struct_example(kind, told)


def acknowledgement(kind: type[client.ClientMessage]) -> dict[str, Any]:
    """What the acknowledgement of a message carries when it succeeded."""
    confirmed = {} if kind.confirmed_by is None else example(kind.confirmed_by)
    return {"ok": True, **confirmed}


def error_acknowledgement() -> dict[str, Any]:
    """What the acknowledgement of a message carries when it failed."""
    return {"ok": False, "error": _error_example()}


def _error_example() -> dict[str, Any]:
    error = to_error(CallExpiredError(), client.CallAccept.event, client.CallAccept, CallId(CALL_ID))
    built: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(error))
    return built


def _struct_example(kind: AnyStruct, told: dict[str, Any]) -> dict[str, Any]:
    return {
        field.name: told[field.name] if field.name in told else _field_example(field)
        for field in fields(kind)
        if field.required or field.name in told
    }


def _field_example(field: Field) -> Any:  # noqa: ANN401 - any JSON value
    if field.examples:
        return _BY_FIELD.get(field.name, field.examples[0])
    return _BY_FIELD[field.name] if field.name in _BY_FIELD else _value(field.type)


def _value(kind: types.Type) -> Any:  # noqa: ANN401, PLR0911 - any JSON value, one return per kind of type
    plain, said = described(kind)
    if said.get("examples"):
        return said["examples"][0]
    match plain:
        case types.StructType(cls=cls):
            return _struct_example(cls, {})
        case types.EnumType(cls=cls):
            return next(iter(cls)).value
        case types.LiteralType(values=values):
            return values[0]
        case types.ListType(item_type=item) | types.VarTupleType(item_type=item):
            return [_value(item)]
        case types.UnionType(types=(first, *_)):
            return _value(first)
        case types.BoolType():
            return True
        case types.IntType() | types.FloatType():
            return _number(plain)
        case types.StrType():
            return "text"
        case _:
            return {}


def _number(kind: types.IntType | types.FloatType) -> float:
    return kind.ge if kind.ge is not None else 1
