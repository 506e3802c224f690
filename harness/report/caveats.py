"""Caveats: what limits the results of the page, and what to do about each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.matrix import HardwareGroup
from harness.analysis.outcomes import is_done_again, outcome_of, say_places
from harness.analysis.selection import LEAST_UNDISTURBED
from harness.analysis.short_epochs import MORE_IMAGES, say_cure
from harness.analysis.signs import SEVERITIES
from harness.analysis.statistics import Estimate
from harness.records.progress import complete_rounds, planned_rounds
from harness.records.session_data import SessionData
from harness.report.labels import label_look
from harness.report.view import Caveat, Mark
from harness.report.words import say_ratio, split_hardware
from harness.values.event import CommandStarted, HostStateChanged, SessionFinding
from harness.values.names import CaseNames
from harness.values.record import Finding, Record
from harness.values.text import cap_list, clean_text, join_words, plural

_NOISY_LOG_DEVIATION = 0.10
_NOISE = frozenset({"noise-floor", "spread"})
"""Session findings that ``_noise`` replaces by one caveat for the records of all sessions."""
_READY = ("ready", "")
_MOST_ALIKE = 3


def collect_caveats(sessions: Sequence[SessionData], groups: Sequence[HardwareGroup], names: CaseNames) -> list[Caveat]:
    """Collect all caveats, the gravest first."""
    found = [caveat for session in sessions for caveat in _session_caveats(session)]
    records = [record for session in sessions for record in session.records]
    found += [*_record_findings(records, names, groups), *_validity(records, names)]
    for group in groups:
        found += [*_mixtures(group), *_noise(group, names)]
    found += [*_other_pixels(groups), *_emulated(groups, names)]
    order = [look.word for look in SEVERITIES.values()]
    return sorted(found, key=lambda caveat: order.index(caveat.mark.text))


def count_caveats(caveats: Sequence[Caveat]) -> Iterable[Mark]:
    """Yield a mark for each severity with the number of its caveats, the gravest first."""
    for look in SEVERITIES.values():
        if number := sum(caveat.mark.text == look.word for caveat in caveats):
            yield Mark(look.sign, plural(number, look.word), look.tint)


def _caveat(
    severity: str, message: str, hint: str, where: str = "", cases: Iterable[str] = (), identifier: str = ""
) -> Caveat:
    look = next((look for name, look in SEVERITIES.items() if name == severity), SEVERITIES["warning"])
    return Caveat(
        label_look(look),
        clean_text(message, 500),
        clean_text(hint, 500),
        clean_text(where, 300),
        tuple(cases),
        clean_text(identifier, 60),
    )


def _session_caveats(session: SessionData) -> Iterable[Caveat]:
    done, planned = complete_rounds(session), planned_rounds(session)
    if planned is not None and done < planned:
        hint = "the same command continues the session"
        yield _caveat(
            "info", f"{done} of {plural(planned, 'round')} so far: all figures are preliminary", hint, session.name
        )
    has_cases = any(record.alias is None for record in session.records)  # a search tries each limit as it comes
    if has_cases and done == 1 and (planned is None or planned == 1):
        hint = "run at least 3 rounds: the same session continues"
        yield _caveat("warning", "only one round: there is no interval and so no verdict", hint, session.name)
    if session.repeats:
        message = (
            f"{plural(len(session.repeats), 'run')} repeated: a disturbed run is repeated once, with the baseline; "
            "both attempts are kept, and the undisturbed pair of a round counts, else the first"
        )
        yield _caveat("info", message, "nothing has to be done", session.name)
    for note in session.content.experiment.notes:
        yield _caveat("info", note, "", session.experiment_name)
    for note in session.notes:
        yield _caveat(
            "warning", note, "what could not be read is missing on this page; the file is unchanged", session.name
        )
    yield from _host_caveats(session)
    yield from _session_findings(session)


def _session_findings(session: SessionData) -> Iterable[Caveat]:
    """Yield one caveat for all findings of one id and one hint, with the first messages and all hosts."""
    alike: dict[tuple[str, str, str], list[tuple[str, str]]] = {}
    for event in session.events_of(SessionFinding):
        if event.id in _NOISE:
            continue
        said = (event.host or session.name, event.message)
        found = alike.setdefault((event.severity, event.id, event.hint), [])
        if said not in found:
            found.append(said)
    for (severity, identifier, hint), found in alike.items():
        hosts = sorted({host for host, _ in found})
        lines = [f"{host}: {message}" if len(hosts) > 1 else message for host, message in found]
        more = f" (and {len(lines) - _MOST_ALIKE} more like it)" if len(lines) > _MOST_ALIKE else ""
        yield _caveat(severity, "; ".join(lines[:_MOST_ALIKE]) + more, hint, cap_list(hosts), (), identifier)


def _host_caveats(session: SessionData) -> Iterable[Caveat]:
    states = {event.host: event for event in session.events_of(HostStateChanged)}
    commands = session.events_of(CommandStarted)
    asked = commands[-1].hosts if commands else ()
    for host, event in sorted(states.items()):
        if event.state not in _READY and (not asked or host in asked):
            message = f"host is {event.state}: {event.message or 'no reason given'}"
            yield _caveat("warning", message, event.hint or "run `harness check`", host)
    by_boot: dict[str, list[str]] = {}
    for host, facts in sorted(session.facts.items()):
        if facts.boot_id:
            by_boot.setdefault(facts.boot_id, []).append(host)
    for hosts in by_boot.values():
        if len(hosts) > 1:
            message = f"{plural(len(hosts), 'host')} share one machine: their results are not independent"
            yield _caveat("warning", message, "measure with --forks 1, one of them at a time", cap_list(hosts))


def _record_findings(records: Sequence[Record], names: CaseNames, groups: Sequence[HardwareGroup]) -> Iterable[Caveat]:
    alike: dict[tuple[str, str], list[tuple[Record, Finding]]] = {}
    for record in records:
        for finding in record.findings:
            alike.setdefault((finding.severity, finding.id), []).append((record, finding))
    for (severity, identifier), found in sorted(alike.items()):
        messages = sorted({finding.message for _, finding in found})
        message = clean_text(messages[0])
        if len(messages) > 1:
            message += f" (and {len(messages) - 1} more like it)"
        needed = _images_needed(groups) if identifier == "too-short" else []
        if needed:
            hint = f"{say_cure(*needed)}{', depending on the case' if len(set(needed)) > 1 else ''}: {MORE_IMAGES}"
        else:
            hint = min((finding.message, finding.hint) for _, finding in found)[1]  # of the message that is shown
        hosts = cap_list(sorted({clean_text(record.host, 80) for record, _ in found}))
        where = f"{len(found)} of {plural(len(records), 'run')}, {hosts}"
        cases = [] if severity == "info" else _names([record for record, _ in found], names)
        yield _caveat(severity, message, hint, where, cases, identifier)


def _images_needed(groups: Sequence[HardwareGroup]) -> list[int]:
    """Return how many images an epoch needs, for each case whose epochs are too short."""
    settings = [(setting.metric, row.summary) for group in groups for setting in group.settings for row in setting.rows]
    found = [summary.short_epochs(metric) for metric, summary in settings]
    return [short.images_needed for short in found if short is not None]


def _validity(records: Sequence[Record], names: CaseNames) -> Iterable[Caveat]:
    invalid = [record for record in records if record.validity == "invalid"]
    disturbed = [record for record in records if outcome_of(record).kind == "degraded"]
    if invalid:
        message = f"{plural(len(invalid), 'invalid run')}, left out of all averages"
        paused = [record for record in invalid if is_done_again(record)]
        again = "the same command measures {} again"
        mend = "fix what the findings name, then run the command again with --rerun-failed"
        hint = again.format("them") if paused else mend
        if 0 < len(paused) < len(invalid):
            hint = f"{again.format('the paused runs')}; for the others {mend}"
        yield _caveat("error", message, hint, cases=_names(invalid, names))
    if disturbed:
        message = (
            f"{plural(len(disturbed), 'disturbed run')} (the host was busy, throttled, …): such a run counts only "
            f"where its host has fewer than {LEAST_UNDISTURBED} undisturbed runs of the case"
        )
        hint = "the other caveats name the causes and what to do"
        yield _caveat("warning", message, hint, cases=_names(disturbed, names))


def _names(records: Sequence[Record], names: CaseNames) -> list[str]:
    """Return the cases of records, each once, with how and where it ended."""
    alike: dict[str, list[Record]] = {}
    for record in records:
        alike.setdefault(f"{names.name(record.case, record.alias)}: {outcome_of(record).text}", []).append(record)
    return [clean_text(f"{said} ({say_places(found)})", 600) for said, found in sorted(alike.items())]


def _mixtures(group: HardwareGroup) -> Iterable[Caveat]:
    label = split_hardware(group.hardware)[0]
    engines = sorted({record.engine for record in group.records})
    if len(engines) > 1:
        message = f"measured with different engines: {join_words(engines)}"
        yield _caveat("warning", message, "use the same engine on all hosts of one hardware", label)
    for name, what in (("image_digest", "images"), ("payload_digest", "versions of the benchmark")):
        digests = sorted({getattr(record, name)[:12] for record in group.records})
        if len(digests) > 1:
            message = f"measured with {len(digests)} different {what}: {cap_list(digests, 4)}"
            yield _caveat("warning", message, "start a new session with --fresh, so that all hosts use one", label)
    by_data: dict[str, set[str]] = {}
    for record in group.records:
        by_data.setdefault(record.case.data, set()).add(record.data_fingerprint[:12])
    for data, prints in sorted(by_data.items()):
        if len(prints) > 1:
            message = f"data set {data} has different files on different hosts: {cap_list(sorted(prints), 4)}"
            hint = "different files are shown separately and not compared; send one data set to all hosts"
            yield _caveat("warning", message, hint, label)


def _noise(group: HardwareGroup, names: CaseNames) -> Iterable[Caveat]:
    """Yield one caveat about noise: what the repeat checks differ by, and how many cases vary much between runs."""
    checks = list(_repeat_checks(group))
    rows = [row for setting in group.settings for row in setting.rows]
    known = [(row, rate) for row in rows if (rate := row.summary.rate()) is not None and rate.log_deviation is not None]
    wide = [names.name(row.case, row.summary.alias) for row, rate in known if _varies(rate)]
    ratios = ", ".join(say_ratio(ratio) for ratio, _ in checks)
    said = [f"one case was measured twice in each round, and the second runs had {ratios} the images/s of the first"]
    vary = f"images/s of {len(wide)} of {plural(len(known), 'case')} vary by more than 10 % between runs"
    message = "; ".join([*(said if checks else []), *([vary] if wide else [])])
    if not message:
        return
    is_off = any(is_off for _, is_off in checks)
    hint = "differences of this size mean nothing here; reduce other load on the host, or run more rounds"
    where = split_hardware(group.hardware)[0]
    yield _caveat("warning" if is_off or wide else "info", f"noise: {message}", hint, where, wide)


def _varies(rate: Estimate) -> bool:
    return rate.log_deviation is not None and rate.log_deviation > _NOISY_LOG_DEVIATION


def _repeat_checks(group: HardwareGroup) -> Iterable[tuple[Estimate, bool]]:
    """Yield the ratio of each repeat check, and whether it differs from 1 by more than chance allows."""
    from harness.analysis.comparison import compare

    for setting in group.settings:
        plain = {row.summary.case_id: row.summary for row in setting.rows if row.summary.alias is None}
        for row in setting.rows:
            first = plain.get(row.summary.case_id)
            if row.summary.alias is None or first is None:
                continue
            found = compare(row.summary.measurements(setting.metric), first.measurements(setting.metric))
            if found.ratio is not None:
                is_off = found.verdict.kind in ("faster", "slower") or found.verdict.side is not None
                yield found.ratio, is_off


def _other_pixels(groups: Sequence[HardwareGroup]) -> Iterable[Caveat]:
    if any(setting.case.interpolation == "native" for group in groups for setting in group.settings):
        message = "settings with native pixels compare different work: each loader resizes in its own way"
        hint = "compare loaders in the settings with equal pixels"
        yield _caveat("info", message, hint)


def _emulated(groups: Sequence[HardwareGroup], names: CaseNames) -> Iterable[Caveat]:
    """Yield a caveat about cases whose accelerator was emulated (measuring rule 15)."""
    emulated = sorted(
        {
            names.name(row.case)
            for group in groups
            for setting in group.settings
            for row in setting.rows
            if row.case.model is not None and row.case.model.is_emulated
        }
    )
    if emulated:
        message = f"{plural(len(emulated), 'case')} emulated: a step takes as long as it would on the named device"
        hint = "the input pipeline is real; the training step is not"
        yield _caveat("warning", message, hint, cases=emulated)
