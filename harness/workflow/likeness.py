"""``model: {name: emulated, like: HOST}``: the pace of an accelerator that was measured on a host of the lab."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TypeVar

from harness.analysis.summary import reduce_record
from harness.experiment import Experiment
from harness.experiment.parameters import Assignment
from harness.records.folder import list_folders
from harness.records.reading import read_records
from harness.values.case import ModelSetting
from harness.values.errors import ConfigurationError

_Assignment = TypeVar("_Assignment", bound=Assignment)


def fill_likes(experiment: Experiment, reports: Path) -> Experiment:
    """The experiment with each ``like`` given its pace. Raises ConfigurationError for a host without a ceiling."""

    def fill(assignment: _Assignment) -> _Assignment:
        return assignment.model_copy(update={"model": tuple(_fill(model, reports) for model in assignment.model)})

    rules = (experiment.parameters, experiment.baseline, *experiment.exclude, *experiment.include)
    if not any(model.like for rule in rules for model in rule.model):
        return experiment
    return experiment.model_copy(
        update={
            "parameters": fill(experiment.parameters),
            "baseline": fill(experiment.baseline),
            "exclude": tuple(map(fill, experiment.exclude)),
            "include": tuple(map(fill, experiment.include)),
        }
    )


def _fill(model: ModelSetting, reports: Path) -> ModelSetting:
    if model.like is None or model.images_per_second is not None:
        return model
    return model.model_copy(update={"images_per_second": round(find_pace(model.like, reports), 1)})


def find_pace(host: str, reports: Path) -> float:
    """Images/s of a host's ceiling in the newest session that measured one of a real model there (geometric mean)."""
    for folder in list_folders(reports):
        rates = [
            rate
            for record in read_records(folder)
            if record.host == host and record.case.loader == "ceiling" and record.status == "ok"
            if record.validity != "invalid" and record.case.model is not None and not record.case.model.is_emulated
            if (rate := reduce_record(record).steady_images_per_s or reduce_record(record).first_images_per_s)
        ]
        if rates:
            return math.exp(math.fsum(map(math.log, rates)) / len(rates))
    raise ConfigurationError(
        f"no session in {reports} has a ceiling of the host {host!r}: nothing to be like",
        hint=f"run a training experiment on {host} first, or give images_per_second",
    )
