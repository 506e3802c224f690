"""Where the time of an image goes: the model, preparation, fetch; like held against like."""

# mypy: disable-error-code="comparison-overlap"

from __future__ import annotations

import pytest
from factory import plain_record

from harness.analysis.input_cost import InputCost, split_costs
from harness.analysis.matrix import HardwareGroup, build_matrix
from harness.analysis.stalls import warm_twin
from harness.values.case import Case, ModelSetting
from harness.values.record import WARM_RUN, Epoch, Record

TRAIN = Case(data="d", loader="tfdata", mode="train", model=ModelSetting())
CEILING = Case(data="d", loader="ceiling", mode="train", model=ModelSetting())
NEEDED = 10**9


def make(case: Case, rates: tuple[float, ...], *, read: tuple[int, ...] = (0, 0), alias: str | None = None) -> Record:
    """1,000 images an epoch at so many a second; ``read`` bytes of 1 GB from storage."""
    epochs = tuple(
        Epoch(index=index, images=1000, seconds=1000 / rate, bytes_read=count, bytes_needed=NEEDED)
        for index, (rate, count) in enumerate(zip(rates, read, strict=False), start=1)
    )
    return plain_record(case, engine="docker", invocation=f"{case.case_id}{alias}", alias=alias, epochs=epochs)


def costs_of(*records: Record) -> tuple[HardwareGroup, list[InputCost]]:
    (group,) = build_matrix([make(CEILING, (90.0, 100.0)), *records])
    (setting,) = group.settings
    return group, split_costs(group, setting)


def test_only_the_first_epoch_is_cold_so_only_it_is_told_apart() -> None:
    group, (steady, first) = costs_of(
        make(TRAIN, (40.0, 80.0), read=(NEEDED, 0)), make(warm_twin(TRAIN), (50.0, 80.0), alias=WARM_RUN)
    )
    assert [len(setting.rows) for setting in group.warm_runs] == [1]  # and no setting of its own to be advised on
    assert (steady.which, steady.stalls.bound, steady.read_share) == ("steady", "moderately input-bound", 0.0)
    assert steady.parts_s == (pytest.approx(0.010), None, None, pytest.approx(0.0025))
    assert (first.which, first.stalls.bound) == ("first", "input-bound")
    model_s, preparation_s, fetch_s, input_s = first.parts_s
    assert (model_s, preparation_s, fetch_s) == (pytest.approx(0.010), pytest.approx(0.010), pytest.approx(0.005))
    assert input_s == pytest.approx(0.015)
    assert first.read_bytes_s == pytest.approx(NEEDED / 25)


def test_where_every_epoch_is_cold_the_steady_ones_are_told_apart() -> None:
    cold = TRAIN.model_copy(update={"page_cache": "cold"})
    _, (steady,) = costs_of(
        make(cold, (30.0, 40.0), read=(NEEDED, NEEDED)), make(warm_twin(cold), (45.0, 50.0), alias=WARM_RUN)
    )
    assert (steady.which, steady.stalls.fetch) == ("steady", pytest.approx(1 - 40 / 50))
    assert (steady.read_share, steady.read_bytes_s) == (1.0, pytest.approx(NEEDED / 25))


def test_a_warm_case_that_was_asked_for_serves_as_well_and_is_shown() -> None:
    (group,) = build_matrix(
        [make(CEILING, (90.0, 100.0)), make(TRAIN, (40.0, 80.0)), make(warm_twin(TRAIN), (50.0, 80.0))]
    )
    assert (len(group.settings), group.warm_runs) == (2, ())
    cold = next(setting for setting in group.settings if setting.case.page_cache != "warm")
    assert [cost.stalls.fetch for cost in split_costs(group, cold)] == [None, pytest.approx(1 - 40 / 50)]


def test_without_a_ceiling_nothing_is_said() -> None:
    (group,) = build_matrix([make(TRAIN, (40.0, 80.0))])
    assert split_costs(group, group.settings[0]) == []
