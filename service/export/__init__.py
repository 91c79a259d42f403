"""The generated documents: what each is made from, and whether the one in the tree is still fresh."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from observability.reference import call_records_reference, metrics_reference
from service.export.asyncapi import asyncapi_document
from service.export.configuration import configuration_reference, env_example
from service.export.openapi import admin_openapi_document
from service.export.protocol_reference import protocol_reference
from service.export.state_machine import state_machine_reference
from service.export.typescript import typescript_events

ROOT = Path(__file__).resolve().parents[2]

DOCUMENTS: dict[str, Callable[[], str]] = {
    ".env.example": env_example,
    "clients/typescript/events.d.ts": typescript_events,
    "docs/admin-openapi.json": admin_openapi_document,
    "docs/asyncapi.json": asyncapi_document,
    "docs/call-records.md": call_records_reference,
    "docs/configuration.md": configuration_reference,
    "docs/metrics.md": metrics_reference,
    "docs/protocol.md": protocol_reference,
    "docs/state-machine.md": state_machine_reference,
}
"""Path below the project's root -> what it should hold."""


def add_export_command(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add `export` to the command line."""
    export = commands.add_parser("export", help="write the generated documents, or check that they are fresh")
    export.add_argument("--check", action="store_true", help="write nothing; fail if a document is out of date")
    export.add_argument("--root", type=Path, default=ROOT, help="the folder that holds the documents")
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    root: Path = arguments.root
    fresh = {path: build() for path, build in DOCUMENTS.items()}
    stale = [path for path, content in fresh.items() if not _is_fresh(root / path, content)]
    if arguments.check:
        for path in stale:
            print(f"out of date: {path}; run: make docs", file=sys.stderr)  # noqa: T201 - a command line
        return 1 if stale else 0
    for path in stale:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(fresh[path], encoding="utf-8")
        print(f"written: {path}")  # noqa: T201 - a command line
    return 0


def _is_fresh(path: Path, content: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == content
