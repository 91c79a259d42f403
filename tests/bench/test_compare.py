import pytest

from bench.compare import BUSY, Load, Turn, main, report
from tests.support.needs import need_node_module, need_program

LOAD = Load(calls=10, pairs=2, connections=5)


def turns(share: float) -> dict[str, list[Turn]]:
    ours = [Turn({"cpu": cpu}, {"saturation": share}) for cpu in (2.0, 4.0)]
    return {"ours": ours, "Node": [Turn({"cpu": 1.0}, {"saturation": 0.1})] * 2}


def test_the_report_says_how_much_was_asked_and_how_busy_the_generator_was() -> None:
    said = report(LOAD, 12.0, turns(0.25))
    assert "2 rounds, 10 calls of 15 events, 2 pairs, 5 idle connections, fixed rate 12 calls a second" in said
    assert "| cpu | 3 | 1 | 3.00 | 2.00 to 4.00 |" in said
    assert "share of a core, ours: 0.25 saturation" in said
    assert "too busy" not in said


def test_a_busy_generator_is_pointed_out() -> None:
    assert "too busy" in report(LOAD, 12.0, turns(BUSY + 0.01))


def test_the_whole_comparison_runs(capsys: pytest.CaptureFixture[str]) -> None:
    need_program("node", "nodejs")
    need_node_module("socket.io")
    small = ["--rounds", "1", "--calls", "50", "--connections", "20", "--pairs", "4", "--warm-calls", "10"]
    assert main(small) == 0
    said = capsys.readouterr().out
    for figure in ("CPU a call", "set-up p99", "relay p50", "connects and joins", "memory of an idle connection"):
        assert figure in said


def test_a_comparison_without_node_ends_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["--quick"]) == 1
    assert "make node" in capsys.readouterr().err
