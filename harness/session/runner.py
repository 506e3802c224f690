"""Running what is left of a plan on one host: submit, poll, fetch, record, remove.

The job on the host is authoritative. A controller may die at any line of this file: submitted jobs are found again by
their labels, recorded runs are not repeated, and all other jobs are removed.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

from harness.analysis.findings import find
from harness.analysis.outcomes import explain_outcome, is_done_again, outcome_of
from harness.analysis.time_left import seconds_left
from harness.engine.interface import LABEL_PREFIX, JobHandle, JobState
from harness.records.folder import SessionFolder
from harness.records.journal import Journal, now_utc
from harness.session import admission
from harness.session.collect import (
    SessionIdentity,
    build_record,
    build_skipped,
    build_unmeasured,
    read_results,
)
from harness.session.invocations import Invocation, coming_of
from harness.session.liveness import Heartbeat, Outage
from harness.session.request import PAYLOAD_LABEL, build_measurement, payload_label
from harness.session.schedule import Hours
from harness.session.setup import HostSetup
from harness.values.case import Case
from harness.values.errors import (
    EngineError,
    HostLocked,
    HostUnreachable,
    ImageUnavailable,
    JobGone,
    JobRefused,
    ResultsRefused,
    SessionError,
)
from harness.values.event import (
    CasesSkipped,
    Event,
    HostWaiting,
    InvocationFinished,
    InvocationRunning,
    InvocationStarted,
    RoundStarted,
    SessionFinding,
)
from harness.values.names import case_label
from harness.values.prediction import Prediction
from harness.values.record import Record

_T = TypeVar("_T")

_SUPERVISOR_GRACE_S = 90.0
_LINK_PATIENCE_S = 600.0
_HOLD_PAUSE_S = 30.0
_FETCH_PAUSE_S = 2.0
_POLL_FIRST_S = 0.5
_POLL_GROWTH = 0.15
_POLL_USUAL_S = 5.0
_POLL_SHARE = 0.02
_POLL_MOST_S = 30.0
"""Seconds between polls at most. Polling costs CPU time, on a local host that of the benchmark: the longer a job runs,
the less often it is polled. The end of a job is seen within 5 s after minutes, within 30 s after hours."""


@dataclass(frozen=True)
class RunSettings:
    """The settings of a session on one host. ``deadline`` is on the monotonic clock, or None.

    ``cases`` are all of the session: a case is named so that it differs from the others. Cases start only ``between``
    these hours, and with ``when_idle`` only while the host is idle. ``link_patience_s``: how long to wait for a host
    that does not answer; None for ten minutes.
    """

    identity: SessionIdentity
    folder: SessionFolder
    seed: int
    timeout_s: float
    cases: tuple[Case, ...] = ()
    deadline: float | None = None
    between: Hours | None = None
    when_idle: bool = False
    link_patience_s: float | None = None


def pause_between_polls(elapsed_s: float) -> float:
    """Return the seconds to the next poll of a job: up to 5, or 2 % of its time so far, at most 30."""
    usual = min(_POLL_USUAL_S, _POLL_FIRST_S + elapsed_s * _POLL_GROWTH)
    return min(_POLL_MOST_S, max(usual, elapsed_s * _POLL_SHARE))


class HostRunner:
    """The worker of one host. ``stop`` set: start nothing more; ``halt`` (default: the same event): end running jobs.

    ``emit`` is called for each event and ``round_done`` at the end of each round, both in the host's own thread.
    ``outage`` learns from every request whether the host answers; ``heartbeat`` keeps the lock. ``bring_image`` brings
    an image again that was removed, or raises HostError.
    """

    def __init__(
        self,
        settings: RunSettings,
        setup: HostSetup,
        journal: Journal,
        emit: Callable[[Event], None],
        stop: threading.Event,
        halt: threading.Event | None = None,
        *,
        outage: Outage | None = None,
        heartbeat: Heartbeat | None = None,
        round_done: Callable[[], None] = lambda: None,
        bring_image: Callable[[], None] | None = None,
    ) -> None:
        self._settings = settings
        self._setup = setup
        self._journal = journal
        self._emit = emit
        self._stop = stop
        self._halt = halt or stop
        self._outage = outage or Outage(setup.host, emit)
        self._heartbeat = heartbeat
        self._round_done = round_done
        self._bring_image = bring_image
        self._done = 0
        self._planned = 0
        self._step = 1  # 0 for a repeat, which does not count again
        self._known: list[Record] = []
        self._coming: list[tuple[str, Prediction | None]] = []
        self._repeats_due: Callable[[], Sequence[Invocation]] = tuple
        self._repeats_planned = 0
        self._announced: set[str] = set()
        self._queued_s = 0.0

    def run(
        self,
        todo: Sequence[Invocation],
        *,
        done: int,
        planned: int,
        known: Sequence[Record] = (),
        later: Sequence[tuple[str, Prediction | None]] = (),
        repeats_of: Callable[[int, Sequence[Record]], Sequence[Invocation]] = lambda _round, _records: (),
        is_wanted: Callable[[Invocation, Sequence[Record]], bool] = lambda _invocation, _records: True,
    ) -> None:
        """Run all of ``todo`` in order, and at the end of each round the repeats that ``repeats_of`` returns.

        Runs of later rounds are dropped if ``is_wanted`` no longer wants them.

        ``done`` of ``planned`` is for progress. ``known`` are the host's records in the session so far: a job that has
        a record is not adopted, and records are judged beside their peers. ``later`` is what follows after ``todo``, as
        (case_id, prediction), for the estimate of the time left.

        Raises HostUnreachable if the host does not answer for too long, and other HostErrors if no job can be started
        on it. The run that could not be started has no record then.
        """
        self._done, self._planned, self._known = done, planned, list(known)
        adopted = self._patiently(lambda: self._adopt(todo))
        self._announce_skips(todo)
        current_round = 0
        todo = list(todo)
        repeated: set[str] = set()  # each at most once per command, even if the repeat is lost
        for index, invocation in enumerate(todo):  # repeats are inserted on the way
            handle = adopted.pop((invocation.identity, invocation.attempt), None)
            if invocation.is_repeat:
                repeated.add(invocation.identity)
            if handle is None and invocation.skip is None:
                self._await_turn()
            if self._is_over() or (self._stop.is_set() and (handle is None or self._halt.is_set())):
                break
            if invocation.round != current_round:
                current_round = invocation.round
                order = tuple(other.case.case_id for other in todo if other.round == current_round)
                self._emit(RoundStarted(self._setup.host, current_round, order))
            self._coming = [*coming_of(todo[index + 1 :]), *later]
            planned_repeats = {one.identity for one in todo[index:] if one.is_repeat}
            self._repeats_planned = len(planned_repeats)
            self._repeats_due = partial(self._find_due, repeats_of, current_round, repeated | planned_repeats)
            self._do(invocation, handle)
            if index + 1 == len(todo) or todo[index + 1].round != current_round:
                more = self._affordable(self._repeats_due())
                todo[index + 1 : index + 1] = more
                if not more:
                    self._round_done()
                    begun = {identity for identity, _ in adopted}
                    rest = [one for one in todo[index + 1 :] if one.identity in begun or is_wanted(one, self._known)]
                    self._planned -= len(todo) - index - 1 - len(rest)
                    todo[index + 1 :] = rest
        if self._stop.is_set():
            self._patiently(self._sweep)

    def _find_due(
        self,
        repeats_of: Callable[[int, Sequence[Record]], Sequence[Invocation]],
        round_number: int,
        known: Container[str],
    ) -> Sequence[Invocation]:
        """Return the further repeats of a round according to the records so far, without the ``known`` ones."""
        return [one for one in repeats_of(round_number, self._known) if one.identity not in known]

    def _announce_skips(self, todo: Sequence[Invocation]) -> None:
        """Report each reason for skipping once, with a count."""
        skipped: dict[str, list[Invocation]] = {}
        for invocation in todo:
            if invocation.skip is not None:
                skipped.setdefault(invocation.skip, []).append(invocation)
        for reason, found in skipped.items():
            if reason not in self._announced:
                self._announced.add(reason)
                cases = len({invocation.case.case_id for invocation in found})
                self._emit(CasesSkipped(self._setup.host, reason, len(found), cases))

    @property
    def is_stopped(self) -> bool:
        """Whether the user asked to stop."""
        return self._stop.is_set()

    @property
    def is_over(self) -> bool:
        """Whether nothing more may start: the user asked to stop, or the budget is used up."""
        return self._stop.is_set() or self._is_over()

    @property
    def seconds_left(self) -> float | None:
        """The seconds in which cases may still start; None without a limit."""
        deadline = self._settings.deadline
        return None if deadline is None else max(0.0, deadline + self._queued_s - time.monotonic())

    def _affordable(self, repeats: Sequence[Invocation]) -> Sequence[Invocation]:
        """Return the repeats if there is time for them and for all that is planned, else nothing."""
        left_s, needed_s = self.seconds_left, seconds_left([*coming_of(repeats), *self._coming], self._known)
        is_late = left_s is not None and (needed_s is None or needed_s > left_s)
        return () if is_late or self._stop.is_set() else repeats

    def _is_over(self) -> bool:
        deadline = self._settings.deadline
        return deadline is not None and time.monotonic() > deadline + self._queued_s  # time in a queue does not count

    def _await_turn(self) -> None:
        """Wait while the host is busy or outside the allowed hours; return when a case may start or at a stop."""
        told = None
        while not self._stop.is_set() and not self._is_over():
            reason = self._patiently(self._reason_to_wait)
            if reason is None:
                return
            if reason != told:
                self._emit(HostWaiting(self._setup.host, reason))
                told = reason
            self._beat()
            self._stop.wait(_HOLD_PAUSE_S)

    def _reason_to_wait(self) -> str | None:
        return admission.reason_to_wait(self._setup, self._settings.between, when_idle=self._settings.when_idle)

    def _beat(self) -> None:
        """Keep the lock alive. If it was taken, end this session's jobs, because the new holder may measure now."""
        if self._heartbeat is None:
            return
        try:
            self._patiently(self._heartbeat.beat)
        except HostLocked:
            self._patiently(self._sweep)
            raise

    def _adopt(self, todo: Sequence[Invocation]) -> dict[tuple[str, int], JobHandle]:
        """Adopt the jobs of this session that an earlier controller started, and remove those that are not wanted.

        Returns the adopted jobs by identity and attempt.
        """
        wanted = {(each.identity, str(each.attempt)): (each.identity, each.attempt) for each in todo if not each.skip}
        for record in self._known:
            wanted.pop((record.invocation, str(record.attempt)), None)
        adopted: dict[tuple[str, int], JobHandle] = {}
        unwanted = []
        for handle in self._setup.engine.list(self._settings.identity.key):
            identity = handle.labels.get(f"{LABEL_PREFIX}invocation", "")
            attempt = handle.labels.get(f"{LABEL_PREFIX}attempt", "")
            is_ours = handle.labels.get(PAYLOAD_LABEL) == payload_label(self._setup)  # else a loader file has changed
            if (identity, attempt) in wanted and is_ours:
                adopted[wanted[identity, attempt]] = handle
            else:
                unwanted.append(handle)
        states = self._setup.engine.poll(list(adopted.values())) if adopted else ()
        for (place, handle), state in zip(list(adopted.items()), states, strict=True):
            if state.phase in ("created", "gone"):  # its controller died before starting it
                unwanted.append(handle)
                del adopted[place]
        if unwanted:
            self._remove(unwanted)
        return adopted

    def _sweep(self) -> None:
        self._remove(self._setup.engine.list(self._settings.identity.key))

    def _remove(self, handles: Sequence[JobHandle]) -> None:
        """Remove jobs. Files that cannot be removed become a finding.

        Raises EngineError if a job itself is still there.
        """
        try:
            self._setup.engine.cancel(handles)
        except EngineError as error:
            if any(state.phase != "gone" for state in self._setup.engine.poll(handles)):
                raise
            found = find("job-left", f"files of a job could not be removed: {error.message}", error.hint or "")
            self._emit(SessionFinding.of(found, self._setup.host))

    def _do(self, invocation: Invocation, handle: JobHandle | None) -> None:
        label = case_label(invocation.case, self._settings.cases, invocation.alias)
        label += ", repeated" if invocation.is_repeat else ""
        self._step = 0 if invocation.is_repeat else 1
        case_id, begun, queued_s = invocation.case.case_id, time.monotonic(), self._queued_s
        reason = invocation.skip
        if reason is None and handle is None:
            self._patiently(lambda: admission.require_room(self._setup))
            reason = self._patiently(lambda: admission.refuse_now(self._setup, invocation))
        if reason is not None:
            record = build_skipped(self._settings.identity, self._setup, invocation, reason=reason, at=now_utc())
            self._finish(record, label, None)
            return
        adopted, due = handle is not None, self._repeats_due()
        started = InvocationStarted(
            self._setup.host,
            invocation.identity,
            invocation.attempt,
            invocation.round,
            case_id,
            label,
            self._done,
            self._planned,
            adopted=adopted,
            left_s=seconds_left([*coming_of([invocation, *due]), *self._coming], self._known),
            repeats=self._repeats_planned + len(due),
        )
        self._emit(started)
        started_at = now_utc()
        try:
            handle = handle or self._submit(invocation)
        except JobRefused as error:
            record = build_unmeasured(
                self._settings.identity, self._setup, invocation, status="error", cause=str(error), at=started_at
            )
            self._finish(record, label, time.monotonic() - begun)
            return
        state = self._wait(handle, started)
        if state is None:
            self._patiently(lambda: self._remove([handle]))
            return
        try:
            record = self._collect(invocation, handle, state, started_at)
        except OSError as error:  # the job and its results stay on the host; the next controller adopts them
            hint = "free space there and give the same command again: it continues"
            where = str(self._settings.folder.path)
            raise SessionError(f"cannot write: {error.strerror or error}", where=where, hint=hint) from error
        seconds = time.monotonic() - begun - (self._queued_s - queued_s)
        self._finish(record, label, None if adopted else seconds)  # the start of an adopted job was not seen
        self._patiently(lambda: self._remove([handle]))

    def _submit(self, invocation: Invocation) -> JobHandle:
        """Start the job of an invocation; if its image was removed, bring it again first."""
        settings = self._settings
        job = build_measurement(settings.identity.key, settings.seed, settings.timeout_s, self._setup, invocation)
        try:
            return self._patiently(lambda: self._setup.engine.submit(job))
        except ImageUnavailable:
            if self._bring_image is None:
                raise
            self._bring_image()
            return self._patiently(lambda: self._setup.engine.submit(job))

    def _wait(self, handle: JobHandle, started: InvocationStarted) -> JobState | None:
        """Poll until the job has ended. Returns its state, or None if the user asked to stop."""
        begun, told, was_queued = time.monotonic(), None, False
        while True:
            asked = time.monotonic()
            state = self._patiently(lambda: self._setup.engine.poll([handle]))[0]
            if state.phase in ("exited", "gone"):
                return state
            if state.phase == "queued":
                was_queued = True
                if state.waits_for is not None and state.waits_for != told:
                    told = state.waits_for
                    self._emit(HostWaiting(self._setup.host, f"in the queue of {self._setup.engine.name}: {told}"))
                self._beat()
                if self._halt.wait(pause_between_polls(time.monotonic() - begun)):
                    return None
                self._queued_s += time.monotonic() - asked
                continue
            if was_queued:
                begun, was_queued = asked, False
            elapsed = time.monotonic() - begun
            if elapsed > self._settings.timeout_s + _SUPERVISOR_GRACE_S:
                return JobState(phase="exited", error="the supervisor did not end the job in time")
            self._beat()
            self._emit(InvocationRunning(started, elapsed))
            if self._halt.wait(pause_between_polls(elapsed)):
                return None

    def _collect(self, invocation: Invocation, handle: JobHandle, state: JobState, started_at: str) -> Record:
        with self._settings.folder.fetching() as temporary:
            if state.phase != "gone":
                try:
                    self._fetch(handle, temporary)
                except JobGone:  # removed since the last poll: its results are lost
                    state = JobState(phase="gone")
                except EngineError as error:
                    identity, cause = self._settings.identity, str(error)
                    return build_unmeasured(
                        identity, self._setup, invocation, status="error", cause=cause, at=started_at
                    )
            results = read_results(temporary)
            log = (
                self._settings.folder.write_log(invocation.host, invocation.identity, invocation.attempt, results.log)
                if results.log
                else None
            )
            return build_record(
                self._settings.identity,
                self._setup,
                invocation,
                state,
                results,
                log=log,
                started_at=started_at,
                finished_at=now_utc(),
                peers=self._known,
            )

    def _fetch(self, handle: JobHandle, folder: Path) -> None:
        """Fetch the results of a job; try a second time before the run counts as failed."""
        try:
            self._patiently(lambda: self._setup.engine.fetch(handle, folder))
        except (JobGone, ResultsRefused):
            raise
        except EngineError:
            self._halt.wait(_FETCH_PAUSE_S)
            self._patiently(lambda: self._setup.engine.fetch(handle, folder))

    def _finish(self, record: Record, label: str, seconds: float | None) -> None:
        self._journal.write_record(record)
        self._known.append(record)
        self._done += 0 if is_done_again(record) else self._step
        outcome, due = outcome_of(record), self._repeats_due()
        self._repeats_planned -= 1 - self._step
        self._emit(
            InvocationFinished(
                self._setup.host,
                record.invocation,
                record.attempt,
                record.round,
                record.case_id,
                label,
                record.status,
                record.cause,
                seconds,
                self._done,
                self._planned,
                left_s=seconds_left([*self._coming, *coming_of(due)], self._known),
                repeats=self._repeats_planned + len(due),
                outcome=outcome.kind,
                reason=outcome.reason,
                why=explain_outcome(record),
                is_announced=record.status == "skipped" and record.cause in self._announced,
            )
        )

    def _patiently(self, ask: Callable[[], _T]) -> _T:
        """Call ``ask``, again at growing intervals while the host does not answer. The job continues meanwhile.

        Raises HostUnreachable after ``link_patience_s``.
        """
        patience_s = self._settings.link_patience_s
        begun, pause = time.monotonic(), 1.0
        while True:
            try:
                answer = ask()
            except HostUnreachable as error:
                self._outage.begin(error.message)
                waited_s = time.monotonic() - begun
                if waited_s > (_LINK_PATIENCE_S if patience_s is None else patience_s) or self._halt.is_set():
                    raise
            else:
                self._outage.end()
                return answer
            self._halt.wait(pause * random.uniform(0.7, 1.0))
            pause = min(pause * 1.6, 15.0)
