"""A case and its identity: a changed identity makes every old session start again."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from harness.values.case import Case, ModelSetting, invocation_identity
from harness.values.digest import canonical_json, digest_of

PLAIN = Case(data="coco", loader="tfdata")
TRAINING = Case(data="coco", loader="keras-idg", mode="train", model=ModelSetting(alpha=0.25), memory_limit=16 * 10**9)
PLACE: dict[str, Any] = {
    "image_digest": "sha256:i",
    "payload_digest": "p",
    "data_fingerprint": "d",
    "case": PLAIN,
    "alias": None,
    "host": "ws01",
    "round_number": 1,
}


def test_identities_are_what_they_were() -> None:
    # Golden: where one of these changes, no session of an earlier version can be resumed. Say so in the change log.
    assert PLAIN.case_id == "57bc344835b3"
    assert TRAINING.case_id == "a1a14ec466e6"
    assert invocation_identity(**PLACE) == "dc50ab150f7d9c32"


def test_identities_do_not_depend_on_the_process() -> None:
    code = "from harness.values.case import Case; print(Case(data='coco', loader='tfdata').case_id)"
    outs = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert outs == {PLAIN.case_id}


def test_what_is_written_out_is_the_same_case_as_what_is_left_out() -> None:
    assert Case.model_validate(PLAIN.model_dump(mode="json")).case_id == PLAIN.case_id
    assert Case(loader="tfdata", data="coco", cache="none", batch_size=32).case_id == PLAIN.case_id


@pytest.mark.parametrize(
    "change",
    [
        {"data": "x"}, {"loader": "x"}, {"cache": "file"}, {"element": "uint8"}, {"cache_disk": "x"},
        {"cache_reuse": "reused"}, {"page_cache": "cold"}, {"memory_limit": 1}, {"mode": "train"},
        {"model": ModelSetting()}, {"image_size": (1, 2)}, {"interpolation": "native"}, {"batch_size": 1},
        {"epochs": 3}, {"cpus": 1}, {"gpus": 0}, {"budgets": "default"}, {"shuffle": False}, {"augment": "flip-crop"},
        {"deterministic": False}, {"precision": "mixed_float16"}, {"max_images": 5},
        {"decoding": "scaled"}, {"cache_compression": "gzip"}, {"deliver": "uint8"},
        {"workers": 0}, {"shuffle_buffer": "full"},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_parameter_counts(change: Any) -> None:
    assert PLAIN.model_copy(update=change).case_id != PLAIN.case_id


def test_no_parameter_is_forgotten_by_the_test_above() -> None:
    assert len(Case.model_fields) == 27


@pytest.mark.parametrize(
    "change",
    [
        {"image_digest": "x"}, {"payload_digest": "x"}, {"data_fingerprint": "x"}, {"case": TRAINING}, {"alias": "b"},
        {"host": "ws02"}, {"round_number": 2},
    ],
    ids=lambda change: next(iter(change)),
)  # fmt: skip
def test_every_part_of_an_invocation_counts(change: Any) -> None:
    assert invocation_identity(**{**PLACE, **change}) != invocation_identity(**PLACE)


def test_a_case_cannot_change_nor_hold_what_is_unknown() -> None:
    with pytest.raises(ValidationError):
        PLAIN.loader = "other"  # type: ignore[misc]
    with pytest.raises(ValidationError):
        Case(data="coco", loader="tfdata", colour="red")  # type: ignore[call-arg]


@given(st.dictionaries(st.text(), st.integers() | st.text() | st.none()))
def test_canonical_json_does_not_know_the_order(value: Any) -> None:
    assert canonical_json(dict(reversed(value.items()))) == canonical_json(value)
    assert digest_of(value) == digest_of(dict(value))


def test_canonical_json_has_no_nan() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json(float("nan"))
