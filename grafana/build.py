"""Writes the generated files, or checks that they are fresh: `python -m grafana.build [--check]`."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from grafana import dashboards, rules

Files = Callable[[], dict[str, str]]

GENERATED = Path(__file__).resolve().parent / "generated"
PARTS: tuple[Files, ...] = (dashboards.files, rules.files)
"""Each gives the files it makes: path below `generated/` -> content."""


def all_files() -> dict[str, str]:
    """Every generated file.

    Raises:
        ValueError: two parts make the same file.
    """
    made: dict[str, str] = {}
    for part in PARTS:
        for path, content in part().items():
            if path in made:
                raise ValueError(f"made twice: {path}")
            made[path] = content
    return made


def stale(root: Path, fresh: dict[str, str]) -> list[str]:
    """The files below `root` that are out of date, missing, or made by nothing any more."""
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    changed = {
        path for path, content in fresh.items() if path not in there or (root / path).read_text("utf-8") != content
    }
    return sorted(changed | (there - fresh.keys()))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: with `--check` 1 if a file is stale."""
    parser = argparse.ArgumentParser(prog="python -m grafana.build", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; name what is stale and fail")
    parser.add_argument("--root", type=Path, default=GENERATED, help="the folder of the generated files")
    chosen = parser.parse_args(arguments)
    root: Path = chosen.root
    fresh = all_files()
    for path in stale(root, fresh):
        if chosen.check:
            print(f"out of date: {path}; run: python -m grafana.build", file=sys.stderr)  # noqa: T201 - a command line
        else:
            _write(root / path, fresh.get(path))
            print(f"written: {path}")  # noqa: T201 - a command line
    return 1 if chosen.check and stale(root, fresh) else 0


def _write(path: Path, content: str | None) -> None:
    if content is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
