"""Images/s by the number of workers; the knee is where a line becomes level."""

from __future__ import annotations

from functools import cache

from harness.analysis.knees import Ladder, find_ladders
from harness.analysis.matrix import HardwareGroup, Setting
from harness.report import drawing
from harness.report.axes import say_knees
from harness.report.drawing import Chart, ChartSpec, Point, Shape
from harness.values.names import name_line


def chart_workers(_: HardwareGroup, setting: Setting) -> Chart | None:
    """Draw a line for each pipeline that was measured with several numbers of workers; None where none was."""
    ladders = find_ladders(setting)
    if not ladders:
        return None
    values = [value for ladder in ladders for value in _points(ladder, setting)]
    names = tuple(dict.fromkeys(name_line(ladder.case) for ladder in ladders))
    counts = tuple(sorted({str(row.case.workers) for ladder in ladders for row in ladder.rows}, key=int))
    title = "Images/s by the number of workers, more is better; a diamond: more workers gain nothing"
    shape = _shape(names, counts, drawing.facet_names(setting, values))
    said = list(say_knees(setting))
    return Chart(said[0].partition(" (")[0], title, " ".join(said), drawing.draw(shape, values))


@cache
def _shape(names: tuple[str, ...], counts: tuple[str, ...], facets: tuple[str, ...]) -> Shape:
    import altair as alt

    base = alt.Chart().encode(
        x=alt.X("workers:O", sort=counts, title="Workers", axis=alt.Axis(labelAngle=0)),
        y=alt.Y("rate:Q", title="Images/s, more is better", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5)),
        color=alt.Color("row:N", scale=drawing.colour_of(names), sort=names, legend=alt.Legend(values=names)),
    )
    points = base.mark_point(size=48, filled=True, opacity=1)
    knees = base.transform_filter("datum.is_knee").mark_point(size=170, shape="diamond", strokeWidth=2, filled=False)
    layered = alt.layer(base.mark_line(strokeWidth=1.8), points, knees, data=drawing.data_by_name())
    return drawing.panel_facets(layered, facets)


def _points(ladder: Ladder, setting: Setting) -> list[Point]:
    rates = [(row, row.summary.rate(setting.metric)) for row in ladder.rows]
    return [
        {
            **drawing.place_of(row.case),
            "row": name_line(ladder.case),
            "workers": str(row.case.workers),
            "rate": drawing.round_digits(rate.value),
            "is_knee": ladder.kind == "knee" and row is ladder.knee,
        }
        for row, rate in rates
        if rate is not None
    ]


CHART = ChartSpec(rank=36, draw=chart_workers)
