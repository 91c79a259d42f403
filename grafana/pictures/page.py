"""A dashboard as one HTML page."""

import html
import time
from typing import Any

from grafana.pictures.graphs import Frame, Line, heat, lanes, lines
from grafana.pictures.prometheus import Series, Source
from grafana.pictures.words import COLORS, PALETTE, color, name, written

Json = dict[str, Any]

WIDTH = 1600
_COLUMN = (WIDTH - 24) / 24
_ROW = 38
_TOP = 64
_HEAD = 30
_LEGEND_LINE = 17
_LEGEND_MOST = 4
STYLE = """
* { box-sizing: border-box } body { margin: 0; background: #111217; color: #ccccdc; width: 1600px; position: relative;
font: 13px "DejaVu Sans", "Liberation Sans", sans-serif } .panel, .row { position: absolute; overflow: hidden }
.panel { background: #181b1f; border: 1px solid #2a2d33; border-radius: 3px } .row { font-size: 15px; padding: 9px 4px }
.title { height: 28px; padding: 7px 9px; font-weight: bold; font-size: 12.5px; white-space: nowrap } .empty { color:
#8e8e8e; text-align: center; padding-top: 6% } .top { padding: 12px; height: 64px; display: flex; gap: 26px;
align-items: baseline } .top b { font-size: 18px } .top span { color: #8e8e8e } svg text { fill: #9fa2ab; font-size:
10.5px } .grid { stroke: #2a2d33 } .mark { stroke: #5794f2; stroke-dasharray: 2 3 } .legend { padding: 2px 10px;
font-size: 11px } .legend div { display: flex; height: 17px; gap: 7px; align-items: center; white-space: nowrap }
.legend i { width: 14px; height: 4px; border-radius: 2px } .legend s { flex: 1; text-decoration: none; overflow: hidden
}
.legend u { text-decoration: none; width: 128px; text-align: right; color: #9fa2ab } .stats { display: flex; gap: 3px;
position: absolute; inset: 28px 4px 4px 4px } .stats div { flex: 1; border-radius: 2px; color: #fff; display: flex;
flex-direction: column; justify-content: center; align-items: center; text-align: center; overflow: hidden; text-shadow:
0 0 3px #0008 } .stats small { font-size: 11.5px } table { border-collapse: collapse; width: 100%; font-size: 12px }
td, th { text-align: left; padding: 3px 9px; border-bottom: 1px solid #2a2d33; white-space: nowrap }
th { color: #6e9fff }
.bars { padding: 2px 10px } .bars div { display: flex; gap: 9px; align-items: center; margin: 4px 0; font-size: 12px }
.bars s { width: 34%; text-align: right; text-decoration: none; white-space: nowrap } .bars p { flex: 1; margin: 0;
background: #22252b; height: 16px } .bars p i { display: block; height: 16px } .bars b { width: 74px }
"""


def render(board: Json, source: Source) -> str:
    """The dashboard with what `source` answers."""
    source.choose(board["templating"]["list"])
    marks = [at for at in _starts(board, source) if source.start <= at <= source.end]
    body = [_top(board, source)] + [_placed(panel, source, marks) for panel in board["panels"]]
    last = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in board["panels"])
    height = _TOP + last * _ROW + 14
    return (
        f'<!doctype html><meta charset="utf-8"><style>{STYLE}</style>'
        f'<body style="height:{height}px">{"".join(body)}</body>'
    )


def _starts(board: Json, source: Source) -> list[float]:
    """When processes started; the annotation's value is that time in milliseconds."""
    expr = next(each["target"]["expr"] for each in board["annotations"]["list"] if each.get("useValueForTime"))
    return [series.last / 1000 for series in source.instant(expr) if series.last]


def _top(board: Json, source: Source) -> str:
    span = " to ".join(time.strftime("%Y-%m-%d %H:%M", time.gmtime(at)) for at in (source.start, source.end))
    chosen = "".join(
        f"<span>{html.escape(variable['label'])}: All</span>"
        for variable in board["templating"]["list"]
        if variable["type"] == "query"
    )
    return f'<div class="top"><b>{html.escape(board["title"])}</b>{chosen}<span>{span} UTC</span></div>'


def _placed(panel: Json, source: Source, marks: list[float]) -> str:
    at = panel["gridPos"]
    width, height = at["w"] * _COLUMN - 8, at["h"] * _ROW - 8
    place = f"left:{12 + at['x'] * _COLUMN:.0f}px;top:{_TOP + at['y'] * _ROW}px;width:{width:.0f}px;height:{height}px"
    title = html.escape(panel["title"])
    if panel["type"] == "row":
        return f'<div class="row" style="{place}">&#9662; {title}</div>'
    found = [(target, source.ask(target)) for target in panel["targets"]]
    drawn = _draw(panel, found, source, marks, width, height)
    return f'<div class="panel" style="{place}"><div class="title">{title}</div>{drawn}</div>'


def _draw(
    panel: Json, found: list[tuple[Json, list[Series]]], source: Source, marks: list[float], width: float, height: float
) -> str:
    if panel["type"] == "table":
        return _table(panel, [series for _, series in found])
    named = [
        Line(name(target, each.labels, panel["title"]), each)
        for target, all_ in found
        for each in sorted(all_, key=lambda series: sorted(series.labels.items()))
    ]
    if panel["type"] == "stat":
        return _stats(panel, named)
    if not named:
        return f'<div class="empty">{panel["fieldConfig"]["defaults"]["noValue"] or "nothing"}</div>'
    return _over_time(panel, named, Frame(width - 4, height - _HEAD, source.start, source.end), marks)


def _over_time(panel: Json, named: list[Line], frame: Frame, marks: list[float]) -> str:
    kinds = {
        "bargauge": lambda: _bars(panel, named),
        "heatmap": lambda: heat(panel, named, frame),
        "state-timeline": lambda: lanes(panel, named, frame),
        "timeseries": lambda: lines(panel, named, _above_legend(frame, named), marks) + _legend(panel, named),
    }
    return kinds[panel["type"]]()


def _above_legend(frame: Frame, named: list[Line]) -> Frame:
    return frame._replace(height=frame.height - min(len(named), _LEGEND_MOST) * _LEGEND_LINE - 4)


def _legend(panel: Json, named: list[Line]) -> str:
    unit = panel["fieldConfig"]["defaults"]["unit"]
    entries = []
    for number, line in enumerate(named[:_LEGEND_MOST]):
        most = max((value for _, value in line.series.samples if value == value), default=None)  # noqa: PLR0124 - not NaN
        entries.append(
            f'<div><i style="background:{PALETTE[number % len(PALETTE)]}"></i><s>{html.escape(line.name)}</s>'
            f"<u>max {written(most, unit)}</u><u>last {written(line.series.last, unit)}</u></div>"
        )
    return f'<div class="legend">{"".join(entries)}</div>'


def _stats(panel: Json, named: list[Line]) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    names = panel["options"]["textMode"] == "value_and_name"
    if not named:
        return f'<div class="stats"><div style="background:#35373d">{defaults["noValue"]}</div></div>'
    size = max(15, min(30, 200 // len(named)))
    plain = panel["options"]["colorMode"] == "none"
    blocks = [
        f'<div style="background:{"none" if plain else color(line.series.last, defaults) + "99"}">'
        + (f"<small>{html.escape(line.name)}</small>" if names else "")
        + f'<b style="font-size:{size}px">{written(line.series.last, defaults["unit"], defaults.get("decimals"))}</b>'
        "</div>"
        for line in named
    ]
    return f'<div class="stats">{"".join(blocks)}</div>'


def _bars(panel: Json, named: list[Line]) -> str:
    defaults = panel["fieldConfig"]["defaults"]
    most = max((line.series.last or 0 for line in named), default=0) or 1
    rows = [
        f'<div><s>{html.escape(line.name)}</s><p><i style="width:{100 * (line.series.last or 0) / most:.1f}%;'
        f'background:{color(line.series.last, defaults)}"></i></p>'
        f"<b>{written(line.series.last, defaults['unit'])}</b></div>"
        for line in named
    ]
    return f'<div class="bars">{"".join(rows)}</div>'


def _table(panel: Json, found: list[list[Series]]) -> str:
    shown: list[str] = panel["transformations"][1]["options"]["include"]["names"]
    keys = [key for key in shown if not key.startswith("Value")]
    columns = [
        {each["id"]: each["value"] for each in override["properties"]} for override in panel["fieldConfig"]["overrides"]
    ]
    rows: dict[tuple[str, ...], dict[int, float | None]] = {}
    for number, column in enumerate(found):
        for series in column:
            rows.setdefault(tuple(series.labels.get(key, "") for key in keys), {})[number] = series.last
    if not rows:
        return '<div class="empty">nothing</div>'
    head = "".join(f"<th>{html.escape(title)}</th>" for title in [*keys, *(each["displayName"] for each in columns)])
    order = sorted(rows.items(), key=lambda row: -(row[1].get(0) or 0))
    body = "".join(
        "<tr>"
        + "".join(f"<td>{html.escape(text)}</td>" for text in key)
        + "".join(_cell(values.get(number), each) for number, each in enumerate(columns))
        + "</tr>"
        for key, values in order
    )
    return f"<table><tr>{head}</tr>{body}</table>"


def _cell(value: float | None, column: Json) -> str:
    ink = color(value, column) if "thresholds" in column else None
    style = f' style="background:{ink}66"' if ink and ink != COLORS["text"] else ""
    return f"<td{style}>{written(value, column['unit']) or '-'}</td>"
