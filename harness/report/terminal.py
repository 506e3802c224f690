"""Advice and matrix for a terminal, with the same words as on the page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.analysis.advice import advise
from harness.records.session_data import SessionData
from harness.report.advice import advise_group, is_provisional, say_advice
from harness.report.groups import group_sessions, view_glance
from harness.report.hardware import name_groups
from harness.report.scope import name_rate, name_setting
from harness.report.view import Advice, Mark
from harness.values.names import name_limit


@dataclass(frozen=True)
class TerminalTable:
    """A matrix: its columns, and rows with one cell for each column."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class TerminalView:
    """One hardware group: ``advice`` are sentences with their notes; ``is_open``: more rounds may settle some."""

    heading: str
    advice: tuple[str, ...]
    tables: tuple[TerminalTable, ...]
    is_open: bool = False


def view_terminal(sessions: Sequence[SessionData]) -> list[TerminalView]:
    """View sessions for a terminal."""
    views = []
    groups = group_sessions(sessions)
    for group, heading in zip(groups, name_groups(groups, sessions), strict=True):
        said = [_say(advice) for advice in advise_group(group)]
        tables = []
        for setting in (setting for setting in group.settings if setting.rows):
            limits = [name_limit(limit) for limit in setting.limits]
            rows = [
                (f"{row.loader}, {row.cache}", *(_cell(cell) for cell in row.cells)) for row in view_glance(setting)
            ]
            title = f"{name_setting(setting, group.settings)}: {name_rate(setting)}, more is better"
            tables.append(TerminalTable(title, ("loader, cache", *limits), tuple(rows)))
        is_open = any(is_provisional(span.choice) for setting in group.settings for span in advise(setting).spans)
        views.append(TerminalView(heading, tuple(said), tuple(tables), is_open))
    return views


def _say(advice: Advice) -> str:
    return "\n".join([f"{advice.lead}:", f"  {say_advice(advice)}", *(f"  - {note}" for note in advice.notes)])


def _cell(mark: Mark) -> str:
    detail = f" ({mark.detail})" if mark.detail else ""
    return f"{mark.sign} {mark.text}{detail}".strip()
