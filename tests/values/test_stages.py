"""What a host says of stages is bounded, and what of it may be shown follows from its sum."""

from __future__ import annotations

from typing import Any

import pytest
from factory import plain_record
from pydantic import ValidationError

from harness.values.case import Case
from harness.values.record import Record
from harness.values.stages import PassCosts, StageCosts


def make(whole: float, **stages: float) -> PassCosts:
    said = [{"name": name, "cpu_s": seconds} for name, seconds in stages.items()]
    return PassCosts.model_validate({"cpu_s": whole, "stages": said})


def test_what_is_missing_to_the_whole_is_named_from_a_tenth_on() -> None:
    assert make(10.0, read=1.0, decode=8.5).parts_s() == {"read": 1.0, "decode": 8.5}
    assert make(10.0, read=1.0, decode=7.0).parts_s() == {"read": 1.0, "decode": 7.0, "other": 2.0}
    assert make(10.0, read=1.0, decode=9.9).parts_s() == {"read": 1.0, "decode": 9.9}, "noise"
    assert make(10.0, read=1.0, decode=11.0).parts_s() == {}, "more than noise: they are not told apart"
    assert make(10.0).parts_s() == {} and not make(10.0).is_told_apart


@pytest.mark.parametrize(
    "wrong",
    [
        {"cpu_s": -1.0},
        {"cpu_s": float("nan")},
        {"cpu_s": 1.0, "stages": [{"name": "think", "cpu_s": 1.0}]},
        {"cpu_s": 1.0, "stages": [{"name": "read", "cpu_s": 1.0}, {"name": "read", "cpu_s": 1.0}]},
        {"cpu_s": 1.0, "stages": [{"name": "read", "cpu_s": 1e9}]},
        {"cpu_s": 1.0, "more": 1},
    ],
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        StageCosts.model_validate({"images": 9, "rounds": 3, "steady": wrong})


@pytest.mark.parametrize(
    "wrong", [{"name": "x" * 200}, {"elements": -1}, {"bytes": 2**60}, {"elapsed_s": float("inf")}, {"parallelism": -1}]
)
def test_operations_of_tf_data_are_bounded(wrong: dict[str, Any]) -> None:
    node = {"name": "Map", "elements": 9, "elapsed_s": 1.0, "bytes": 12, "parallelism": 2.0}
    whole = {"images": 9, "rounds": 3, "steady": {"cpu_s": 1.0}}
    assert StageCosts.model_validate({**whole, "nodes": [node]}).nodes
    with pytest.raises(ValidationError):
        StageCosts.model_validate({**whole, "nodes": [{**node, **wrong}]})
    with pytest.raises(ValidationError):
        StageCosts.model_validate({**whole, "nodes": [node] * 201})


def test_a_record_outlives_costs_in_another_form() -> None:
    costs = StageCosts(images=9, rounds=3, steady=make(1.0, read=1.0))
    record = plain_record(Case(data="d", loader="tfdata"), stages=costs)
    line = record.model_dump(mode="json")
    assert Record.model_validate(line).stages == costs
    assert Record.model_validate({**line, "stages": {"of": "another version"}}).stages is None
    del line["stages"]
    assert Record.model_validate(line).stages is None, "of a session that did not look for them"
