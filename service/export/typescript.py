"""`clients/typescript/events.d.ts`: event maps for `socket.io-client`, made from the message types."""

import json
from collections.abc import Iterable

from msgspec import inspect as types

from service.domain.effects import Reason
from service.domain.events import Media
from service.export.catalogue import (
    AnyStruct,
    Field,
    Kind,
    choices,
    described,
    error_codes,
    fields,
    is_error_code,
    messages,
    nested_structs,
    type_name,
)
from service.export.text import BANNER, first_paragraph, paragraphs
from service.protocol.client import CLIENT_MESSAGES, ClientMessage
from service.protocol.server import SERVER_MESSAGES

_HEADER = """\
//
// The types of the signalling protocol for socket.io-client 4:
//
//   const socket: SignallingSocket = io(url);
//   const ack = await socket.timeout(5000).emitWithAck("call:initiate", { to: "bob", callType: "video" });
//   if (ack.ok) console.log(ack.callId); else console.error(ack.error.code);
//
// Socket<ServerToClientEvents, ClientToServerEvents> works too, but socket.io-client's own types then ask emit() for an
// acknowledgement callback and lose the type of an acknowledgement behind timeout(). SignallingSocket mends both.
//
// The server never looks into descriptions and candidates. They are typed by structure, not as the DOM's
// RTCSessionDescriptionInit and RTCIceCandidateInit: what a browser's RTCPeerConnection gives and takes fits them
// without a cast, and a client without the DOM (React Native, Node.js) can use this file as it is.

import type { Socket } from "socket.io-client";

/** A session description, as RTCPeerConnection makes and takes it. */
export interface SessionDescription {
  type: "offer" | "answer" | "pranswer" | "rollback";
  sdp?: string;
}

/** An ICE candidate, as RTCPeerConnection makes and takes it. */
export interface IceCandidate {
  candidate?: string;
  sdpMid?: string | null;
  sdpMLineIndex?: number | null;
  usernameFragment?: string | null;
}

/** An acknowledgement: the fields of the confirming event, or the error. Tell them apart by `ok`. */
export type Ack<T = unknown> = ({ ok: true } & T) | { ok: false; error: SignallingError };
"""

_FOOTER = """\
/** The payload that an event of a client takes. */
export type PayloadOf<E extends keyof ClientToServerEvents> = Parameters<ClientToServerEvents[E]>[0];

/** What the acknowledgement of a client's event is called with. */
export type AnswerOf<E extends keyof ClientToServerEvents> = Parameters<Parameters<ClientToServerEvents[E]>[1]>[0];

type TimedBase = ReturnType<Socket<ServerToClientEvents, ClientToServerEvents>["timeout"]>;

/** What `timeout` of a `SignallingSocket` gives: the promise fails if no acknowledgement comes in time. */
export interface TimedSocket extends TimedBase {
  emitWithAck: (<E extends keyof ClientToServerEvents>(event: E, payload: PayloadOf<E>) => Promise<AnswerOf<E>>) &
    TimedBase["emitWithAck"];
}

/** The socket of a client. Events may be sent with an acknowledgement or, through the added `emit`, without. */
export interface SignallingSocket extends Socket<ServerToClientEvents, ClientToServerEvents> {
  emit<E extends keyof ClientToServerEvents>(event: E, payload: PayloadOf<E>): this;
  emit<E extends keyof ClientToServerEvents>(event: E, ...args: Parameters<ClientToServerEvents[E]>): this;
  timeout(timeout: number): TimedSocket;
}
"""

_ALIASES: dict[type, str] = {Media: "CallType", Reason: "EndCode"}
_OPAQUE = {
    "offer": "SessionDescription",
    "answer": "SessionDescription",
    "candidate": "IceCandidate | null",
}


def typescript_events() -> str:
    """The declaration file."""
    return "\n".join(
        [
            f"// {BANNER}",
            _HEADER,
            *_union("ErrorCode", "What went wrong; a closed set.", error_codes()),
            *_union("EndCode", "Why a call ended; a closed set.", [reason.value for reason in Reason]),
            *_union("CallType", "What a call is for.", [media.value for media in Media]),
            *(line for kind in nested_structs(messages()) for line in _interface(kind)),
            *(line for kind in CLIENT_MESSAGES for line in _interface(kind)),
            *(line for kind in SERVER_MESSAGES for line in _interface(kind)),
            *_client_map(),
            *_server_map(),
            _FOOTER,
        ]
    )


def _comment(text: str, indent: str = "") -> list[str]:
    return [f"{indent}/** {text} */"] if text else []


def _union(name: str, description: str, values: Iterable[str]) -> list[str]:
    members = [f"  | {json.dumps(value)}" for value in values]
    return [*_comment(description), f"export type {name} =", *members[:-1], f"{members[-1]};", ""]


def _interface(kind: AnyStruct) -> list[str]:
    lines = [*_comment(" ".join(paragraphs(kind))), f"export interface {type_name(kind)} {{"]
    for field in fields(kind):
        lines += _comment(field.description, "  ")
        lines.append(f"  {field.name}{'' if field.required else '?'}: {_field_type(kind, field)};")
    return [*lines, "}", ""]


def _field_type(kind: AnyStruct, field: Field) -> str:
    if is_error_code(kind, field):
        return "ErrorCode"
    if isinstance(field.type, types.RawType):
        return _OPAQUE.get(field.name, "unknown")
    return f"{typescript_type(field.type)} | null" if field.nullable else typescript_type(field.type)


def typescript_type(kind: types.Type) -> str:
    """A type of a field, in TypeScript."""
    plain, _ = described(kind)
    match plain:
        case types.EnumType(cls=cls) if cls in _ALIASES:
            return _ALIASES[cls]
        case types.EnumType() | types.LiteralType():
            return " | ".join(json.dumps(value) for value in choices(plain))
        case types.StructType(cls=cls):
            return type_name(cls)
        case types.ListType(item_type=item) | types.VarTupleType(item_type=item):
            return f"Array<{typescript_type(item)}>"
        case types.UnionType(types=each):
            return " | ".join(typescript_type(one) for one in each)
        case _:
            return _PLAIN.get(type(plain), "unknown")


_PLAIN: dict[type[types.Type], str] = {
    types.StrType: "string",
    types.IntType: "number",
    types.FloatType: "number",
    types.BoolType: "boolean",
    types.DictType: "Record<string, unknown>",
    types.NoneType: "null",
}


def _client_map() -> list[str]:
    lines = ["/** The events that a client sends, each with its acknowledgement. */"]
    lines.append("export interface ClientToServerEvents {")
    for kind in CLIENT_MESSAGES:
        ack = _ack_type(kind)
        lines += _event_comment(kind)
        lines.append(f'  "{kind.event}": (payload: {type_name(kind)}, ack: (answer: {ack}) => void) => void;')
    return [*lines, "}", ""]


def _server_map() -> list[str]:
    lines = ["/** The events that a client receives. */", "export interface ServerToClientEvents {"]
    for kind in SERVER_MESSAGES:
        lines += _event_comment(kind)
        lines.append(f'  "{kind.event}": (payload: {type_name(kind)}) => void;')
    return [*lines, "}", ""]


def _event_comment(kind: Kind) -> list[str]:
    return _comment(first_paragraph(kind), "  ")


def _ack_type(kind: type[ClientMessage]) -> str:
    return "Ack" if kind.confirmed_by is None else f"Ack<{type_name(kind.confirmed_by)}>"
