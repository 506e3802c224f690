"""Duration of each epoch, which shows how long a cache takes to fill."""

from __future__ import annotations

from functools import cache
from statistics import geometric_mean

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.report import drawing
from harness.report.drawing import Chart, ChartSpec, Point, Shape
from harness.report.words import format_number, format_seconds
from harness.values.names import name_pipeline

_MOST_EPOCHS, _MOST_NAMED = 60, 12
_NOTABLE = 1.2


def chart_epochs(_: HardwareGroup, setting: Setting) -> Chart | None:
    """Draw the geometric mean of each epoch's seconds: a line for each case, a panel for each memory limit."""
    rows = [row for row in setting.rows if row.summary.alias is None and row.summary.used]
    values = [value for row in rows for value in _epochs(row)]
    if setting.case.epochs < 2 or not values:
        return None
    names = drawing.line_names(setting)
    shown = drawing.keep_named(names, "row", values)
    facets = drawing.facet_names(setting, values)
    title = "Seconds of each epoch, less is better; the first epoch fills a cache"
    headline = _headline(rows)
    drawn = drawing.draw(_shape(names, shown, facets, setting.case.epochs <= _MOST_NAMED), values)
    return Chart(headline, title, "; ".join(_say(row) for row in rows[:40]), drawn)


def _headline(rows: list[Row]) -> str:
    """Name the case with the largest difference between its first epoch and later ones, and how large it is."""
    known = [(row, row.summary.first_epoch_s, row.summary.steady_epoch_s) for row in rows]
    found = [(first.value / later.value, row) for row, first, later in known if first and later and later.value]
    ratio, row = max(found, key=lambda one: one[0], default=(1.0, rows[0]))
    if ratio < _NOTABLE:
        return "The first epoch takes about as long as later ones"
    return f"The first epoch of {name_pipeline(row.case)} takes {format_number(ratio)} times a later one"


@cache
def _shape(names: tuple[str, ...], shown: tuple[str, ...], facets: tuple[str, ...], is_named: bool) -> Shape:
    import altair as alt

    base = alt.Chart().encode(
        x=alt.X("epoch:O" if is_named else "epoch:Q", title="Epoch", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("seconds:Q", title="Seconds, less is better", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5)),
        color=alt.Color("row:N", scale=drawing.colour_of(names), sort=names, legend=alt.Legend(values=shown)),
        shape=alt.Shape("row:N", scale=drawing.shape_of(names), sort=names, legend=alt.Legend(values=shown)),
    )
    lines = base.mark_line(strokeWidth=1.8).encode(shape=alt.Undefined)
    layered = alt.layer(lines, base.mark_point(size=48, filled=True, opacity=1), data=drawing.data_by_name())
    return drawing.panel_facets(layered, facets)


def _epochs(row: Row) -> list[Point]:
    by_index: dict[int, list[float]] = {}
    for record in row.summary.used:
        for epoch in record.epochs:
            if epoch.seconds > 0:
                by_index.setdefault(epoch.index, []).append(epoch.seconds)
    step = -(-len(by_index) // _MOST_EPOCHS)
    place = drawing.place_of(row.case)
    return [
        {**place, "epoch": index, "seconds": drawing.round_digits(geometric_mean(found), 5)}
        for index, found in sorted(by_index.items())
        if index == 1 or step == 1 or index % step == 0
    ]


def _say(row: Row) -> str:
    summary = row.summary
    first = format_seconds(summary.first_epoch_s.value if summary.first_epoch_s else None)
    steady = format_seconds(summary.steady_epoch_s.value if summary.steady_epoch_s else None)
    return f"{drawing.name_place(summary.case)}: first {first}, later {steady}"


CHART = ChartSpec(rank=20, draw=chart_epochs)
