"""What generators learn from message types."""

import msgspec
import pytest

from service.errors import ALL_ERRORS, BacklogFullError, InternalError, InvalidPayloadError, ReservedEventError
from service.export.catalogue import (
    connection_errors,
    error_text,
    failures,
    fields,
    general_errors,
    messages,
    nested_structs,
    required_by_error,
    type_name,
)
from service.protocol.client import CLIENT_MESSAGES, ClientMessage, UserJoin
from service.protocol.server import CallSnapshot, Error, UserJoined


class Leaf(msgspec.Struct):
    """Inside the inside."""

    size: int


class Branch(msgspec.Struct):
    """Inside."""

    leaves: list[Leaf]


class Tree(msgspec.Struct):
    """Outside."""

    branch: Branch | None
    spare: Leaf | int


def test_structs_are_found_in_lists_unions_and_structs_once_each() -> None:
    assert nested_structs([Tree, Tree]) == (Branch, Leaf)


def test_the_snapshot_of_a_call_is_found_inside_messages() -> None:
    assert CallSnapshot in nested_structs(messages())


def test_names_of_types_are_unique() -> None:
    names = [type_name(kind) for kind in (*messages(), *nested_structs(messages()))]
    assert len(set(names)) == len(names)
    assert type_name(Error) == "SignallingError"


def test_null_and_absence_are_told_apart() -> None:
    by_name = {field.name: field for field in fields(UserJoined)}
    assert (by_name["call"].required, by_name["call"].nullable) == (False, False)
    tree = {field.name: field for field in fields(Tree)}
    assert (tree["branch"].required, tree["branch"].nullable) == (True, True)
    assert tree["branch"].description == "Inside."


def test_a_field_with_an_error_of_its_own_is_required() -> None:
    assert required_by_error(UserJoin) == {"userId"}
    assert required_by_error(UserJoined) == frozenset()


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_failures_stand_in_the_order_of_the_checks(kind: type[ClientMessage]) -> None:
    errors = [failure.error for failure in failures(kind)]
    assert errors[: 1 + len(kind.errors)] == [InvalidPayloadError, *kind.errors]
    assert set(errors[1 + len(kind.errors) :]) == set(general_errors()) - {InvalidPayloadError}


def test_every_error_belongs_to_an_event_or_to_all_or_to_none() -> None:
    claimed = {failure.error for kind in CLIENT_MESSAGES for failure in failures(kind)}
    unclaimed = {error.code for error in set(ALL_ERRORS) - claimed}
    connection_only = {error.code for error in set(connection_errors()) - claimed}
    assert unclaimed == {"unknown_event", ReservedEventError.code, *connection_only}


def test_the_errors_of_a_connection_are_those_of_authentication() -> None:
    assert {error.code for error in connection_errors()} >= {"unauthenticated", "token_invalid", "token_expired"}


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_texts_are_those_of_the_event(kind: type[ClientMessage]) -> None:
    assert error_text(InternalError, kind) == error_text(InvalidPayloadError, kind) == kind.failure
    assert error_text(BacklogFullError, kind) == BacklogFullError.message
