"""Experiments: from a YAML file or a preset to cases and their order. Pure, except for reading files.

``load_experiment`` reads a file, ``expand`` makes its cases, ``round_order`` orders them.
"""

from harness.experiment.experiment import Experiment, experiment_digest, round_order
from harness.experiment.experiment_file import (
    choose_experiment,
    experiment_schema,
    init_experiment_text,
    load_experiment,
    parse_experiment,
    preset_names,
    preset_text,
)
from harness.experiment.matrix import Matrix, baseline_of, expand
from harness.experiment.only import select_cases
from harness.experiment.parameters import PARAMETERS, Assignment, describe_parameters

__all__ = [
    "PARAMETERS",
    "Assignment",
    "Experiment",
    "Matrix",
    "baseline_of",
    "choose_experiment",
    "describe_parameters",
    "expand",
    "experiment_digest",
    "experiment_schema",
    "init_experiment_text",
    "load_experiment",
    "parse_experiment",
    "preset_names",
    "preset_text",
    "round_order",
    "select_cases",
]
