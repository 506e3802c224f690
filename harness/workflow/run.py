"""``harness run``: hosts side by side, one benchmark at a time on each, until every invocation has its record."""

from __future__ import annotations

import shlex
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from harness.analysis.host_changes import compare_hosts
from harness.session.folder import SessionFolder, find_folder
from harness.session.journal import Journal, read_records
from harness.session.plan import newest_records
from harness.ship.datasource import SourceSets
from harness.ship.payload import build_payload
from harness.ship.slots import TransferSlots
from harness.values.errors import ConfigurationError, HarnessError, HostError, SessionError, Stopped
from harness.values.event import Event, HostStateChanged, SessionFinding, SessionFinished
from harness.values.record import FAILED, Record
from harness.workflow.hostwork import HostWork
from harness.workflow.links import LINKS
from harness.workflow.options import RunOptions
from harness.workflow.own_loaders import gather_own_loaders
from harness.workflow.resolve import Resolved, resolve, unread_data, wanted_engine
from harness.workflow.shared import Shared
from harness.workflow.stops import Stops, interruptible
from harness.workflow.transfers import ImageSources, Transfers, local_features, local_places

if TYPE_CHECKING:
    from harness.console import Console

INTERRUPTED = 130


@dataclass
class _Ended:
    """How the hosts' workers ended; written by them, read when all have."""

    not_ready: list[str] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    errors: list[HarnessError] = field(default_factory=list)
    identities: set[str] = field(default_factory=set)
    untold: list[HarnessError] = field(default_factory=list)


def run_session(console: Console, options: RunOptions) -> int:
    """Run or continue a session. Returns the exit code. Raises HarnessError before anything began."""
    LINKS.ask_with(console)
    resolved = resolve(
        console,
        options.inventory,
        limit=options.limit,
        experiment=options.experiment,
        rounds=options.rounds,
        seed=options.seed,
        only=options.only,
        reports=options.output,
    )
    _announce(console, resolved)
    _refuse_absent_data(resolved)
    for host in resolved.hosts:
        wanted_engine(host, options.engine)
    folder = find_folder(
        options.output,
        inventory=resolved.inventory.name,
        experiment=resolved.experiment.name,
        digest=resolved.digest,
        name=options.name,
        is_fresh=options.is_fresh,
    )
    payload = build_payload(gather_own_loaders(resolved.cases))
    is_new = not folder.exists()
    folder.refuse_foreign()
    content = _session_content(folder, resolved, payload.digest)
    journal = Journal(folder)
    try:
        journal.records_of("")  # a damaged file is said before any host is asked
        folder.write(content)
        return _run(console, options, resolved, Shared(folder, content, journal, payload, _emit(console, journal)))
    finally:
        journal.close()
        console.close()
        if is_new and not content["hosts"]:  # no host was ready: an empty session must not stand in a real one's way
            folder.remove()


def _run(console: Console, options: RunOptions, resolved: Resolved, shared: Shared) -> int:
    for name, cut in shared.journal.cut.items():
        hint = "nothing to do: what it belonged to is measured again"
        shared.emit(
            SessionFinding("cut-line", "info", f"a half-written last line of {name} was cut off: {cut[:80]!r}", hint)
        )
    stops, ended = Stops(), _Ended()
    shared.transfers = Transfers(
        ImageSources(base_image=options.base_image),
        SourceSets(local_places(resolved.inventory.hosts), features=local_features(resolved.inventory.hosts)),
        TransferSlots(options.max_transfers),
        ship_data=options.ship_data,
        stop=stops.begin,
    )
    again = shlex.join(options.argv)
    with (
        interruptible(stops, options.on_interrupt, console.alarm, again),
        ThreadPoolExecutor(max_workers=options.forks) as pool,
    ):
        for host in resolved.hosts:
            work = HostWork(host, resolved, options, shared, stops)
            pool.submit(_guard_many, work, ended, shared.emit, options, len(resolved.hosts), stops)
    for error in dict.fromkeys(map(str, ended.untold)):
        console.error(error)
    records = list(newest_records(read_records(shared.folder)).values())
    counts = _count(records, ended.identities)
    for found in compare_hosts(shared.content.get("hosts") or {}):
        shared.emit(SessionFinding(found.id, found.severity, found.message, found.hint))
    shared.emit(SessionFinished(shared.folder.name, counts, interrupted=stops.begin.is_set()))
    if records:
        shared.write_report_safely()
    _last_screen(console, options, shared.folder, records, ended, interrupted=stops.begin.is_set())
    return _exit_code(records, ended, interrupted=stops.begin.is_set())


def _guard_many(
    work: HostWork, ended: _Ended, emit: Callable[[Event], None], options: RunOptions, hosts: int, stops: Stops
) -> None:
    """Do one host's work; where more hosts have failed than ``--max-fail`` allows, no other begins a case."""
    _guard(work, ended, emit)
    most, failed = options.max_fail_percent, len(ended.not_ready)
    if most is None or stops.begin.is_set() or failed * 100 <= most * hosts:
        return
    stops.begin.set()
    message = f"{failed} of {hosts} hosts failed, more than --max-fail {most:g} % allows: no new case begins"
    emit(SessionFinding("max-fail", "error", message, "cure the hosts that failed; the same command goes on from here"))


def _guard(work: HostWork, ended: _Ended, emit: Callable[[Event], None]) -> None:
    """One host's failure never stops another."""
    try:
        ended.identities |= work.run()
        ended.ready.append(work.name)
        return
    except Stopped:
        return
    except HarnessError as error:
        failure = error
    except Exception as error:  # a defect of ours on one host must not cost the others their session
        failure = work.explain_defect(error)
    ended.not_ready.append(work.name)
    ended.errors.append(failure)
    where = f"{failure.where}: " if failure.where not in (None, work.name) else ""
    state = failure.state if isinstance(failure, HostError) else "not_ready"
    try:
        emit(HostStateChanged(work.name, state, where + failure.message, failure.hint))
    except SessionError as full:  # it cannot be written down either
        ended.untold += [failure, full]


def _announce(console: Console, resolved: Resolved) -> None:
    experiment = resolved.experiment
    console.note(
        f"experiment {experiment.name} ({resolved.reason}): {len(resolved.cases)} cases × {experiment.rounds} rounds "
        f"on {len(resolved.hosts)} host{'s' if len(resolved.hosts) != 1 else ''}"
    )
    for note in resolved.matrix.notes:
        console.note(f"note: {note}")
    if resolved.matrix.folded:
        console.detail(f"{len(resolved.matrix.folded)} combinations folded out; `harness plan` lists them")


def _refuse_absent_data(resolved: Resolved) -> None:
    for name, known in unread_data(resolved).items():
        listed = ", ".join(known) or "none"
        raise ConfigurationError(
            f"no host of this session has a data set named {name!r} (known here: {listed})",
            where=str(resolved.inventory.path),
            hint=f"add it under `harness: data: {name}:` or choose another --experiment",
        )


def _session_content(folder: SessionFolder, resolved: Resolved, payload_digest: str) -> dict[str, Any]:
    """What ``session.json`` is to hold. Raises SessionError where the benchmark's code has changed since."""
    from harness import __version__

    if folder.exists():
        content = folder.read()
        if not content.get("id") or content.get("payload_digest") is None:
            hint = "restore it from a copy, or start anew with --fresh"
            raise SessionError("session.json is damaged: a part is missing", where=str(folder.path), hint=hint)
        if content.get("payload_digest") != payload_digest:
            raise SessionError(
                "the benchmark's code (payload) has changed since this session began; its figures must not be mixed",
                where=str(folder.path),
                hint="start a new one with --fresh, or use the version that began it",
            )
        content.setdefault("hosts", {})
        known = content.setdefault("experiment", {})
        if resolved.experiment.rounds == "auto" or known.get("rounds") == "auto":
            known["rounds"] = resolved.experiment.rounds
        else:
            known["rounds"] = max(resolved.experiment.rounds, int(known.get("rounds", 1)))
        return content
    from harness.session.journal import now_utc

    experiment = resolved.experiment
    return {
        "name": folder.name,
        "session": folder.name,
        "id": uuid.uuid4().hex[:12],
        "experiment_name": experiment.name,
        "experiment": experiment.model_dump(mode="json"),
        "experiment_digest": resolved.digest,
        "seed": experiment.seed,
        "inventory": {
            "name": resolved.inventory.name,
            "path": str(resolved.inventory.path),
            "hosts": [host.name for host in resolved.inventory.hosts],
        },
        "versions": {"harness": __version__},
        "payload_digest": payload_digest,
        "image_digests": {},
        "data": {},
        "hosts": {},
        "created_at": now_utc(),
    }


def _emit(console: Console, journal: Journal) -> Callable[[Event], None]:
    def emit(event: Event) -> None:
        journal.write_event(event)
        console.handle(event)

    return emit


def _count(records: Sequence[Record], identities: set[str]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for record in records:
        if not identities or record.invocation in identities:
            counts[record.status] = counts.get(record.status, 0) + 1
    return counts


def _last_screen(
    console: Console,
    options: RunOptions,
    folder: SessionFolder,
    records: Sequence[Record],
    ended: _Ended,
    *,
    interrupted: bool,
) -> None:
    failed = [record for record in records if record.status in FAILED or record.validity == "invalid"]
    for record in failed:
        log = f"  log: {folder.path / record.log}" if record.log else ""
        console.alarm(
            f"{record.host} {record.case_id} round {record.round}: {record.status}: {record.cause or ''}{log}"
        )
    again = shlex.join(options.argv)
    if any(record.status != "lost" for record in failed):
        console.note(f"failed and invalid ones are done again with:  {again} --rerun-failed")
    if any(record.status == "lost" for record in failed):
        console.note(f"lost ones are done again by the same command:  {again}")
    if interrupted:
        console.note(f"go on with:  {again}")
    _show_nearness(console, records)
    if records and folder.report_file.exists():
        console.result(folder.report_file.resolve().as_uri())


def _show_nearness(console: Console, records: Sequence[Record]) -> None:
    """Where the yardstick was measured: how near each case comes to it, per CPU second."""
    from harness.analysis.yardstick import measure_nearness
    from harness.experiment.names import case_labels

    found = measure_nearness(records)
    if found:
        labels = case_labels([each.case for each in found])
        rows = [[e.host, labels[e.case], f"{e.images_per_cpu_s:.1f}", f"{e.share:.2f}"] for e in found]
        console.table(["host", "case", "images per CPU second", "of the yardstick"], rows)


def _exit_code(records: Sequence[Record], ended: _Ended, *, interrupted: bool) -> int:
    if interrupted:
        return INTERRUPTED
    usage = [error for error in ended.errors if not isinstance(error, HostError)]
    if usage and not ended.ready:
        return usage[0].exit_code
    if not ended.ready:
        return 3
    if ended.not_ready:
        return 1
    mine = [record for record in records if record.invocation in ended.identities]
    return int(any(record.status in FAILED or record.validity == "invalid" for record in mine))
