"""One host's part of a session: lock it, prepare it, plan, run what is left, release it."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import closing, suppress
from typing import TYPE_CHECKING

from harness.analysis.findings import find
from harness.analysis.host_changes import compare_environments, compare_facts
from harness.analysis.noise import find_session_noise
from harness.analysis.outcomes import count_outcomes
from harness.analysis.selection import current_records
from harness.analysis.validity import judge_all
from harness.engine.reached import Reached
from harness.hosts.lock import Lock, acquire
from harness.hosts.lock_owner import make_owner
from harness.session.collect import SessionIdentity
from harness.session.feasibility import refuse_hopeless
from harness.session.invocations import HostDigests
from harness.session.liveness import Heartbeat, Outage
from harness.session.runner import HostRunner, RunSettings
from harness.session.setup import HostSetup
from harness.ship.bringing import bring, bring_image_again
from harness.ship.needs import inspect_needs
from harness.values.errors import HarnessError, HostError, HostUnreachable, SessionError, Stopped
from harness.values.event import (
    Emit,
    Event,
    HostBegun,
    HostFinished,
    HostStateChanged,
    Progress,
    SessionFinding,
    SessionStarted,
)
from harness.values.names import case_labels
from harness.values.record import Finding, Record
from harness.values.text import cap_list, join_words, name_inventory, plural
from harness.workflow.host_engines import is_session_alive, refuse_busy
from harness.workflow.reaching import look_once_more, reach
from harness.workflow.resolve import Resolved, wanted_engine
from harness.workflow.run.preparing import prepare
from harness.workflow.run.proving import prove, rehearse_settings
from harness.workflow.run.rounds import HostRounds, run_rounds
from harness.workflow.run.searching import search_limits
from harness.workflow.run.shared import Shared
from harness.workflow.run.stage_costing import find_stage_costs
from harness.workflow.side_by_side import note_checked

if TYPE_CHECKING:
    from harness.inventory import Host
    from harness.session.run_options import RunOptions
    from harness.ship.transfers import Transfers
    from harness.workflow.host_links import Links
    from harness.workflow.stops import Stops

_AGREE_EVERY_S = 1.0


class HostWork:
    """The work of one thread for one host.

    ``refusal`` is why the host takes no part; ``finished`` are its records if nothing is left to do.
    """

    def __init__(
        self,
        host: Host,
        resolved: Resolved,
        options: RunOptions,
        shared: Shared,
        transfers: Transfers,
        stops: Stops,
        links: Links,
        refusal: HarnessError | None = None,
        finished: Sequence[Record] | None = None,
    ) -> None:
        self.name, self.inventory = host.name, host.inventory
        self._host = host
        self._resolved = resolved
        self._options = options
        self._shared = shared
        self._transfers = transfers
        self._stops = stops
        self._links = links
        self._refusal = refusal
        self._finished = finished
        self._begun = time.monotonic()
        self._outage = Outage(host.name, shared.emit)

    def run(self) -> set[str]:
        """Do all that is left on this host. Returns the identities of its planned runs; none if the user stopped it.

        Raises HostError, SessionError.
        """
        try:
            return self._run()
        finally:
            if self._shared.agreement is not None:
                self._shared.agreement.leave(self.name)

    def _run(self) -> set[str]:
        if self._stops.begin.is_set():
            return set()
        if self._finished is not None:
            return self._tell_finished(self._finished)
        if self._refusal is not None:
            raise self._refusal
        self._shared.emit(HostBegun(self.name))
        with suppress(Stopped), closing(reach(self._host, self._links, for_measuring=True)) as reached:
            self._outage.watch(reached.connection)
            owner = make_owner(self._shared.key, "harness run")
            held = acquire(reached.connection, owner, is_alive=is_session_alive(reached))
            try:
                if not self._options.when_idle:  # with it, each case waits until the host is idle
                    refuse_busy(reached, self._shared.key, is_allowed=self._options.allow_busy)
                return self._measure(reached, held)
            finally:
                self._release(held)
        return set()

    def _tell_finished(self, records: Sequence[Record]) -> set[str]:
        """Report that nothing is left to do. Returns the identities of the runs that were asked for."""
        asked = {case.case_id for case in self._resolved.cases}
        folder, argv, count = self._shared.folder, self._options.argv_to_continue, len(records)
        counts = {str(kind): number for kind, number in count_outcomes(judge_all(records)).items()}
        started = SessionStarted(folder.name, str(folder.path), True, count, count, argv, counts, self.name, 0.0)
        self._shared.emit(started)
        self._shared.emit(HostFinished(self.name, count, count))
        return {record.invocation for record in records if record.case_id in asked}

    def _release(self, held: Lock) -> None:
        """Release the host's lock. An unreachable host keeps it, which blocks no later session."""
        try:
            held.release()
        except HostUnreachable as error:
            cure = "nothing to do: the next session replaces it, and `harness unlock INVENTORY` removes it"
            hint = name_inventory(cure, self.inventory)
            self._shared.emit(
                SessionFinding.of(find("lock-left", f"the lock is still there: {error.message}", hint), self.name)
            )

    def explain_defect(self, error: Exception) -> HostError:
        """Return an unexpected exception as an error that names the file with its traceback."""
        import traceback

        kept = self._shared.folder.log_file(self.name, "unforeseen", 1)
        hint = f"please report this with the file {kept}; the same command continues"
        try:
            self._keep_log("unforeseen", "".join(traceback.format_exception(error)))
        except SessionError as full:
            hint = f"{kept}: {full.message}; free space there; the same command continues"
        return HostError(f"unexpected error: {type(error).__name__}: {error}", where=self.name, hint=hint)

    def _measure(self, reached: Reached, held: Lock) -> set[str]:
        """Inspect the host, bring what is missing, prepare, check same work, try settings; then run what is left."""
        cases, transfers = self._resolved.cases, self._transfers
        heartbeat = Heartbeat(held, self._shared.journal.give_sign)

        def emit(event: Event) -> None:
            """Emit an event, keep the lock alive, and raise Stopped if asked to: preparing may take hours."""
            if self._stops.begin.is_set():
                raise Stopped
            heartbeat.beat()
            self._shared.emit(event)

        needs = inspect_needs(reached, cases, sendable=transfers.sendable, is_counted=False)
        self._resolved = self._resolved.without_data(needs.foreign_data)
        if len(self._resolved.cases) < len(cases):
            self._tell_left_out(needs.foreign_data, len(cases) - len(self._resolved.cases))
            cases = self._resolved.cases
        refuse_hopeless(cases, needs.missing_data, needs.missing_weights)
        known = self._shared.content.hosts.get(self.name)
        engine, before = wanted_engine(self._host, self._options.engine), "" if known is None else known.engine
        brought = bring(reached, needs, engine, transfers, emit, used_before=before)
        if self._host.connection != "local":
            self._begun = time.monotonic()  # the time for sending data does not count for the budget
        memory = None if known is None else known.memory_available
        setup = prepare(
            reached,
            brought,
            cases,
            self._shared.payload,
            emit,
            memory_available=memory,
            said={name: state.said for name, state in needs.states.items()},
            keep=self._keep_left_out,
        )
        self._agree(setup, emit)
        setup = prove(setup, cases, emit, self._keep_log)
        able = [case for case in cases if not setup.is_refuted(case)]
        setup = rehearse_settings(setup, able, emit)
        if not self._options.skip_stages:
            setup = find_stage_costs(setup, able, emit)
        digests = HostDigests(
            host=self.name,
            image_digest=setup.image_digest,
            payload_digest=setup.payload.digest,
            data={name: data.fingerprint for name, data in setup.data.items()},
        )
        self._shared.note_host(setup, digests)
        self._shared.emit(HostStateChanged(self.name, "ready"))
        with self._shared.at_work():
            return self._run_all(setup, digests, reached, heartbeat, emit)

    def _tell_left_out(self, names: Iterable[str], count: int) -> None:
        """Report that cases are left out whose data sets the inventory names only for other hosts."""
        listed = join_words(map(repr, sorted(names)))
        message = f"the inventory names no data set {listed} for this host: {plural(count, 'case')} left out"
        hint = "if the host should have it, add it below its `harness: data:`"
        found = find("data-elsewhere", message, hint)
        self._shared.emit(SessionFinding.of(found, self.name))

    def _agree(self, setup: HostSetup, emit: Emit) -> None:
        """Wait until the data sets of all hosts are checked. Raises DataError if one differs between hosts.

        Data sets that this session has measured are compared with the files of that time instead.
        """
        agreement = self._shared.agreement
        if agreement is None:
            return
        known = self._shared.content.data
        new = {name: note_checked(data) for name, data in setup.data.items() if name not in known}
        agreement.arrive(self.name, new)
        while new and (awaited := agreement.awaited):
            emit(Progress(self.name, f"waiting for the data check of {cap_list(awaited, 4)}", None))
            self._stops.begin.wait(_AGREE_EVERY_S)
        agreement.refuse(self.name)

    def _keep_log(self, name: str, text: str) -> str:
        """Store a text in the session's folder and return its path there."""
        return self._shared.folder.write_log(self.name, name, 1, text)

    def _keep_left_out(self, name: str, rows: Sequence[tuple[str, str]], count: int) -> None:
        """Store the list of files that were left out of a data set in the session's folder."""
        self._shared.folder.write_left_out(self.name, name, rows, count)

    def _run_all(
        self, setup: HostSetup, digests: HostDigests, reached: Reached, heartbeat: Heartbeat, emit: Emit
    ) -> set[str]:
        """Run all rounds, the limit searches and the closing checks. Returns the identities of the planned runs."""
        shared, experiment, options, stops = self._shared, self._resolved.experiment, self._options, self._stops
        settings = RunSettings(
            identity=SessionIdentity(shared.folder.name, experiment.name, shared.key),
            folder=shared.folder,
            seed=experiment.seed,
            timeout_s=experiment.timeout_s,
            cases=self._resolved.matrix.cases,
            deadline=None if experiment.budget_s is None else self._begun + experiment.budget_s,
            between=options.between,
            when_idle=options.when_idle,
            link_patience_s=options.link_patience_s,
        )
        runner = HostRunner(
            settings,
            setup,
            shared.journal,
            shared.emit,
            stops.begin,
            stops.run,
            outage=self._outage,
            heartbeat=heartbeat,
            round_done=shared.note_round,
            bring_image=lambda: bring_image_again(setup, reached, self._transfers, emit),
        )
        rounds = HostRounds(
            self._resolved,
            setup,
            digests,
            shared.folder,
            shared.journal,
            runner,
            shared.emit,
            options,
        )
        identities = run_rounds(rounds) | search_limits(self._resolved.cases, rounds)
        self._tell_closing_checks(reached, rounds.read())
        rounds.finish()
        return identities

    def _tell_closing_checks(self, reached: Reached, of_host: Sequence[Record]) -> None:
        """Report noise, and changes of the host during the session; changes only if the host still answers."""
        records = list(current_records(of_host).values())
        labels = case_labels(record.case for record in records)
        found: list[Finding] = [finding for _, finding in find_session_noise(records, labels.__getitem__)]
        found += compare_environments(records)
        with suppress(HostError):
            found += compare_facts(reached.facts, look_once_more(reached))
        for one in found:
            self._shared.emit(SessionFinding.of(one, self.name))
