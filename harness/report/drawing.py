"""Drawing of charts: an Altair chart in, a small SVG with the colours and the font of the page out."""

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
"""A Vega-Lite specification of a chart, without data."""
Point = dict[str, str | float | None]
"""The data of one mark of a chart, by field."""

MOST_POINTS = 200
"""More runs than this are drawn as quantiles."""

SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-right", "stroke")
WIDTH = 420
"""Width of the plot without its axis, in CSS pixels."""

ROOM = 56
"""CSS pixels kept free at the right of texts beside bars: they may be wider in the reader's font."""

_PANEL_WIDTH, _PANEL_HEIGHT = 200, 170
_AXIS_FONT, _LABEL_LIMIT = 12, 230
_ROWS = "rows"
_MOST_STEP, _FEW_ROWS_HEIGHT = 60, 240
_CHARTS = "harness.report.charts"


@dataclass(frozen=True)
class Chart:
    """A drawn chart: ``headline`` states its result, ``title`` what is drawn, with unit and direction.

    ``description`` gives its values to screen readers.
    """

    headline: str
    title: str
    description: str
    svg: str


@dataclass(frozen=True)
class ChartSpec:
    """A kind of chart: ``rank`` is its place among the others, ``draw`` draws it for a setting of a hardware group.

    ``draw`` returns None where the setting has no data for it.
    """

    rank: int
    draw: Callable[[HardwareGroup, Setting], Chart | None]


def load_charts() -> tuple[ChartSpec, ...]:
    """Return all kinds of charts, found by their files, in the order in which a page shows them."""
    return tuple(sorted(load_constants(_CHARTS, "CHART", ChartSpec), key=lambda chart: chart.rank))


def name_facet(limit: int | str) -> str:
    """Return the name of a memory limit above its part of a chart."""
    return name_limit(limit) if isinstance(limit, str) else f"limit {name_limit(limit)}"


def name_place(case: Case) -> str:
    """Return ``tfdata · file cache, limit 16 GiB``, which names a case's place in a chart for screen readers."""
    return f"{name_line(case)}, {name_facet(case.memory_limit)}"


def place_of(case: Case) -> Point:
    """Return the fields of a mark that place a case in a chart: its row, and the part for its memory limit."""
    return {"row": name_line(case), "limit": name_facet(case.memory_limit)}


def facet_names(setting: Setting, values: Sequence[Point] | None = None) -> tuple[str, ...]:
    """Return the names of a setting's memory limits in order; none where all ``values`` are of one limit."""
    is_one = values is not None and len({value["limit"] for value in values}) < 2
    return () if is_one else tuple(name_facet(limit) for limit in setting.limits)


def line_names(setting: Setting) -> tuple[str, ...]:
    """Return all rows of a setting in order, each once: the order fixes colour and shape in every chart."""
    return tuple(dict.fromkeys(name_line(row.case) for row in setting.rows if row.summary.alias is None))


def keep_named(names: Sequence[str], field: str, values: Sequence[Point]) -> tuple[str, ...]:
    """Return the names that occur in a field of these values, in their order."""
    found = {value[field] for value in values}
    return tuple(name for name in names if name in found)


def name_axis(names: Sequence[str]) -> alt.Axis:
    """Return the axis of the rows, wide enough for their names, since the reader's font is not known here."""
    import altair as alt

    width = min(7.4 * max(map(len, names), default=0), _LABEL_LIMIT) + 8
    return alt.Axis(ticks=False, domain=False, labelPadding=8, minExtent=width)


def colour_of(names: Sequence[str]) -> alt.Scale:
    """Return the scale that gives a row the same colour in every chart of a setting."""
    import altair as alt

    return alt.Scale(domain=list(names), range=[SERIES[i % len(SERIES)] for i in range(len(names))])


def shape_of(names: Sequence[str]) -> alt.Scale:
    """Return the scale that gives a row the same shape in every chart of a setting."""
    import altair as alt

    return alt.Scale(domain=list(names), range=[SHAPES[i % len(SHAPES)] for i in range(len(names))])


def data_by_name() -> alt.NamedData:
    """Return a placeholder for the data, which are added when a chart is drawn: Altair copies data at every step."""
    import altair as alt

    return alt.NamedData(_ROWS)


def round_digits(value: float, digits: int = 4) -> float:
    """Round a number to so many significant digits: more are not visible and make a page longer."""
    return float(f"{value:.{digits}g}")


def thin_values(values: Sequence[float], most: int) -> list[float]:
    """Return the values, sorted; more than ``most`` are replaced by as many quantiles with both extremes."""
    ordered = sorted(values)
    if len(ordered) <= most:
        return ordered
    return [ordered[round(i * (len(ordered) - 1) / (most - 1))] for i in range(most)]


def row_step(least: int, names: Sequence[str], facets: Sequence[str] = ()) -> int:
    """Return the height of a row, in CSS pixels: few rows are higher, so that their chart fills its card."""
    rows = max(1, len(names)) * max(1, len(facets))
    return max(least, min(_MOST_STEP, _FEW_ROWS_HEIGHT // rows))


def stack_facets(layered: alt.LayerChart | alt.FacetChart, facets: Sequence[str], *, right: int = 4) -> Shape:
    """Finish a chart of rows, with one part for each memory limit, one above the other.

    ``right`` is the free width at that side, in CSS pixels.
    """
    import altair as alt

    facet = alt.Row("limit:N", sort=list(facets), header=alt.Header(orient="top", labelPadding=4))
    return finish_chart(layered.facet(row=facet) if len(facets) > 1 else layered, right=right)


def panel_facets(layered: alt.LayerChart | alt.FacetChart, facets: Sequence[str]) -> Shape:
    """Finish a chart of epochs: a panel for each memory limit, two in a row; a single panel is as wide as two."""
    import altair as alt

    if not facets:
        return finish_chart(layered.properties(width=2 * _PANEL_WIDTH, height=_PANEL_HEIGHT))
    facet = alt.Facet("limit:N", sort=list(facets), header=alt.Header(labelPadding=4))
    panel = layered.properties(width=_PANEL_WIDTH, height=_PANEL_HEIGHT)
    return finish_chart(panel.facet(facet=facet, columns=2))


def finish_chart(chart: alt.TopLevelMixin, *, right: int = 4) -> Shape:
    """Return an Altair chart in the page's colours as Vega-Lite, without data, so that settings can share it."""
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
        axisX=alt.AxisConfig(labelFlush=False),  # a last label that is moved inward touches its neighbour
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
    """Draw values as SVG without ids, fonts and roles: the page adds a name and the font."""
    import vl_convert

    drawn = {**shape, "datasets": {_ROWS: list(values)}}
    return shrink_svg(vl_convert.vegalite_to_svg(drawn, vl_version=_grammar()))


@cache
def _grammar() -> str:
    """Return the version of Vega-Lite that Altair writes, as vl-convert names it."""
    import altair as alt

    major, minor, *_ = alt.SCHEMA_VERSION.lstrip("v").split(".")
    return f"{major}.{minor}"


_NOISE = frozenset({"role", "class", "pointer-events", "font-family", "stroke-miterlimit", "version", "cursor"})
_LONG = re.compile(r"(?<!\d)(\d+\.\d{2})\d+")
_NAMED = re.compile(r'(\bid="|url\(#|href="#)')
_SPACE = "http://www.w3.org/2000/svg"


def shrink_svg(svg: str) -> str:
    """Return the same picture in fewer bytes: without empty boxes, roles and useless groups, with two decimals."""
    from xml.etree import ElementTree

    root = ElementTree.fromstring(svg)  # noqa: S314 - vl-convert has just made it
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
    """Return the SVG with a title and a description for screen readers; all ids begin with ``key``."""
    from markupsafe import escape

    named = f' class="chart" role="img" aria-labelledby="{key}-t {key}-d"'
    svg = chart.svg.replace("@NAME@", named, 1)
    svg = _NAMED.sub(lambda found: f"{found[1]}{key}-", svg)
    head = f'<title id="{key}-t">{escape(chart.title)}</title><desc id="{key}-d">{escape(chart.description)}</desc>'
    place = svg.index(">") + 1
    return svg[:place] + head + svg[place:]
