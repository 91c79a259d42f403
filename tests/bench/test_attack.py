import asyncio

import pytest

from bench import attack
from bench.load.attackers import attackers
from bench.load.client import LoadError
from bench.server import free_port


def test_every_attack_has_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    assert attack.main(["--rounds", "1", "--calls", "30", "--rate", "30"]) == 0
    out = capsys.readouterr().out
    assert [line.split(" | ")[0] for line in out.splitlines()[4:]] == [
        "| undisturbed",
        *(f"| {number} of: {kind}" for kind, number in attack.ATTACKS.items()),
    ]
    attacks = [float(line.split(" | ")[1]) for line in out.splitlines()[4:7]]
    assert attacks[0] == 0
    assert min(attacks[1:]) > 0


def test_an_attack_that_nobody_knows_is_an_error() -> None:
    async def attack_nobody() -> None:
        async with attackers(free_port(), "no such kind", 1) as end:
            await end()

    with pytest.raises(LoadError, match="no such kind"):
        asyncio.run(attack_nobody())
