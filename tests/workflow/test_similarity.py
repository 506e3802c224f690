"""An emulated accelerator like a host's."""

# mypy: disable-error-code="union-attr"

from __future__ import annotations

import json
from pathlib import Path

import pytest
from factory import plain_record

from harness.experiment import expand
from harness.experiment.experiment_file import parse_experiment
from harness.values.case import Case, ModelSetting
from harness.values.errors import ConfigurationError
from harness.values.names import name_model
from harness.values.record import Epoch
from harness.workflow.resolve import fill_paces

TEXT = "parameters: {data: d, mode: train, loader: tfdata, model: {name: emulated, like: ws03}}\n"


def _session(folder: Path) -> None:
    case = Case(data="d", loader="ceiling", mode="train", model=ModelSetting())
    epochs = tuple(Epoch(index=index, images=1000, seconds=seconds) for index, seconds in ((1, 9.0), (2, 2.0)))
    folder.mkdir(parents=True)
    (folder / "session.json").write_text(json.dumps({"format": 1}))
    (folder / "records.jsonl").write_text(plain_record(case, host="ws03", epochs=epochs).model_dump_json() + "\n")


def test_the_pace_is_that_of_the_hosts_ceiling(tmp_path: Path) -> None:
    _session(tmp_path / "lab-article-01234567")
    experiment = fill_paces(parse_experiment(TEXT, "like"), tmp_path)
    models = {case.model for case in expand(experiment).cases}
    assert {(model.images_per_second, model.like) for model in models} == {(500.0, "ws03")}


def test_a_host_that_was_never_measured_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has measured the model limit of host"):
        fill_paces(parse_experiment(TEXT, "like"), tmp_path)


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("{name: emulated}", "needs exactly one of images_per_second, step_seconds, device, like"),
        ("{name: emulated, device: h200}", "unknown device"),
        ("{name: resnet50, alpha: 0.5}", "has no alpha"),
        ("{name: mobilenet, images_per_second: 5}", "is only for the model emulated"),
        ("{name: resnet5}", "did you mean resnet50"),
    ],
)
def test_models_that_cannot_be_are_refused(model: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        parse_experiment(f"parameters: {{data: d, mode: train, loader: tfdata, model: {model}}}\n", "x")


def test_a_named_device_brings_its_figure_and_stays_named() -> None:
    text = TEXT.replace("like: ws03", "device: H100")
    case = next(iter(expand(parse_experiment(text, "x")).cases))
    assert (case.model.device, case.model.images_per_second) == ("h100", 1785.7)
    again = Case.model_validate_json(case.model_dump_json())
    assert again == case and again.model.is_emulated


@pytest.mark.parametrize(
    ("device", "pace", "file"),
    [
        ("b200", 504.7, "RetinaNet, MLPerf Storage v3.0: retinanet_b200.yaml"),
        ("MI355", 504.7, "RetinaNet, MLPerf Storage v3.0: retinanet_mi355.yaml"),
        ("a100", 919.5, "ResNet-50, MLPerf Storage v2.0: resnet50_a100.yaml"),
    ],
)
def test_a_device_is_named_with_the_file_that_its_figure_is_from(device: str, pace: float, file: str) -> None:
    case = next(iter(expand(parse_experiment(TEXT.replace("like: ws03", f"device: {device}"), "x")).cases))
    assert case.model.images_per_second == pace
    assert name_model(case.model) == f"emulated accelerator ({pace:g} images/s, {device.lower()} with {file})"
