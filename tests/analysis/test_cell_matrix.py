# mypy: disable-error-code="union-attr"

from __future__ import annotations

from typing import Any

import pytest
from factory import plain_record

from harness.analysis.matrix import build_matrix
from harness.values.case import Case, ModelSetting
from harness.values.comparability import setting_key
from harness.values.record import Epoch, Record


def make(
    loader: str = "tfdata",
    cache: str = "none",
    *,
    rate: float = 100.0,
    number: int = 1,
    hardware: str = "hw #1",
    alias: Any = None,
    status: str = "ok",
    **case: Any,
) -> Record:
    case = {"data": "d", "mode": "train", "model": ModelSetting(), "epochs": 2, "memory_limit": 10**9, **case}
    found = Case(loader=loader, cache=cache, **case)
    epochs = tuple(Epoch(index=i, images=100, seconds=100 / rate, cpu_s=1.0) for i in (1, 2)) if status == "ok" else ()
    identity = f"{found.case_id}{number}{alias}"
    return plain_record(
        found, invocation=identity, hardware=hardware, alias=alias, round=number, status=status, epochs=epochs
    )


def rounds(*args: Any, **changes: Any) -> list[Any]:
    return [make(*args, number=number, **changes) for number in (1, 2, 3)]


def test_hardware_is_never_pooled() -> None:
    records = rounds("keras-idg", rate=50) + rounds(rate=100) + rounds("keras-idg", rate=10, hardware="hw #2")
    first, second = build_matrix(records)
    assert (first.hardware, second.hardware) == ("hw #1", "hw #2")
    assert first.settings[0].rows[1].comparison.ratio.value == pytest.approx(2.0)
    assert second.settings[0].rows[0].summary.steady_images_per_s.value == pytest.approx(10.0)


def test_a_ratio_is_taken_at_the_same_limit_and_setting_only() -> None:
    records = rounds("keras-idg", rate=50) + rounds(rate=100) + rounds(rate=300, memory_limit=2 * 10**9)
    records += rounds(rate=400, image_size=(64, 64))
    (group,) = build_matrix(records)
    compared = [row for setting in group.settings for row in setting.rows if row.comparison is not None]
    assert len(compared) == 1
    assert compared[0].summary.case.memory_limit == 10**9
    assert len(group.settings) == 2


@pytest.mark.parametrize(
    "baseline",
    [
        None,
        "keras-idg",
        {"loader": "keras-idg"},
        {"loader": ["keras-idg"], "mode": ["train"]},
        {"model": {"alpha": 1.0}},
    ],
)
def test_the_baseline_is_found_however_it_is_written(baseline: Any) -> None:
    (group,) = build_matrix(rounds("keras-idg", rate=50) + rounds(rate=100), baseline)
    assert group.settings[0].rows[0].is_baseline
    assert group.settings[0].rows[0].summary.case.loader == "keras-idg"


def test_a_baseline_that_names_another_pipeline() -> None:
    (group,) = build_matrix(rounds("keras-idg", rate=50) + rounds(rate=100), {"loader": "tfdata", "cache": "none"})
    row = next(row for row in group.settings[0].rows if row.summary.case.loader == "keras-idg")
    assert row.comparison.verdict.kind == "slower"


def test_no_ratio_where_the_baseline_died() -> None:
    (group,) = build_matrix(rounds("keras-idg", status="oom") + rounds(rate=100))
    assert [row.comparison for row in group.settings[0].rows] == [None, None]


def test_the_ceiling_is_no_row_and_tells_who_is_model_bound() -> None:
    records = rounds("keras-idg", rate=50) + rounds(rate=99) + rounds("ceiling", rate=100, memory_limit="none")
    records += rounds("ceiling", rate=500, batch_size=64, memory_limit="none")
    (group,) = build_matrix(records)
    (setting,) = group.settings
    assert setting.ceiling.steady_images_per_s.value == pytest.approx(100.0)
    assert [(row.summary.case.loader, row.model_bound) for row in setting.rows] == [
        ("keras-idg", False),
        ("tfdata", True),
    ]


def test_a_twin_is_a_row_of_its_own_and_never_the_baseline() -> None:
    records = rounds("keras-idg", rate=50) + rounds("keras-idg", rate=51, alias="b")
    (group,) = build_matrix(records)
    plain, twin = group.settings[0].rows
    assert plain.is_baseline and not twin.is_baseline
    assert twin.comparison.verdict.kind == "same"


def test_one_epoch_is_compared_by_its_first() -> None:
    (group,) = build_matrix(rounds("keras-idg", rate=50, epochs=1) + rounds(rate=100, epochs=1))
    assert group.settings[0].metric == "first"
    assert group.settings[0].rows[1].comparison.ratio.value == pytest.approx(2.0)


def test_limits_are_sorted_with_none_last() -> None:
    (group,) = build_matrix([make(memory_limit=limit) for limit in ("none", 5 * 10**9, 10**9)])
    assert group.settings[0].limits == [10**9, 5 * 10**9, "none"]


def test_a_setting_is_all_but_pipeline_and_limit() -> None:
    case = make().case
    assert setting_key(case) == setting_key(case.model_copy(update={"loader": "keras-idg", "memory_limit": "none"}))
    assert setting_key(case) != setting_key(case.model_copy(update={"shuffle": False}))
