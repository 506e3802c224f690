"""Time per image in training: the model, preparation and fetch, and how much the model waits."""

from __future__ import annotations

from functools import cache

from harness.analysis.input_cost import InputCost, split_costs
from harness.analysis.matrix import HardwareGroup, Setting
from harness.analysis.stalls import HIGH_SHARE, MODERATE_SHARE
from harness.report import drawing
from harness.report.drawing import Chart, ChartSpec, Point, Shape
from harness.report.words import format_number
from harness.values.names import name_line, name_pipeline

_STEP, _WIDTH = 26, 240
"""Narrower than other charts, since there are texts beside the bars."""
_PARTS = ("model alone", "preparation (CPU)", "fetch (storage)", "input (not split)")
_COLOURS = ("var(--c8)", "var(--c1)", "var(--c2)", "var(--c3)")
_FIRST = ", first epoch"
_LEAST_SHARE = 0.1
"""Where a smaller share of an epoch's bytes came from storage, the page cache served it."""
TITLE = "Milliseconds per image: the model alone, and what the input adds; beside the bars, utilisation of the model"


def chart_input_cost(group: HardwareGroup, setting: Setting) -> Chart | None:
    """Draw a bar for each training case and kind of epoch: milliseconds per image of the model, and of the input.

    The text beside it is the utilisation and what came from storage. None without a model limit.
    """
    costs = split_costs(group, setting)
    if not costs:
        return None
    values = [value for cost in costs for value in _values(cost, setting)]
    taken = {value["row"] for value in values}
    names = tuple(name for line in drawing.line_names(setting) for name in (line, line + _FIRST) if name in taken)
    parts = drawing.keep_named(_PARTS, "part", values)
    facets = drawing.facet_names(setting, values)
    drawn = drawing.draw(_shape(names, facets, parts), values)
    return Chart(_headline(costs), TITLE, "; ".join(_say(cost, setting) for cost in costs[:40]), drawn)


def _headline(costs: list[InputCost]) -> str:
    """Name the pipeline with which the model waits longest for images, and for what share of the time."""
    steady = [cost for cost in costs if cost.which == "steady"] or costs
    worst = min(steady, key=lambda cost: cost.stalls.utilisation or 0.0)
    if all(cost.stalls.bound == "model-bound" for cost in steady):
        return "The model is the bottleneck with every pipeline"
    waits = 100 * (1 - (worst.stalls.utilisation or 0.0))
    return f"With {name_pipeline(worst.row.case)} the model waits for images {waits:.0f} % of the time"


@cache
def _shape(names: tuple[str, ...], facets: tuple[str, ...], parts: tuple[str, ...]) -> Shape:
    import altair as alt

    x_axis, step = alt.Axis(tickCount=4), drawing.row_step(_STEP, names, facets)
    base = alt.Chart().encode(y=alt.Y("row:N", sort=names, title=None, axis=drawing.name_axis(names)))
    bars = base.mark_bar(size=step // 2, stroke="var(--paper)", strokeWidth=1).encode(
        x=alt.X("ms:Q", title="Milliseconds per image, less is better", scale=alt.Scale(zero=True), axis=x_axis),
        color=alt.Color("part:N", scale=alt.Scale(domain=parts, range=[_COLOURS[_PARTS.index(p)] for p in parts])),
        order=alt.Order("place:Q"),
    )
    words = (
        base.transform_filter("datum.words != ''")
        .mark_text(align="left", dx=6, fontSize=11, color="var(--ink)")
        .encode(x=alt.X("total:Q", stack=None), text="words:N")
    )
    layered = alt.layer(bars, words, data=drawing.data_by_name()).properties(width=_WIDTH, height=alt.Step(step))
    return drawing.stack_facets(layered, facets, right=drawing.ROOM)


def say_thresholds() -> str:
    """Explain the texts beside the bars."""
    return (
        "Utilisation is the time that the model alone needs ÷ the time that training takes. Where the model waits for "
        f"less than {100 * MODERATE_SHARE:.0f} % of the time, it is the bottleneck; up to {100 * HIGH_SHARE:.0f} % a "
        "case is moderately input-bound, above that input-bound."
    )


def _parts(cost: InputCost) -> list[tuple[str, float]]:
    model_s, preparation_s, fetch_s, input_s = cost.parts_s
    if preparation_s is None or fetch_s is None:
        return [(_PARTS[0], model_s), (_PARTS[3], input_s)]
    return [(_PARTS[0], model_s), (_PARTS[1], preparation_s), (_PARTS[2], fetch_s)]


def _name(cost: InputCost, setting: Setting) -> str:
    """Return the row of a bar; the first epoch is named where there is a bar for later ones, too."""
    line = name_line(cost.row.case)
    return line + _FIRST if cost.which == "first" and setting.metric == "steady" else line


def _words(cost: InputCost) -> str:
    """Return ``57 %: input-bound, 12 MB/s read``."""
    stalls = cost.stalls
    bound = "the model is the bottleneck" if stalls.bound == "model-bound" else stalls.bound
    said = f"{100 * (stalls.utilisation or 0.0):.0f} %: {bound}"
    if stalls.preparation is not None and stalls.fetch is not None:
        return f"{said}, preparation {100 * stalls.preparation:.0f} %, fetch {100 * stalls.fetch:.0f} %"
    if cost.read_bytes_s is None:
        return said
    if cost.read_share is not None and cost.read_share < _LEAST_SHARE:
        return f"{said}, nothing read from storage"
    return f"{said}, {format_number(cost.read_bytes_s / 1e6)} MB/s read"


def _values(cost: InputCost, setting: Setting) -> list[Point]:
    place = {"row": _name(cost, setting), "limit": drawing.name_facet(cost.row.case.memory_limit)}
    words = _words(cost)
    total = drawing.round_digits(cost.image_s * 1e3)
    return [
        {
            **place,
            "part": part,
            "ms": drawing.round_digits(seconds * 1e3),
            "place": _PARTS.index(part),
            "words": words if part == _PARTS[0] else "",
            "total": total,
        }
        for part, seconds in _parts(cost)
    ]


def _say(cost: InputCost, setting: Setting) -> str:
    said = ", ".join(f"{part} {format_number(seconds * 1e3)} ms" for part, seconds in _parts(cost))
    limit = drawing.name_facet(cost.row.case.memory_limit)
    return f"{_name(cost, setting)}, {limit}: {said}; {_words(cost)}"


CHART = ChartSpec(rank=50, draw=chart_input_cost)
