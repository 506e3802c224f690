"""One host's part of a session: lock, prepare, plan, run what is left, let go."""

from __future__ import annotations

import contextlib
import time
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from harness.analysis.checks import busy_reason
from harness.analysis.findings import find
from harness.analysis.host_changes import compare_environments, compare_facts
from harness.analysis.noise import find_session_noise
from harness.bench.protocol.registry import is_on_disk
from harness.hosts.facts import read_available_bytes
from harness.hosts.facts.reading import read_busy_cpus
from harness.hosts.folders import read_free_bytes
from harness.hosts.lock import Lock, acquire
from harness.hosts.lock_owner import make_owner
from harness.records.reading import newest_records
from harness.session import feasibility
from harness.session.collect import SessionIdentity
from harness.session.plan import HostDigests, Invocation
from harness.session.runner import Hooks, HostRunner, RunSettings
from harness.session.setup import HostSetup
from harness.values.errors import HostError, HostUnreachable, SessionError, Stopped
from harness.values.event import Event, HostStateChanged, SessionFinding
from harness.values.names import case_label, case_labels
from harness.values.record import Finding, Record
from harness.workflow.engines import is_session_alive, refuse_busy
from harness.workflow.reaching import Reached, look_once_more, reach
from harness.workflow.resolve import Resolved, wanted_engine
from harness.workflow.run.absence import Absence, watch_link
from harness.workflow.run.preparing import Wanted, prepare
from harness.workflow.run.proving import prove, rehearse_settings
from harness.workflow.run.rounds import HostRounds, run_rounds
from harness.workflow.run.searching import search_limits
from harness.workflow.run.shared import Shared

if TYPE_CHECKING:
    from harness.inventory import Host
    from harness.session.options import RunOptions
    from harness.workflow.links import Links
    from harness.workflow.run.stops import Stops

_BEAT_S = 45.0
"""A poll apart from the next at the most is half a minute: three signs of life within ``lock.STALE_AFTER_S``."""
_FREED_WITHIN_S = 8.0


class HostWork:
    """What one worker thread does for its host."""

    def __init__(
        self, host: Host, resolved: Resolved, options: RunOptions, shared: Shared, stops: Stops, links: Links
    ) -> None:
        self.name = host.name
        self._host = host
        self._resolved = resolved
        self._options = options
        self._shared = shared
        self._stops = stops
        self._links = links
        self._begun = time.monotonic()
        self._absence = Absence(host.name, shared.emit)

    def run(self) -> set[str]:
        """Do all that is left on this host; returns the identities of its plan. Raises HostError, SessionError."""
        if self._stops.begin.is_set():
            return set()
        reached = reach(self._host, self._links, for_measuring=True)
        watch_link(reached.connection, self._absence)
        try:
            owner = make_owner(self._shared.key, "harness run")
            held = acquire(reached.connection, owner, is_alive=is_session_alive(reached))
            try:
                if not self._options.when_idle:  # else it is waited for, before each case
                    refuse_busy(reached, self._shared.key, is_allowed=self._options.allow_busy)
                return self._measure(reached, held)
            finally:
                self._release(held)
        finally:
            reached.close()

    def _release(self, held: Lock) -> None:
        """Let go of the machine; one that is away keeps the lock of a session that is no more, which holds nobody."""
        try:
            held.release()
        except HostUnreachable as error:
            hint = "nothing to do: the next session takes it over, or `harness unlock INVENTORY`"
            self._shared.emit(
                SessionFinding.of(find("lock-left", f"the lock was left: {error.message}", hint), self.name)
            )

    def explain_defect(self, error: Exception) -> HostError:
        """Something that nobody foresaw, as an error that says where its trace was kept."""
        import traceback

        kept = self._shared.folder.log_file(self.name, "unforeseen", 1)
        hint = f"report this, please, with {kept}; the same command continues"
        try:
            self._keep_log("unforeseen", "".join(traceback.format_exception(error)))
        except SessionError as full:
            hint = f"{kept}: {full.message}; make room there, the same command continues"
        return HostError(f"something unforeseen: {type(error).__name__}: {error}", where=self.name, hint=hint)

    def _measure(self, reached: Reached, held: Lock) -> set[str]:
        known = self._shared.content.hosts.get(self.name)
        wanted = Wanted(
            engine=wanted_engine(self._host, self._options.engine),
            cases=self._resolved.cases,
            payload=self._shared.payload,
            memory_available=None if known is None else known.memory_available,
            transfers=self._shared.transfers,
        )
        beats = _Beats(held)

        def emit(event: Event) -> None:
            """Shipping and preparing may take hours, in which the lock must not look dead, and a stop must be heard."""
            if self._stops.begin.is_set():
                raise Stopped
            beats.beat()
            self._shared.emit(event)

        setup = prepare(reached, wanted, emit)
        setup = prove(setup, self._resolved.cases, emit, self._keep_log)
        able = [case for case in self._resolved.cases if not setup.is_refuted(case)]
        setup = rehearse_settings(setup, able, emit)
        digests = HostDigests(
            host=self.name,
            image_digest=setup.image_digest,
            payload_digest=setup.payload.digest,
            data={name: data.fingerprint for name, data in setup.data.items()},
        )
        self._shared.note_host(setup, digests)
        self._shared.emit(HostStateChanged(self.name, "ready"))
        with self._shared.at_work():
            return self._run_all(setup, digests, reached, held)

    def _keep_log(self, name: str, text: str) -> str:
        """Keep a text in the session's folder; its path there."""
        return self._shared.folder.write_log(self.name, name, 1, text)

    def _run_all(self, setup: HostSetup, digests: HostDigests, reached: Reached, held: Lock) -> set[str]:
        """Round by round, then the searches for limits; at the end what is to be said of the host."""
        make_runner = partial(self._make_runner, setup, reached, held)
        rounds = HostRounds(
            self._resolved,
            setup,
            digests,
            self._shared.folder,
            self._records,
            make_runner,
            self._shared.emit,
            self._stops.begin.is_set,
            rerun_failed=self._options.rerun_failed,
            argv=self._options.argv_to_continue,
        )
        identities = run_rounds(rounds)
        identities |= search_limits(self._resolved.cases, rounds)
        self._tell_closing_checks(reached)
        return identities

    def _tell_closing_checks(self, reached: Reached) -> None:
        """Tell whether the host was quiet and the same machine throughout; one that is away by now says nothing."""
        records = list(newest_records(self._records()).values())
        labels = case_labels(record.case for record in records)
        found: list[Finding] = [finding for _, finding in find_session_noise(records, labels.__getitem__)]
        found += compare_environments(records)
        with contextlib.suppress(HostError):
            found += compare_facts(reached.facts, look_once_more(reached))
        for one in found:
            self._shared.emit(SessionFinding.of(one, self.name))

    def _records(self) -> list[Record]:
        return self._shared.journal.records_of(self.name)

    def _make_runner(self, setup: HostSetup, reached: Reached, held: Lock) -> HostRunner:
        stops, hooks = self._stops, self._hooks(reached, held)
        return HostRunner(self._settings(), setup, self._shared.journal, hooks, stops.begin, stops.run)

    def _settings(self) -> RunSettings:
        experiment, folder = self._resolved.experiment, self._shared.folder
        return RunSettings(
            identity=SessionIdentity(folder.name, experiment.name, self._shared.key),
            folder=folder,
            seed=experiment.seed,
            timeout_s=experiment.timeout_s,
            deadline=None if experiment.budget_s is None else self._begun + experiment.budget_s,
            link_patience_s=self._options.link_patience_s,
        )

    def _hold(self, reached: Reached) -> str | None:
        """Why no case is to begin now."""
        hours = self._options.between
        if hours is not None and not hours.is_open(datetime.now().astimezone()):
            return f"it is not the time: cases begin between {hours}"
        if not self._options.when_idle:
            return None
        in_use = read_busy_cpus(reached.connection)
        return None if in_use is None else busy_reason(reached.facts.model_copy(update={"load_1m": in_use}))

    def _hooks(self, reached: Reached, held: Lock) -> Hooks:
        beats = _Beats(held)
        cases = self._resolved.matrix.cases
        return Hooks(
            emit=self._shared.emit,
            label=lambda each: case_label(each.case, cases, each.alias),
            refuse=refuse_now,
            beat=beats.beat,
            round_done=lambda _number: self._shared.note_round(),
            hold=lambda: self._hold(reached),
            link_lost=self._absence.begin,
            link_back=self._absence.end,
        )


class _Beats:
    """Beats a lock now and then, however often it is asked."""

    def __init__(self, held: Lock) -> None:
        self._held = held
        self._last = time.monotonic()

    def beat(self) -> None:
        if time.monotonic() - self._last > _BEAT_S:
            self._last = time.monotonic()
            self._held.beat()


def refuse_now(setup: HostSetup, invocation: Invocation) -> str | None:
    """Why an invocation cannot begin at this moment: memory or disk that is no longer free."""
    reason = _lacking_memory(setup, invocation.memory_bytes)
    if reason:
        return reason
    disk = setup.facts.disks.get(invocation.case.cache_disk)
    needed = invocation.predictions.disk_bytes if invocation.predictions else None
    if not is_on_disk(invocation.case.cache) or disk is None or needed is None:
        return None
    now = disk.model_copy(update={"free_bytes": read_free_bytes(setup.connection, disk.path)})
    return feasibility.lacking_disk(now, setup.disk_reserve, needed)


def _lacking_memory(setup: HostSetup, limit: int | None) -> str | None:
    """Memory that the job before held may take a moment to be free, so it is looked for a few times."""
    if limit is None:
        return None
    deadline = time.monotonic() + _FREED_WITHIN_S
    while reason := feasibility.lacking_memory(limit, read_available_bytes(setup.connection)):
        if time.monotonic() > deadline:
            return reason
        time.sleep(1.0)
    return None
