"""What the message types say of themselves, in the form that every generator needs."""

import functools
import inspect
from collections.abc import Iterable
from typing import Any, NamedTuple

import msgspec
from msgspec import inspect as types

from service.errors import (
    ALL_ERRORS,
    AuthenticationError,
    InvalidPayloadError,
    ReservedEventError,
    SignallingError,
    UnknownEventError,
)
from service.export.text import first_paragraph
from service.protocol import server
from service.protocol.client import CLIENT_MESSAGES, ClientMessage
from service.protocol.server import SERVER_MESSAGES, ServerMessage
from service.protocol.translate import to_error

Message = ClientMessage | ServerMessage
Kind = type[ClientMessage] | type[ServerMessage]
AnyStruct = type[msgspec.Struct]


class Field(NamedTuple):
    """One field of a payload. `type` is without its limits' wrapper and without null."""

    name: str
    type: types.Type
    required: bool
    nullable: bool
    description: str
    examples: tuple[Any, ...]


class Failure(NamedTuple):
    """An error as one event gets it: with the text that it has there."""

    error: type[SignallingError]
    text: str


def messages() -> tuple[Kind, ...]:
    """All messages, the clients' first."""
    return (*CLIENT_MESSAGES, *SERVER_MESSAGES)


def is_from_client(kind: Kind) -> bool:
    """Whether clients send this message."""
    return issubclass(kind, ClientMessage)


def type_name(kind: AnyStruct) -> str:
    """The name of a payload's type for other languages, where both directions share one name space."""
    if kind is server.Error:
        return "SignallingError"
    return f"{kind.__name__}Request" if issubclass(kind, ClientMessage) else kind.__name__


@functools.cache
def fields(kind: AnyStruct) -> tuple[Field, ...]:
    """The fields of a struct, as they are named on the wire."""
    info = types.type_info(kind)
    assert isinstance(info, types.StructType)  # noqa: S101 - tells the type checker
    forced = required_by_error(kind)
    return tuple(_field(field, forced) for field in info.fields)


def required_by_error(kind: AnyStruct) -> frozenset[str]:
    """Fields whose absence the type allows only because it has an error of its own (`User ID is required`)."""
    if not issubclass(kind, ClientMessage):
        return frozenset()
    special = [error for error in kind.errors if issubclass(error, InvalidPayloadError)]
    named = [_blank(error).field for error in special]
    return frozenset(name for name in named if name)


def described(kind: types.Type) -> tuple[types.Type, dict[str, Any]]:
    """A type without the wrapper of its annotations, and the annotations."""
    if isinstance(kind, types.Metadata):
        return kind.type, dict(kind.extra_json_schema or {})
    return kind, {}


def without_null(kind: types.Type) -> tuple[types.Type, bool]:
    """A type without null, and whether null was allowed."""
    if not isinstance(kind, types.UnionType):
        return kind, False
    rest = tuple(each for each in kind.types if not isinstance(each, types.NoneType))
    nullable = len(rest) < len(kind.types)
    return (rest[0] if len(rest) == 1 else types.UnionType(rest)), nullable


def choices(kind: types.EnumType | types.LiteralType) -> tuple[Any, ...]:
    """The values of a closed set, as they stand on the wire."""
    return tuple(each.value for each in kind.cls) if isinstance(kind, types.EnumType) else kind.values


def meaning(error: type[SignallingError]) -> str:
    """What an error says of itself, with the texts of other errors in the place of their Python names."""
    said = first_paragraph(error)
    for other in ALL_ERRORS:
        said = said.replace(f"`{other.__name__}`", f"`{other.message}`")
    return said


def nested_structs(kinds: Iterable[AnyStruct]) -> tuple[AnyStruct, ...]:
    """The structs inside payloads, in the order of their first use."""
    found: dict[AnyStruct, None] = {}
    for kind in kinds:
        for field in fields(kind):
            _collect(field.type, found)
    return tuple(found)


def failures(kind: type[ClientMessage]) -> tuple[Failure, ...]:
    """What an event may get, in the order of the checks: its payload, its own errors, the server's failures."""
    last = [error for error in general_errors() if error is not InvalidPayloadError]
    errors: list[type[SignallingError]] = [InvalidPayloadError, *kind.errors, *last]
    return tuple(Failure(error, error_text(error, kind)) for error in errors)


def general_errors() -> tuple[type[SignallingError], ...]:
    """The errors that belong to no event in particular and that every event may get."""
    claimed = {error for kind in CLIENT_MESSAGES for error in kind.errors}
    special = {UnknownEventError, ReservedEventError, *connection_errors()}
    return tuple(error for error in ALL_ERRORS if error not in claimed | special)


def connection_errors() -> tuple[type[SignallingError], ...]:
    """The errors that refuse a connection. They arrive as `connect_error` and not as an event."""
    return tuple(error for error in ALL_ERRORS if issubclass(error, AuthenticationError))


def error_text(error: type[SignallingError], kind: type[ClientMessage]) -> str:
    """The text of an error as the answer to an event."""
    return to_error(_blank(error), kind.event, kind, None).message


def error_codes() -> tuple[str, ...]:
    """The closed set of `code`, in the order of `ALL_ERRORS`."""
    return tuple(dict.fromkeys(error.code for error in ALL_ERRORS))


def is_error_code(kind: AnyStruct, field: Field) -> bool:
    """Whether this field is the error code, whose type is an open string."""
    return kind is server.Error and field.name == "code"


def _field(field: types.Field, forced: frozenset[str]) -> Field:
    outer, said_outside = described(field.type)
    inner, nullable = without_null(outer)
    plain, said_inside = described(inner)
    said = {**said_inside, **said_outside}
    is_forced = field.encode_name in forced
    return Field(
        name=field.encode_name,
        type=plain,
        required=field.required or is_forced,
        nullable=nullable and not is_forced,
        description=said.get("description", _description_of(plain)),
        examples=tuple(said.get("examples", ())),
    )


def _description_of(kind: types.Type) -> str:
    return first_paragraph(kind.cls) if isinstance(kind, types.StructType | types.EnumType) else ""


def _collect(kind: types.Type, found: dict[AnyStruct, None]) -> None:
    plain, _ = described(kind)
    if isinstance(plain, types.StructType):
        found[plain.cls] = None
        for field in fields(plain.cls):
            _collect(field.type, found)
    elif isinstance(plain, types.UnionType):
        for each in plain.types:
            _collect(each, found)
    elif isinstance(plain, types.ListType | types.VarTupleType):
        _collect(plain.item_type, found)


_BLANKS: dict[object, Any] = {int: 0, float: 0.0}


def _blank(error: type[SignallingError]) -> Any:  # noqa: ANN401 - each error has fields of its own
    """An instance without content, for what depends on the class alone."""
    parameters = inspect.signature(error).parameters.values()
    arguments = [_BLANKS.get(each.annotation, "") for each in parameters if each.default is each.empty]
    return error(*arguments)
