"""The experiment that ``harness advise`` measures, as a file to edit: YAML that is read back as its cases."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from harness.experiment import PARAMETERS
from harness.values.case import Case
from harness.values.names import exact_size

LEAST_TIMEOUT_S = 300.0
_ALWAYS = ("data", "mode", "loader", "cache", "memory_limit", "image_size", "interpolation", "batch_size", "epochs")


def write_experiment(
    cases: Sequence[Case], *, name: str, description: str, notes: Sequence[str], time_s: float, head: Sequence[str]
) -> str:
    """Return the text of an experiment of these cases, the first of which is the baseline; ``head`` is its comment."""
    first = cases[0]
    document: dict[str, object] = {"name": name, "description": description}
    if notes:
        document["notes"] = list(notes)
    document["parameters"] = {
        each: _write(first, each)
        for each in PARAMETERS
        if each in _ALWAYS or getattr(first, each) != Case.model_fields[each].default
    }
    others = [
        {each: _write(case, each) for each in PARAMETERS if getattr(case, each) != getattr(first, each)}
        for case in cases[1:]
    ]
    if others:
        document["include"] = others
    is_told_apart = sum(case.loader == first.loader for case in cases if case.mode == first.mode) > 1
    document |= {
        "rounds": "auto",
        "stall_rounds": 0,
        "baseline": {"loader": first.loader, **({"cache": first.cache} if is_told_apart else {})},
        "timeout": max(LEAST_TIMEOUT_S, round(time_s)),
        "budget": round(time_s, 1),
    }
    return "".join(f"# {line}\n" for line in head) + _dump(document)


def change_budget(text: str, time_s: float) -> str:
    """Return the text of an experiment with another budget; the comments at its head stay."""
    head = "".join(line for line in text.splitlines(keepends=True) if line.startswith("#"))
    document: Mapping[str, Any] = yaml.safe_load(text)
    return head + _dump({**document, "budget": round(time_s, 1)})


def _dump(document: Mapping[str, object]) -> str:
    return yaml.safe_dump(dict(document), sort_keys=False, allow_unicode=True, width=100)


def _write(case: Case, parameter: str) -> object:
    """Return the value of a parameter as it is written in an experiment."""
    value = getattr(case, parameter)
    match parameter:
        case "image_size":
            height, width = value
            return height if height == width else f"{height}x{width}"
        case "memory_limit":
            return exact_size(value) if isinstance(value, int) else value
        case "max_images":
            return "all" if value is None else value
        case "cpus":
            return "auto" if value is None else value
        case "model":
            return value.model_dump(exclude_defaults=True) | {"name": value.name}
    return value
