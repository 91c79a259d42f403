"""The document of the admin API: valid, whole, and of what is really served."""

import json
import re
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from service.export.openapi import admin_openapi_document
from service.protocol.admin import FAILURES, OPERATIONS, PREFIX, AdminError
from tests.support.admin import admin_app_without_node

DOCUMENT = json.loads(admin_openapi_document())
METHODS = ("get", "put", "post", "delete")
OPERATION_IDS = [operation.name for operation in OPERATIONS]


def served() -> set[tuple[str, str]]:
    """What the application has routes for."""
    routes = admin_app_without_node().router.routes
    return {(method, re.sub(r"<(\w+):str>", r"{\1}", f"/{route.path}")) for route in routes for method in route.methods}


def test_every_route_is_in_it_and_nothing_else() -> None:
    told = {(method.upper(), path) for path, operations in DOCUMENT["paths"].items() for method in operations}
    assert told == served()
    assert all(path.startswith(f"{PREFIX}/") for _method, path in told)


def test_every_operation_has_a_handler_and_no_handler_is_left_over() -> None:
    operation_ids = [operations[m]["operationId"] for operations in DOCUMENT["paths"].values() for m in operations]
    assert sorted(operation_ids) == sorted(OPERATION_IDS)
    assert len(set(OPERATION_IDS)) == len(OPERATION_IDS)


# The parts of OpenAPI 3.1.0 (spec.openapis.org/oas/3.1/schema) that the document uses, closed: what is not here is
# a mistake.
_TEXT = {"type": "string", "minLength": 1}
_SCHEMA = {"$ref": "https://json-schema.org/draft/2020-12/schema"}
_CONTENT = {
    "type": "object",
    "minProperties": 1,
    "additionalProperties": {
        "type": "object",
        "required": ["schema"],
        "properties": {"schema": _SCHEMA},
        "additionalProperties": False,
    },
}
_OPERATION = {
    "type": "object",
    "required": ["operationId", "summary", "responses"],
    "properties": {
        "operationId": _TEXT,
        "summary": _TEXT,
        "parameters": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "in", "required", "schema"],
                "properties": {
                    "name": _TEXT,
                    "in": {"enum": ["path", "query"]},
                    "required": {"type": "boolean"},
                    "description": _TEXT,
                    "schema": _SCHEMA,
                },
                "if": {"properties": {"in": {"const": "path"}}},
                "then": {"properties": {"required": {"const": True}}},
                "additionalProperties": False,
            },
        },
        "responses": {
            "type": "object",
            "required": ["200", "401", "500"],
            "patternProperties": {
                "^[1-5][0-9][0-9]$": {
                    "type": "object",
                    "required": ["description", "content"],
                    "properties": {"description": _TEXT, "content": _CONTENT},
                    "additionalProperties": False,
                }
            },
            "additionalProperties": False,
        },
    },
    "additionalProperties": False,
}
OPENAPI = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "object",
    "required": ["openapi", "info", "paths"],
    "properties": {
        "openapi": {"const": "3.1.0"},
        "info": {"type": "object", "required": ["title", "version"]},
        "servers": {"type": "array", "items": {"type": "object", "required": ["url"]}},
        "security": {"type": "array"},
        "paths": {
            "type": "object",
            "propertyNames": {"pattern": "^/"},
            "additionalProperties": {
                "type": "object",
                "properties": dict.fromkeys(METHODS, _OPERATION),
                "additionalProperties": False,
            },
        },
        "components": {
            "type": "object",
            "properties": {
                "schemas": {"type": "object", "additionalProperties": _SCHEMA},
                "securitySchemes": {"type": "object"},
            },
            "additionalProperties": False,
        },
    },
    "patternProperties": {"^x-": {}},
    "additionalProperties": False,
}


def test_it_is_an_openapi_document() -> None:
    Draft202012Validator(OPENAPI).validate(DOCUMENT)


@pytest.mark.parametrize(
    "broken",
    [
        {"openapi": "3.0.0"},
        {"paths": {"admin": {}}},
        {"paths": {"/admin": {"get": {"summary": "no answers"}}}},
        {"components": {"schemas": {"Wrong": {"type": "nonsense"}}}},
    ],
)
def test_what_is_none_is_found_out(broken: dict[str, Any]) -> None:
    assert not Draft202012Validator(OPENAPI).is_valid(DOCUMENT | broken)


def test_every_reference_leads_somewhere_and_every_schema_is_used() -> None:
    used = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(DOCUMENT)))
    assert used == set(DOCUMENT["components"]["schemas"])


def test_path_parameters_are_those_of_the_path() -> None:
    for path, operations in DOCUMENT["paths"].items():
        for operation in operations.values():
            named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
            assert named == set(re.findall(r"\{(\w+)\}", path))


def test_every_code_of_an_error_is_in_it() -> None:
    codes = DOCUMENT["components"]["schemas"][AdminError.__name__]["properties"]["code"]["enum"]
    assert codes == [failure.code for failure in FAILURES]
    assert len(set(codes)) == len(codes)


def test_every_operation_asks_for_the_token() -> None:
    assert DOCUMENT["security"] == [{"adminToken": []}]
    assert DOCUMENT["components"]["securitySchemes"]["adminToken"]["scheme"] == "bearer"
