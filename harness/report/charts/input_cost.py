"""Ceiling, preparation, fetch: what an image costs in training, and where the time goes."""

from __future__ import annotations

from typing import Any

from harness.analysis.input_cost import InputCost, split_costs
from harness.analysis.matrix import HardwareGroup, Setting
from harness.report.charts.drawing import WIDTH, Chart, data_by_name, draw, line_names, name_axis, name_facet, name_line
from harness.report.words import format_number

_STEP = 24
_PARTS = ("model (ceiling)", "preparation (CPU)", "fetch (storage)", "input, not told apart")
_COLOURS = ("var(--c8)", "var(--c1)", "var(--c2)", "var(--c3)")


def chart_input_cost(group: HardwareGroup, setting: Setting) -> Chart | None:
    """A bar a training case: milliseconds an image for the model, and what input adds; None without a ceiling."""
    import altair as alt

    costs = split_costs(group, setting)
    if not costs:
        return None
    values = [value for cost in costs for value in _values(cost)]
    names, limits = line_names(setting), [name_facet(limit) for limit in setting.limits]
    parts = [part for part in _PARTS if any(value["part"] == part for value in values)]
    bars = (
        alt.Chart(data_by_name())
        .mark_bar(size=13, stroke="var(--paper)", strokeWidth=1)
        .encode(
            x=alt.X(
                "ms:Q",
                title="Milliseconds an image, less is better",
                scale=alt.Scale(zero=True),
                axis=alt.Axis(tickCount=6),
            ),
            y=alt.Y("row:N", sort=names, title=None, axis=name_axis(names)),
            color=alt.Color("part:N", scale=alt.Scale(domain=parts, range=[_COLOURS[_PARTS.index(p)] for p in parts])),
            order=alt.Order("place:Q"),
        )
        .properties(width=WIDTH, height=alt.Step(_STEP))
    )
    facet = alt.Row("limit:N", sort=limits, header=alt.Header(orient="top", labelPadding=4))
    drawn = bars.facet(row=facet) if len({value["limit"] for value in values}) > 1 else bars
    is_split = any(cost.preparation_s is not None for cost in costs)
    title = "Milliseconds an image: what the model needs alone, and what input adds to it"
    if not is_split:
        title += " (preparation and fetch are told apart where a warm case was measured)"
    return Chart(title, "; ".join(_say(cost) for cost in costs[:40]), draw(drawn, values))


def _parts(cost: InputCost) -> list[tuple[str, float]]:
    if cost.preparation_s is None or cost.fetch_s is None:
        return [(_PARTS[0], cost.model_s), (_PARTS[3], cost.input_s)]
    return [(_PARTS[0], cost.model_s), (_PARTS[1], cost.preparation_s), (_PARTS[2], cost.fetch_s)]


def _values(cost: InputCost) -> list[dict[str, Any]]:
    case = cost.row.summary.case
    place = {"row": name_line(case), "limit": name_facet(case.memory_limit)}
    return [
        {**place, "part": part, "ms": float(f"{seconds * 1e3:.4g}"), "place": _PARTS.index(part)}
        for part, seconds in _parts(cost)
    ]


def _say(cost: InputCost) -> str:
    case = cost.row.summary.case
    said = ", ".join(f"{part} {format_number(seconds * 1e3)} ms" for part, seconds in _parts(cost))
    return f"{name_line(case)}, {name_facet(case.memory_limit)}: {said}"
