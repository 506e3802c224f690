"""``model: {name: emulated, like: HOST}``: the pace of an accelerator that was measured on a host of the lab."""

from __future__ import annotations

import math
from pathlib import Path

from harness.analysis.noise import rate_of
from harness.analysis.selection import is_countable
from harness.bench.protocol.registry import is_automatic
from harness.experiment import Experiment
from harness.records.folder import list_folders
from harness.records.reading import read_records
from harness.values.case import ModelSetting
from harness.values.errors import ConfigurationError


def fill_likes(experiment: Experiment, reports: Path) -> Experiment:
    """Return the experiment with each ``like`` given its pace. Raises ConfigurationError for a host without one."""
    return experiment.with_models(lambda model: _fill(model, reports))


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
            if record.host == host and is_automatic(record.case.loader) and is_countable(record)
            if record.case.model is not None and not record.case.model.is_emulated
            if (rate := rate_of(record))
        ]
        if rates:
            return math.exp(math.fsum(map(math.log, rates)) / len(rates))
    raise ConfigurationError(
        f"no session in {reports} has a ceiling of the host {host!r}: nothing to be like",
        hint=f"run a training experiment on {host} first, or give images_per_second",
    )
