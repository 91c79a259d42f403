"""What a test needs that a fresh machine may lack: skipped by name there, failed where skips are not allowed."""

import os
import shutil
from pathlib import Path

import pytest

STRICT = os.environ.get("SIGNALLING_TESTS_STRICT") == "1"
"""Set in CI: there, what is missing is a failure."""

ROOT = Path(__file__).resolve().parent.parent.parent


def need_program(name: str, package: str) -> str:
    """The path of a program; without it the test is skipped, naming the system package that has it."""
    path = shutil.which(name)
    if path is None:
        missing(f"{name} is not installed (Debian package {package})")
    return str(path)


def need_node_module(name: str) -> Path:
    """The folder of an npm package of package.json."""
    need_program("node", "nodejs")
    path = ROOT / "node_modules" / name
    if not path.is_dir():
        missing(f"the npm package {name} is not installed (run: make node)")
    return path


def missing(what: str) -> None:
    """Skip, or fail where skips are not allowed."""
    if STRICT:
        pytest.fail(what, pytrace=False)
    pytest.skip(what)
