"""CPU time per image by stage of each pipeline, as measured in an extra run."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from harness.analysis.matrix import HardwareGroup, Setting
from harness.analysis.stage_costs import StageBar, list_bars
from harness.report.drawing import (
    ROOM,
    Chart,
    ChartSpec,
    Point,
    Shape,
    data_by_name,
    draw,
    finish_chart,
    line_names,
    name_axis,
    row_step,
)
from harness.report.stage_words import STAGE_NAMES
from harness.report.words import format_number
from harness.values.names import name_line, name_pipeline
from harness.values.text import clean_text

_STEP, _WIDTH = 26, 300
"""Narrower than other charts, since there are texts beside the bars."""
_WHOLE = "not split by stage"
_PARTS = (*STAGE_NAMES.values(), _WHOLE)
_COLOURS = (*(f"var(--c{number})" for number in (2, 1, 3, 4, 5, 6, 7, 8)), "var(--quiet-ink)")
_FIRST = ", first epoch"
_MOST_NODES = 2
"""Operations of a user's pipeline that are named beside its bar: those in which most time elapsed."""
_LEAST_SHARE = 0.01
"""A part with a smaller share of its bar is not drawn."""
TITLE = (
    "Milliseconds of CPU time per image, by stage, less is better. Measured in an extra run before the rounds; costs "
    "of an epoch that do not depend on the number of images are left out"
)


def chart_stages(_: HardwareGroup, setting: Setting) -> Chart | None:
    """Draw a stacked bar for each case, and one for a first epoch that fills a cache; None where none is known."""
    bars = list_bars(setting)
    values = [value for bar in bars for value in _values(bar)]
    if not values:
        return None
    taken = {value["row"] for value in values}
    names = tuple(name for line in line_names(setting) for name in (line, line + _FIRST) if name in taken)
    parts = tuple(part for part in _PARTS if any(value["part"] == part for value in values))
    title = TITLE
    if any(bar.nodes_s for bar in bars):
        title += ". Beside your own pipelines: elapsed time in each operation of tf.data, which is not CPU time"
    return Chart(_headline(bars), title, "; ".join(map(_say, bars[:40])), draw(_shape(names, parts), values))


def _headline(bars: list[StageBar]) -> str:
    """Name the largest stage of the pipeline that needs most CPU time for an image, and its share."""
    told = [bar for bar in bars if len(_parts(bar)) > 1]
    if not told:
        return "CPU time per image in each pipeline"
    bar = max(told, key=lambda one: one.cpu_s)
    name, most = max(_parts(bar), key=lambda part: part[1])
    share = 100 * most / sum(each for _, each in _parts(bar))
    return f"{name[0].upper()}{name[1:]} is {share:.0f} % of an image's CPU time with {name_pipeline(bar.row.case)}"


@cache
def _shape(names: tuple[str, ...], parts: tuple[str, ...]) -> Shape:
    import altair as alt

    base = alt.Chart().encode(y=alt.Y("row:N", sort=names, title=None, axis=name_axis(names)))
    colours = alt.Scale(domain=parts, range=[_COLOURS[_PARTS.index(part)] for part in parts])
    title, axis = "CPU milliseconds per image, less is better", alt.Axis(tickCount=4)
    step = row_step(_STEP, names)
    bars = base.mark_bar(size=step // 2, stroke="var(--paper)", strokeWidth=1).encode(
        x=alt.X("ms:Q", title=title, scale=alt.Scale(zero=True), axis=axis),
        color=alt.Color("part:N", scale=colours),
        order=alt.Order("place:Q"),
    )
    words = (
        base.transform_filter("datum.words != ''")
        .mark_text(align="left", dx=6, fontSize=11, color="var(--ink)")
        .encode(x=alt.X("total:Q", stack=None), text="words:N")
    )
    layered = alt.layer(bars, words, data=data_by_name()).properties(width=_WIDTH, height=alt.Step(step))
    return finish_chart(layered, right=ROOM)


def _name(bar: StageBar) -> str:
    return name_line(bar.row.case) + (_FIRST if bar.which == "first" else "")


def _parts(bar: StageBar) -> list[tuple[str, float]]:
    """Return name and seconds of each drawn part of a bar."""
    if not bar.parts_s:
        return [(_WHOLE, bar.cpu_s)]
    total = sum(bar.parts_s.values())
    return [(STAGE_NAMES[name], each) for name, each in bar.parts_s.items() if each >= _LEAST_SHARE * total]


def _words(bar: StageBar) -> str:
    """Return ``2.81 ms, 64 % decoding``; for a user's pipeline the operations in which most time elapsed."""
    said = f"{format_number(1e3 * bar.cpu_s)} ms"
    parts = _parts(bar)
    if len(parts) > 1:
        name, most = max(parts, key=lambda part: part[1])
        return f"{said}, {100 * most / sum(each for _, each in parts):.0f} % {name}"
    nodes = sorted(bar.nodes_s, key=lambda node: -node[1])[:_MOST_NODES]
    return f"{said}; elapsed: {', '.join(map(_say_node, nodes))}" if nodes else said


def _say_node(node: tuple[str, float, float | None]) -> str:
    name, seconds, parallelism = node
    threads = f" (×{parallelism:.0f})" if parallelism is not None and parallelism > 1 else ""
    return f"{clean_text(name, 30)} {format_number(1e3 * seconds)} ms{threads}"


def _values(bar: StageBar) -> Iterator[Point]:
    parts = _parts(bar)
    total = float(f"{1e3 * sum(seconds for _, seconds in parts):.4g}")
    for number, (part, seconds) in enumerate(parts):
        yield {
            "row": _name(bar),
            "part": part,
            "ms": float(f"{1e3 * seconds:.4g}"),
            "place": number,
            "words": "" if number else _words(bar),
            "total": total,
        }


def _say(bar: StageBar) -> str:
    said = ", ".join(f"{part} {format_number(1e3 * seconds)} ms" for part, seconds in _parts(bar))
    nodes = f"; elapsed time in tf.data, not CPU: {', '.join(map(_say_node, bar.nodes_s[:20]))}" if bar.nodes_s else ""
    return f"{_name(bar)}: {said}{nodes}"


CHART = ChartSpec(rank=55, draw=chart_stages)
