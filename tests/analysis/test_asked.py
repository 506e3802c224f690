"""Nothing that a record asks for differs from what ran without a finding."""

from __future__ import annotations

from typing import Any

import pytest
from factory import plain_record

from harness.analysis.rules import asked as rule
from harness.analysis.validity import judge_record
from harness.bench.protocol.specs import NEW_ORDER, OWN_ORDER
from harness.values.case import Case, ModelSetting
from harness.values.record import Epoch, Finding, Memory, Record, SetSize

SET = 1399
FROZEN = "one permutation, frozen by the cache"
ORDERED = f"a new order in each epoch requested, but the order was: {FROZEN}"


def make(case: dict[str, Any], environment: dict[str, Any], **changes: Any) -> Record:
    asked = Case(**{"data": "d", "loader": "tfdata", **case})
    count = min(SET, asked.max_images or SET)
    epochs = tuple(
        Epoch(index=index, images=count, seconds=9.0, steps=-(-count // asked.batch_size))
        for index in range(1, asked.epochs + 1)
    )
    around: dict[str, Any] = {
        "offered": {"cpus": 8, "gpus": 0},
        "cpu_affinity": list(range(asked.cpus or 8)),
        "devices": {"gpus": [], "matmul_device": "CPU:0"},
        "order": NEW_ORDER,
        "ran": {"image_size": list(asked.image_size), "precision": asked.precision, "xla": True},
        **environment,
    }
    fields: dict[str, Any] = {
        "engine": "docker",
        "evidence": {"engine_warnings": []},
        "epochs": epochs,
        "environment": around,
        "memory": Memory(limit_asked=10**9, limit_effective=10**9, swap_limit=10**9, swap_used=0),
        "set_size": SetSize(images=SET),
    }
    return plain_record(asked, **{**fields, **changes})


def found(record: Record) -> list[Finding]:
    return list(rule.judge(record, None, ()))


TRAIN: dict[str, Any] = {"mode": "train", "model": ModelSetting()}
EPOCH = Epoch(index=1, images=SET, seconds=9.0)


@pytest.mark.parametrize(
    ("case", "environment", "changes"),
    [
        ({}, {}, {}),
        ({"cpus": 4}, {}, {}),
        ({"max_images": 300}, {}, {}),
        ({"batch_size": 2000}, {}, {}),
        (TRAIN, {}, {}),
        ({**TRAIN, "gpus": 1}, {"devices": {"gpus": ["RTX"]}, "offered": {"cpus": 8, "gpus": 1}}, {}),
        (TRAIN, {"devices": {"gpus": ["RTX"]}, "offered": {"cpus": 8, "gpus": 1}}, {}),
        ({"shuffle": False}, {"order": "by path"}, {}),
        ({"deliver": "uint8"}, {"ran": {"deliver": "uint8"}}, {}),
        ({**TRAIN, "loader": "ceiling"}, {"order": "one batch, repeated"}, {}),
        # Records of earlier versions, of loaders of one's own, and of jobs that did not get so far, say nothing.
        ({}, {"offered": None, "cpu_affinity": None, "devices": None, "order": None, "ran": None}, {}),
        ({}, {"order": OWN_ORDER, "ran": {"image_size": [None, None]}}, {}),
        ({"epochs": 3}, {}, {"status": "oom", "epochs": (EPOCH,)}),
        ({"workers": 4, "shuffle_buffer": 100}, {"ran": {"workers": 4}, "mixing": {"buffer": 100}}, {}),
        ({"cache": "file", "shuffle_buffer": 5000}, {"mixing": {"buffer": 1399}, "order": NEW_ORDER}, {}),
        ({}, {}, {"epochs": (EPOCH, EPOCH), "set_size": None}),
    ],
)
def test_what_ran_as_asked_has_no_finding(
    case: dict[str, Any], environment: dict[str, Any], changes: dict[str, Any]
) -> None:
    assert found(make(case, environment, **changes)) == []


@pytest.mark.parametrize(
    ("case", "environment", "changes", "words"),
    [
        ({"cpus": 64}, {"cpu_affinity": [0, 1, 2, 3, 4, 5, 6, 7]}, {}, "64 CPUs requested, but it ran on 8"),
        ({}, {"offered": {"cpus": 1}}, {}, "1 CPU requested, but it ran on 8"),  # a cap that the engine does not hold
        ({**TRAIN, "gpus": 2}, {"devices": {"gpus": ["RTX"]}}, {}, "2 GPUs requested, but it ran on 1"),
        (TRAIN, {"offered": {"cpus": 8, "gpus": 1}}, {}, "all 1 GPUs of the host requested, but training used 0"),
        ({"epochs": 3}, {}, {"epochs": (EPOCH,)}, "3 epochs requested, but 1 ran"),
        (
            {"epochs": 1}, {}, {"epochs": (EPOCH.model_copy(update={"images": 1024}),)},
            "1,399 images per epoch expected, but it had 1,024",
        ),
        (
            {"epochs": 1, "batch_size": 32}, {}, {"epochs": (EPOCH.model_copy(update={"steps": 22}),)},
            "batches of 32 requested, but they had about 64 images",
        ),
        ({}, {"ran": {"image_size": [128, 128]}}, {}, "images of 256 × 256 requested, but they were 128 × 128"),
        (
            {**TRAIN, "precision": "mixed_float16"}, {"ran": {"precision": "float32"}}, {},
            "precision mixed_float16 requested, but the model used float32",
        ),
        ({"mode": "train", "model": ModelSetting(xla=False)}, {}, {}, "xla false requested, but it was true"),
        ({"workers": 4}, {"ran": {"workers": 2}}, {}, "4 workers requested, but the loader has 2"),
        (
            {"shuffle_buffer": 100}, {"mixing": {"buffer": 1399}}, {},
            "a shuffle buffer of 100 images requested, but it had 1,399",
        ),
        (
            {"deliver": "uint8"},
            {"ran": {"deliver": "float32"}},
            {},
            "batches of uint8 requested, but they were float32",
        ),
    ],
)  # fmt: skip
def test_figures_that_are_not_those_of_the_case_are_invalid(
    case: dict[str, Any], environment: dict[str, Any], changes: dict[str, Any], words: str
) -> None:
    record = make(case, environment, **changes)
    (one,) = found(record)
    assert (one.id, one.severity, one.message) == ("asked-differs", "error", words)
    validity, findings = judge_record(record)
    assert validity == "invalid" and one in findings


@pytest.mark.parametrize(
    ("case", "environment", "words"),
    [
        ({"max_images": 5000}, {}, "max_images is 5,000, but the set has 1,399: all of them ran"),
        (
            TRAIN, {"devices": {"gpus": ["RTX"]}, "offered": {"cpus": 8, "gpus": 2}},
            "all 2 GPUs of the host requested, but training used 1",
        ),
        ({"cache": "memory"}, {"order": FROZEN}, ORDERED),
        (
            {"loader": "tests/own.py:make"}, {"budgets": {"applied_to_loader": False}},
            "budgets of the container requested, but the loader ignores them",
        ),
    ],
)  # fmt: skip
def test_what_a_reader_must_know_leaves_figures_valid(
    case: dict[str, Any], environment: dict[str, Any], words: str
) -> None:
    (one,) = found(make(case, environment))
    assert (one.id, one.severity, one.message) == ("asked-differs", "info", words)


def test_all_differences_are_one_finding_with_the_worst_grade() -> None:
    record = make({"max_images": 5000, "cpus": 4}, {"cpu_affinity": [0]})
    (one,) = found(record)
    assert one.severity == "error"
    message = "4 CPUs requested, but it ran on 1; max_images is 5,000, but the set has 1,399: all of them ran"
    assert one.message == message
