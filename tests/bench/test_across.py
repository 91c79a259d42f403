import pytest

from bench import across
from tests.bench.conftest import need_node
from tests.support.needs import need_node_module, need_program


def test_calls_between_two_nodes_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    need_program("redis-server", "redis-server")
    need_node()
    need_node_module("@socket.io/redis-adapter")
    assert across.main(["--quick"]) == 0
    out = capsys.readouterr().out
    figures = {line.split(" | ")[0][2:]: line.split(" | ")[1:3] for line in out.splitlines() if line.startswith("| ")}
    of_ours_alone = {"messages an entry at saturation", "messages an entry at a tenth"}
    assert all(float(figures[name][0]) >= 1 and figures[name][1] == "-" for name in of_ours_alone)
    measured = {
        name: [float(value) for value in values]
        for name, values in figures.items()
        if name not in {"figure", *of_ours_alone}
    }
    for name in ("calls a second at saturation", "CPU of both nodes a call at saturation, ms"):
        assert min(measured[name]) > 0
    assert min(measured["commands of Redis a call at a tenth"]) > 0


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert across.main(["--quick"]) == 1
    assert "redis-server" in capsys.readouterr().err
