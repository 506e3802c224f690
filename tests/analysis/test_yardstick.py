"""The distance to the yardstick."""

# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

import pytest
from factory import plain_record

from harness.analysis.yardstick import measure_nearness
from harness.values.case import Case
from harness.values.record import Epoch, Record


def _record(case: Case, cpu_s: float, **fields: object) -> Record:
    return plain_record(case, epochs=(Epoch(index=1, images=100, seconds=1.0, cpu_s=cpu_s),), **fields)


def test_a_case_is_held_against_the_yardstick_of_its_own_setting() -> None:
    near, far = Case(data="d", loader="tfdata"), Case(data="d", loader="keras-idg")
    other, mark = Case(data="d", loader="tfdata", image_size=(128, 128)), Case(data="d", loader="decoder")
    found = measure_nearness(
        [_record(mark, 0.2), _record(near, 0.25), _record(far, 0.4), _record(other, 0.1), _record(far, 9, status="oom")]
    )
    assert [(each.case.loader, pytest.approx(each.share)) for each in found] == [
        ("decoder", 1.0),
        ("tfdata", 0.8),
        ("keras-idg", 0.5),
    ]
    assert measure_nearness([_record(near, 0.25)]) == ()
