"""`docs/admin-openapi.json`: the admin API as an OpenAPI 3.1 document, made from its operations and answers."""

import json
from typing import Any

import msgspec

from service import __version__
from service.config import Settings
from service.export.text import BANNER, first_paragraph
from service.protocol.admin import FAILED, OPERATIONS, PREFIX, UNAUTHORIZED, AdminError, Failure, Operation, Parameter

Json = dict[str, Any]

_SCHEMAS = "#/components/schemas/"
_TOKEN = "adminToken"  # noqa: S105 - a name

_DESCRIPTION = (
    "What those who run the signalling service can ask of a node, and make it do. Served on ADMIN_HOST and ADMIN_PORT "
    "of each node, never on the public port."
)


def admin_openapi_document() -> str:
    """The document, as JSON."""
    port = Settings.model_fields["admin_port"].default
    document: Json = {
        "x-generated": BANNER.replace("`", ""),
        "openapi": "3.1.0",
        "info": {
            "title": "Admin API of the signalling server",
            "version": __version__,
            "description": _DESCRIPTION,
            "license": {"name": "ISC", "identifier": "ISC"},
        },
        "servers": [{"url": f"http://127.0.0.1:{port}"}],
        "security": [{_TOKEN: []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {
                _TOKEN: {"type": "http", "scheme": "bearer", "description": "The setting ADMIN_TOKEN."}
            },
        },
    }
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def _paths() -> Json:
    paths: Json = {}
    for operation in OPERATIONS:
        paths.setdefault(PREFIX + operation.path, {})[operation.method.lower()] = _operation(operation)
    return paths


def _operation(operation: Operation) -> Json:
    content: Json = {"application/json": {"schema": {"$ref": _SCHEMAS + operation.answer.__name__}}}
    if operation.as_text:
        content["text/plain"] = {"schema": {"type": "string"}}
    answers: Json = {"200": {"description": first_paragraph(operation.answer), "content": content}}
    for failure in (*operation.failures, UNAUTHORIZED, FAILED):
        answers[str(failure.status)] = _failure(failure)
    return {
        "operationId": operation.name,
        "summary": operation.summary,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "responses": dict(sorted(answers.items())),
    }


def _parameter(parameter: Parameter) -> Json:
    return {
        "name": parameter.name,
        "in": parameter.where,
        "required": parameter.where == "path",
        "description": parameter.description,
        "schema": parameter.schema,
    }


def _failure(failure: Failure) -> Json:
    return {
        "description": f"`{failure.code}`: {failure.message}.",
        "content": {"application/json": {"schema": {"$ref": _SCHEMAS + AdminError.__name__}}},
    }


def _schemas() -> Json:
    answers = [operation.answer for operation in OPERATIONS]
    _, components = msgspec.json.schema_components([*answers, AdminError], ref_template=_SCHEMAS + "{name}")
    return {name: {**schema, "description": schema["description"].strip()} for name, schema in components.items()}
