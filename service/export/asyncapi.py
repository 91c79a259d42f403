"""`docs/asyncapi.json`: the protocol as an AsyncAPI 3.0 document, made from the message types.

The document is written from the server's side, as AsyncAPI asks: it receives what clients send.
"""

import json
from collections.abc import Callable
from typing import Any

import msgspec

from service import __version__
from service.config import Settings
from service.export.catalogue import (
    Kind,
    error_codes,
    failures,
    is_from_client,
    messages,
    required_by_error,
    type_name,
)
from service.export.examples import acknowledgement, error_acknowledgement, example
from service.export.text import BANNER, first_paragraph, paragraphs, without_citations
from service.protocol.client import CLIENT_MESSAGES, ClientMessage
from service.protocol.server import SERVER_MESSAGES, Error, ServerMessage

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_MESSAGES = "#/components/messages/"
_NAMESPACE = "signalling"
_ACKS = "acknowledgements"
_FAILED = "EventFailed"

_DESCRIPTION = """\
Signalling for one-to-one audio and video calls, over Socket.IO (Socket.IO protocol v5, Engine.IO v4, namespace `/`).
An event is the packet `2["name", payload]`; the payloads are described here. Any event may be sent with an
acknowledgement id; the reply is then the packet `3<id>[payload]`."""


def asyncapi_document() -> str:
    """The document, as JSON."""
    document: Json = {
        "x-generated": BANNER.replace("`", ""),
        "asyncapi": "3.0.0",
        "info": {
            "title": "WebRTC signalling",
            "version": __version__,
            "description": _DESCRIPTION.replace("\n", " "),
            "license": {"name": "ISC"},
        },
        "defaultContentType": "application/json",
        "servers": {"local": _server()},
        "channels": _channels(),
        "operations": _operations(),
        "components": {"schemas": _schemas(), "messages": _messages()},
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _server() -> Json:
    return {
        "host": f"localhost:{Settings.model_fields['port'].default}",
        "pathname": "/socket.io/",
        "protocol": "ws",
        "description": "Socket.IO over WebSocket; HTTP long-polling works on the same path.",
    }


# --- Channels and operations -------------------------------------------------------------------------------


def _channels() -> Json:
    events = [_message_name(kind) for kind in messages()]
    acks = [*(_ack_name(kind) for kind in CLIENT_MESSAGES), _FAILED]
    return {
        _NAMESPACE: {
            "address": "/",
            "description": "The namespace `/` of Socket.IO.",
            "messages": {name: {"$ref": _MESSAGES + name} for name in events},
        },
        _ACKS: {
            "address": None,
            "description": "The acknowledgements of Socket.IO: each goes to the sender of the event alone.",
            "messages": {name: {"$ref": _MESSAGES + name} for name in acks},
        },
    }


def _operations() -> Json:
    return {
        **{f"receive{type_name(kind)}": _receive(kind) for kind in CLIENT_MESSAGES},
        **{f"send{type_name(kind)}": _send(kind) for kind in SERVER_MESSAGES},
    }


def _receive(kind: type[ClientMessage]) -> Json:
    return {
        "action": "receive",
        "channel": _channel(_NAMESPACE),
        "title": kind.event,
        "summary": first_paragraph(kind),
        "messages": [_in_channel(_NAMESPACE, _message_name(kind))],
        "reply": {
            "channel": _channel(_ACKS),
            "messages": [_in_channel(_ACKS, _ack_name(kind)), _in_channel(_ACKS, _FAILED)],
        },
        "x-errors": [{"message": failure.text, "code": failure.error.code} for failure in failures(kind)],
        **({} if kind.confirmed_by is None else {"x-confirmed-by": kind.confirmed_by.event}),
    }


def _send(kind: type[ServerMessage]) -> Json:
    return {
        "action": "send",
        "channel": _channel(_NAMESPACE),
        "title": kind.event,
        "summary": first_paragraph(kind),
        "messages": [_in_channel(_NAMESPACE, _message_name(kind))],
    }


def _channel(name: str) -> Json:
    return {"$ref": f"#/channels/{name}"}


def _in_channel(channel: str, message: str) -> Json:
    return {"$ref": f"#/channels/{channel}/messages/{message}"}


# --- Messages ----------------------------------------------------------------------------------------------


def _message_name(kind: Kind) -> str:
    return type_name(kind)


def _ack_name(kind: type[ClientMessage]) -> str:
    return f"{type_name(kind)}Done"


def _messages() -> Json:
    events = {_message_name(kind): _message(kind) for kind in messages()}
    acks = {_ack_name(kind): _ack(kind) for kind in CLIENT_MESSAGES}
    return {**events, **acks, _FAILED: _failed_ack()}


def _message(kind: Kind) -> Json:
    return {
        "name": kind.event,
        "title": f"{kind.event} from {'a client' if is_from_client(kind) else 'the server'}",
        "summary": first_paragraph(kind),
        "description": "\n\n".join(paragraphs(kind)),
        "payload": {"$ref": _SCHEMAS + type_name(kind)},
        "examples": [{"name": kind.event, "payload": example(kind)}],
    }


def _ack(kind: type[ClientMessage]) -> Json:
    done = {"type": "object", "required": ["ok"], "properties": {"ok": {"const": True}}}
    confirmed = [] if kind.confirmed_by is None else [{"$ref": _SCHEMAS + type_name(kind.confirmed_by)}]
    return {
        "name": f"acknowledgement of {kind.event}",
        "summary": f"`{kind.event}` succeeded.",
        "payload": {"allOf": [done, *confirmed]},
        "examples": [{"name": "done", "payload": acknowledgement(kind)}],
    }


def _failed_ack() -> Json:
    return {
        "name": "acknowledgement of a failed event",
        "summary": "The event failed. Nothing has changed.",
        "payload": {
            "type": "object",
            "required": ["ok", "error"],
            "properties": {"ok": {"const": False}, "error": {"$ref": _SCHEMAS + type_name(Error)}},
        },
        "examples": [{"name": "failed", "payload": error_acknowledgement()}],
    }


# --- Schemas -----------------------------------------------------------------------------------------------


def _schemas() -> Json:
    references, components = msgspec.json.schema_components(messages(), ref_template="{name}")
    names = {reference["$ref"]: type_name(kind) for reference, kind in zip(references, messages(), strict=True)}
    schemas = {names.get(name, name): _renamed(schema, names) for name, schema in components.items()}
    for kind in messages():
        _require(schemas[type_name(kind)], required_by_error(kind))
    for name, schema in schemas.items():
        schema["title"] = name
    schemas[type_name(Error)]["properties"]["code"]["enum"] = list(error_codes())
    return schemas


def _require(schema: Json, forced: frozenset[str]) -> None:
    """Say that a field is required where only an error of its own says so."""
    for name in sorted(forced):
        branches = schema["properties"][name]["anyOf"]
        value = next(branch for branch in branches if branch["type"] != "null")
        schema["properties"][name] = {**value, "minLength": 1}
        schema["required"] = [*schema["required"], name]


def _renamed(node: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    """A schema whose references and descriptions suit the document."""
    if isinstance(node, list):
        return [_renamed(each, names) for each in node]
    if not isinstance(node, dict):
        return node
    return {key: _entry(key, value, names) for key, value in node.items()}


def _entry(key: str, value: Any, names: dict[str, str]) -> Any:  # noqa: ANN401 - any JSON value
    rewrite: dict[str, Callable[[str], str]] = {
        "$ref": lambda name: _SCHEMAS + names.get(name, name),
        "description": lambda text: " ".join(without_citations(text).split()),
    }
    if isinstance(value, str) and key in rewrite:
        return rewrite[key](value)
    return _renamed(value, names)
