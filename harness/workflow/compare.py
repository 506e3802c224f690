"""``harness compare OLD NEW``: two sessions of the same hosts, before and after a change."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.values.errors import SessionError

if TYPE_CHECKING:
    from harness.analysis.sessions_compared import Change, SessionsCompared
    from harness.console import Console

_VERDICTS = {"faster": "faster", "slower": "slower", "same": "about the same", "unknown": "can't tell"}


def compare(console: Console, old: Path, new: Path, output: Path, *, as_json: bool) -> int:
    """Print what changed between two sessions; 1 where anything became slower, or failed that did not before."""
    from harness.analysis.sessions_compared import compare_sessions
    from harness.report.source import read_source

    sources = [_existing(each, output) for each in (old, new)]
    records = [[record for data in read_source(source) for record in data.records] for source in sources]
    for source, found in zip(sources, records, strict=True):
        if not found:
            raise SessionError("the session has no records yet", where=str(source), hint="wait, or run it first")
    compared = compare_sessions(*records)
    if not compared.changes:
        hint = (
            "compare two sessions of the same hosts and the same experiment; `harness compare` matches by host and case"
        )
        raise SessionError(f"{sources[0].name} and {sources[1].name} have no case on a common host", hint=hint)
    if as_json:
        console.result_json(_as_json(compared))
    else:
        _show(console, compared)
    return 1 if any(_is_worse(change) for change in compared.changes) else 0


def _existing(path: Path, output: Path) -> Path:
    """A session folder or page, by its path or its name below the reports."""
    for each in (path, output / path):
        if each.exists():
            return each
    hint = "give a session folder, its name below the reports, or a report's page"
    raise SessionError(f"there is no session {path}", hint=hint)


def _is_worse(change: Change) -> bool:
    return change.verdict.kind == "slower" or (change.old_status == "ok" and change.new_status != "ok")


def _show(console: Console, compared: SessionsCompared) -> None:
    from harness.experiment.names import case_labels

    labels = case_labels([change.case for change in compared.changes])
    rows = [
        [change.host, labels[change.case], _rate(change.old, change.old_status), _rate(change.new, change.new_status),
         _ratio(change), _verdict(change)]
        for change in compared.changes
    ]  # fmt: skip
    console.table(["host", "case", "images/s before", "after", "after ÷ before (95 %)", "verdict"], rows)
    if compared.surroundings:
        console.table(["host", "what else changed", "before", "after"], [list(row) for row in compared.surroundings])
    else:
        console.result(
            "nothing else that was recorded differs: software, image, payload, hardware and data are the same"
        )
    for name, missing in (("only before", compared.only_old), ("only after", compared.only_new)):
        if missing:
            found = case_labels([case for _, case in missing])
            console.result(f"{name}: " + "; ".join(f"{host}: {found[case]}" for host, case in missing))


def _rate(value: float | None, status: str) -> str:
    return status if value is None else f"{value:.1f}"


def _ratio(change: Change) -> str:
    ratio = change.ratio
    if ratio is None:
        return "–"
    if ratio.low is None or ratio.high is None:
        return f"{ratio.value:.2f} (one round)"
    return f"{ratio.value:.2f} ({ratio.low:.2f}–{ratio.high:.2f})"


def _verdict(change: Change) -> str:
    if change.old_status != change.new_status:
        return f"{change.old_status} → {change.new_status}"
    side = f", leans to {change.verdict.side}" if change.verdict.side else ""
    return _VERDICTS[change.verdict.kind] + side


def _as_json(compared: SessionsCompared) -> dict[str, Any]:
    return {
        "changes": [
            {
                "host": change.host,
                "case_id": change.case.case_id,
                "case": change.case.model_dump(mode="json"),
                "old_images_per_s": change.old,
                "new_images_per_s": change.new,
                "ratio": None if change.ratio is None else asdict(change.ratio),
                "verdict": change.verdict.kind,
                "old_status": change.old_status,
                "new_status": change.new_status,
            }
            for change in compared.changes
        ],
        "only_old": [{"host": host, "case_id": case.case_id} for host, case in compared.only_old],
        "only_new": [{"host": host, "case_id": case.case_id} for host, case in compared.only_new],
        "surroundings": [
            dict(zip(("host", "what", "before", "after"), row, strict=True)) for row in compared.surroundings
        ],
    }
