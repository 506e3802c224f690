"""Drawing: an Altair chart in, a small SVG out whose colours and font are the page's."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from pydantic import JsonValue

from harness.bench.protocol.plugins import load_constants
from harness.report.palette import SERIES
from harness.values.case import Case
from harness.values.names import name_limit, name_line

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    import altair as alt

    from harness.analysis.matrix import HardwareGroup, Setting

Shape = dict[str, JsonValue]
"""A chart in the words of Vega-Lite, without data."""
Point = dict[str, str | float | None]
"""What one mark of a chart shows, by field."""

MOST_POINTS = 200
"""More invocations than this are shown as quantiles."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "stroke")
WIDTH = 420
"""Of the plot itself, in CSS pixels."""

ROOM = 56
"""In CSS pixels, at the right of words that stand beside bars."""

_PANEL_WIDTH, _PANEL_HEIGHT = 200, 170
_AXIS_FONT, _LABEL_LIMIT = 12, 230
_ROWS = "rows"
_CHARTS = "harness.report.charts"


@dataclass(frozen=True)
class Chart:
    """A drawn chart: ``headline`` says what it shows in a sentence, ``title`` what is drawn, with unit and direction.

    ``description`` is what a listener needs.
    """

    headline: str
    title: str
    description: str
    svg: str


@dataclass(frozen=True)
class ChartSpec:
    """A kind of chart: ``rank`` is its place beside the others, ``draw`` makes it for one setting of a hardware group.

    ``draw`` returns None where the setting has nothing to show in it.
    """

    rank: int
    draw: Callable[[HardwareGroup, Setting], Chart | None]


def load_charts() -> tuple[ChartSpec, ...]:
    """Return the kinds of charts that there are, found by their files, in the order in which a page shows them."""
    return tuple(sorted(load_constants(_CHARTS, "CHART", ChartSpec), key=lambda chart: chart.rank))


def name_facet(limit: int | str) -> str:
    """The name of a memory limit above its part of a chart."""
    return name_limit(limit) if isinstance(limit, str) else f"limit {name_limit(limit)}"


def name_place(case: Case) -> str:
    """``tfdata · file cache, limit 16 GiB``: where a case stands in a chart, for those who listen."""
    return f"{name_line(case)}, {name_facet(case.memory_limit)}"


def place_of(case: Case) -> Point:
    """The fields of a mark that say where a case stands in a chart: its row, and the part for its memory limit."""
    return {"row": name_line(case), "limit": name_facet(case.memory_limit)}


def facet_names(setting: Setting, values: Sequence[Point] | None = None) -> tuple[str, ...]:
    """The names of a setting's memory limits in their order; with ``values`` none where these are of one limit."""
    is_one = values is not None and len({value["limit"] for value in values}) < 2
    return () if is_one else tuple(name_facet(limit) for limit in setting.limits)


def line_names(setting: Setting) -> tuple[str, ...]:
    """All rows of a setting in its order, each once: the order fixes colour and shape in every chart."""
    return tuple(dict.fromkeys(name_line(row.case) for row in setting.rows if row.summary.alias is None))


def keep_named(names: Sequence[str], field: str, values: Sequence[Point]) -> tuple[str, ...]:
    """The names, in their order, that stand in this field of a mark."""
    found = {value[field] for value in values}
    return tuple(name for name in names if name in found)


def name_axis(names: Sequence[str]) -> alt.Axis:
    """The axis of the rows, wide enough for their names in any font: what draws here does not know the reader's."""
    import altair as alt

    width = min(7.4 * max(map(len, names), default=0), _LABEL_LIMIT) + 8
    return alt.Axis(ticks=False, domain=False, labelPadding=8, minExtent=width)


def colour_of(names: Sequence[str]) -> alt.Scale:
    """The scale that keeps a row's colour in every chart of a setting."""
    import altair as alt

    return alt.Scale(domain=list(names), range=[SERIES[i % len(SERIES)] for i in range(len(names))])


def shape_of(names: Sequence[str]) -> alt.Scale:
    """The scale that keeps a row's shape."""
    import altair as alt

    return alt.Scale(domain=list(names), range=[SHAPES[i % len(SHAPES)] for i in range(len(names))])


def data_by_name() -> alt.NamedData:
    """The data of a chart, which come when it is drawn: Altair copies and checks what it holds at every step."""
    import altair as alt

    return alt.NamedData(_ROWS)


def round_digits(value: float, digits: int = 4) -> float:
    """The same number in so many significant digits: more would make a page longer, and nobody sees them."""
    return float(f"{value:.{digits}g}")


def thin_values(values: Sequence[float], most: int) -> list[float]:
    """The values themselves, or of many ``most`` quantiles, smallest and largest included."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]


def stack_facets(layered: alt.LayerChart | alt.FacetChart, facets: Sequence[str], *, right: int = 4) -> Shape:
    """Finish a chart of rows: one part a memory limit, one above the other, where there are several.

    ``right`` is room at that side, in CSS pixels: words there may be wider in the reader's font than in this one.
    """
    import altair as alt

    facet = alt.Row("limit:N", sort=list(facets), header=alt.Header(orient="top", labelPadding=4))
    return finish_chart(layered.facet(row=facet) if len(facets) > 1 else layered, right=right)


def panel_facets(layered: alt.LayerChart | alt.FacetChart, facets: Sequence[str]) -> Shape:
    """Finish a chart of epochs: one panel a memory limit, two side by side; as wide as two where there is one."""
    import altair as alt

    if not facets:
        return finish_chart(layered.properties(width=2 * _PANEL_WIDTH, height=_PANEL_HEIGHT))
    facet = alt.Facet("limit:N", sort=list(facets), header=alt.Header(labelPadding=4))
    panel = layered.properties(width=_PANEL_WIDTH, height=_PANEL_HEIGHT)
    return finish_chart(panel.facet(facet=facet, columns=2))


def finish_chart(chart: alt.TopLevelMixin, *, right: int = 4) -> Shape:
    """An Altair chart in the page's colours, as Vega-Lite: without data, so that settings of one shape share it."""
    import altair as alt

    configured = chart.configure(
        background="transparent",
        aria=False,
        padding={"left": 4, "top": 4, "bottom": 4, "right": right},
        axis=alt.AxisConfig(
            labelColor="var(--soft)",
            titleColor="var(--soft)",
            gridColor="var(--line)",
            domainColor="var(--line)",
            tickColor="var(--line)",
            labelFontSize=_AXIS_FONT,
            titleFontSize=_AXIS_FONT,
            titleFontWeight="normal",
            labelLimit=_LABEL_LIMIT,
        ),
        axisY=alt.AxisConfig(labelColor="var(--ink)"),
        header=alt.HeaderConfig(
            labelColor="var(--ink)", labelFontSize=_AXIS_FONT, labelFontWeight="bold", labelAnchor="start", title=None
        ),
        legend=alt.LegendConfig(
            labelColor="var(--ink)",
            labelFontSize=_AXIS_FONT,
            title=None,
            orient="bottom",
            columns=2,
            columnPadding=36,
            rowPadding=4,
            labelLimit=_LABEL_LIMIT,
            symbolStrokeWidth=2,
        ),
        view=alt.ViewConfig(stroke=None),
        facet=alt.CompositionConfig(spacing=14),
    )
    return dict(configured.to_dict(validate=False))


def draw(shape: Shape, values: Sequence[Point]) -> str:
    """The SVG of values, without ids, fonts and roles of its own: the page gives name and font."""
    import vl_convert

    drawn = {**shape, "datasets": {_ROWS: list(values)}}
    return shrink_svg(vl_convert.vegalite_to_svg(drawn, vl_version=_grammar()))


@cache
def _grammar() -> str:
    """The version of Vega-Lite that Altair writes, as vl-convert names it."""
    import altair as alt

    major, minor, *_ = alt.SCHEMA_VERSION.lstrip("v").split(".")
    return f"{major}.{minor}"


_NOISE = frozenset({"role", "class", "pointer-events", "font-family", "stroke-miterlimit", "version", "cursor"})
_LONG = re.compile(r"(?<!\d)(\d+\.\d{2})\d+")
_NAMED = re.compile(r'(\bid="|url\(#|href="#)')
_SPACE = "http://www.w3.org/2000/svg"


def shrink_svg(svg: str) -> str:
    """The same picture in fewer bytes: no empty boxes, no roles, no groups that do nothing, two decimals."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(svg)  # noqa: S314 - vl-convert's own words, just made
    _shrink(root)
    body = "".join(ElementTree.tostring(child, encoding="unicode") for child in root)
    body = _LONG.sub(r"\1", re.sub(r"(</?)ns\d+:", r"\1", re.sub(r' xmlns(?::\w+)?="[^"]*"', "", body)))
    width, height = root.attrib["viewBox"].split()[2:]
    return f'<svg viewBox="{root.attrib["viewBox"]}" width="{width}" height="{height}"@NAME@>{body}</svg>'


def _shrink(element: Element) -> None:
    for name in list(element.attrib):
        if name in _NOISE or name.startswith("aria-") or (name, element.attrib[name]) in _DEFAULTS:
            del element.attrib[name]
    kept: list[Element] = []
    for child in element:
        if child.get("class") in ("background", "foreground") and child.tag == f"{{{_SPACE}}}path":
            continue
        _shrink(child)
        if child.tag == f"{{{_SPACE}}}g" and not child.attrib:
            kept += list(child)
        elif child.tag != f"{{{_SPACE}}}g" or len(child):
            kept.append(child)
    element[:] = kept


_DEFAULTS = frozenset(
    {("opacity", "1"), ("transform", "translate(0,0)"), ("stroke-width", "1"), ("y2", "0"), ("x2", "0")}
)


def name_svg(chart: Chart, key: str) -> str:
    """The SVG with a title and a description for those who listen; ids begin with ``key``: none stands twice."""
    from markupsafe import escape

    named = f' class="chart" role="img" aria-labelledby="{key}-t {key}-d"'
    svg = chart.svg.replace("@NAME@", named, 1)
    svg = _NAMED.sub(lambda found: f"{found[1]}{key}-", svg)
    head = f'<title id="{key}-t">{escape(chart.title)}</title><desc id="{key}-d">{escape(chart.description)}</desc>'
    place = svg.index(">") + 1
    return svg[:place] + head + svg[place:]
