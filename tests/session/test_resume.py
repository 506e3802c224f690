"""What a second run of the same command does: the table of resuming, and properties over any history."""

from __future__ import annotations

from typing import Any

from factory import record_of
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.findings import find
from harness.analysis.selection import current_records
from harness.records.content import SessionContent, SessionDataSet
from harness.session.invocations import HostDigests, Refusal, changed_digests, is_done, plan_host, remaining
from harness.values.case import Case
from harness.values.record import Record

CASES = (Case(data="d", loader="tfdata"), Case(data="d", loader="keras-idg"))
DIGESTS = HostDigests("h", "1" * 64, "2" * 64, {"d": "3" * 64})
STATUSES = ("ok", "oom", "timeout", "disk_full", "error", "lost", "skipped")
VALIDITIES = ("valid", "degraded", "invalid")


def plan(rounds: int = 2, skip: str | None = None) -> Any:
    refusals = [Refusal(CASES[0].case_id, skip)] if skip else []
    return plan_host(
        DIGESTS, CASES, rounds=rounds, order=lambda given, _n: given, limits={}, predictions={}, refusals=refusals
    )


def record(invocation: Any, status: str, validity: str = "valid", attempt: int = 1) -> Record:
    return record_of(invocation, attempt=attempt, status=status, validity=validity)


def test_the_table_of_resuming() -> None:
    (first, *_) = plan(1)
    again = {
        (status, validity, rerun): not is_done(record(first, status, validity), skip=None, rerun_failed=rerun)
        for status in STATUSES
        for validity in ("valid", "invalid")
        for rerun in (False, True)
    }
    done_again_always = {key[:2] for key, value in again.items() if value and not key[2]}
    assert done_again_always == {("lost", "valid"), ("lost", "invalid"), ("skipped", "valid"), ("skipped", "invalid")}
    only_if_asked = {key[:2] for key, value in again.items() if value and key[2]} - done_again_always
    assert only_if_asked == {
        ("error", "valid"), ("timeout", "valid"), ("disk_full", "valid"),
        ("ok", "invalid"), ("oom", "invalid"), ("error", "invalid"), ("timeout", "invalid"), ("disk_full", "invalid"),
    }  # fmt: skip


def test_what_was_paused_is_done_again_by_the_same_command() -> None:
    (first, *_) = plan(1)
    paused = record(first, "ok", "invalid").model_copy(update={"findings": (find("host-paused", "x", "y"),)})
    assert not is_done(paused, skip=None, rerun_failed=False)
    assert [each.attempt for each in remaining([first], [paused], rerun_failed=False)] == [2]


def test_skipped_is_not_done_again_while_its_reason_stands() -> None:
    (first, *_) = plan(1, skip="no room")
    assert first.skip == "no room"
    assert is_done(record(first, "skipped"), skip="no room", rerun_failed=True)
    assert not is_done(record(first, "skipped"), skip=None, rerun_failed=False)


@given(st.data())
def test_any_history_leaves_each_invocation_settled_or_to_do(data: st.DataObject) -> None:
    planned = plan(rounds=data.draw(st.integers(1, 3)))
    records = []
    for invocation in planned:
        for attempt in range(1, data.draw(st.integers(0, 3)) + 1):
            status, validity = data.draw(st.sampled_from(STATUSES)), data.draw(st.sampled_from(VALIDITIES))
            records.append(record(invocation, status, validity, attempt))
    rerun = data.draw(st.booleans())
    shuffled = data.draw(st.permutations(records))
    todo = remaining(planned, shuffled, rerun_failed=rerun)
    newest = current_records(shuffled)
    assert [item.identity for item in todo] == [
        item.identity for item in planned if not is_done(newest.get(item.identity), skip=None, rerun_failed=rerun)
    ]
    for item in todo:
        assert item.attempt == max((one.attempt for one in records if one.invocation == item.identity), default=0) + 1
    finished = [*records, *(record(item, "ok", attempt=item.attempt) for item in todo)]
    assert remaining(planned, finished, rerun_failed=rerun) == ()


@given(st.integers(1, 4), st.integers(1, 4))
def test_more_rounds_continue_what_is_there(before: int, more: int) -> None:
    records = [record(item, "ok") for item in plan(before)]
    todo = remaining(plan(before + more), records, rerun_failed=False)
    assert {item.round for item in todo} == set(range(before + 1, before + more + 1))


def test_identities_differ_by_everything_that_they_name() -> None:
    identities = {item.identity for item in plan(3)}
    assert len(identities) == 6
    other = HostDigests("h", "9" * 64, "2" * 64, {"d": "3" * 64})
    changed = plan_host(other, CASES, rounds=3, order=lambda given, _n: given, limits={}, predictions={})
    assert identities.isdisjoint({item.identity for item in changed})


def test_what_must_not_be_mixed_is_named() -> None:
    data = {"d": SessionDataSet(fingerprint="3" * 64)}
    session = SessionContent(payload_digest="2" * 64, image_digests={"h": "1" * 64}, data=data)
    assert changed_digests(session, DIGESTS) == changed_digests(SessionContent(), DIGESTS) == []
    changes = changed_digests(session, HostDigests("h", "8" * 64, "9" * 64, {"d": "7" * 64}))
    assert len(changes) == 3
    assert "payload" in changes[0]
    assert "image" in changes[1]
    assert "'d'" in changes[2]
