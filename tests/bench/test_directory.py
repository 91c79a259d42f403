import pytest

from bench import directory
from tests.support.needs import need_program


def test_many_users_and_what_a_commit_takes_are_measured(capsys: pytest.CaptureFixture[str]) -> None:
    need_program("redis-server", "redis-server")
    assert directory.main(["--quick"]) == 0
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines() if line.startswith("| ")]
    assert [row[0] for row in rows[1:]] == ["0", "200", "2000"]
    assert rows[1][1:3] == ["-", "-"]
    assert all(float(value) > 0 for row in rows[2:] for value in row[1:])


def test_what_is_missing_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("PATH", "")
    assert directory.main(["--quick"]) == 1
    assert "redis-server" in capsys.readouterr().err
