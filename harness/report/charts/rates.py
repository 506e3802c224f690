"""Images/s by case: a dot for each run, the geometric mean and its 95 % interval, or how the case ended."""

from __future__ import annotations

from functools import cache

from harness.analysis.advice import Kind, choose
from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.statistics import Estimate
from harness.report import drawing
from harness.report.drawing import Chart, ChartSpec, Point, Shape
from harness.report.labels import label_status
from harness.report.scope import say_epochs
from harness.report.words import format_number, format_ratio, say_rate
from harness.values.names import name_pipeline

_STEP = 28


def chart_rates(_: HardwareGroup, setting: Setting) -> Chart | None:
    """Draw a part for each memory limit with a row for each case; None where no case has a rate."""
    rows = [row for row in setting.rows if row.summary.alias is None]
    if not any(row.summary.rate(setting.metric) for row in rows):
        return None
    limits, ceiling = drawing.facet_names(setting), _ceiling(setting)
    values, is_thinned = _collect(rows, setting)
    if ceiling is not None:
        values += [{"kind": "ceiling", "limit": limit, "x": ceiling.value} for limit in limits]
    notes = ["Dots are runs" + (" (quantiles of many)" if is_thinned else "")]
    notes.append("the thick mark is their geometric mean, the line its 95 % interval")
    if ceiling is not None:
        notes.append(f"the dashed line is the model limit, {format_number(ceiling.value)} images/s")
    title = f"{_axis(setting)}. {', '.join(notes)}"
    drawn = drawing.draw(_shape(drawing.line_names(setting), limits, _axis(setting), ceiling is not None), values)
    return Chart(_headline(setting), title, "; ".join(_say(row, setting) for row in rows[:40]), drawn)


def _headline(setting: Setting) -> str:
    """Return the advice for the largest memory limit that has one, in a few words."""
    for limit in reversed(setting.limits):
        choice = choose(setting, limit)
        row, other = choice.row, "" if choice.baseline is None else name_pipeline(choice.baseline.case)
        if choice.kind == "winner" and row is not None and row.ratio is not None:
            return f"{name_pipeline(row.case)} delivers {format_ratio(row.ratio.value)} the images/s of {other}"
        if choice.kind in _SAID:
            return _SAID[choice.kind].format(other)
    return "Images/s of each pipeline"


_SAID: dict[Kind, str] = {
    "same": "No pipeline is more than 5 % faster than {}",
    "baseline": "No pipeline is more than 5 % faster than {}",
    "few": "Whether a pipeline is faster than {} is not settled",
    "open": "Whether a pipeline is faster than {} is not settled",
    "bound": "The model is the bottleneck with every pipeline",
    "short": "Epochs are too short to compare pipelines",
}


@cache
def _shape(names: tuple[str, ...], limits: tuple[str, ...], title: str, has_ceiling: bool) -> Shape:
    import altair as alt

    data = alt.Chart().encode(
        y=alt.Y("row:N", sort=names, title=None, axis=drawing.name_axis(names)),
        color=alt.Color("row:N", scale=drawing.colour_of(names), legend=None),
    )
    x = alt.X("x:Q", title=title, scale=alt.Scale(zero=True, nice=True), axis=alt.Axis(tickCount=6))
    layers = [
        data.transform_filter("datum.kind == 'point'").mark_point(size=22, opacity=0.55, filled=True).encode(x=x),
        data.transform_filter("datum.kind == 'mean'").mark_rule(strokeWidth=2.5).encode(x=alt.X("low:Q"), x2="high:Q"),
        data.transform_filter("datum.kind == 'mean'").mark_tick(thickness=3, size=15).encode(x=x),
        data.transform_filter("datum.kind == 'mean'")
        .mark_text(align="left", dx=7, fontSize=12, color="var(--ink)")
        .encode(x=alt.X("high:Q"), text="text:N", color=alt.value("var(--ink)")),
        data.transform_filter("datum.kind == 'end'")
        .mark_text(align="left", dx=4, fontSize=12, color="var(--bad-ink)")
        .encode(x=alt.X("x:Q"), text="text:N", color=alt.value("var(--bad-ink)")),
    ]
    if has_ceiling:  # behind all others, so that the line crosses no text
        line = alt.Chart().transform_filter("datum.kind == 'ceiling'")
        rule = line.mark_rule(strokeDash=[5, 4], strokeWidth=1.5, color="var(--soft)")
        layers.insert(0, rule.encode(x=alt.X("x:Q", title=title)))
    step = alt.Step(drawing.row_step(_STEP, names, limits))
    layered = alt.layer(*layers, data=drawing.data_by_name()).properties(width=drawing.WIDTH, height=step)
    return drawing.stack_facets(layered, limits, right=drawing.ROOM)


def _axis(setting: Setting) -> str:
    return f"Images/s{say_epochs(setting)}, more is better"


def _collect(rows: list[Row], setting: Setting) -> tuple[list[Point], bool]:
    total = sum(len(row.summary.used) for row in rows)
    most = max(3, drawing.MOST_POINTS // max(1, len(rows))) if total > drawing.MOST_POINTS else total
    values: list[Point] = []
    for row in rows:
        place = drawing.place_of(row.case)
        rate = row.summary.rate(setting.metric)
        if rate is None:
            mark = label_status(row.summary)
            values.append({**place, "kind": "end", "x": 0, "text": f"{mark.sign} {mark.text}"})
            continue
        found = [one.value for one in row.summary.averaged(setting.metric)]
        dots = drawing.thin_values(found, most)
        values += [{**place, "kind": "point", "x": drawing.round_digits(dot, 5)} for dot in dots]
        low, high = rate.low or rate.value, min(rate.high or rate.value, 1.5 * max(found))
        figures = {"x": rate.value, "low": low, "high": high}
        text = format_number(rate.value) + (f" · {format_ratio(row.ratio.value)}" if row.ratio is not None else "")
        values.append(
            {**place, "kind": "mean", "text": text} | {key: drawing.round_digits(x, 5) for key, x in figures.items()}
        )
    return values, total > drawing.MOST_POINTS


def _ceiling(setting: Setting) -> Estimate | None:
    return None if setting.ceiling is None else setting.ceiling.rate()


def _say(row: Row, setting: Setting) -> str:
    rate, place = row.summary.rate(setting.metric), drawing.name_place(row.case)
    return f"{place}: {label_status(row.summary).text if rate is None else say_rate(rate)}"


CHART = ChartSpec(rank=10, draw=chart_rates)
