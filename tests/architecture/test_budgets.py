"""The budgets of docs/architecture.md, held."""

import ast
import re
import statistics
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.needs import ROOT

PACKAGES = [name for name in ("service", "observability", "synthetic", "grafana", "bench") if (ROOT / name).is_dir()]
MODULES = sorted(path for name in PACKAGES for path in (ROOT / name).rglob("*.py"))
MAX_MODULE_LINES = 500
MAX_FUNCTION_LINES = 50
P90_FUNCTION_LINES = 30


def functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield f"{path.relative_to(ROOT)}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_module_is_too_long(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= MAX_MODULE_LINES


def test_no_function_is_too_long() -> None:
    assert [where for path in MODULES for where, lines in functions(path) if lines > MAX_FUNCTION_LINES] == []


def test_nine_functions_of_ten_are_short() -> None:
    lengths = [lines for path in MODULES for _, lines in functions(path)]
    assert statistics.quantiles(lengths, n=10)[-1] <= P90_FUNCTION_LINES


def test_tasks_are_made_by_the_supervisor_alone() -> None:
    makers = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if re.search(r"\bcreate_task\(", path.read_text(encoding="utf-8"))
    }
    assert makers == {"service/supervisor.py"}


def test_the_wall_clock_is_asked_only_where_others_look_at_it_too() -> None:
    """Steps of it must not hit connections or calls: those live by clocks that only go forward."""
    allowed = {
        "service/bootstrap.py",  # until when a TURN password is good
        "service/token.py",  # until when a token is good
        "service/transport/gateway.py",  # how long a token is good from now on
        "service/adapters/http_authoriser/authoriser.py",  # when a request was signed
    }
    asking = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if path.is_relative_to(ROOT / "service")
        and re.search(r"time\.time\(|time_ns\(", path.read_text(encoding="utf-8"))
    }
    assert asking == allowed


def test_broad_excepts_stand_only_where_they_may() -> None:
    allowed = {
        "observability/fanout.py",  # what observes must not break what is observed
        "service/transport/gateway.py",  # the guard: a failing event must not end the socket
        "service/transport/lane.py",  # hands on what a waiting coroutine is thrown
        "service/transport/strict.py",  # the guard around python-socketio
    }
    broad = {
        path.relative_to(ROOT).as_posix()
        for path in MODULES
        if re.search(r"except (Base)?Exception\b|except:", path.read_text(encoding="utf-8"))
    }
    assert broad <= allowed


def test_locks_record_hashes_and_no_addresses() -> None:
    for name in ("requirements.lock", "requirements-synthetic.lock", "requirements-dev.lock", "package-lock.json"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert re.search(r"sha256:|sha512-", text)
        assert '"resolved"' not in text
        assert re.search(r"(?m)^\s*--(extra-)?index-url|@ https?:", text) is None
