"""Experiments, damaged, through all of ``harness plan``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from fuzzing import damaged_values, dump_json, fuzzed, fuzzed_with_fewer, one_case, refusal_of, run_command
from hypothesis import given
from hypothesis import strategies as st

from harness.experiment import expand, load_experiment

INVENTORY = """\
all:
  hosts:
    here:
      ansible_connection: local
      harness: {data: {mini: {generate: {profile: coco, images: 200, seed: 1}}, coco: {folder: /nowhere}}}
"""
GOOD: dict[str, Any] = {
    "name": "e",
    "description": "what it answers",
    "parameters": {
        "data": "mini",
        "mode": "train",
        "loader": ["tfdata", "keras-idg"],
        "cache": ["none", "x.tfcache"],
        "memory_limit": ["16GB"],
        "model": [{"name": "mobilenet", "alpha": 0.5, "weights": "imagenet"}],
        "image_size": ["256x320"],
        "batch_size": 32,
        "cpus": "auto",
        "gpus": 0,
        "max_images": "all",
        "shuffle": True,
    },
    "exclude": [{"loader": "keras-idg", "cache": "memory"}],
    "include": [{"loader": "grain", "epochs": 3}],
    "rounds": 3,
    "seed": 1,
    "baseline": {"loader": "keras-idg"},
    "timeout": "2h",
    "budget": "1d",
}


@pytest.fixture(scope="module")
def inventory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("inventory") / "hosts.yaml"
    path.write_text(INVENTORY)
    return path


@fuzzed
@given(damaged_values(GOOD))
def test_experiment(value: Any) -> None:
    with one_case() as folder:
        (folder / "e.yaml").write_bytes(dump_json(value))
        refusal_of(lambda: expand(load_experiment(str(folder / "e.yaml"))))


@pytest.mark.slow
@fuzzed_with_fewer
@given(damaged_values(GOOD, most=2), st.booleans())
def test_plan(inventory: Path, value: Any, as_json: bool) -> None:
    with one_case() as folder:
        (folder / "e.yaml").write_bytes(dump_json(value))
        words = ["plan", str(inventory), "--experiment", str(folder / "e.yaml"), "--offline"]
        run_command(*words, "--output", str(folder), *(["--json"] if as_json else [])).assert_plain()
