"""`docs/configuration.md` and `.env.example`, made from the settings."""

import json
import textwrap
import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

from pydantic.fields import FieldInfo

from service.config import Settings
from service.export.text import BANNER, code, document, fence, link, table

_COMMENT_COLUMNS = 110

_INTRODUCTION = """\
The server reads its settings from environment variables and from a file `.env` in its working directory. The
environment wins. An empty value counts as not set. A value that cannot be used stops the start with one line that
names the variable, the problem and an example.

To start from the defaults: `cp .env.example .env`.
"""


def configuration_reference() -> str:
    """The reference of all settings, in Markdown."""
    settings = Settings.model_fields.items()
    rows = [
        (link(variable(name)), type_text(field), _unit(field), _default_text(field), limits_text(field))
        for name, field in settings
    ]
    sections = [line for name, field in settings for line in _section(name, field)]
    return document(
        [
            "# Configuration",
            "",
            *_INTRODUCTION.splitlines(),
            "",
            "## Overview",
            "",
            *table(("Variable", "Type", "Unit", "Default", "Limits"), rows),
            "## Settings",
            "",
            *sections,
        ]
    )


def env_example() -> str:
    """A `.env` with every setting at its default."""
    lines = [f"# {BANNER}", "# Copy this file to .env and change what you need. Every value here is the default.", ""]
    for name, field in Settings.model_fields.items():
        lines += [*_comment(field), f"{variable(name)}={_quoted(raw_default(field))}", ""]
    return "\n".join(lines)


def variable(name: str) -> str:
    """The environment variable of a setting."""
    return name.upper()


def raw_default(field: FieldInfo) -> str:
    """A default as it is written in the environment; empty where there is none."""
    value = field.get_default(call_default_factory=True)
    if value is None:
        return ""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value, default=str)


def _section(name: str, field: FieldInfo) -> list[str]:
    facts = [
        ("Type", type_text(field)),
        ("Unit", _unit(field)),
        ("Default", _default_text(field)),
        ("Limits", limits_text(field)),
    ]
    return [
        f"### {variable(name)}",
        "",
        field.description or "",
        "",
        *(f"- {label}: {value}" for label, value in facts if value),
        "",
        *fence("sh", f"{variable(name)}={_quoted(_extra(field, 'example'))}"),
    ]


def _comment(field: FieldInfo) -> list[str]:
    facts = [field.description or "", _facts_text(field)]
    return [f"# {line}" for fact in facts if fact for line in textwrap.wrap(fact, _COMMENT_COLUMNS)]


def _facts_text(field: FieldInfo) -> str:
    facts = [type_text(field), _unit(field), limits_text(field)]
    return f"({', '.join(fact.replace('`', '') for fact in facts if fact)})"


def _default_text(field: FieldInfo) -> str:
    raw = raw_default(field)
    return code(raw) if raw else "not set"


def _unit(field: FieldInfo) -> str:
    unit = _extra(field, "unit")
    return "" if unit == "port" else unit


def _extra(field: FieldInfo, key: str) -> str:
    extra = field.json_schema_extra
    return str(extra.get(key, "")) if isinstance(extra, dict) else ""


def _quoted(value: str) -> str:
    """A value as a `.env` file needs it: quoted where a bare one would be cut off."""
    return json.dumps(value) if any(mark in value for mark in " #\"'\n") else value


# --- Types and limits in words -----------------------------------------------------------------------------

_WORDS: dict[Any, str] = {
    str: "text",
    int: "whole number",
    float: "number",
    bool: "`true` or `false`",
}

_BOUNDS: dict[str, Callable[[object], str]] = {
    "gt": lambda bound: f"more than {bound}",
    "ge": lambda bound: f"at least {bound}",
    "lt": lambda bound: f"less than {bound}",
    "le": lambda bound: f"at most {bound}",
    "min_length": lambda bound: f"at least {bound} characters",
    "max_length": lambda bound: f"at most {bound} characters",
}


def type_text(field: FieldInfo) -> str:
    """The type of a setting, in words."""
    return _annotation_text(field.annotation)


def _annotation_text(annotation: Any) -> str:  # noqa: ANN401 - an annotation can be anything
    if get_origin(annotation) is Literal:
        return ", ".join(code(value) for value in get_args(annotation))
    if get_origin(annotation) in (Union, types.UnionType):
        named = [each for each in get_args(annotation) if each is not type(None)]
        return " or ".join(_annotation_text(each) for each in named)
    return _WORDS.get(annotation, "text")


def limits_text(field: FieldInfo) -> str:
    """The limits of a setting, in words; empty where there are none."""
    low, high = (_bound(field, name) for name in ("ge", "le"))
    if low is not None and high is not None:
        return f"{low} to {high}"
    found = [
        say(getattr(limit, name))
        for limit in field.metadata
        for name, say in _BOUNDS.items()
        if getattr(limit, name, None) is not None
    ]
    return ", ".join(found)


def _bound(field: FieldInfo, name: str) -> object:
    return next((getattr(limit, name) for limit in field.metadata if hasattr(limit, name)), None)
