"""Images/s by memory limit: the limits that a search tried, and where a case ran out of memory."""

from __future__ import annotations

from functools import cache

from harness.analysis.limit_search import Answer, Trial, find_limits
from harness.analysis.matrix import HardwareGroup, Setting
from harness.report import drawing
from harness.report.drawing import Chart, ChartSpec, Point, Shape
from harness.report.words import format_number
from harness.values.names import name_line, name_pipeline
from harness.values.text import clean_text
from harness.values.units import format_bytes

_HEIGHT = 190
TITLE = "Images/s by memory limit, more is better; a cross: no result; dashed: the smallest limit in which a case runs"


def chart_limits(_: HardwareGroup, setting: Setting) -> Chart | None:
    """Draw a line for each searched case over the limits tried (the best run of each), and crosses without a result."""
    answers = find_limits(setting)
    values = [value for answer in answers for value in _values(answer, len({a.host for a in answers}) > 1)]
    if not values:
        return None
    drawn = drawing.draw(_shape(tuple(dict.fromkeys(value["row"] for value in values))), values)
    return Chart(_headline(answers), TITLE, "; ".join(_say(answer) for answer in answers[:40]), drawn)


def _headline(answers: list[Answer]) -> str:
    """Name the smallest memory limit in which the first searched case runs."""
    answer = next((one for one in answers if one.found.lives_from is not None), None)
    if answer is None:
        return "No pipeline runs under a memory limit that was tried"
    return f"{name_pipeline(answer.case)} runs from a memory limit of {format_bytes(answer.found.lives_from)} on"


@cache
def _shape(names: tuple[str, ...]) -> Shape:
    import altair as alt

    x = alt.X("gb:Q", title="Memory limit, GB (10⁹ bytes)", scale=alt.Scale(type="log", nice=False))
    y = alt.Y("rate:Q", title="Images/s", scale=alt.Scale(zero=True))
    base = alt.Chart().encode(x=x, y=y, color=alt.Color("row:N", scale=drawing.colour_of(names)))
    alive, dead = base.transform_filter("datum.kind == 'alive'"), base.transform_filter("datum.kind == 'dead'")
    layered = alt.layer(
        alive.mark_line(strokeWidth=1.5),
        alive.mark_point(size=30, filled=True, opacity=1),
        dead.mark_point(shape="cross", size=60, filled=True, opacity=1, angle=45),
        base.transform_filter("datum.kind == 'edge'")
        .mark_rule(strokeDash=[5, 4])
        .encode(y=alt.value(0), y2=alt.value(_HEIGHT)),
        data=drawing.data_by_name(),
    ).properties(width=drawing.WIDTH, height=_HEIGHT)
    return drawing.finish_chart(layered)


def _values(answer: Answer, has_hosts: bool) -> list[Point]:
    name = name_line(answer.case) + (f" on {clean_text(answer.host, 40)}" if has_hosts else "")
    found: list[Point] = [
        {
            "row": name,
            "kind": "alive" if trial.rates else "dead",
            "gb": drawing.round_digits(trial.limit / 1e9),
            "rate": drawing.round_digits(trial.best),
        }
        for trial in answer.trials
    ]
    if answer.found.lives_from is not None:
        edge = drawing.round_digits(answer.found.lives_from / 1e9)
        found.append({"row": name, "kind": "edge", "gb": edge, "rate": 0.0})
    return found


def _say(answer: Answer) -> str:
    tried = ", ".join(f"{format_bytes(trial.limit)} {_say_trial(trial)}" for trial in answer.trials)
    return f"{name_line(answer.case)}, {clean_text(answer.host, 60)}: {tried}"


def _say_trial(trial: Trial) -> str:
    if trial.rates:
        return f"{format_number(trial.best)} images/s"
    return "out of memory" if trial.has_died else "not done in time"


CHART = ChartSpec(rank=60, draw=chart_limits)
