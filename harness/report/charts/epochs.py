"""Epoch by epoch: how long each took, so that filling and steady state show."""

from __future__ import annotations

from functools import cache
from statistics import geometric_mean

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.report.drawing import (
    Chart,
    ChartSpec,
    Point,
    Shape,
    colour_of,
    data_by_name,
    draw,
    facet_names,
    finish_chart,
    line_names,
    name_facet,
    name_place,
    shape_of,
)
from harness.report.words import format_seconds
from harness.values.names import name_line

_MOST_EPOCHS, _MOST_NAMED = 60, 12
_WIDTH, _HEIGHT = 200, 170


def chart_epochs(_: HardwareGroup, setting: Setting) -> Chart | None:
    """Geometric mean of an epoch's seconds over all invocations, a line a case, a panel a memory limit."""
    rows = [row for row in setting.rows if row.summary.alias is None and row.summary.used]
    values = [value for row in rows for value in _epochs(row)]
    if setting.case.epochs < 2 or not values:
        return None
    names = line_names(setting)
    shown = tuple(name for name in names if any(value["row"] == name for value in values))
    facets = facet_names(setting) if len({value["limit"] for value in values}) > 1 else ()
    title = "Seconds of each epoch, less is better; the first fills a cache"
    drawn = draw(_shape(names, shown, facets, setting.case.epochs <= _MOST_NAMED), values)
    return Chart(title, "; ".join(_say(row) for row in rows[:40]), drawn)


@cache
def _shape(names: tuple[str, ...], shown: tuple[str, ...], facets: tuple[str, ...], is_named: bool) -> Shape:
    import altair as alt

    base = alt.Chart().encode(
        x=alt.X("epoch:O" if is_named else "epoch:Q", title="Epoch", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("seconds:Q", title="Seconds, less is better", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5)),
        color=alt.Color("row:N", scale=colour_of(names), sort=names, legend=alt.Legend(values=shown)),
        shape=alt.Shape("row:N", scale=shape_of(names), sort=names, legend=alt.Legend(values=shown)),
    )
    lines = base.mark_line(strokeWidth=1.8).encode(shape=alt.Undefined)
    layered = alt.layer(lines, base.mark_point(size=48, filled=True, opacity=1), data=data_by_name())
    layered = layered.properties(width=_WIDTH, height=_HEIGHT)
    if not facets:
        return finish_chart(layered.properties(width=2 * _WIDTH))
    header = alt.Header(labelPadding=4)
    return finish_chart(layered.facet(facet=alt.Facet("limit:N", sort=facets, header=header), columns=2))


def _epochs(row: Row) -> list[Point]:
    by_index: dict[int, list[float]] = {}
    for record in row.summary.used:
        for epoch in record.epochs:
            if epoch.seconds > 0:
                by_index.setdefault(epoch.index, []).append(epoch.seconds)
    step = -(-len(by_index) // _MOST_EPOCHS)
    place = {"row": name_line(row.case), "limit": name_facet(row.case.memory_limit)}
    return [
        {**place, "epoch": index, "seconds": float(f"{geometric_mean(found):.5g}")}
        for index, found in sorted(by_index.items())
        if index == 1 or step == 1 or index % step == 0
    ]


def _say(row: Row) -> str:
    summary = row.summary
    first = format_seconds(summary.first_epoch_s.value if summary.first_epoch_s else None)
    steady = format_seconds(summary.steady_epoch_s.value if summary.steady_epoch_s else None)
    return f"{name_place(summary.case)}: first {first}, later {steady}"


CHART = ChartSpec(rank=20, draw=chart_epochs)
