"""``harness plan``: show what ``run`` would do. Changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.gpu_fit import find_obstacle, usable_gpus
from harness.analysis.rehearsals import setting_key
from harness.analysis.selection import current_records
from harness.analysis.stopping import LEAST_ROUNDS, MOST_ROUNDS, Standing
from harness.analysis.time_left import seconds_left
from harness.engine.reached import Reached
from harness.hosts.lock import make_owner, refuse_held
from harness.inventory import Host, explain_host, load_inventory, select_hosts, write_value
from harness.records.content import SessionContent, SessionDataSet
from harness.records.progress import say_place
from harness.records.reading import read_records
from harness.session.feasibility import refuse_hopeless
from harness.session.invocations import HostDigests
from harness.session.run_options import SessionOptions
from harness.ship.engine_choice import EngineSearch, find_engine
from harness.ship.kept_settings import Machine
from harness.ship.needs import inspect_needs
from harness.ship.rehearsing import REHEARSAL
from harness.ship.transfers import local_places
from harness.values.data import DataState
from harness.values.engine_names import EngineFacts
from harness.values.errors import ConfigurationError, DataError, HarnessError
from harness.values.record import Record
from harness.values.rehearsal import Rehearsal
from harness.values.work import WorkProof, read_proof, work_key
from harness.workflow.found_session import FoundSession, find_session, refuse_changed
from harness.workflow.host_engines import is_session_alive, refuse_busy
from harness.workflow.host_links import Links
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code, state_of
from harness.workflow.plan.plan_tables import PlannedSession, ShownPlan, plans_as_json, print_plans
from harness.workflow.planning import HostPlan, PlannedData, PlannedHost, plan_session
from harness.workflow.reaching import reach
from harness.workflow.renamed_hosts import preview_renames, say_kept_names
from harness.workflow.resolve import Resolved, absent_data, resolve, wanted_engine
from harness.workflow.round_planning import count_begun, find_needed, judge_host, say_count
from harness.workflow.side_by_side import find_session_copies, note_seen, refuse_clash, refuse_copy

if TYPE_CHECKING:
    from harness.console import Console


def explain_inventory(console: Console, inventory: Path, host_name: str, *, as_json: bool) -> None:
    """Print each value of one host with the file and line that it comes from."""
    try:
        (host,) = select_hosts(load_inventory(inventory, host_name), host_name)[:1]
    except ConfigurationError as error:
        if error.where != "--limit":
            raise
        raise ConfigurationError(error.message, where="--explain", hint=error.hint) from None
    rows = explain_host(host)
    if as_json:
        keys = ("key", "value", "file", "line")
        console.result_json([dict(zip(keys, row, strict=True)) for row in rows])
        return
    table = [[row.key, write_value(host, row), f"{row.file}:{row.line}" if row.line else row.file] for row in rows]
    groups = ", ".join(host.groups) or "none"
    console.table(["variable", "value", "from"], table, title=f"{host.name} (groups: {groups})")


def show_plan(console: Console, options: SessionOptions, *, is_offline: bool, as_json: bool) -> int:
    """Print what ``run`` would do with these options: hosts, cases, order, predictions, skipped cases, and the time.

    Returns the exit code that ``run`` would return before it measured anything.
    """
    resolved = resolve(console, options)
    engines = {host.name: wanted_engine(host, options.engine) for host in resolved.hosts}
    session = find_session(resolved, options)
    records = read_records(session.folder) if session.content is not None else []
    session, records, renamed = preview_renames(session, records, options.rename or ())
    sendable = frozenset(local_places(resolved.inventory.hosts)) if options.ship_data else frozenset()
    links = Links(console)

    def planner(host: Host) -> _Planner:
        own = [record for record in records if record.host == host.name]
        return _Planner(host, session, own, options, engines[host.name], sendable)

    planners = {host.name: planner(host) for host in session.resolved.hosts}

    def plan(host: Host) -> ShownPlan:
        return planners[host.name].assume(None) if is_offline else planners[host.name].ask(links)

    answers = ask_hosts(console, session.resolved.hosts, plan, forks=options.forks)
    plans = [
        planners[answer.name].assume(answer.outcome) if isinstance(answer.outcome, HarnessError) else answer.outcome
        for answer in answers
    ]
    plans, clash = _compare(console, session, plans, options, links)
    notes, is_new = (*renamed, *say_kept_names(session, records)), session.content is None
    shown = PlannedSession(session.resolved, str(session.folder.path), plans, is_new=is_new, notes=notes)
    error = absent_data(session.resolved) or clash
    if as_json:
        console.result_json(plans_as_json(shown) | ({} if error is None else error.as_json()))
    else:
        print_plans(console, shown)
    if error is not None:
        console.error(str(error))
        return error.exit_code
    return exit_code([Answer(each.host, each if each.error is None else each.error) for each in plans])


def _compare(
    console: Console, session: FoundSession, plans: Sequence[ShownPlan], options: SessionOptions, links: Links
) -> tuple[list[ShownPlan], DataError | None]:
    """Compare the hosts, as ``run`` does.

    Returns the plans, with an error for each second name of a machine, and the error of data sets that differ.
    """
    seen = {plan.host: plan.seen for plan in plans}
    copies = find_session_copies(console, session, seen, links, forks=options.forks)
    compared = []
    for plan in plans:
        measured = copies.get(plan.host)
        error = plan.error if measured is None else refuse_copy(plan.host, measured)
        compared.append(replace(plan, error=error, state="ready" if error is None else state_of(error)))
    return compared, refuse_clash(session, {name: one for name, one in seen.items() if name not in copies})


@dataclass(frozen=True)
class _Planner:
    """The planner of one host. ``records`` are the host's in this session; ``sendable`` data sets would be sent."""

    host: Host
    session: FoundSession
    records: Sequence[Record]
    options: SessionOptions
    engine: str
    sendable: frozenset[str]

    def ask(self, links: Links) -> ShownPlan:
        """Connect to the host and plan it as it is. Raises HarnessError if it cannot be planned."""
        with closing(reach(self.host, links, for_measuring=True)) as reached:
            return self._look(reached)

    def assume(self, error: HarnessError | None) -> ShownPlan:
        """Plan the host from the inventory and the session's file, without contacting it."""
        states = {name: self._unseen(name) for name in self.session.resolved.data_names}
        missing = {name: state.as_error(self.host.name) for name, state in states.items() if state.problem}
        on = PlannedHost(
            name=self.host.name,
            memory_available=self._memory_available,
            cpus=None,
            gpus=None,
            data={
                name: PlannedData(state.images, state.bytes, self._kind_of(name), state.is_labelled)
                for name, state in states.items()
                if not state.problem
            },
            missing_data={name: each.as_reason for name, each in missing.items()},
            disk_names=tuple(self.host.variables.cache_disks),
            proofs=self._proofs(),
        )
        mine = self.session.resolved.without_data({name for name, state in states.items() if not state.is_named})
        if error is None:
            error = _catch(lambda: refuse_hopeless(mine.cases, missing, {}))
        note = "not contacted, assumed to be ready" if error is None else ""
        return self._show(mine, on, self._digests({}, None), states, self.engine, note, error)

    def _look(self, reached: Reached) -> ShownPlan:
        """Plan a host that answers. Raises HostError if it fails while it is inspected."""
        cases = self.session.resolved.cases
        search = find_engine(reached, self.engine, None, lambda _event: None)
        facts = search.chosen.facts if search.chosen else None
        image_digest = facts.image_digest if facts else None
        sendable = self.sendable if self.host.connection != "local" else frozenset[str]()
        needs = inspect_needs(reached, cases, sendable=sendable, is_counted=True)
        states, missing, lacking = needs.states, needs.missing_data, needs.missing_weights
        mine = self.session.resolved.without_data(needs.foreign_data)
        cases = mine.cases
        digests = self._digests(states, image_digest)
        variables = self.host.variables
        on = PlannedHost(
            name=reached.name,
            memory_available=self._memory_available or reached.memory_available,
            cpus=len(reached.cpus),
            gpus=len(reached.gpus),
            data={
                name: PlannedData(state.images, state.bytes, self._kind_of(name), state.is_labelled)
                for name, state in states.items()
                if not state.problem
            },
            missing_data={name: each.as_reason for name, each in missing.items()},
            missing_weights={key: each.as_reason for key, each in lacking.items()},
            disks=reached.facts.disks,
            disk_names=tuple(reached.disks),
            disk_reserve=variables.disk_reserve,
            can_limit_memory=facts is None or facts.can_limit_memory,
            can_limit_cpus=facts is None or facts.can_limit_cpus,
            engine_reasons=facts.reasons if facts else (),
            gpu_obstacle=None if facts is None else find_obstacle(reached.facts, facts, reached.gpus),
            rehearsals=self._rehearsals(reached, states, facts),
            proofs=self._proofs(),
        )
        error = _catch(  # in the order in which `run` would meet them
            lambda: refuse_held(
                reached.connection,
                make_owner(self.session.key or "harness plan"),
                is_alive=is_session_alive(reached),
            ),
            lambda: refuse_busy(reached, self.session.key, is_allowed=self._may_be_busy),
            lambda: refuse_hopeless(cases, missing, lacking),
            search.take,
            lambda: refuse_changed(self.session.folder, self._content, digests),
        )
        engine = _name_engine(search, self.engine)
        shown = self._show(mine, on, digests, states, engine, reached.facts.hardware, error)
        return replace(shown, seen=note_seen(reached, states))

    @property
    def _may_be_busy(self) -> bool:
        return self.options.allow_busy or self.options.when_idle

    def _show(
        self,
        resolved: Resolved,
        on: PlannedHost,
        digests: HostDigests,
        states: Mapping[str, DataState],
        engine: str,
        note: str,
        error: HarnessError | None,
    ) -> ShownPlan:
        again = self.options.rerun_failed
        plan = plan_session(resolved, on, digests, self.records, rerun_failed=again)
        standing = self._judge(plan)
        if standing is not None and standing.open and not plan.todo:
            added = find_needed(standing, plan.repeat_check, self.records)
            plan = plan_session(resolved, on, digests, self.records, added=added, rerun_failed=again)
        return ShownPlan(
            host=self.host.name,
            state="ready" if error is None else state_of(error),
            note=note,
            engine=engine,
            on=on,
            plan=plan,
            data=states,
            times={key: seconds_left([(key, found)], self.records) for key, found in plan.predictions.items()},
            seconds=plan.seconds_left(self.records),
            counts=plan.count_outcomes(self.records),
            error=error,
            place=self._say_place(plan, standing),
        )

    def _judge(self, plan: HostPlan) -> Standing | None:
        """Return what the records settle so far; None before three rounds, or if the number of rounds is fixed."""
        experiment, begun = self.session.resolved.experiment, count_begun(self.records, self.host.name)
        if experiment.rounds != "auto" or begun < LEAST_ROUNDS:
            return None
        return judge_host(experiment, self.records, MOST_ROUNDS - plan.rounds.count)

    def _say_place(self, plan: HostPlan, standing: Standing | None) -> str:
        """Return which round the host is in, in words; empty before its first."""
        if not self.records:
            return ""
        number = min((each.round for each in plan.todo), default=plan.rounds.count)
        rounds = say_count(self.session.resolved.experiment.rounds)
        return f"round {say_place(number, rounds, None if standing is None else len(standing.open))}"

    def _unseen(self, name: str) -> DataState:
        """Return what is known about a data set without contacting the host."""
        source = self.host.variables.data.get(name)
        if source is None:
            known = ", ".join(sorted(self.host.variables.data)) or "none"
            problem = f"the host has no data set {name!r} (it has {known})"
            hint = f"add it under `harness: data: {name}:`"
            return DataState(name, "nowhere", problem=problem, hint=hint, is_named=False)
        place = " with ".join(source.paths.values())
        kept = self._kept(name)
        if kept.images is not None and kept.bytes is not None:
            return DataState(name, place or "generated", kept.images, kept.bytes, "as this session found it")
        if source.generate is not None:
            return DataState(name, "generated", source.generate.images, source="generated", will_be_made=True)
        return DataState(name, place, source="not known until the host is contacted")

    def _digests(self, states: Mapping[str, DataState], image_digest: str | None) -> HostDigests:
        """Return the digests that identify runs on this host: as found now, else as stored in the session's file."""
        fingerprints = {
            name: (states[name].fingerprint if name in states else None) or self._kept(name).fingerprint
            for name in self.session.resolved.data_names
        }
        return HostDigests(
            host=self.host.name,
            image_digest=image_digest or self._content.image_digests.get(self.host.name, ""),
            payload_digest=self.session.payload.digest,
            data={name: str(found) for name, found in fingerprints.items() if found is not None},
        )

    def _rehearsals(
        self, reached: Reached, states: Mapping[str, DataState], facts: EngineFacts | None
    ) -> dict[str, Rehearsal]:
        """Return the results of earlier trial runs on the host, so that predictions equal those of ``run``."""
        settings = {
            setting_key(case): fingerprint
            for case in self.session.resolved.cases
            if case.data in states and (fingerprint := states[case.data].fingerprint) is not None
        }
        if facts is None or facts.image_digest is None or not settings:
            return {}
        cpus, gpus = len(reached.cpus), len(usable_gpus(reached.facts, facts, reached.gpus))
        machine = Machine(facts.image_digest, self.session.payload.archive_digest, cpus, gpus)
        return REHEARSAL.read(reached.connection, reached.scratch, machine, settings)

    def _kind_of(self, name: str) -> str | None:
        """Return the kind of a data set, as this session found it; None if not known."""
        return self._kept(name).kind or None

    @property
    def _content(self) -> SessionContent:
        """The content of the session's file; empty for a new session."""
        return self.session.content or SessionContent()

    def _kept(self, name: str) -> SessionDataSet:
        """Return what the session's file has on a data set."""
        return self._content.set_of(self.host.name, name) or SessionDataSet()

    def _proofs(self) -> dict[str, WorkProof]:
        """Return the failed same-work checks in this session's records, for loaders that have not changed since."""
        found = {}
        for record in current_records(self.records).values():
            proof, kind = read_proof(record.environment.get("samework")), self._kind_of(record.case.data)
            if proof.fails and kind is not None and self._has_same_loader(record):
                found[work_key(record.case, kind)] = proof
        return found

    def _has_same_loader(self, record: Record) -> bool:
        own = record.environment.get("own_loader")
        return not isinstance(own, dict) or self.session.payload.own.get(str(own.get("file"))) == own.get("sha256")

    @property
    def _memory_available(self) -> int | None:
        """The bytes that ``memory_limit: none`` means on this host; None before this session has prepared it."""
        known = self._content.hosts.get(self.host.name)
        return None if known is None else known.memory_available


def _name_engine(search: EngineSearch, requested: str) -> str:
    """Return the engine that a session would use, its version and image in words; else the engine asked for."""
    chosen = search.chosen
    if chosen is None:
        return requested
    facts = chosen.facts
    image = f", image {chosen.image}{' (not there yet)' if facts.image_digest is None else ''}" if chosen.image else ""
    python = f", {facts.interpreter}" if facts.interpreter else ""
    python += f", {facts.to_come} to be installed" if facts.to_come else ""
    return f"{facts.engine} {facts.version}{python}{image}"


def _catch(*steps: Callable[[], object]) -> HarnessError | None:
    """Run steps in order and return the first HarnessError that one raises, or None."""
    for step in steps:
        try:
            step()
        except HarnessError as error:
            return error
    return None
