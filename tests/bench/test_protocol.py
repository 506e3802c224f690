"""A request is the same on both sides, and what is no request at all has the defaults of each part."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from harness.bench.measure.measure_request import ModelSetting, parse_model, read_request
from harness.bench.protocol.failure import BenchmarkFailure
from harness.bench.protocol.protocol import REQUEST, Limits, Request, write_json
from harness.bench.protocol.protocol import read_request as read_any


def test_a_request_is_read_as_it_was_written(tmp_path: Path) -> None:
    asked = Request(
        "rehearse",
        Limits(2**30, (0, 3), ("GPU-1f",), 1000),
        timeout_s=90.5,
        seed=7,
        paths={"data": "/data"},
        shown={"data": "/home/u/pets"},
        said={"settings": [{"key": "a"}], "links": True},
    )
    write_json(tmp_path / REQUEST, asked.as_fields())
    assert read_any(tmp_path) == asked


@pytest.mark.parametrize("text", ["", "{", "[1]", '{"limits": 3, "paths": [], "timeout_s": "x", "seed": null}'])
def test_what_cannot_be_read_has_its_default(tmp_path: Path, text: str) -> None:
    (tmp_path / REQUEST).write_text(text)
    assert read_any(tmp_path) == Request("")


def test_a_case_that_makes_no_sense_is_refused_in_words(tmp_path: Path) -> None:
    case = {"loader": "tfdata", "batch_size": "many"}
    write_json(tmp_path / REQUEST, Request("measure", said={"case": case, "data": {"kind": "folder"}}).as_fields())
    with pytest.raises(BenchmarkFailure, match="`batch_size` is 'many', not a whole number"):
        read_request(tmp_path)


def test_a_model_is_read_with_its_defaults() -> None:
    assert parse_model(None) is None
    assert parse_model({"name": "emulated", "step_seconds": 1}) == ModelSetting("emulated", step_seconds=1.0)


def test_the_supervisor_pays_for_no_dataclasses() -> None:
    code = "import harness.bench.supervisor.supervisor, sys; print('dataclasses' in sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
