"""The AsyncAPI document as a program reads it."""

import json
from typing import Any

from jsonschema import Draft7Validator

from service.export.asyncapi import asyncapi_document

DOCUMENT: dict[str, Any] = json.loads(asyncapi_document())
MESSAGES: dict[str, Any] = DOCUMENT["components"]["messages"]
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]


def problems(schema: dict[str, Any], payload: object) -> list[str]:
    """What is wrong with a payload by a schema of the document."""
    whole = {"allOf": [schema], "components": DOCUMENT["components"]}
    return [error.message for error in Draft7Validator(whole).iter_errors(payload)]


def resolve(reference: str) -> Any:
    """What a reference inside the document points to."""
    found: Any = DOCUMENT
    for part in reference.removeprefix("#/").split("/"):
        found = found[part]
    return found
