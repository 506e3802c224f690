"""Selecting cases with ``--only``."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import yaml
from pydantic import ValidationError

from harness.experiment.parameters import PARAMETERS, Assignment
from harness.values.case import Case
from harness.values.document import near_miss
from harness.values.errors import ConfigurationError
from harness.values.names import case_label


def select_cases(cases: Sequence[Case], only: Sequence[str]) -> tuple[Case, ...]:
    """Return the cases that match any pattern, in their order; all of them without a pattern.

    A pattern is the beginning of a case's id, or ``parameter=value`` pairs that all must hold:
    ``loader=tfdata,cache=file``. Values are written as in an experiment, several separated by ``|``:
    ``cache=memory|file``. ``model`` takes a name, ``alpha`` a width. Raises ConfigurationError for a pattern that is
    not valid or matches no case.
    """
    if not only:
        return tuple(cases)
    chosen: set[Case] = set()
    for pattern in only:
        found = [case for case in cases if _test_of(pattern)(case)]
        if not found:
            labels = "; ".join(f"{case.case_id[:6]} {case_label(case, cases)}" for case in cases[:12])
            more = f"; and {len(cases) - 12} more" if len(cases) > 12 else ""
            raise ConfigurationError(f"--only {pattern}: no case matches", hint=f"the cases are: {labels}{more}")
        chosen.update(found)
    return tuple(case for case in cases if case in chosen)


def _test_of(pattern: str) -> Callable[[Case], bool]:
    text = pattern.strip()
    if "=" not in text:
        if not re.fullmatch(r"[0-9a-f]{3,12}", text):
            raise ConfigurationError(
                f"--only {pattern}: this is neither parameter=value nor the start of a case's id (3 to 12 hex digits)",
                hint="write it like loader=tfdata,cache=file; `harness plan` shows the ids",
            )
        return lambda case: case.case_id.startswith(text)
    rule = _read_rule(text)
    return rule.matches


def _read_rule(pattern: str) -> Assignment:
    values: dict[str, object] = {}
    for pair in pattern.split(","):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not equals or not value:
            raise ConfigurationError(f"--only {pattern}: {pair!r} is not parameter=value", hint="like cache=file")
        name, value = ("model", f"{{alpha: {value}}}") if name == "alpha" else (name, value)
        if name not in PARAMETERS:
            near = near_miss(name, PARAMETERS)
            hint = f"did you mean {near}?" if near else "parameters: " + ", ".join(PARAMETERS)
            raise ConfigurationError(f"--only {pattern}: there is no parameter {name!r}", hint=hint)
        values[name] = [_read_value(part.strip(), pattern) for part in value.split("|")]
    try:
        return Assignment.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message, _, hint = str(first.get("ctx", {}).get("error") or first["msg"]).partition("\n")
        raise ConfigurationError(f"--only {pattern}: {first['loc'][0]}: {message}", hint=hint or None) from None


def _read_value(text: str, pattern: str) -> object:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigurationError(f"--only {pattern}: {text!r} cannot be read as a value", hint="like 16GB") from None
