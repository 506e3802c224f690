"""Failures and limits reached: what, why, what to do, and the command that repeats it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

from harness.analysis.outcomes import WORST_FIRST, explain_outcome, outcome_of, say_places
from harness.records.session_data import SessionData
from harness.report.labels import describe_place, label_outcome
from harness.report.view import FailureView
from harness.report.words import split_hardware
from harness.values.event import SessionStarted
from harness.values.names import CaseNames
from harness.values.record import TRIAL, WARM_RUN, Record
from harness.values.text import NOTHING, clean_log, clean_text
from harness.values.units import format_bytes

MOST_SHOWN = 60

_ORDER: tuple[str, ...] = WORST_FIRST
_TO_DO: Mapping[str, str] = {
    "oom": "A result, not a fault: the case does not fit into its limit. Give it more memory, or a cache on disk.",
    "timeout": "Raise the timeout of the experiment, lower max_images or epochs, or leave the case out.",
    "disk_full": "Free space on the disk that the cause names, or put caches on another one (disks, cache_disk).",
    "error": "Read the cause and the log, fix the error, then run the command below.",
    "lost": "The host, its engine or the connection failed; the same command runs it again when the host is ready.",
    "skipped": "Fix the reason; the same command then runs it.",
    "invalid": "See the log, fix what makes the run invalid, then run the command below.",
}
_EVIDENCE = (
    ("engine_oom_killed", "OOM kill reported by the engine"),
    ("oom_kills", "OOM kills counted by the cgroup"),
    ("child_signal", "signal that ended the benchmark"),
    ("child_exit_code", "exit code of the benchmark"),
    ("engine_exit_code", "exit code of the container"),
    ("engine_error", "error of the engine"),
    ("failure_type", "exception in the benchmark"),
)
_DROPPED_OPTIONS = {"--fresh": 0, "--rerun-failed": 0, "--only": 1}


def view_failures(sessions: Sequence[SessionData], names: CaseNames) -> tuple[list[FailureView], list[str]]:
    """View runs that ended alike or are invalid for one reason, worst first.

    Those beyond ``MOST_SHOWN`` have one line each: outcome, name, hosts and rounds.
    """
    alike: dict[tuple[str, ...], list[Record]] = {}
    owner: dict[tuple[str, ...], SessionData] = {}
    for session in sessions:
        for record in session.records:
            outcome = outcome_of(record)
            if outcome.kind not in ("ok", "degraded"):
                reason = outcome.reason if outcome.kind == "invalid" else str(record.evidence.get("failure_kind"))
                key = (outcome.kind, record.hardware, record.case_id, record.alias or "", session.origin, reason)
                alike.setdefault(key, []).append(record)
                owner[key] = session
    ordered = sorted(alike, key=lambda key: (_ORDER.index(key[0]), key))
    shown = [_view_failure(alike[key], owner[key], names) for key in ordered[:MOST_SHOWN]]
    return shown, [_say_line(alike[key], names) for key in ordered[MOST_SHOWN:]]


def _say_line(records: Sequence[Record], names: CaseNames) -> str:
    first = records[0]
    return clean_text(f"{outcome_of(first)}: {names.name(first.case, first.alias)} ({say_places(records)})", 600)


def _view_failure(records: Sequence[Record], session: SessionData, names: CaseNames) -> FailureView:
    first, outcome = records[0], outcome_of(records[0])
    logged = next((record for record in records if record.log_tail), None)
    hints = dict.fromkeys(one.hint for one in first.findings if one.severity == "error" and one.hint)
    return FailureView(
        mark=label_outcome(outcome),
        case=names.name(first.case, first.alias),
        hardware=split_hardware(first.hardware)[0],
        where=clean_text(say_places(records), 600),
        cause=clean_text(explain_outcome(first) or "no cause was recorded", 600),
        evidence=tuple(_evidence(records)),
        to_do=clean_text("; ".join(hints), 600) if hints and outcome.kind == "invalid" else _TO_DO[outcome.kind],
        command=repeat_command(session, first),
        log=clean_log(logged.log_tail) if logged and logged.log_tail else "",
        log_file=clean_text(logged.log or "", 200) if logged else "",
    )


def repeat_command(session: SessionData, record: Record) -> str:
    """Return the command that repeats a run: the session's command, narrowed to the case.

    An ``oom`` is a result, which only a fresh session measures again. A trial is repeated by its search, and an extra
    run for the stalls by the whole session: neither is a case of the experiment that ``--only`` could name.
    """
    again = "--fresh" if outcome_of(record).kind == "oom" else "--rerun-failed"
    return clean_text(shlex.join([*_own_command(session), *_select(record), again]), 600)


def _select(record: Record) -> list[str]:
    if record.alias == WARM_RUN:
        return []
    if record.alias == TRIAL:
        return ["--only", record.case.model_copy(update={"memory_limit": "search"}).case_id]
    return ["--only", record.case_id]


def _own_command(session: SessionData) -> list[str]:
    for event in reversed(session.events_of(SessionStarted)):
        if "run" in event.argv:
            return ["harness", *_without_options(event.argv[event.argv.index("run") :])]
    return ["harness", "run", session.content.inventory.path or "INVENTORY"]


def _without_options(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = 0
    for word in words:
        name = word.partition("=")[0]
        if skip:
            skip -= 1
        elif name in _DROPPED_OPTIONS:
            skip = 0 if "=" in word else _DROPPED_OPTIONS[name]
        else:
            kept.append(word)
    return kept


def _evidence(records: Sequence[Record]) -> list[tuple[str, str]]:
    first = records[0]
    found = [("place", place)] if (place := describe_place(records)) else []
    for key, name in _EVIDENCE:
        value = first.evidence.get(key)
        if value is not None:
            said = "yes" if value is True else "no" if value is False else clean_text(value)
            found.append((name, said))
    memory = first.memory
    if memory.peak_anon is not None or memory.limit_effective is not None:
        limit = format_bytes(memory.limit_effective) if memory.limit_effective is not None else NOTHING
        found.append(("peak memory, limit", f"{format_bytes(memory.peak_anon)}, {limit}"))
    return found
