"""The generated files in the tree are what the code makes."""

import json
import shutil
from pathlib import Path

import pytest

from grafana.build import GENERATED, all_files, main


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The generated files, to be spoilt."""
    return Path(shutil.copytree(GENERATED, tmp_path / "generated"))


def test_the_tree_is_fresh() -> None:
    assert main(["--check"]) == 0


def test_the_same_code_makes_the_same_files() -> None:
    assert all_files() == all_files()


def test_a_changed_file_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spoilt = copy / "dashboards/signalling-oncall.json"
    spoilt.write_text(spoilt.read_text("utf-8").replace("Live calls", "Dead calls"), "utf-8")
    assert main(["--check", "--root", str(copy)]) == 1
    assert "dashboards/signalling-oncall.json" in capsys.readouterr().err
    assert "Dead calls" in spoilt.read_text("utf-8")


def test_a_missing_file_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "dashboards/signalling-calls.json").unlink()
    assert main(["--check", "--root", str(copy)]) == 1
    assert "dashboards/signalling-calls.json" in capsys.readouterr().err


def test_a_file_that_nothing_makes_is_named(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (copy / "dashboards/by-hand.json").write_text("{}", "utf-8")
    assert main(["--check", "--root", str(copy)]) == 1
    assert "dashboards/by-hand.json" in capsys.readouterr().err


def test_building_mends_it(copy: Path, tmp_path: Path) -> None:
    (copy / "dashboards/by-hand.json").write_text("{}", "utf-8")
    (copy / "dashboards/signalling-calls.json").unlink()
    assert main(["--root", str(copy)]) == 0
    assert main(["--check", "--root", str(copy)]) == 0
    assert not (copy / "dashboards/by-hand.json").exists()


def test_building_from_nothing(tmp_path: Path) -> None:
    assert main(["--root", str(tmp_path / "new")]) == 0
    assert json.loads((tmp_path / "new/dashboards/signalling-nodes.json").read_text("utf-8"))["uid"] == (
        "signalling-nodes"
    )
