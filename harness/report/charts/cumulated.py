"""Cumulated time over epochs: from which epoch a cache pays for itself."""

from __future__ import annotations

from functools import cache

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.payback import NeverPays, Payback, PaysFrom
from harness.report import drawing
from harness.report.drawing import Chart, ChartSpec, Point, Shape
from harness.report.words import say_payback
from harness.values.names import name_pipeline

_MOST_EPOCHS, _LEAST_EPOCHS = 40, 5


def chart_cumulated(_: HardwareGroup, setting: Setting) -> Chart | None:
    """Draw the time up to each epoch, from the first epoch and the mean of later ones, and mark the break-even.

    Beyond the measured epochs the line is projected from later epochs, dashed. None where the payback of no cache is
    known.
    """
    rows = [row for row in setting.rows if row.summary.alias is None and _has_times(row)]
    known = [row.payback for row in rows if isinstance(row.payback, PaysFrom | NeverPays)]
    if not known:
        return None
    paid = max((payback.epoch for payback in known if isinstance(payback, PaysFrom)), default=0)
    last = min(max(paid + 2, setting.case.epochs, _LEAST_EPOCHS), _MOST_EPOCHS)
    scale, unit = _unit(rows, last)
    values = [value for row in rows for value in _points(row, last, scale)]
    names = drawing.line_names(setting)
    shown = drawing.keep_named(names, "row", values)
    facets = drawing.facet_names(setting, values)
    title = f"{unit} since the start, less is better; a mark: the cache pays for itself; dashed: projected"
    described = "; ".join(_say(row, row.payback) for row in rows if row.payback is not None)
    return Chart(_headline(rows), title, described, drawing.draw(_shape(names, shown, facets, last, unit), values))


def _headline(rows: list[Row]) -> str:
    """Name the cache that pays for itself first, and its epoch."""
    kept = [row for row in rows if row.outlook is None or row.outlook.holds]
    paid = [(row.payback.epoch, row) for row in kept if isinstance(row.payback, PaysFrom)]
    if not paid:
        return "No cache that holds the whole set pays for itself"
    epoch, row = min(paid, key=lambda one: one[0])
    return f"{name_pipeline(row.case)} pays for itself from epoch {epoch}"


@cache
def _shape(names: tuple[str, ...], shown: tuple[str, ...], facets: tuple[str, ...], last: int, unit: str) -> Shape:
    import altair as alt

    whole = alt.Axis(tickMinStep=1, format="d", tickCount=last)
    base = alt.Chart().encode(
        x=alt.X("epoch:Q", title="Epochs", axis=whole, scale=alt.Scale(domain=[0, last], nice=False)),
        y=alt.Y("time:Q", title=f"{unit} since the start", scale=alt.Scale(zero=True), axis=alt.Axis(tickCount=5)),
        color=alt.Color("row:N", scale=drawing.colour_of(names), sort=names, legend=alt.Legend(values=shown)),
    )
    paid = base.transform_filter("datum.kind == 'paid'")
    layered = alt.layer(
        base.transform_filter("datum.kind == 'measured'").mark_line(strokeWidth=2),
        base.transform_filter("datum.kind == 'drawn on'").mark_line(strokeWidth=1.6, strokeDash=[4, 3]),
        paid.mark_point(size=80, filled=True, opacity=1).encode(
            shape=alt.Shape("row:N", scale=drawing.shape_of(names), legend=None)
        ),
        paid.mark_text(align="left", dx=8, dy=10, fontSize=12).encode(text="text:N", color=alt.value("var(--ink)")),
        data=drawing.data_by_name(),
    )
    return drawing.panel_facets(layered, facets)


def _has_times(row: Row) -> bool:
    return bool(row.summary.used and row.summary.fill_s and row.summary.steady_epoch_s)


def _times(row: Row, last: int) -> list[float]:
    fill, steady = row.summary.fill_s, row.summary.steady_epoch_s
    assert fill is not None and steady is not None
    return [0.0, *(fill.value + count * steady.value for count in range(last))]


def _unit(rows: list[Row], last: int) -> tuple[float, str]:
    longest = max(_times(row, last)[-1] for row in rows)
    return (1.0, "Seconds") if longest < 300 else (60.0, "Minutes") if longest < 3 * 3600 else (3600.0, "Hours")


def _points(row: Row, last: int, scale: float) -> list[Point]:
    times, measured = _times(row, last), min(row.case.epochs, last)
    place = drawing.place_of(row.case)

    def point(kind: str, epoch: int, **more: str) -> Point:
        return {**place, "kind": kind, "epoch": epoch, "time": drawing.round_digits(times[epoch] / scale, 5), **more}

    values = [point("measured", 0), point("measured", 1), point("measured", measured)]
    values += [point("drawn on", measured), point("drawn on", last)] if measured < last else []
    if isinstance(row.payback, PaysFrom) and row.payback.epoch <= last:
        values.append(point("paid", row.payback.epoch, text=f"epoch {row.payback.epoch}"))
    return values


def _say(row: Row, payback: Payback) -> str:
    return f"{drawing.name_place(row.case)}: {say_payback(payback, 'it')}"


CHART = ChartSpec(rank=30, draw=chart_cumulated)
