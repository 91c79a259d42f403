import re

import pytest

from bench.load.client import LoadError, join, no_proof
from bench.measure import CPU_A_CALL, Load, Turn
from bench.trusted import BUSY, FIGURES, NOTHING, main, report, token_of, variants

LOAD = Load(calls=10, pairs=2, connections=5)


def turns(share: float) -> dict[str, list[Turn]]:
    def each(*values: float) -> list[Turn]:
        return [Turn(dict.fromkeys(FIGURES, value), {"at saturation": share}) for value in values]

    return {NOTHING: each(1.0, 3.0, 2.0), "limits": each(1.5, 3.5, 2.25)}


def test_the_table_says_what_each_adds_by_the_median_of_the_rounds() -> None:
    said = report(LOAD, turns(0.5))
    assert "3 rounds, 10 calls, 2 pairs, 5 idle connections" in said
    assert f"| {CPU_A_CALL} | 2 | 2.25 (+0.5) |" in said
    assert "0.50 of a core" in said
    assert "too busy" not in said


def test_a_busy_generator_is_pointed_out() -> None:
    assert "too busy" in report(LOAD, turns(BUSY + 0.01))


def test_the_whole_comparison_runs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--rounds", "1", "--calls", "40", "--pairs", "4", "--connections", "20"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == f"| figure | {' | '.join(peer.name for peer in variants())} |"
    assert [line.split(" | ")[0] for line in lines[4:7]] == [f"| {figure}" for figure in FIGURES]
    assert all(re.fullmatch(r"\|[^|]+\|[^|]+(\|[^|]+\([+-][^|]+\) ){4}\|", line) for line in lines[4:7])


async def test_authentication_is_really_on() -> None:
    for peer in variants():
        with peer.running() as server:
            await (await join(server.port, "alice", proof=peer.proof)).leave()
            if peer.proof is token_of:
                with pytest.raises(LoadError):
                    await join(server.port, "alice", proof=no_proof)
