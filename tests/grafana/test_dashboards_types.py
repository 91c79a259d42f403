"""The dashboards are what Grafana's own types say a dashboard is."""

import copy
import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.grafana.boards import BOARDS, Json
from tests.support.needs import ROOT, need_node_module, need_program

pytestmark = pytest.mark.node
HEAD = 'import type { Annotation, Board, Panels, Variable } from "./panels";\n'
CONFIG = {
    "compilerOptions": {
        "module": "nodenext",
        "moduleResolution": "nodenext",
        "noEmit": True,
        "skipLibCheck": True,
        "strict": True,
        "target": "es2022",
        "types": [],
    },
    "include": ["*.ts"],
}


def _typescript(board: Json) -> str:
    """The dashboard as typed constants; one for each part, so that the compiler sees a misspelt key in it."""
    lines = [HEAD]
    names: dict[str, list[str]] = {"panels": [], "annotations": [], "templating": []}

    def constant(kind: str, type_: str, value: Json) -> None:
        name = f"{kind}{len(names[kind])}"
        names[kind].append(name)
        lines.append(f"const {name}: {type_} = {json.dumps(value)};")

    for panel in board["panels"]:
        constant("panels", f"Panels[{json.dumps(panel['type'])}]", panel)
    for annotation in board["annotations"]["list"]:
        constant("annotations", "Annotation", annotation)
    for variable in board["templating"]["list"]:
        constant("templating", "Variable", variable)
    rest = json.dumps({key: value for key, value in board.items() if key not in names})[:-1]
    lines.append(
        f"export const board: Board = {rest}, panels: [{', '.join(names['panels'])}], "
        f"annotations: {{ list: [{', '.join(names['annotations'])}] }}, "
        f"templating: {{ list: [{', '.join(names['templating'])}] }} }};"
    )
    return "\n".join(lines) + "\n"


def _compile(folder: Path, boards: list[Json]) -> subprocess.CompletedProcess[str]:
    compiler = need_node_module("typescript") / "bin" / "tsc"
    need_node_module("@grafana/schema")
    (folder / "node_modules").symlink_to(ROOT / "node_modules")
    shutil.copy(Path(__file__).parent / "typescript" / "panels.ts", folder)
    (folder / "tsconfig.json").write_text(json.dumps(CONFIG), "utf-8")
    for board in boards:
        (folder / f"{board['uid']}.ts").write_text(_typescript(board), "utf-8")
    return subprocess.run(
        [need_program("node", "nodejs"), str(compiler), "--project", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_every_dashboard_has_grafanas_types(tmp_path: Path) -> None:
    done = _compile(tmp_path, BOARDS)
    assert done.returncode == 0, done.stdout


def _first(board: Json, type_: str) -> Json:
    panel: Json = next(panel for panel in board["panels"] if panel["type"] == type_)
    return panel


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda board: board.update(schemaVersion="41"), id="a text for a number"),
        pytest.param(lambda board: board.update(titel="x"), id="a key of the dashboard"),
        pytest.param(lambda board: _first(board, "stat").update(grid={}), id="a key of a panel"),
        pytest.param(
            lambda board: _first(board, "stat")["options"].update(colorMode="loud"), id="a value of an option"
        ),
        pytest.param(
            lambda board: _first(board, "stat")["options"].update(colourMode="value"), id="a key of an option"
        ),
        pytest.param(
            lambda board: _first(board, "timeseries")["fieldConfig"]["defaults"]["custom"].update(drawStyle="lines"),
            id="a value of a field setting",
        ),
        pytest.param(
            lambda board: _first(board, "timeseries")["fieldConfig"]["defaults"]["thresholds"].update(mode="rough"),
            id="a value of the thresholds",
        ),
        pytest.param(lambda board: _first(board, "timeseries")["targets"][0].update(query="up"), id="a key of a query"),
        pytest.param(lambda board: board["annotations"]["list"][0].pop("iconColor"), id="a key that is missing"),
        pytest.param(lambda board: board["templating"]["list"][1].update(type="quest"), id="the type of a variable"),
    ],
)
def test_a_mistake_is_found(tmp_path: Path, spoil: Callable[[Json], object]) -> None:
    board = copy.deepcopy(next(board for board in BOARDS if board["uid"] == "signalling-oncall"))
    spoil(board)
    assert _compile(tmp_path, [board]).returncode != 0
