"""Peak memory, compared with the limit and the prediction."""

from __future__ import annotations

from functools import cache
from statistics import median

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.report import drawing
from harness.report.drawing import Chart, ChartSpec, Point, Shape
from harness.report.labels import label_status
from harness.report.scope import name_part
from harness.values.names import name_pipeline
from harness.values.text import join_words
from harness.values.units import format_bytes

_STEP = 24
_MOST_NAMED = 2
_PARTS = ("peak", "peak, out of memory", "peak, no valid result", "predicted", "limit")
_COLOURS = ("var(--soft)", "var(--bad-ink)", "var(--soft)", "var(--link)", "var(--ink)")
_SHAPES = ("circle", "cross", "triangle-down", "diamond", "stroke")


def chart_memory(_: HardwareGroup, setting: Setting) -> Chart | None:
    """Draw a line to the highest peak, a diamond at the prediction and a tick at the limit; None without a peak."""
    rows = [row for row in setting.rows if row.summary.alias is None and row.summary.peak_anon_bytes is not None]
    if not rows:
        return None
    values = [value for row in rows for value in _values(row)]
    parts = drawing.keep_named(_PARTS, "part", values)
    title = "Peak memory, without the page cache, against the limit and the prediction"
    part = name_part(setting)
    headline = _headline(rows) + (f" (measured on {part})" if part else "")
    drawn = drawing.draw(_shape(drawing.line_names(setting), drawing.facet_names(setting), parts), values)
    return Chart(headline, title, "; ".join(_say(row) for row in rows[:40]), drawn)


def _headline(rows: list[Row]) -> str:
    """Name the pipelines that run out of memory, else the largest share of a limit that one takes."""
    dead = list(dict.fromkeys(name_pipeline(row.case) for row in rows if "oom" in row.summary.statuses))
    if len(dead) > _MOST_NAMED:
        return f"{len(dead)} pipelines run out of memory"
    if dead:
        return f"{join_words(dead)} {'runs' if len(dead) == 1 else 'run'} out of memory"
    known = [(row.summary.peak_anon_bytes, row.summary.limit_bytes) for row in rows]
    shares = [peak / limit for peak, limit in known if peak is not None and limit]
    if shares:
        return f"No pipeline runs out of memory: the highest peak is {100 * max(shares):.0f} % of its limit"
    return f"The largest peak is {format_bytes(max(peak for peak, _ in known if peak is not None))}"


@cache
def _shape(names: tuple[str, ...], limits: tuple[str, ...], parts: tuple[str, ...]) -> Shape:
    import altair as alt

    base = alt.Chart().encode(
        x=alt.X(
            "gb:Q",
            title="GB (10⁹ bytes), less is better",
            scale=alt.Scale(zero=True),
            axis=alt.Axis(tickCount=6),
        ),
        y=alt.Y("row:N", sort=names, title=None, axis=drawing.name_axis(names)),
        color=alt.Color("part:N", scale=alt.Scale(domain=parts, range=[_COLOURS[_PARTS.index(p)] for p in parts])),
    )
    shape = alt.Shape("part:N", scale=alt.Scale(domain=parts, range=[_SHAPES[_PARTS.index(p)] for p in parts]))
    layered = alt.layer(
        base.transform_filter("datum.part == 'limit'").mark_tick(thickness=2.5, size=20),
        base.transform_filter("datum.is_peak").mark_rule(strokeWidth=3).encode(x2=alt.datum(0)),
        base.transform_filter("datum.part != 'limit'").mark_point(size=60, filled=True, opacity=1).encode(shape=shape),
        data=drawing.data_by_name(),
    ).properties(width=drawing.WIDTH, height=alt.Step(drawing.row_step(_STEP, names, limits)))
    return drawing.stack_facets(layered, limits)


def _values(row: Row) -> list[Point]:
    summary = row.summary
    place = drawing.place_of(summary.case)
    is_oom = "oom" in summary.statuses
    found = [(_PARTS[1] if is_oom else _PARTS[0] if summary.used else _PARTS[2], summary.peak_anon_bytes)]
    found += [("predicted", predicted_peak(row)), ("limit", summary.limit_bytes)]
    return [
        {**place, "part": part, "gb": drawing.round_digits(size / 1e9), "is_peak": part.startswith("peak")}
        for part, size in found
        if size is not None
    ]


def predicted_peak(row: Row) -> int | None:
    """Return the peak that was predicted before the runs (the median of their records), in bytes."""
    predictions = [record.predictions for record in row.summary.records if record.predictions is not None]
    found = [each.peak_memory_bytes.expected for each in predictions if each.peak_memory_bytes is not None]
    return round(median(found)) if found else None


def _say(row: Row) -> str:
    summary, predicted = row.summary, predicted_peak(row)
    said = f"{drawing.name_place(summary.case)}: {format_bytes(summary.peak_anon_bytes)}"
    said += f" of {format_bytes(summary.limit_bytes)}, {label_status(summary).text}"
    return said + (f", predicted {format_bytes(predicted)}" if predicted is not None else "")


CHART = ChartSpec(rank=40, draw=chart_memory)
