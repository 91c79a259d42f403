"""`docs/protocol.md`: the reference for those who write clients, made from the message types."""

import json
from typing import Any

from msgspec import inspect as types

from service.config import Settings
from service.domain.effects import Reason
from service.errors import ALL_ERRORS, ReservedEventError, SignallingError, UnknownEventError
from service.export.catalogue import (
    AnyStruct,
    Field,
    choices,
    connection_errors,
    described,
    failures,
    fields,
    general_errors,
    is_error_code,
    meaning,
    messages,
    nested_structs,
    without_null,
)
from service.export.examples import acknowledgement, error_acknowledgement, example
from service.export.text import code, document, fence, first_paragraph, link, paragraphs, table
from service.protocol.client import CLIENT_MESSAGES, ClientMessage
from service.protocol.codec import MAX_ECHOED_NAME_CHARS
from service.protocol.framing import RESERVED_EVENTS
from service.protocol.server import SERVER_MESSAGES, Error, ServerMessage
from service.protocol.translate import BY_THE_SERVICE, REASON_TEXTS

ERROR_CODES = "Error codes"
END_CODES = "End codes"
OVERVIEW = "Overview"
ACKNOWLEDGEMENTS = "Acknowledgements"
TYPES = "Types inside payloads"
RESERVED = "Reserved names"
FROM_CLIENT = "Events that a client sends"
FROM_SERVER = "Events that a client receives"

_OR_THE_SERVICE = f"With `by` null and the text `{BY_THE_SERVICE}`: those who run the service ended it."

END_MEANINGS: dict[Reason, str] = {
    Reason.HANGUP: f"A party ended the answered call. {_OR_THE_SERVICE}",
    Reason.CANCELLED: f"The caller gave up before the answer. {_OR_THE_SERVICE}",
    Reason.REJECTED: "The callee declined.",
    Reason.BUSY: "The callee declined because the device is engaged in something else.",
    Reason.NO_ANSWER: "Nobody answered in time.",
    Reason.ANSWERED_ELSEWHERE: "Another connection of the callee answered. The call goes on there.",
    Reason.CONNECTION_LOST: "A party's connection was lost, and the party did not come back in time.",
    Reason.REPLACED: "The user joined on another connection. The call goes on there.",
    Reason.SERVER_SHUTDOWN: "The server stopped and could not hand the call over.",
    Reason.FAILED: "A party reported that no media came about.",
}

_INTRODUCTION = """\
This is the whole protocol between a client and the server: every event, its payload, what confirms it, and every
error. Programs find the same in [asyncapi.json](asyncapi.json) (AsyncAPI 3.0, with a JSON Schema for every payload)
and in [events.d.ts](../clients/typescript/events.d.ts) (types for `socket.io-client`; a client that uses them is in
[examples/typescript](../examples/typescript/client.ts)). The rules of a call are in
[state-machine.md](state-machine.md).
"""

_TRANSPORT = """\
The server speaks Socket.IO. Use any client library of the Socket.IO v5 protocol over Engine.IO v4, such as
`socket.io-client` 3 or later.

| | |
|---|---|
| Path | `/socket.io/` |
| Namespace | `/` |
| Transports | `polling` and `websocket`, with upgrade; `websocket` alone works too |
| Default port | `{port}` (`PORT`) |
| Payload | exactly one JSON object per event; unknown fields are ignored |

```js
import {{ io }} from "socket.io-client";

const socket = io("http://localhost:{port}", {{ transports: ["websocket"] }});
socket.on("connect", () => socket.emit("user:join", {{ userId: "alice" }}));
```

Rules that hold for every event:

- Send `user:join` after every connect and every reconnect. The socket then speaks for that user.
- Events of one socket take effect in the order in which they were sent.
- An event that fails is answered to its sender alone, with {error}. Nothing has changed, and the socket stays open.
- Descriptions and candidates are opaque. They are forwarded byte for byte and never interpreted.
- A message of more than `MAX_MESSAGE_BYTES` ({max_bytes} bytes by default) closes the connection, and so does a packet
  that is not Socket.IO or not JSON.

A normal call, from ringing to the end:

```mermaid
sequenceDiagram
    participant alice
    participant server
    participant bob
    alice->>server: call:initiate
    server->>bob: call:incoming
    server->>alice: call:initiated
    bob->>server: call:accept
    server->>alice: call:accepted
    server->>bob: call:accepted
    alice->>server: call:offer
    server->>bob: call:offer
    bob->>server: call:answer
    server->>alice: call:answer
    alice->>server: ice:candidate
    server->>bob: ice:candidate
    bob->>server: ice:candidate
    server->>alice: ice:candidate
    alice->>server: call:connected
    alice->>server: call:end
    server->>alice: call:ended
    server->>bob: call:ended
```
"""

_ACKS = """\
Every event may be sent with an acknowledgement callback, or with `emitWithAck`. It is optional: the events named
under "Confirmed by" and {error} come in any case.

- On success it gets `{{ok: true}}` and the fields of the confirming event.
- On failure it gets `{{ok: false, error}}`, where `error` is the payload of {error}.

```json
{success}
{failure}
```

A lost connection also loses the acknowledgement, so give it a timeout: `socket.timeout(5000).emitWithAck(...)`.
"""


_ENDS = """\
Why a call is over, in `code` of `call:ended` and `call:rejected`. `reason` carries the text; an end that a party
chose by hand has none.
"""

_RESERVED = """\
Socket.IO keeps these names for itself. Sent as events, they are refused with `{reserved}`. Any other name outside
this reference is refused with `{unknown}`; the error repeats its first {chars} characters.
"""


def protocol_reference() -> str:
    """The reference, in Markdown."""
    return document(
        [
            "# Protocol reference",
            "",
            *_INTRODUCTION.splitlines(),
            "",
            *_contents(),
            *_overview(),
            *_client_events(),
            *_server_events(),
            *_nested_types(),
            *_error_list(),
            *_end_list(),
            *_reserved_names(),
        ]
    )


def sent(kind: type[ClientMessage]) -> str:
    """The heading of a client's event."""
    return f"Send `{kind.event}`"


def received(kind: type[ServerMessage]) -> str:
    """The heading of a server's event."""
    return f"Receive `{kind.event}`"


# --- The frame ---------------------------------------------------------------------------------------------


def _contents() -> list[str]:
    return [
        "## Contents",
        "",
        f"- {link(OVERVIEW)}",
        f"- {link(ACKNOWLEDGEMENTS)}",
        f"- {link(FROM_CLIENT)}",
        *(f"  - {link(sent(kind), code(kind.event))}: {_summary(kind)}" for kind in CLIENT_MESSAGES),
        f"- {link(FROM_SERVER)}",
        *(f"  - {link(received(kind), code(kind.event))}: {_summary(kind)}" for kind in SERVER_MESSAGES),
        f"- {link(TYPES)}",
        f"- {link(ERROR_CODES)}",
        f"- {link(END_CODES)}",
        f"- {link(RESERVED)}",
        "",
    ]


def _summary(kind: type) -> str:
    """The first sentence of what a message says of itself."""
    return first_paragraph(kind).split(". ")[0].rstrip(".") + "."


def _overview() -> list[str]:
    error = link(received(Error), code(Error.event))
    defaults = Settings.model_fields
    transport = _TRANSPORT.format(
        port=defaults["port"].default, max_bytes=defaults["max_message_bytes"].default, error=error
    )
    initiate = next(kind for kind in CLIENT_MESSAGES if kind.event == "call:initiate")
    acks = _ACKS.format(
        error=error, success=json.dumps(acknowledgement(initiate)), failure=json.dumps(error_acknowledgement())
    )
    return [f"## {OVERVIEW}", "", *transport.splitlines(), "", f"## {ACKNOWLEDGEMENTS}", "", *acks.splitlines(), ""]


# --- Events ------------------------------------------------------------------------------------------------


def _client_events() -> list[str]:
    lines = [f"## {FROM_CLIENT}", ""]
    for kind in CLIENT_MESSAGES:
        lines += [f"### {sent(kind)}", "", *_prose(kind), *_payload(kind), *_confirmation(kind)]
        lines += [*_failures(kind), *_sent_example(kind)]
    return lines


def _server_events() -> list[str]:
    lines = [f"## {FROM_SERVER}", ""]
    for kind in SERVER_MESSAGES:
        lines += [f"### {received(kind)}", "", *_prose(kind), *_payload(kind), *_confirms(kind)]
        lines += _received_example(kind)
    return lines


def _nested_types() -> list[str]:
    lines = [f"## {TYPES}", ""]
    for kind in nested_structs(messages()):
        lines += [f"### {kind.__name__}", "", *_prose(kind), *_payload(kind)]
    return lines


def _prose(kind: type) -> list[str]:
    return [line for paragraph in paragraphs(kind) for line in (paragraph, "")]


def _payload(kind: AnyStruct) -> list[str]:
    rows = [
        (
            code(field.name),
            link(ERROR_CODES, "error code") if is_error_code(kind, field) else type_text(field),
            "yes" if field.required else "no",
            limits_text(field.type),
            field.description,
        )
        for field in fields(kind)
    ]
    return table(("Field", "Type", "Required", "Limits", "Description"), rows)


def _confirmation(kind: type[ClientMessage]) -> list[str]:
    if kind.confirmed_by is None:
        return ["**Confirmed by** the acknowledgement alone.", ""]
    return [f"**Confirmed by** {link(received(kind.confirmed_by), code(kind.confirmed_by.event))}.", ""]


def _confirms(kind: type[ServerMessage]) -> list[str]:
    asked = [link(sent(each), code(each.event)) for each in CLIENT_MESSAGES if each.confirmed_by is kind]
    return [f"**Confirms** {' and '.join(asked)} to the sender.", ""] if asked else []


def _failures(kind: type[ClientMessage]) -> list[str]:
    rows = [
        (code(failure.text), link(ERROR_CODES, code(failure.error.code)), meaning(failure.error))
        for failure in failures(kind)
    ]
    return ["**Errors**; the event's own stand in the order of the checks:", "", *table(("Text", "Code", "When"), rows)]


def _sent_example(kind: type[ClientMessage]) -> list[str]:
    payload = example(kind)
    call = f'const ack = await socket.emitWithAck("{kind.event}", {_inline(payload)});'
    answer = f"// {_inline(acknowledgement(kind))}"
    return ["**Example**", "", *fence("json", _pretty(payload)), *fence("js", f"{call}\n{answer}")]


def _received_example(kind: type[ServerMessage]) -> list[str]:
    names = ", ".join(name if name != "from" else "from: peer" for name in example(kind))
    listener = f'socket.on("{kind.event}", ({{ {names} }}) => {{ /* ... */ }});'
    return ["**Example**", "", *fence("json", _pretty(example(kind))), *fence("js", listener)]


def _pretty(payload: object) -> str:
    return json.dumps(payload, indent=2, ensure_ascii=False)


def _inline(payload: dict[str, Any]) -> str:
    """A JavaScript object literal on one line."""
    return f"{{ {', '.join(f'{name}: {json.dumps(value)}' for name, value in payload.items())} }}"


# --- Types and limits in words -----------------------------------------------------------------------------


def type_text(field: Field) -> str:
    """The type of a field, in words."""
    return f"{_type_text(field.type)} or `null`" if field.nullable else _type_text(field.type)


def _type_text(kind: types.Type) -> str:
    plain, _ = described(kind)
    match plain:
        case types.EnumType(cls=cls) if cls is Reason:
            return link(END_CODES, "end code")
        case types.EnumType() | types.LiteralType():
            return " or ".join(code(json.dumps(value)) for value in choices(plain))
        case types.StructType(cls=cls):
            return link(cls.__name__)
        case types.ListType(item_type=item) | types.VarTupleType(item_type=item):
            return f"array of {_type_text(item)}"
        case types.UnionType(types=each):
            rest, nullable = without_null(plain)
            return f"{_type_text(rest)} or `null`" if nullable else " or ".join(_type_text(one) for one in each)
        case _:
            return _PLAIN.get(type(plain), "any JSON value")


_PLAIN: dict[type[types.Type], str] = {
    types.StrType: "string",
    types.IntType: "integer",
    types.FloatType: "number",
    types.BoolType: "boolean",
    types.DictType: "object",
}


def limits_text(kind: types.Type) -> str:
    """The limits of a type, in words; empty where there are none."""
    match kind:
        case types.StrType(min_length=low, max_length=high):
            return _range(low, high, "characters")
        case types.ListType(min_length=low, max_length=high) | types.VarTupleType(min_length=low, max_length=high):
            return _range(low, high, "entries")
        case types.IntType(ge=low, le=high) | types.FloatType(ge=low, le=high):
            return _range(low, high, "")
        case _:
            return ""


def _range(low: float | None, high: float | None, what: str) -> str:
    if high is None:
        return "" if low is None else f"at least {low} {what}".rstrip()
    return f"{low} to {high} {what}".rstrip() if low is not None else f"at most {high} {what}".rstrip()


# --- Lists -------------------------------------------------------------------------------------------------


def _error_list() -> list[str]:
    rows = [
        (code(error.code), _listed_text(error), meaning(error), error.advice, _where(error)) for error in ALL_ERRORS
    ]
    return [
        f"## {ERROR_CODES}",
        "",
        f"The set is closed. Decide by `code`; `message` is for people. How an error arrives: {link(received(Error))}.",
        "",
        *table(("Code", "Text", "Meaning", "Advice", "Events"), rows),
    ]


def _listed_text(error: type[SignallingError]) -> str:
    texts = {failure.text for kind in CLIENT_MESSAGES for failure in failures(kind) if failure.error is error}
    return "the text of the event, `Failed to ...`" if len(texts) > 1 else code(error.message)


def _where(error: type[SignallingError]) -> str:
    if error in (UnknownEventError, ReservedEventError):
        return "names outside this reference"
    if error in general_errors():
        return "all"
    connection = ("the connection: `connect_error` with `data.code`",) if error in connection_errors() else ()
    return ", ".join((*connection, *_events_of(error)))


def _events_of(error: type[SignallingError]) -> tuple[str, ...]:
    return tuple(link(sent(kind), code(kind.event)) for kind in CLIENT_MESSAGES if error in kind.errors)


def _end_list() -> list[str]:
    rows = [
        (code(reason.value), code(REASON_TEXTS[reason]) if reason in REASON_TEXTS else "", END_MEANINGS[reason])
        for reason in Reason
    ]
    return [
        f"## {END_CODES}",
        "",
        *_ENDS.splitlines(),
        "",
        *table(("Code", "Text in `reason`", "Meaning"), rows),
    ]


def _reserved_names() -> list[str]:
    return [
        f"## {RESERVED}",
        "",
        *_RESERVED.format(
            reserved=ReservedEventError.code, unknown=UnknownEventError.code, chars=MAX_ECHOED_NAME_CHARS
        ).splitlines(),
        "",
        ", ".join(code(name) for name in sorted(RESERVED_EVENTS)),
        "",
    ]
