"""`docs/asyncapi.json`: valid by the official schema, and its examples valid by its own."""

import json
from typing import Any

import pytest
from jsonschema import Draft7Validator

from service.export.asyncapi import asyncapi_document
from service.export.catalogue import error_codes, type_name
from service.protocol.client import CLIENT_MESSAGES, ClientMessage, UserJoin
from service.protocol.server import SERVER_MESSAGES, ServerMessage
from tests.export.schemas import DOCUMENT, MESSAGES, SCHEMAS, problems, resolve
from tests.support.needs import need_node_module


def references(node: object) -> list[str]:
    """All references below a node."""
    if isinstance(node, list):
        return [found for each in node for found in references(each)]
    if not isinstance(node, dict):
        return []
    own = [node["$ref"]] if isinstance(node.get("$ref"), str) else []
    return own + [found for each in node.values() for found in references(each)]


@pytest.mark.node
def test_the_document_is_valid_by_the_official_schema() -> None:
    path = need_node_module("@asyncapi/specs") / "schemas" / "3.0.0.json"
    official = Draft7Validator(json.loads(path.read_text(encoding="utf-8")))
    assert [error.message for error in official.iter_errors(DOCUMENT)] == []
    broken = {**DOCUMENT, "operations": {"odd": {"action": "shout"}}}
    assert not official.is_valid(broken)


def test_every_reference_leads_somewhere() -> None:
    found = references(DOCUMENT)
    assert found
    for reference in found:
        assert resolve(reference)


@pytest.mark.parametrize("name", MESSAGES)
def test_every_example_is_valid_by_its_own_schema(name: str) -> None:
    examples = MESSAGES[name]["examples"]
    assert examples
    for example in examples:
        assert problems(MESSAGES[name]["payload"], example["payload"]) == []


@pytest.mark.parametrize("name", sorted(set(MESSAGES) - {"IceServersQueryRequest"}))  # which has no fields
def test_every_example_loses_its_validity_without_its_required_fields(name: str) -> None:
    assert problems(MESSAGES[name]["payload"], {}) != []


@pytest.mark.parametrize("kind", CLIENT_MESSAGES)
def test_the_server_receives_every_clients_event_and_replies(kind: type[ClientMessage]) -> None:
    operation = DOCUMENT["operations"][f"receive{type_name(kind)}"]
    assert operation["action"] == "receive"
    assert [_message(each)["name"] for each in operation["messages"]] == [kind.event]
    done, failed = (_message(each) for each in operation["reply"]["messages"])
    assert problems(done["payload"], failed["examples"][0]["payload"]) != []
    assert problems(failed["payload"], done["examples"][0]["payload"]) != []
    listed = {(each["message"], each["code"]) for each in operation["x-errors"]}
    assert {(error.message, error.code) for error in kind.errors} <= listed


@pytest.mark.parametrize("kind", SERVER_MESSAGES)
def test_the_server_sends_every_server_event(kind: type[ServerMessage]) -> None:
    operation = DOCUMENT["operations"][f"send{type_name(kind)}"]
    assert operation["action"] == "send"
    assert [_message(each)["name"] for each in operation["messages"]] == [kind.event]


def test_the_messages_of_operations_stand_in_their_channels() -> None:
    for operation in DOCUMENT["operations"].values():
        for part in [operation, *([operation["reply"]] if "reply" in operation else [])]:
            prefix = part["channel"]["$ref"] + "/messages/"
            assert all(each["$ref"].startswith(prefix) for each in part["messages"])


def test_error_codes_are_a_closed_set() -> None:
    assert SCHEMAS["SignallingError"]["properties"]["code"]["enum"] == list(error_codes())


def test_joining_without_a_user_id_is_invalid() -> None:
    payload = MESSAGES[type_name(UserJoin)]["payload"]
    assert problems(payload, {}) != []
    assert problems(payload, {"userId": None}) != []
    assert problems(payload, {"userId": ""}) != []
    assert problems(payload, {"userId": "x" * 129}) != []


def test_no_schema_keeps_a_python_name() -> None:
    assert [name for name in SCHEMAS if "." in name] == []
    assert {schema["title"] for schema in SCHEMAS.values()} == set(SCHEMAS)


def _message(reference: dict[str, str]) -> Any:
    return resolve(resolve(reference["$ref"])["$ref"])


def test_no_text_cites_what_readers_do_not_have() -> None:
    assert "(contract" not in asyncapi_document()
