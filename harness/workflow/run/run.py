"""``harness run``: measure hosts in parallel, one run at a time on each, until every run has its record."""

from __future__ import annotations

import shlex
import threading
import uuid
from collections.abc import Callable, Container, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from harness.analysis.findings import find
from harness.analysis.host_changes import compare_hosts
from harness.analysis.noise import QUIET_NOISE
from harness.analysis.outcomes import NO_RESULT, count_outcomes, outcome_of
from harness.analysis.selection import LEAST_UNDISTURBED
from harness.analysis.statistics import EVIDENCE, PRIOR_VARIANCE, THRESHOLD
from harness.analysis.stopping import EQUAL_DEATHS, LEAST_ROUNDS, MOST_ROUNDS
from harness.records.content import SessionContent, SessionExperiment, SessionInventory, SessionRules
from harness.records.folder import SessionFolder
from harness.records.journal import Journal, now_utc
from harness.records.reading import read_records
from harness.records.recap import recap_session
from harness.records.session_data import SessionData, read_session
from harness.session.run_options import RunOptions
from harness.ship.data_inspection import inspect_data
from harness.ship.datasource import SourceSets
from harness.ship.slots import TransferSlots
from harness.ship.transfer.image_sources import ImageSources
from harness.ship.transfers import Transfers, local_features, local_parts, local_places
from harness.values.errors import HarnessError, HostUnreachable, SessionError
from harness.values.event import CommandStarted, Event, LoggedEvent, SessionFinding, SessionFinished
from harness.values.names import case_labels
from harness.values.record import Record
from harness.values.text import plural
from harness.workflow.found_session import FoundSession, find_session
from harness.workflow.host_links import Links
from harness.workflow.many_hosts import NONE_READY, Answer, ask_hosts, exit_code, failure_event, values_of
from harness.workflow.reaching import reach
from harness.workflow.recap_screen import tell_hosts, tell_recap
from harness.workflow.renamed_hosts import rename_hosts, say_kept_names
from harness.workflow.resolve import Resolved, absent_data, resolve, wanted_engine
from harness.workflow.round_planning import say_rounds
from harness.workflow.run.hostwork import HostWork
from harness.workflow.run.nothing_left import find_finished
from harness.workflow.run.shared import Shared
from harness.workflow.side_by_side import (
    DataAgreement,
    Seen,
    find_session_copies,
    note_seen,
    refuse_clash,
    refuse_copy,
)
from harness.workflow.stops import INTERRUPTED, Stops, interruptible

if TYPE_CHECKING:
    from harness.console import Console
    from harness.inventory import Host

_MOST_TOLD = 10


@dataclass(frozen=True)
class Measured:
    """The result of a command: its exit code, and the session as it is now."""

    exit_code: int
    folder: SessionFolder
    session: SessionData


def run_session(console: Console, options: RunOptions) -> int:
    """Run or continue a session and print the recap and the advice. Returns the exit code.

    Raises HarnessError for errors before the first host is used.
    """
    measured = measure_session(console, options)
    _last_screen(console, measured, options)
    return measured.exit_code


def measure_session(console: Console, options: RunOptions) -> Measured:
    """Run or continue a session, without printing its result. Raises HarnessError, as ``run_session`` does."""
    resolved = resolve(console, options)
    _announce(console, resolved)
    if (absent := absent_data(resolved)) is not None:
        raise absent
    for host in resolved.hosts:
        wanted_engine(host, options.engine)
    found = find_session(resolved, options)
    renamed = rename_hosts(found, options.rename or (), console.note)
    if renamed:
        found = find_session(resolved, options)
    resolved, folder, payload = found.resolved, found.folder, found.payload
    is_new = found.content is None
    if found.content is not None:
        records = read_records(found.folder, lambda _fault: None)  # faults are reported where records are needed
        for line in say_kept_names(found, records):
            console.note(line)
    content, made = _session_content(found), folder.list_absent()
    journal = Journal(folder)
    shared = Shared(folder, content, journal, payload, _emit(console, journal))
    try:
        journal.records_of("")  # report a damaged file before any host is contacted
        folder.write(content)
        hosts = tuple(host.name for host in resolved.hosts)
        shared.emit(CommandStarted(folder.name, str(folder.path), not is_new, hosts, options.argv_to_continue))
        for event in renamed:
            shared.emit(event)
        return _run(console, options, found, shared)
    finally:
        journal.close()
        if is_new and not shared.content.hosts:
            folder.remove(made)  # no host was ready: an empty session must not remain
            if not folder.path.exists():
                console.note(say_removed(folder))
        console.close()


def say_removed(folder: SessionFolder) -> str:
    """Return the message that the folder of a session without results was removed."""
    return f"nothing was measured; the session's folder {folder.path} was removed"


def _run(console: Console, options: RunOptions, found: FoundSession, shared: Shared) -> Measured:
    resolved = found.resolved
    for name, cut in shared.journal.cut.items():
        hint = "nothing to do: that run is measured again"
        message = f"removed an incomplete last line of {name}: {cut[:80]!r}"
        shared.emit(SessionFinding.of(find("cut-line", message, hint)))
    for fault in shared.journal.unreadable[:_MOST_TOLD]:
        shared.emit(SessionFinding.of(find("record-unreadable", f"{fault.where}: {fault.message}", fault.hint)))
    if (more := len(shared.journal.unreadable) - _MOST_TOLD) > 0:
        shared.emit(SessionFinding.of(find("record-unreadable", f"and {more} more unreadable records", "see above")))
    stops, all_hosts = Stops(), resolved.inventory.hosts
    transfers = Transfers(
        ImageSources(base_image=options.base_image),
        SourceSets(local_places(all_hosts), features=local_features(all_hosts), parts=local_parts(all_hosts)),
        TransferSlots(options.max_transfers),
        ship_data=options.ship_data,
        stop=stops.begin,
    )
    links, again = Links(console), shlex.join(options.argv_to_continue)
    failures = _Failures(shared.emit, stops, options.max_fail_percent, len(resolved.hosts))
    with interruptible(stops, options.on_interrupt, console.alarm, again):
        refused = _look_beside(console, options, found, shared, links)
        complete = {} if options.rerun_failed else find_finished(found, shared.journal)
        shared.agreement = _agree(found, options, {*refused, *complete})
        works = [
            HostWork(
                host,
                resolved,
                options,
                shared,
                transfers,
                stops,
                links,
                refused.get(host.name),
                complete.get(host.name),
            )
            for host in resolved.hosts
        ]
        answers = ask_hosts(
            console, works, HostWork.run, forks=options.forks, ended=failures.note, explain=HostWork.explain_defect
        )
    for error in dict.fromkeys(map(str, failures.untold)):
        console.error(error)
    for finding in compare_hosts(shared.content.hosts):
        shared.emit(SessionFinding.of(finding))
    is_interrupted = stops.begin.is_set()
    session = read_session(shared.folder.path)
    counts = {str(kind): number for kind, number in count_outcomes(session.records).items()}
    finished = SessionFinished(shared.folder.name, counts, interrupted=is_interrupted)
    shared.emit(finished)
    session = replace(session, events=(*session.events, LoggedEvent(now_utc(), finished)))
    if session.records:
        shared.write_report_safely()
    identities = {identity for found in values_of(answers).values() for identity in found}
    mine = [record for record in session.records if record.invocation in identities]
    code = exit_code(answers) or int(any(outcome_of(record).kind in NO_RESULT for record in mine))
    code = 1 if code == NONE_READY and shared.journal.has_written else code
    return Measured(INTERRUPTED if is_interrupted else code, shared.folder, session)


def _look_beside(
    console: Console,
    options: RunOptions,
    found: FoundSession,
    shared: Shared,
    links: Links,
) -> dict[str, HarnessError]:
    """Inspect all hosts before any is prepared. Returns why some take no part, by name.

    Raises DataError if a data set differs between hosts.
    """
    hosts = found.resolved.hosts
    if len(hosts) < 2:
        return {}

    def look(host: Host) -> Seen:
        console.live(f"inspecting {host.name}")
        with closing(reach(host, links)) as reached:
            named = [name for name in found.resolved.data_names if name in reached.data]
            states = {name: inspect_data(reached, name)[1] for name in named}
            return note_seen(reached, states)

    answers = ask_hosts(console, hosts, look, forks=options.forks)
    seen = values_of(answers)
    copies = find_session_copies(console, found, seen, links, forks=options.forks)
    shared.note_copies(copies)
    clash = refuse_clash(found, {name: one for name, one in seen.items() if name not in copies})
    if clash is not None:
        raise clash
    away = {each.name: each.error for each in answers if isinstance(each.error, HostUnreachable)}
    return away | {name: refuse_copy(name, measured) for name, measured in copies.items()}


def _agree(found: FoundSession, options: RunOptions, refused: Container[str]) -> DataAgreement | None:
    """Return the barrier at which hosts compare data; None for one host, or if each is measured on its own files."""
    names = [host.name for host in found.resolved.hosts if host.name not in refused]
    return None if found.own_data or len(names) < 2 else DataAgreement(names, options.forks)


class _Failures:
    """Reports each host that fails, and stops the session if more fail than ``--max-fail`` allows."""

    def __init__(self, emit: Callable[[Event], None], stops: Stops, most_percent: float | None, hosts: int) -> None:
        self._emit, self._stops, self._most_percent, self._hosts = emit, stops, most_percent, hosts
        self._mutex = threading.Lock()
        self._failed = 0
        self.untold: list[HarnessError] = []

    def note(self, answer: Answer[set[str]]) -> None:
        """Report a host that has ended with an error."""
        if answer.error is None:
            return
        with self._mutex:
            self._failed += 1
            failed = self._failed
        try:
            self._emit(failure_event(answer.name, answer.error))
            self._end_session_above(failed)
        except SessionError as full:  # the error itself cannot be written
            self.untold += [answer.error, full]

    def _end_session_above(self, failed: int) -> None:
        most = self._most_percent
        if most is None or self._stops.begin.is_set() or failed * 100 <= most * self._hosts:
            return
        self._stops.begin.set()
        message = f"{failed} of {self._hosts} hosts failed, more than --max-fail {most:g} % allows: no new case starts"
        hint = "fix the hosts that failed; the same command continues"
        self._emit(SessionFinding.of(find("max-fail", message, hint)))


def _announce(console: Console, resolved: Resolved) -> None:
    experiment = resolved.experiment
    console.note(
        f"experiment {experiment.name} ({resolved.reason}): {plural(len(resolved.cases), 'case')} × "
        f"{say_rounds(experiment.rounds)} on {plural(len(resolved.hosts), 'host')}"
    )
    for note in resolved.matrix.notes:
        console.note(f"note: {note}")
    if resolved.matrix.left_out:
        console.detail(f"{len(resolved.matrix.left_out)} combinations left out; `harness plan` lists them")


def _session_content(found: FoundSession) -> SessionContent:
    """Return the content to write to ``session.json``."""
    from harness import __version__

    resolved, content, own_loaders = found.resolved, found.content, dict(found.payload.own)
    experiment = resolved.experiment
    if content is not None:
        kept = content.experiment.model_copy(update={"rounds": experiment.rounds})
        update = {"own_loaders": own_loaders, "experiment": kept, "own_data": found.own_data}
        return content.model_copy(update={**update, "inventory": _describe_inventory(resolved)})
    return SessionContent(
        name=found.folder.name,
        session=found.folder.name,
        id=uuid.uuid4().hex[:12],
        experiment_name=experiment.name,
        experiment=SessionExperiment.model_validate(experiment.model_dump(mode="json")),
        experiment_digest=resolved.digest,
        seed=experiment.seed,
        rules=_rules(),
        inventory=_describe_inventory(resolved),
        versions={"harness": __version__},
        payload_digest=found.payload.digest,
        own_loaders=own_loaders,
        image_digests={},
        data={},
        own_data=found.own_data,
        hosts={},
        created_at=now_utc(),
    )


def _rules() -> SessionRules:
    """Return the rules of verdicts and rounds, as the session's file stores them."""
    return SessionRules(
        evidence=EVIDENCE,
        prior_variance=PRIOR_VARIANCE,
        quiet_noise=QUIET_NOISE,
        threshold=THRESHOLD,
        least_rounds=LEAST_ROUNDS,
        most_rounds=MOST_ROUNDS,
        equal_deaths=EQUAL_DEATHS,
        repeats_of_disturbed=1,
        least_undisturbed=LEAST_UNDISTURBED,
    )


def _describe_inventory(resolved: Resolved) -> SessionInventory:
    inventory = resolved.inventory
    return SessionInventory(
        name=inventory.name,
        path=str(inventory.path),
        hosts=tuple(host.name for host in inventory.hosts),
        groups={name: hosts for name, hosts in inventory.groups.items() if name not in ("all", "ungrouped")},
    )


def _emit(console: Console, journal: Journal) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        journal.write_event(event)
        console.handle(event)

    return emit


def _last_screen(console: Console, measured: Measured, options: RunOptions) -> None:
    """Print the recap, the answers and the address of the page; if no host was ready, only the reasons."""
    folder, session = measured.folder, measured.session
    if not folder.exists():
        tell_hosts(console, recap_session(session, is_live=False))
        return
    _show_nearness(console, session.records)
    tell_recap(console, recap_session(session, is_live=False), folder)
    _show_answers(console, folder, session, options)
    if session.records and folder.report_file.exists():
        console.result(folder.report_file.resolve().as_uri())


def _show_answers(console: Console, folder: SessionFolder, session: SessionData, options: RunOptions) -> None:
    """Print the advice. An error in making it does not fail the session."""
    if not session.records:
        return
    from harness.report.terminal import view_terminal

    try:
        views = view_terminal([session])
    except Exception as error:
        console.note(f"the advice cannot be shown: {error}; try again with `harness report {folder.path}`")
        return
    for view in views:
        console.result("\n".join([view.heading, *view.advice]))
    if any(view.is_open for view in views):
        rounds = session.content.experiment.rounds
        asked = replace(options, rounds=rounds + LEAST_ROUNDS) if isinstance(rounds, int) else options
        console.result(f"not settled yet; to measure more:  {shlex.join(asked.argv_to_continue)}")


def _show_nearness(console: Console, records: Sequence[Record]) -> None:
    """Print each case's images per CPU second relative to the yardstick, if the yardstick was measured."""
    from harness.analysis.yardstick import measure_nearness

    found = measure_nearness(records)
    if found:
        labels = case_labels([each.case for each in found])
        rows = [[e.host, labels[e.case], f"{e.images_per_cpu_s:.1f}", f"{e.share:.2f}"] for e in found]
        console.table(["host", "case", "images per CPU second", "relative to the yardstick"], rows)
