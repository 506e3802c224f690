"""Which invocations may be believed."""

from __future__ import annotations

import pytest

from harness.analysis.validity import FINDING_IDS, judge_validity
from harness.values.record import Memory

GOOD = Memory(limit_asked=10**9, limit_effective=10**9 // 4096 * 4096, swap_used=0, peak_anon=5 * 10**8)
OUTCOME = {
    "memory": {"swap_limit": 10**9},
    "supervisor": {"cpu_s": 0.05, "anon_bytes": 7 * 10**6},
    "wall_s": 20.0,
    "page_cache": {"unproven": None},
}


def judge(memory=GOOD, outcome=OUTCOME, warnings=(), cache_bytes=None, predicted=None):
    validity, findings = judge_validity(
        memory, outcome=outcome, warnings=warnings, cache_bytes=cache_bytes, predicted_bytes=predicted
    )
    assert all(finding.id in FINDING_IDS and finding.hint for finding in findings)
    return validity, [finding.id for finding in findings]


def test_a_sound_one_is_valid() -> None:
    assert judge() == ("valid", [])
    assert judge(cache_bytes=10_050, predicted=10_000) == ("valid", [])


@pytest.mark.parametrize(
    ("changes", "validity", "finding"),
    [
        ({"memory": GOOD.model_copy(update={"limit_effective": 2 * 10**9})}, "invalid", "limit-not-enforced"),
        ({"memory": GOOD.model_copy(update={"limit_effective": None})}, "invalid", "limit-unproven"),
        (
            {"warnings": ["Your kernel does not support memory limit capabilities. Limitation discarded."]},
            "invalid",
            "limit-not-enforced",
        ),
        ({"memory": GOOD.model_copy(update={"swap_used": 4096})}, "degraded", "swap-used"),
        (
            {"memory": GOOD.model_copy(update={"swap_used": None}), "outcome": {**OUTCOME, "memory": {}}},
            "degraded",
            "swap-unaccounted",
        ),
        ({"warnings": ["something else was not done"]}, "degraded", "engine-warning"),
        ({"outcome": {**OUTCOME, "page_cache": {"unproven": "nfs"}}}, "valid", "page-cache-unproven"),
        ({"cache_bytes": 12_000, "predicted": 10_000}, "degraded", "cache-size-off"),
        ({"outcome": {**OUTCOME, "supervisor": {"cpu_s": 1.0, "anon_bytes": 10**6}}}, "degraded", "supervisor-heavy"),
        ({"outcome": {**OUTCOME, "supervisor": {"cpu_s": 0.0, "anon_bytes": 10**8}}}, "degraded", "supervisor-heavy"),
    ],
)
def test_finding(changes, validity: str, finding: str) -> None:
    assert judge(**changes) == (validity, [finding])


def test_missing_swap_accounting_is_forgiven_where_no_swap_was_used() -> None:
    assert judge(outcome={**OUTCOME, "memory": {}}) == ("valid", [])
