"""Composition of the page's view from sessions. Pure: the same sessions give the same view."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.outcomes import count_outcomes, outcome_of, say_places
from harness.analysis.signs import LOOKS
from harness.bench.protocol.loader_registry import LOADERS, is_automatic
from harness.records.progress import complete_rounds, planned_rounds
from harness.records.session_data import SessionData
from harness.report.article import view_article
from harness.report.cases import view_cases
from harness.report.caveats import collect_caveats, count_caveats
from harness.report.environment import view_environment, view_hosts
from harness.report.failures import view_failures
from harness.report.groups import group_sessions, view_groups
from harness.report.predictions import view_predictions
from harness.report.recap import view_recap
from harness.report.sources import view_ledger, view_sources
from harness.report.view import Mark, View
from harness.values.names import CaseNames, name_row, name_size
from harness.values.record import Record
from harness.values.text import cap_list, clean_text, join_words, plural

_MOST_SUPERSEDED = 50


def build_view(sessions: Sequence[SessionData], block: str | None = None, beside: str = "") -> View:
    """Build the view of these sessions; ``block`` are their packed records, or else the file ``beside`` has them."""
    records = [record for session in sessions for record in session.records]
    groups = group_sessions(sessions)
    cases = {r.case_id: r.case for session in sessions for r in (*session.measured, *session.superseded)}
    names = CaseNames(cases.values())
    failures, left_out = view_failures(sessions, names)
    caveats = collect_caveats(sessions, groups, names)
    called = cap_list([clean_text(session.name, 120) for session in sessions], 4)
    experiments = cap_list(sorted({clean_text(session.experiment_name, 80) for session in sessions}), 4)
    return View(
        title=called if called == experiments else f"{experiments} · {called}",
        volume=_say_volume(sessions, records),
        summary=tuple(_summarise(sessions, records)),
        progress=describe_progress(sessions),
        counts=tuple(_mark_counts(records)),
        belief_counts=tuple(count_caveats(caveats)),
        recaps=tuple(view_recap(session) for session in sessions),
        groups=tuple(view_groups(groups, sessions, names)),
        beliefs=tuple(caveats),
        cases=view_cases(groups),
        predictions=view_predictions(groups, names),
        failures=tuple(failures),
        failures_left_out=tuple(left_out),
        article=view_article(groups, sessions),
        hosts=tuple(view_hosts(sessions)),
        environment=tuple(view_environment(sessions)),
        loaders=tuple(_explain_loaders(records)),
        ledger=view_ledger(sessions),
        sources=tuple(view_sources(sessions)),
        superseded=tuple(_superseded(sessions, names)),
        data_block=block,
        data_note=_data_note(block, beside),
    )


def _explain_loaders(records: Sequence[Record]) -> list[tuple[str, str]]:
    """Return what each measured loader of this program is, in the registry's words and order.

    The glossary explains the model limit, which is measured by the loader ``ceiling``.
    """
    measured = {record.case.loader for record in records if not is_automatic(record.case.loader)}
    return [(name, spec.summary) for name, spec in LOADERS.items() if name in measured]


def _summarise(sessions: Sequence[SessionData], records: Sequence[Record]) -> list[tuple[str, str]]:
    cases = {record.case_id: record.case for record in records}
    hosts = sorted({record.host for record in records} | {host for session in sessions for host in session.facts})
    modes = {"train": "training", "load": "loading"}
    caches: dict[str, list[str]] = {}
    for case in (case for case in cases.values() if not is_automatic(case.loader)):
        caches.setdefault(name_row(case)[0], []).append(name_row(case)[1])
    rows = [f"{loader} ({', '.join(sorted(set(found)))})" for loader, found in sorted(caches.items())]
    said = [
        ("Hosts", cap_list([clean_text(host, 80) for host in hosts]) or "none answered yet"),
        ("Measured", join_words(sorted({modes[case.mode] for case in cases.values()}))),
        ("Data", cap_list(sorted({clean_text(case.data, 80) for case in cases.values()}))),
        ("Sizes", cap_list(sorted({name_size(case) for case in cases.values()}))),
        ("Loaders (caches)", clean_text(cap_list(rows, 20), 600)),
    ]
    descriptions = {s.content.experiment.description for s in sessions if s.content.experiment.description}
    if descriptions:
        said.insert(0, ("Experiment", clean_text(" / ".join(sorted(descriptions)), 400)))
    return [(name, value) for name, value in said if value]


def _say_volume(sessions: Sequence[SessionData], records: Sequence[Record]) -> str:
    cases, hosts = len({record.case_id for record in records}), len({record.host for record in records})
    said = f"{plural(cases, 'case')}, {plural(len(records), 'run')} on {plural(hosts, 'host')}"
    return said if len(sessions) == 1 else f"{said}, {plural(len(sessions), 'session')}"


def describe_progress(sessions: Sequence[SessionData]) -> str:
    """Return ``3 of 5 rounds``; for several sessions, one after the other."""
    said = []
    for session in sessions:
        done, planned = complete_rounds(session), planned_rounds(session)
        is_more = planned is None or done > planned  # it was started again for fewer rounds than it had run
        text = plural(done, "round") if is_more else f"{done} of {plural(planned or 0, 'round')}"
        if planned is not None and done < planned:
            text += " so far"
        said.append(text if len(sessions) == 1 else f"{clean_text(session.name, 80)}: {text}")
    return "; ".join(said)


def _mark_counts(records: Sequence[Record]) -> list[Mark]:
    counts = count_outcomes(records)
    return [Mark(LOOKS[kind].sign, f"{count} {LOOKS[kind].word}", LOOKS[kind].tint) for kind, count in counts.items()]


def _superseded(sessions: Sequence[SessionData], names: CaseNames) -> list[str]:
    older = [record for session in sessions for record in session.superseded]
    said = [
        f"{names.name(r.case, r.alias)}: {clean_text(f'{outcome_of(r).text} ({say_places([r])}, attempt {r.attempt})')}"
        for r in older[:_MOST_SUPERSEDED]
    ]
    return said if len(older) <= _MOST_SUPERSEDED else [*said, f"and {len(older) - _MOST_SUPERSEDED} more"]


def _data_note(block: str | None, beside: str) -> str:
    if block is not None:
        return "This page contains its raw records: `harness report` and `harness export` can read this file."
    name = clean_text(beside, 120)
    return f"The raw records are too many for this page: they are beside it in {name}."
