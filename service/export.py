"""The generated documents: what each is made from, and whether the one in the tree is still fresh."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

DOCUMENTS: dict[str, Callable[[], str]] = {}
"""Path below the project's root -> what it should hold."""


def add_export_command(commands: "argparse._SubParsersAction[Any]") -> None:
    """Add `export` to the command line."""
    export = commands.add_parser("export", help="write the generated documents, or check that they are fresh")
    export.add_argument("--check", action="store_true", help="write nothing; fail if a document is out of date")
    export.set_defaults(run=_export)


def _export(arguments: argparse.Namespace) -> int:
    stale = [path for path, build in DOCUMENTS.items() if not _is_fresh(ROOT / path, build())]
    if arguments.check:
        for path in stale:
            print(f"out of date: {path}; run: make docs", file=sys.stderr)  # noqa: T201 - a command line
        return 1 if stale else 0
    for path in stale:
        (ROOT / path).parent.mkdir(parents=True, exist_ok=True)
        (ROOT / path).write_text(DOCUMENTS[path](), encoding="utf-8")
        print(f"written: {path}")  # noqa: T201 - a command line
    return 0


def _is_fresh(path: Path, content: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == content
