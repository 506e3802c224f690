"""The plan of a host: its invocations (runs) in order, and what is left of it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from harness.analysis.outcomes import is_done_again
from harness.analysis.selection import gather_attempts
from harness.records.content import SessionContent
from harness.values.case import Case, invocation_identity
from harness.values.digest import digest_of
from harness.values.prediction import Prediction
from harness.values.record import ABSENT, TWIN, WARM_RUN, Record
from harness.values.text import cap_list
from harness.values.work import is_proven

_RERUN_IF_ASKED = frozenset({"error", "timeout", "disk_full"})


@dataclass(frozen=True)
class HostDigests:
    """The digests that identify invocations on one host. ``data`` maps data set names to fingerprints."""

    host: str
    image_digest: str
    payload_digest: str
    data: Mapping[str, str]


@dataclass(frozen=True)
class Invocation:
    """One planned invocation. ``memory_bytes`` is the limit to enforce; ``skip`` is why it cannot run.

    ``is_refuted``: it is not run because its loader failed the same-work check. ``is_repeat``: it has a result, and
    runs again because it was disturbed, or is compared with one that was.
    """

    identity: str
    host: str
    case: Case
    alias: str | None
    round: int
    order: int
    memory_bytes: int | None = None
    predictions: Prediction | None = None
    skip: str | None = None
    is_refuted: bool = False
    attempt: int = 1
    is_repeat: bool = False


@dataclass(frozen=True)
class Refusal:
    """Why a case cannot run on a host at all.

    ``is_refuted``: its loader failed the same-work check; one record stands for all rounds.
    """

    case_id: str
    reason: str
    is_refuted: bool = False


def plan_host(
    digests: HostDigests,
    cases: Sequence[Case],
    *,
    rounds: int,
    order: Callable[[Sequence[Case], int], Sequence[Case]],
    limits: Mapping[str, int | None],
    predictions: Mapping[str, Prediction],
    refusals: Iterable[Refusal] = (),
    twin: Case | None = None,
    extras: Sequence[Case] = (),
    extra_rounds: int = 0,
    takes_part: Callable[[Case, int], bool] = lambda _case, _round: True,
) -> tuple[Invocation, ...]:
    """Plan all invocations of one host, round by round in ``order(cases, round)``.

    ``limits`` and ``predictions`` are by case_id. Orders count from 1 within a round. ``twin`` is the case that each
    round runs a second time, with the alias ``TWIN`` and at a random place. ``extras`` run only in the first
    ``extra_rounds`` rounds, with the alias ``WARM_RUN``: they explain cases and are not part of the experiment.
    ``takes_part`` tells whether a case is measured in a round.
    """
    refused = {refusal.case_id: refusal for refusal in refusals}
    first_only = {case_id for case_id, refusal in refused.items() if refusal.is_refuted}
    planned = []
    for round_number in range(1, rounds + 1):
        chosen = [case for case in cases if takes_part(case, round_number)]
        chosen += extras if round_number <= extra_rounds else ()
        ordered = order(chosen, round_number)
        left = [case for case in ordered if round_number == 1 or case.case_id not in first_only]
        entries = [(case, WARM_RUN if case in extras else None) for case in left]
        if twin is not None and takes_part(twin, round_number):
            entries.insert(_place_twin(digests.host, twin, round_number, len(entries)), (twin, TWIN))
        for position, (case, alias) in enumerate(entries, start=1):
            planned.append(
                plan_one(
                    digests,
                    case,
                    alias=alias,
                    round_number=round_number,
                    order=position,
                    memory_bytes=limits.get(case.case_id),
                    predictions=predictions.get(case.case_id),
                    refusal=refused.get(case.case_id),
                )
            )
    return tuple(planned)


def plan_one(
    digests: HostDigests,
    case: Case,
    *,
    alias: str | None,
    round_number: int,
    order: int,
    memory_bytes: int | None,
    predictions: Prediction | None,
    refusal: Refusal | None = None,
) -> Invocation:
    """Plan one invocation, with its identity."""
    identity = invocation_identity(
        image_digest=digests.image_digest,
        payload_digest=digests.payload_digest,
        data_fingerprint=digests.data.get(case.data, ABSENT),
        case=case,
        alias=alias,
        host=digests.host,
        round_number=round_number,
    )
    return Invocation(
        identity,
        digests.host,
        case,
        alias,
        round_number,
        order,
        memory_bytes,
        predictions=predictions,
        skip=None if refusal is None else refusal.reason,
        is_refuted=refusal is not None and refusal.is_refuted,
    )


def _place_twin(host: str, twin: Case, round_number: int, others: int) -> int:
    return int(digest_of([host, twin.case_id, round_number, TWIN])[:12], 16) % (others + 1)


def is_done(record: Record | None, *, skip: str | None, rerun_failed: bool, is_refuted: bool = False) -> bool:
    """Whether an invocation needs no further attempt, given its record.

    Valid ``ok`` and ``oom`` records are final. Lost and paused runs are always repeated; ``skipped`` ones if the reason
    is gone; failed or invalid ones only with ``rerun_failed``. A record that was made before the same-work check had a
    result is replaced if the check fails.
    """
    if record is None or is_done_again(record):
        return False
    if is_refuted and record.validity != "invalid" and not is_proven(record.environment):
        return False
    if record.status == "skipped":
        return skip is not None
    if record.status in _RERUN_IF_ASKED or record.validity == "invalid":
        return not rerun_failed
    return True


def remaining(
    planned: Sequence[Invocation],
    records: Iterable[Record],
    *,
    rerun_failed: bool,
) -> tuple[Invocation, ...]:
    """Return the invocations that are left, each with the number of its next attempt."""
    known = {attempts.identity: attempts for attempts in gather_attempts(records)}
    left = []
    for invocation in planned:
        attempts = known.get(invocation.identity)
        record = None if attempts is None else attempts.current
        if not is_done(record, skip=invocation.skip, rerun_failed=rerun_failed, is_refuted=invocation.is_refuted):
            left.append(replace(invocation, attempt=1 if attempts is None else attempts.next_number))
    return tuple(left)


def find_repeats(
    planned: Sequence[Invocation], records: Iterable[Record], round_number: int, partners: Mapping[str, str]
) -> tuple[Invocation, ...]:
    """Return the invocations of a round to repeat: the disturbed ones, and those that they are compared with.

    ``partners`` maps identities to the latter. Each invocation is repeated at most once.
    """
    known = {attempts.identity: attempts for attempts in gather_attempts(records)}
    of_round = [each for each in planned if each.round == round_number and each.skip is None and each.identity in known]
    disturbed = {each.identity for each in of_round if known[each.identity].wants_repeat}
    beside = {
        partner
        for identity in disturbed
        if (partner := partners.get(identity)) in known and known[partner].measured and not known[partner].is_repeated
    }
    return tuple(
        replace(each, attempt=known[each.identity].next_number, is_repeat=True)
        for each in of_round
        if each.identity in disturbed | beside
    )


def coming_of(todo: Iterable[Invocation]) -> list[tuple[str, Prediction | None]]:
    """Return invocations as (case_id, prediction) for ``time_left.seconds_left``, without the skipped ones."""
    return [(each.case.case_id, each.predictions) for each in todo if each.skip is None]


def changed_digests(content: SessionContent, digests: HostDigests) -> list[str]:
    """Return, in words, what differs between a session and the current digests: such results must not be mixed."""
    changes = []
    if content.payload_digest not in ("", digests.payload_digest):
        changes.append("the benchmark's code (payload) has changed")
    before = content.image_digests.get(digests.host, "")
    if before not in ("", digests.image_digest):
        changes.append(
            f"the image on {digests.host} has changed ({before[:12]} before, {digests.image_digest[:12]} now)"
        )
    for name, fingerprint in digests.data.items():
        found = content.set_of(digests.host, name)
        known = None if found is None else found.fingerprint
        if known not in (None, fingerprint):
            others = [host for host in content.hosts if host != digests.host]
            if digests.host in content.hosts or not others:
                was = f"{known[:12]} before, {fingerprint[:12]} now"
            else:
                was = f"{fingerprint[:12]}, and {known[:12]} on {cap_list(others, 4)}, where this session measured it"
            changes.append(f"data set {name!r} on {digests.host} holds other files ({was})")
    return changes
