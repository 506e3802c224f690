"""Experiments: from a YAML file or a preset to cases, their order and their names. Pure but for reading files.

A file is read by ``load_experiment``, expanded by ``expand``, ordered by ``round_order``.
"""

from harness.experiment.choice import choose_experiment
from harness.experiment.comparison import baseline_of, ceiling_of, comparable_key
from harness.experiment.files import (
    experiment_schema,
    init_experiment_text,
    load_experiment,
    parse_experiment,
    preset_names,
    preset_text,
)
from harness.experiment.matrix import Folded, Matrix, expand, is_automatic
from harness.experiment.model import Experiment
from harness.experiment.names import case_description, case_label, select_cases
from harness.experiment.order import experiment_digest, round_order
from harness.experiment.parameters import PARAMETERS, Assignment, matches

__all__ = [
    "PARAMETERS",
    "Assignment",
    "Experiment",
    "Folded",
    "Matrix",
    "baseline_of",
    "case_description",
    "case_label",
    "ceiling_of",
    "choose_experiment",
    "comparable_key",
    "expand",
    "experiment_digest",
    "experiment_schema",
    "init_experiment_text",
    "is_automatic",
    "load_experiment",
    "matches",
    "parse_experiment",
    "preset_names",
    "preset_text",
    "round_order",
    "select_cases",
]
