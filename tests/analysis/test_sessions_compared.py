"""Two sessions, before and after."""

from __future__ import annotations

import pytest
from scipy import stats

from harness.analysis.sessions_compared import compare_sessions, estimate_independent_ratio
from harness.values.case import Case
from harness.values.record import Epoch, Record

CASE = Case(data="d", loader="tfdata")


def _record(round_number: int, rate: float, *, case: Case = CASE, host: str = "a", **fields: object) -> Record:
    epochs = tuple(Epoch(index=index, images=100, seconds=100 / rate) for index in (1, 2))
    values: dict = {
        "session": "s", "experiment": "e", "invocation": f"{host}{case.case_id}{round_number}", "attempt": 1,
        "host": host,
        "hardware": "h", "engine": "process", "image_digest": "i", "payload_digest": "p", "data_fingerprint": "f",
        "case": case, "case_id": case.case_id, "round": round_number, "order": 0, "status": "ok", "epochs": epochs,
        "environment": {"tensorflow": "2.20.0", "budgets": {}},
    }  # fmt: skip
    return Record(**{**values, **fields})


def test_welchs_interval_is_scipys():
    import math

    new, old = [100.0, 110.0, 105.0, 99.0], [80.0, 95.0, 70.0]
    ratio = estimate_independent_ratio(new, old)
    found = stats.ttest_ind([math.log(x) for x in new], [math.log(x) for x in old], equal_var=False)
    wide = found.confidence_interval(0.95)
    assert ratio.value == pytest.approx(math.exp(sum(map(math.log, new)) / 4 - sum(map(math.log, old)) / 3))
    assert ratio.low <= math.exp(wide.low) and ratio.high >= math.exp(wide.high)  # whole degrees of freedom: wider
    assert ratio.low == pytest.approx(math.exp(wide.low), rel=0.2)
    assert estimate_independent_ratio([2.0], [1.0]).low is None
    assert estimate_independent_ratio([], [1.0]) is None


def test_faster_slower_and_what_changed():
    slow = Case(data="d", loader="keras-idg")
    gone, come = Case(data="d", loader="grain"), Case(data="d", loader="decoder")
    old = [_record(n, 100 + n) for n in range(4)] + [_record(n, 50 + n / 9, case=slow) for n in range(4)]
    new = [_record(n, 150 + n, environment={"tensorflow": "2.21.0"}) for n in range(4)]
    new += [_record(n, 30 + n / 9, case=slow, environment={"tensorflow": "2.21.0"}) for n in range(4)]
    new += [_record(n, 1, alias="b") for n in range(4)]
    compared = compare_sessions([*old, _record(1, 5, case=gone)], [*new, _record(1, 5, case=come)])
    assert {change.case.loader: change.verdict.kind for change in compared.changes} == {
        "tfdata": "faster",
        "keras-idg": "slower",
    }
    assert compared.only_old == (("a", gone),)
    assert compared.only_new == (("a", come),)
    assert ("a", "tensorflow", "2.20.0", "2.20.0, 2.21.0") in compared.surroundings or (
        "a", "tensorflow", "2.20.0", "2.21.0",
    ) in compared.surroundings  # fmt: skip


def test_a_status_that_changed_has_no_ratio():
    compared = compare_sessions([_record(1, 5)], [_record(1, 5, status="oom", epochs=())])
    assert (compared.changes[0].old_status, compared.changes[0].new_status) == ("ok", "oom")
    assert compared.changes[0].ratio is None
    assert compared.surroundings == ()
