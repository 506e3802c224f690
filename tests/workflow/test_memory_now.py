"""Memory is looked for again: before a case is refused (the job before gives its own back a little later), and after
image and data were shipped."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from harness.session import admission
from harness.values.case import Case
from harness.workflow.run import preparing

CASE = Case(data="d", loader="tfdata", cache="none")


def refuse(monkeypatch: pytest.MonkeyPatch, free: list[int]) -> tuple[str | None, list[int]]:
    """What is said of a case of 100 bytes on a host where so many are free, look by look, one second apart."""
    now, left = [0.0], list(free)
    monkeypatch.setattr("harness.session.admission.time.monotonic", lambda: now[0])
    monkeypatch.setattr("harness.session.admission.time.sleep", lambda seconds: now.__setitem__(0, now[0] + seconds))
    monkeypatch.setattr(admission, "read_available_bytes", lambda _: left.pop(0) if len(left) > 1 else left[0])
    setup: Any = SimpleNamespace(connection=None, facts=SimpleNamespace(disks={}))
    invocation: Any = SimpleNamespace(memory_bytes=100, case=CASE, predictions={})
    return admission.refuse_now(setup, invocation), left


def test_memory_that_becomes_free_in_time_refuses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    said, left = refuse(monkeypatch, [50, 80, 99, 100, 7])
    assert said is None
    assert left == [7]


def test_memory_that_stays_taken_refuses_the_case_with_both_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    said, _ = refuse(monkeypatch, [50])
    assert said is not None and said.startswith("only 50 B of memory are free now, its limit is 100 B: ")
    assert "stop what uses memory there" in said, "a skipped case says what to do"


@pytest.mark.parametrize(
    ("before", "now", "left"), [(1000, 700, 600), (1000, 1100, 900), (1000, None, 900), (1000, 50, 0)]
)
def test_no_limit_allows_what_shipping_has_left(
    monkeypatch: pytest.MonkeyPatch, before: int, now: int | None, left: int
) -> None:
    monkeypatch.setattr(preparing, "read_available_bytes", lambda _: now)
    reached: Any = SimpleNamespace(
        facts=SimpleNamespace(available_bytes=before), connection=None, memory_available=before - 100
    )
    assert preparing.memory_left(reached) == left
