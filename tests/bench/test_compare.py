import pytest

from bench.compare import BUSY, SATURATED, fixed_rates, main, report
from bench.measure import FURTHER, SATURATION, Load, Turn
from tests.bench.conftest import need_node

LOAD = Load(calls=10, pairs=2, connections=5)
RATE = "at half of Node's limit"


def turns(share: float, reached: float = 12.0, cores: float = 1.0) -> dict[str, list[Turn]]:
    same = {f"calls a second {RATE}": reached, SATURATION: cores}
    ours = [Turn({"cpu": cpu, **same}, {"at saturation": share}) for cpu in (2.0, 4.0)]
    return {"ours": ours, "Node": [Turn({"cpu": 1.0, **same, SATURATION: 1.0}, {"at saturation": 0.1})] * 2}


def test_the_report_says_how_much_was_asked_and_how_busy_the_generator_was() -> None:
    said = report(LOAD, {RATE: 12.0}, turns(0.25))
    assert "2 rounds, 10 calls of 15 events, 2 pairs, 5 idle connections" in said
    assert f"{RATE}: 12 calls a second" in said
    assert "| cpu | 3 | 1 | 3.00 | 2.00 to 4.00 |" in said
    assert "share of a core, ours: 0.25 at saturation" in said
    assert "too busy" not in said
    assert "did not carry" not in said
    assert "not saturated" not in said


def test_a_busy_generator_is_pointed_out() -> None:
    assert "too busy at saturation" in report(LOAD, {RATE: 12.0}, turns(BUSY + 0.01))


def test_a_server_that_was_not_saturated_is_pointed_out() -> None:
    said = report(LOAD, {RATE: 12.0}, turns(0.1, cores=SATURATED - 0.1))
    assert "ours was not saturated (0.80 of a core)" in said
    assert "Node was not" not in said


def test_a_rate_that_was_not_carried_is_pointed_out() -> None:
    said = report(LOAD, {RATE: 200.0}, {**turns(0.1, reached=100.0), "Node": turns(0.1, reached=200.0)["ours"]})
    assert "ours did not carry that: 100, and" in said
    assert "Node did not" not in said


def test_the_rates_are_halves_of_the_limits() -> None:
    assert fixed_rates(10.0, 40.0) == {"at half of our limit": 5.0, RATE: 20.0}
    assert fixed_rates(50.0, 40.0) == {RATE: 20.0}


def test_the_whole_comparison_runs(capsys: pytest.CaptureFixture[str]) -> None:
    need_node()
    small = ["--rounds", "1", "--calls", "50", "--connections", "20", "--pairs", "4", "--warm-calls", "10"]
    small += ["--few", "2", "--many", "10", "--among-s", "0.1", "--storm", "10"]
    assert main(small) == 0
    said = capsys.readouterr().out
    for figure in ("CPU a call", f"set-up p99 {RATE}", f"relay p50 {RATE}", "connects and joins", "memory of an idle"):
        assert figure in said
    for figure in ("CPU a call among 10 connections", "until 10 clients are back", "slowest health check"):
        assert figure in said
    for name in ("ours", "Node", *FURTHER):
        assert f"the generator's share of a core, {name}:" in said


def test_what_is_not_wanted_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    need_node()
    small = ["--rounds", "1", "--calls", "20", "--connections", "5", "--pairs", "2", "--warm-calls", "2"]
    assert main([*small, "--many", "0", "--storm", "0", "--peers"]) == 0
    said = capsys.readouterr().out
    for left_out in ("among", "back", "floor"):
        assert left_out not in said


def test_a_comparison_without_node_ends_with_what_to_do(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    assert main(["--quick"]) == 1
    assert "make node" in capsys.readouterr().err
