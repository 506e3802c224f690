"""Hardware groups: the card and the advice of each, and the matrix and charts of each setting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.advice import advise
from harness.analysis.matrix import HardwareGroup, Row, Setting, build_matrix
from harness.analysis.outcomes import WORST_FIRST, Outcome, outcome_of
from harness.records.session_data import SessionData
from harness.report.advice import view_advice
from harness.report.charts.input_cost import say_thresholds
from harness.report.drawing import load_charts, name_svg
from harness.report.hardware import name_groups, view_card
from harness.report.labels import label_glance
from harness.report.overview import scale_bars, view_answers
from harness.report.scope import name_coverage, name_rate, name_setting
from harness.report.view import ChartView, GlanceRow, GroupView, Mark, SettingView, Trouble
from harness.report.words import say_rate, shorten_hardware, split_hardware
from harness.values.names import CaseNames, name_limit, name_model, name_row
from harness.values.record import Record
from harness.values.text import cap_list, clean_text, plural

MOST_CHARTS = 60
"""On a page; later settings have only their matrix and their rows in the table of cases."""

_MOST_SETTINGS = 24
_MOST_LINES = 60
"""A chart of more lines than this (cases × limits) is not drawn, because it could not be read."""


@dataclass
class _Budget:
    """Charts that may still be drawn."""

    charts: int


def group_sessions(sessions: Sequence[SessionData]) -> list[HardwareGroup]:
    """Group the records of sessions by hardware and setting, with the baseline that the first session names."""
    baseline = next(filter(None, (session.content.experiment.baseline for session in sessions)), None)
    return build_matrix([record for session in sessions for record in session.measured], baseline)


def view_groups(groups: Sequence[HardwareGroup], sessions: Sequence[SessionData], names: CaseNames) -> list[GroupView]:
    """View all hardware groups; each has its share of the charts."""
    share = max(1, MOST_CHARTS // max(1, len(groups)))
    headings = name_groups(groups, sessions)
    views = [
        _view_group(number, heading, groups, sessions, names, _Budget(share))
        for number, heading in enumerate(headings, start=1)
    ]
    return scale_bars(views)


def _view_group(
    number: int,
    heading: str,
    groups: Sequence[HardwareGroup],
    sessions: Sequence[SessionData],
    names: CaseNames,
    budget: _Budget,
) -> GroupView:
    group = groups[number - 1]
    hosts = [clean_text(host, 80) for host in group.hosts]
    shown = group.settings[:_MOST_SETTINGS]
    advised = [advise(setting) for setting in shown]
    return GroupView(
        anchor=f"hardware-{number}",
        number=f"{number}. " if len(groups) > 1 else "",
        heading=heading,
        short=shorten_hardware(group.hardware),
        key=clean_text(split_hardware(group.hardware)[1], 20),
        hosts=f"{plural(len(hosts), 'host')}: {cap_list(hosts)}",
        card=view_card(group, sessions, names),
        trouble=tuple(_trouble(group, names)),
        answers=view_answers(advised, group),
        advice=tuple(view_advice(advice, group, sessions) for advice in advised),
        settings=tuple(
            _view_setting(f"hardware-{number}-{place}", group, setting, budget)
            for place, setting in enumerate(shown, start=1)
        ),
        settings_left_out=len(group.settings) - len(shown),
    )


def _trouble(group: HardwareGroup, names: CaseNames) -> Iterator[Trouble]:
    """Yield failures and limits reached here: a mark for each outcome and reason, with the cases that ended so."""
    alike: dict[Outcome, list[Record]] = {}
    for record in group.records:
        outcome = outcome_of(record)
        if outcome.kind not in ("ok", "degraded"):
            shown = outcome if outcome.kind == "invalid" else Outcome(outcome.kind)
            alike.setdefault(shown, []).append(record)
    for outcome in sorted(alike, key=lambda one: (WORST_FIRST.index(one.kind), one.reason)):
        records = alike[outcome]
        mark = Mark(outcome.look.sign, clean_text(f"{len(records)} {outcome.text}"), outcome.look.tint)
        yield Trouble(mark, tuple(dict.fromkeys(names.name(record.case, record.alias) for record in records)))


def _view_setting(anchor: str, group: HardwareGroup, setting: Setting, budget: _Budget) -> SettingView:
    case = setting.case
    detail = [plural(case.epochs, "epoch"), f"batches of {case.batch_size}", f"page cache {case.page_cache}"]
    if case.mode == "train":
        detail.insert(0, name_model(case.model))
    detail += [name_coverage(coverage) for coverage in setting.coverages]
    charts = tuple(_charts(anchor, group, setting, budget))
    no_charts = () if charts else ("This setting has no charts: the page draws only those of the first settings.",)
    return SettingView(
        anchor=anchor,
        heading=name_setting(setting, group.settings),
        detail=clean_text("; ".join(detail)),
        notes=(*_notes(setting), *no_charts),
        rate_heading=name_rate(setting),
        limits=tuple(name_limit(limit) for limit in setting.limits),
        glance=tuple(view_glance(setting)),
        charts=charts,
    )


def _charts(anchor: str, group: HardwareGroup, setting: Setting, budget: _Budget) -> Iterator[ChartView]:
    if len(setting.rows) > _MOST_LINES:
        return
    number = 0
    for spec in load_charts():
        if budget.charts > 0 and (found := spec.draw(group, setting)) is not None:
            budget.charts, number = budget.charts - 1, number + 1
            yield ChartView(found.headline, found.title, name_svg(found, f"{anchor}-c{number}"))


def _notes(setting: Setting) -> Iterator[str]:
    if setting.ceiling is not None:
        found = setting.ceiling.rate()
        if found is not None:
            yield (
                f"Model limit: {say_rate(found)} images/s, the rate of the model alone; "
                f"no loader can be faster. {say_thresholds()}"
            )
    elif setting.case.mode == "train":
        yield "The model limit has no result, so whether the model is the bottleneck is not known."
    if setting.case.interpolation == "native":
        yield (
            "Pixels differ: each loader resizes with its own default filter, so these cases do not do the same work. "
            "To compare loaders at the same work, see the settings with equal pixels."
        )
    if setting.metric == "first":
        yield "Only one epoch was measured: a cache shows its effect from the second epoch on."


def view_glance(setting: Setting) -> Iterator[GlanceRow]:
    """View the matrix of a setting: a row for each loader and cache, a cell for each memory limit."""
    by_name: dict[tuple[str, str], dict[int | str, Row]] = {}
    for row in setting.rows:
        if row.summary.alias is None:
            by_name.setdefault(name_row(row.case), {})[row.case.memory_limit] = row
    for (loader, cache), at in list(by_name.items())[:_MOST_LINES]:
        cells = tuple(label_glance(at.get(limit), setting) for limit in setting.limits)
        yield GlanceRow(clean_text(loader, 80), clean_text(cache, 80), cells)
