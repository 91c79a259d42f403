"""The panel types that the dashboards use, each with the options that suit all of them."""

from grafana.model import COLUMNS, GREY, PLAIN, Json, Override, Panel, Steps, Target, Why

Targets = Target | tuple[Target, ...]
QUIET_MAPPING: Json = {
    "type": "special",
    "options": {"match": "nan", "result": {"text": "no traffic", "color": GREY, "index": 0}},
}
"""NaN is a mean or quantile of nothing: quiet, not broken."""
_LAST: Json = {"calcs": ["lastNotNull"], "fields": "", "values": False}


def stat(
    title: str,
    why: Why,
    targets: Targets,
    unit: str,
    *,
    thresholds: Steps | None = None,
    width: int = 4,
    height: int = 4,
    decimals: int | None = None,
    no_value: str | None = None,
    mappings: tuple[Json, ...] = (),
    names: bool = False,
) -> Panel:
    """Single numbers, coloured by their thresholds if they have any; `names` shows the legend of each."""
    defaults: Json = {"mappings": [QUIET_MAPPING, *mappings]}
    if decimals is not None:
        defaults["decimals"] = decimals
    if no_value is not None:
        defaults["noValue"] = no_value
    return Panel(
        type="stat",
        title=title,
        why=why,
        targets=_tuple(targets),
        unit=unit,
        width=width,
        height=height,
        thresholds=thresholds or Steps(GREY),
        defaults=defaults,
        options={
            "colorMode": "background" if thresholds else "none",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": _LAST,
            "showPercentChange": False,
            "textMode": "value_and_name" if names else "value",
            "wideLayout": True,
        },
    )


def graph(
    title: str,
    why: Why,
    targets: Targets,
    unit: str,
    *,
    thresholds: Steps | None = None,
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    minimum: float | None = 0,
    maximum: float | None = None,
    overrides: tuple[Override, ...] = (),
    links: tuple[Json, ...] = (),
    no_value: str | None = None,
) -> Panel:
    """Lines over time; thresholds are drawn as dashed lines."""
    defaults: Json = {"color": {"mode": "palette-classic-by-name"}}
    if minimum is not None:
        defaults["min"] = minimum
    if maximum is not None:
        defaults["max"] = maximum
    if no_value is not None:
        defaults["noValue"] = no_value
    return Panel(
        type="timeseries",
        title=title,
        why=why,
        targets=_tuple(targets),
        unit=unit,
        width=width,
        height=height,
        thresholds=thresholds or PLAIN,
        defaults=defaults,
        custom=_lines(stacked=stacked, limits=thresholds is not None),
        options={
            "legend": {
                "calcs": ["max", "lastNotNull"],
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"mode": "multi", "sort": "desc"},
        },
        overrides=overrides,
        links=links,
    )


def _lines(*, stacked: bool, limits: bool) -> Json:
    return {
        "drawStyle": "line",
        "lineInterpolation": "linear",
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 8,
        "showPoints": "auto",
        "spanNulls": False,
        "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
        "thresholdsStyle": {"mode": "dashed" if limits else "off"},
    }


def bars(
    title: str,
    why: Why,
    targets: Targets,
    unit: str,
    *,
    thresholds: Steps = PLAIN,
    width: int = 12,
    height: int = 8,
    no_value: str | None = None,
    maximum: float | None = None,
) -> Panel:
    """One horizontal bar for each query or series, in their order."""
    defaults: Json = {"min": 0, "mappings": [QUIET_MAPPING]}
    if maximum is not None:
        defaults["max"] = maximum
    if no_value is not None:
        defaults["noValue"] = no_value
    return Panel(
        type="bargauge",
        title=title,
        why=why,
        targets=_tuple(targets),
        unit=unit,
        width=width,
        height=height,
        thresholds=thresholds,
        defaults=defaults,
        options={
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "auto",
            "orientation": "horizontal",
            "reduceOptions": _LAST,
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color",
        },
    )


def heatmap(
    title: str, why: Why, expr: str, unit: str, *, width: int = 12, height: int = 8, links: tuple[Json, ...] = ()
) -> Panel:
    """The buckets of a histogram over time; a darker cell holds more."""
    return Panel(
        type="heatmap",
        title=title,
        why=why,
        targets=(Target(expr, "{{le}}", exemplars=True, form="heatmap"),),
        unit=unit,
        width=width,
        height=height,
        custom={"scaleDistribution": {"type": "linear"}},
        options={
            "calculate": False,
            "cellGap": 1,
            "cellValues": {},
            "color": {
                "exponent": 0.5,
                "fill": "dark-orange",
                "mode": "scheme",
                "reverse": False,
                "scale": "exponential",
                "scheme": "Oranges",
                "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "showValue": "never",
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": True},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": unit},
        },
        links=links,
    )


def timeline(
    title: str,
    why: Why,
    targets: Targets,
    unit: str,
    *,
    thresholds: Steps,
    width: int = COLUMNS,
    height: int = 7,
    mappings: tuple[Json, ...] = (),
    no_value: str | None = None,
) -> Panel:
    """A lane for each series, coloured by its thresholds."""
    defaults: Json = {"mappings": [QUIET_MAPPING, *mappings]}
    if no_value is not None:
        defaults["noValue"] = no_value
    return Panel(
        type="state-timeline",
        title=title,
        why=why,
        targets=_tuple(targets),
        unit=unit,
        width=width,
        height=height,
        thresholds=thresholds,
        defaults=defaults,
        custom={"fillOpacity": 80, "lineWidth": 0},
        options={
            "alignValue": "left",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "mergeValues": True,
            "rowHeight": 0.85,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
    )


class Column:
    """A column of a table: its heading and, for numbers, their unit and thresholds."""

    def __init__(self, heading: str, expr: str, unit: str, thresholds: Steps | None = None) -> None:
        self.heading = heading
        self.target = Target(expr, instant=True, form="table")
        self.unit = unit
        self.thresholds = thresholds

    def override(self, field_name: str) -> Override:
        """How the column is shown."""
        properties: Json = {"displayName": self.heading, "unit": self.unit}
        if self.thresholds:
            properties["thresholds"] = self.thresholds.json()
            properties["custom.cellOptions"] = {"type": "color-background", "mode": "basic"}
        return Override(field_name, properties)


def table(
    title: str,
    why: Why,
    keys: tuple[str, ...],
    columns: tuple[Column, ...],
    *,
    width: int = 12,
    height: int = 8,
    sort_by: str | None = None,
    no_value: str = "-",
) -> Panel:
    """One line for each combination of the labels `keys`, one column for each query."""
    value_names = ["Value"] if len(columns) == 1 else [f"Value #{chr(ord('A') + at)}" for at in range(len(columns))]
    shown = [*keys, *value_names]
    return Panel(
        type="table",
        title=title,
        why=why,
        targets=tuple(column.target for column in columns),
        unit=columns[0].unit,
        width=width,
        height=height,
        defaults={"mappings": [QUIET_MAPPING], "noValue": no_value},
        custom={"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
        options={
            "cellHeight": "sm",
            "frameIndex": 0,
            "showHeader": True,
            "sortBy": [{"displayName": sort_by, "desc": True}] if sort_by else [],
        },
        overrides=tuple(column.override(name) for column, name in zip(columns, value_names, strict=True)),
        transformations=(
            {"id": "merge", "options": {}},
            {"id": "filterFieldsByName", "options": {"include": {"names": shown}}},
            {
                "id": "organize",
                "options": {
                    "excludeByName": {},
                    "indexByName": {name: at for at, name in enumerate(shown)},
                    "renameByName": {},
                },
            },
        ),
    )


def _tuple(targets: Targets) -> tuple[Target, ...]:
    return (targets,) if isinstance(targets, Target) else targets
