"""Runs what is left of a plan on one host: submit, poll, fetch, record, remove.

The job on the host is the truth. A controller may die at any line of this file: whatever was
submitted is found again by its labels, whatever was recorded is never done twice, and what is
neither is removed.
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
"""Asking costs CPU time, on a local host that of the benchmark itself, on a controller of many hosts that of each: the
longer one runs, the less it is asked. What ends after minutes is seen within 5 s, after hours within half a minute."""


@dataclass(frozen=True)
class RunSettings:
    """What does not change while a session runs. ``seed`` of orders and shuffles; ``deadline`` monotonic, or None.

    ``cases`` are those of the session, among which each has its name. Cases begin ``between`` these hours, and
    ``when_idle`` only while nobody else computes on the host.
    ``link_patience_s``: how long a host may be away before it is given up for this time; None for ten minutes.
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
    """Return in how many seconds a job that has run so long is asked again: 5, or 2 % of its time, at most 30."""
    usual = min(_POLL_USUAL_S, _POLL_FIRST_S + elapsed_s * _POLL_GROWTH)
    return min(_POLL_MOST_S, max(usual, elapsed_s * _POLL_SHARE))


class HostRunner:
    """One host's worker. ``stop`` set means: begin nothing more; ``halt`` (by default the same): end what runs.

    ``emit`` hears of all that happens and ``round_done`` of each round's end, both in the host's own thread.
    ``outage`` is told by every question whether the host answers; ``heartbeat`` keeps the lock meanwhile.
    ``bring_image`` brings an image that somebody has removed; it raises HostError where it cannot.
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
        self._step = 1  # what is done once more is counted once
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
        """Do all of ``todo`` in its order, and at the end of each round what ``repeats_of`` says is to be repeated.

        Of later rounds only what ``is_wanted`` still is done then.

        ``done`` of ``planned`` is for progress. ``known`` are the host's records in the session so far: no job that has
        one is taken over, and beside its peers a record can be judged better. ``later`` is what comes behind ``todo``,
        as (case_id, prediction), for the time that is left.
        Raises HostUnreachable where the host stays away, and another HostError where no job can be started on it: what
        was to be started then has no record, and is left to do.
        """
        self._done, self._planned, self._known = done, planned, list(known)
        adopted = self._patiently(lambda: self._adopt(todo))
        self._announce_skips(todo)
        current_round = 0
        todo = list(todo)
        repeated: set[str] = set()  # by this command once, also where that is lost
        for index, invocation in enumerate(todo):  # which grows by what is to be repeated
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
        """Return what of a round is to be repeated by what is recorded so far, without what is ``known`` to be."""
        return [one for one in repeats_of(round_number, self._known) if one.identity not in known]

    def _announce_skips(self, todo: Sequence[Invocation]) -> None:
        """Tell once of each reason why something is skipped, with a count."""
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
        """Whether the user wants nothing more to begin."""
        return self._stop.is_set()

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to begin: it was asked to stop, or its time is up."""
        return self._stop.is_set() or self._is_over()

    @property
    def seconds_left(self) -> float | None:
        """How long cases may still begin; None where nothing limits it."""
        deadline = self._settings.deadline
        return None if deadline is None else max(0.0, deadline + self._queued_s - time.monotonic())

    def _affordable(self, repeats: Sequence[Invocation]) -> Sequence[Invocation]:
        """Return what is to be repeated where there is time for all of it and for what is planned, else nothing."""
        left_s, needed_s = self.seconds_left, seconds_left([*coming_of(repeats), *self._coming], self._known)
        is_late = left_s is not None and (needed_s is None or needed_s > left_s)
        return () if is_late or self._stop.is_set() else repeats

    def _is_over(self) -> bool:
        deadline = self._settings.deadline
        return deadline is not None and time.monotonic() > deadline + self._queued_s  # a queue is not our time

    def _await_turn(self) -> None:
        """Wait while nothing is to begin: somebody uses the host, or it is not the hour."""
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
        """Keep the lock; where it was taken, end what runs here, for who took it may measure by now."""
        if self._heartbeat is None:
            return
        try:
            self._patiently(self._heartbeat.beat)
        except HostLocked:
            self._patiently(self._sweep)
            raise

    def _adopt(self, todo: Sequence[Invocation]) -> dict[tuple[str, int], JobHandle]:
        """Take over jobs of this session that an earlier controller started; remove those that nobody wants.

        Returns them by identity and attempt.
        """
        wanted = {(each.identity, str(each.attempt)): (each.identity, each.attempt) for each in todo if not each.skip}
        for record in self._known:
            wanted.pop((record.invocation, str(record.attempt)), None)
        adopted: dict[tuple[str, int], JobHandle] = {}
        unwanted = []
        for handle in self._setup.engine.list(self._settings.identity.key):
            identity = handle.labels.get(f"{LABEL_PREFIX}invocation", "")
            attempt = handle.labels.get(f"{LABEL_PREFIX}attempt", "")
            is_ours = handle.labels.get(PAYLOAD_LABEL) == payload_label(self._setup)  # not of a file since mended
            if (identity, attempt) in wanted and is_ours:
                adopted[wanted[identity, attempt]] = handle
            else:
                unwanted.append(handle)
        states = self._setup.engine.poll(list(adopted.values())) if adopted else ()
        for (place, handle), state in zip(list(adopted.items()), states, strict=True):
            if state.phase in ("created", "gone"):  # its controller died before it was started: it never will be
                unwanted.append(handle)
                del adopted[place]
        if unwanted:
            self._remove(unwanted)
        return adopted

    def _sweep(self) -> None:
        self._remove(self._setup.engine.list(self._settings.identity.key))

    def _remove(self, handles: Sequence[JobHandle]) -> None:
        """Remove jobs; what one leaves that cannot be removed costs its disk, not the session.

        Raises EngineError where a job is still there.
        """
        try:
            self._setup.engine.cancel(handles)
        except EngineError as error:
            if any(state.phase != "gone" for state in self._setup.engine.poll(handles)):
                raise
            found = find("job-left", f"what a job left could not be removed: {error.message}", error.hint or "")
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
        except OSError as error:  # the job and its results stay on the host: the next controller adopts them
            hint = "make room there and give the same command again: it continues"
            where = str(self._settings.folder.path)
            raise SessionError(f"cannot write: {error.strerror or error}", where=where, hint=hint) from error
        seconds = time.monotonic() - begun - (self._queued_s - queued_s)
        self._finish(record, label, None if adopted else seconds)  # of an adopted one that was not seen from here
        self._patiently(lambda: self._remove([handle]))

    def _submit(self, invocation: Invocation) -> JobHandle:
        """Start an invocation, its image brought once more where somebody has removed it."""
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
        """Poll until the job has ended; None where the user wants to stop."""
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
                return JobState(phase="exited", error="the supervisor did not end it in time")
            self._beat()
            self._emit(InvocationRunning(started, elapsed))
            if self._halt.wait(pause_between_polls(elapsed)):
                return None

    def _collect(self, invocation: Invocation, handle: JobHandle, state: JobState, started_at: str) -> Record:
        with self._settings.folder.fetching() as temporary:
            if state.phase != "gone":
                try:
                    self._fetch(handle, temporary)
                except JobGone:  # removed after it was last asked: its results are lost, the host is not
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
        """Fetch what a job left, once more where its host could not give it: it is not measured again for that."""
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
        """Ask again, ever more slowly, while the host does not answer; the job there goes on meanwhile."""
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
