"""What cases are called: short labels, full descriptions, and the patterns of ``--only``."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from harness.bench.registry import LOADERS
from harness.experiment.parameters import PARAMETERS, Assignment, default_of
from harness.values.case import Case, ModelSetting
from harness.values.comparability import MODEL_COST
from harness.values.document import near_miss
from harness.values.errors import ConfigurationError
from harness.values.record import TRIAL, TWIN, WARM_RUN
from harness.values.units import format_bytes, parse_bytes

_SIZE_UNIT = re.compile(r"(?<=\d)(?=[A-Za-z])")
_SIZE_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("GiB", 2**30), ("MiB", 2**20), ("", 1))

_LABEL_ORDER = (
    "mode", "loader", "cache", "element", "memory_limit", "data", "image_size", "model", "interpolation",
    "page_cache", "cache_reuse", "cache_disk", "augment", "batch_size", "epochs", "cpus", "gpus", "precision",
    "budgets", "shuffle", "deterministic", "max_images", "decoding", "cache_compression",
)  # fmt: skip


ALIASES = {
    TWIN: "repeat check (A/A)",
    WARM_RUN: "with its files in memory",
    TRIAL: "trial of the limit search",
}
"""What extra runs of a case are for, by the alias of their records."""

_QUIET_DEFAULTS = frozenset({"cache_reuse", "cache_compression", "decoding", "augment"})
"""Named only where they are not what everybody expects."""


def exact_size(count: int) -> str:
    """A size that reads back as exactly this many bytes: ``16GB``, ``1.5GiB``, or the number itself."""
    texts = [f"{count / scale:.3f}".rstrip("0").rstrip(".") + unit for unit, scale in _SIZE_UNITS]
    return min((text for text in texts if parse_bytes(text) == count), key=len, default=str(count))


def value_text(value: Any, parameter: str) -> str:
    """A value as ``--only`` and files take it."""
    if isinstance(value, ModelSetting):
        return _model_text(value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if parameter == "memory_limit" and isinstance(value, int):
        return exact_size(value)
    if isinstance(value, tuple):
        return f"{value[0]}x{value[1]}"
    if value is None:
        return {"max_images": "all", "cpus": "auto"}.get(parameter, "none")
    return str(value)


def _model_text(model: ModelSetting) -> str:
    if model.is_emulated:
        pace = f"{model.images_per_second:g} images/s" if model.images_per_second else _step_text(model)
        source = model.device or (f"like {model.like}" if model.like else "")
        return f"emulated {pace}" + (f" ({source})" if source else "")
    extra = " trainable" if model.trainable else ""
    extra += "" if model.xla is None else f" xla {'on' if model.xla else 'off'}"
    return f"{model.name} alpha {model.alpha:g} weights {model.weights}{extra}"


def _step_text(model: ModelSetting) -> str:
    return "pace unknown" if model.step_seconds is None else f"{model.step_seconds:g} s a step"


def case_description(case: Case) -> str:
    """Every parameter and its value: ``data=coco, mode=load, loader=tfdata, …``."""
    return ", ".join(f"{name}={value_text(getattr(case, name), name)}" for name in PARAMETERS)


def case_label(case: Case, among: Iterable[Case] = (), alias: str | None = None) -> str:
    """Name a case in a list: loader, cache, memory limit, and what else tells it from the others (``among``).

    No other case of them has this name. A limit is left out where none of them has one, the mode where all have the
    same, and so is what follows from what is named already (an image size that goes with a mode). ``alias`` adds what
    an extra run of a case is for.
    """
    return name_alias(case_labels([*among, case])[case], alias)


def case_labels(cases: Iterable[Case]) -> dict[Case, str]:
    """The name of each of the cases among all of them, as ``case_label`` makes it."""
    unique = list(dict.fromkeys(cases))
    telling = _telling(unique)
    return {case: _label(case, telling) for case in unique}


def name_alias(label: str, alias: str | None) -> str:
    """A case's name with what an extra run of it is for."""
    return label if alias is None else f"{label}, {ALIASES.get(alias, alias)}"


def _label(case: Case, telling: Sequence[str]) -> str:
    names = [name for name in telling if not _goes_without_saying(name, case)]
    words = [_WORDS.get(name, _plain)(name, getattr(case, name)) for name in names]
    if case.model is not None and case.model.is_emulated and "model" not in names:
        words.append("emulated")  # said everywhere: no accelerator was there
    return ", ".join(words) or case.loader


def _goes_without_saying(name: str, case: Case) -> bool:
    """The cache of a loader that has none, and of a ceiling what it does not have of its own."""
    spec = LOADERS.get(case.loader)  # not a user's own: its file may be gone, or on another machine
    if spec is not None and spec.is_automatic:
        return name not in ("mode", "loader", *MODEL_COST)
    if name == "element" and case.cache == "none":
        return True
    if name in _QUIET_DEFAULTS:
        return bool(getattr(case, name) == default_of(name))
    return name == "cache" and spec is not None and spec.caches == (case.cache,)


def _telling(cases: Sequence[Case]) -> list[str]:
    """The parameters that tell the cases apart; loader and cache always, the limit wherever a case has one."""
    always = {"loader", "cache"} | ({"memory_limit"} if any(case.memory_limit != "none" for case in cases) else set())
    chosen: list[str] = []
    groups = 1
    for name in _LABEL_ORDER:
        found = len({tuple(getattr(case, other) for other in (*chosen, name)) for case in cases})
        if found > groups or name in always:
            chosen.append(name)
            groups = found
    return chosen


def _plain(name: str, value: Any) -> str:
    return f"{name.replace('_', ' ')} {value_text(value, name)}"


_WORDS: dict[str, Callable[[str, Any], str]] = {
    "mode": lambda _, value: str(value),
    "loader": lambda _, value: Path(value).name,
    "data": lambda _, value: str(value),
    "cache": lambda _, value: "no cache" if value == "none" else f"{value} cache",
    "element": lambda _, value: str(value),
    "memory_limit": lambda _, value: limit_text(value) if isinstance(value, str) else f"limit {limit_text(value)}",
    "image_size": lambda _, value: f"{value[0]}×{value[1]} px",
    "model": lambda _, value: "no model" if value is None else value_text(value, "model"),
    "interpolation": lambda _, value: f"{value} pixels",
    "cache_reuse": lambda _, value: "made before" if value == "reused" else "made anew",
    "cache_compression": lambda _, value: "not compressed" if value == "none" else str(value),
}


def select_cases(cases: Sequence[Case], only: Sequence[str]) -> tuple[Case, ...]:
    """The cases that any pattern names, in their order; all of them where there is no pattern.

    A pattern is the beginning of a case's id, or ``parameter=value`` pairs that all must
    hold: ``loader=tfdata,cache=file``. Values are written as in an experiment, several with ``|``
    between them: ``cache=memory|file``; ``model`` takes a name, ``alpha`` a width.
    Raises ConfigurationError for a pattern that cannot be read or names no case.
    """
    if not only:
        return tuple(cases)
    chosen: set[Case] = set()
    for pattern in only:
        found = [case for case in cases if _test_of(pattern)(case)]
        if not found:
            labels = "; ".join(f"{case.case_id[:6]} {case_label(case, cases)}" for case in cases[:12])
            more = f"; and {len(cases) - 12} more" if len(cases) > 12 else ""
            raise ConfigurationError(f"--only {pattern}: no case is so", hint=f"the cases are: {labels}{more}")
        chosen.update(found)
    return tuple(case for case in cases if case in chosen)


def _test_of(pattern: str) -> Callable[[Case], bool]:
    text = pattern.strip()
    if "=" not in text:
        if not re.fullmatch(r"[0-9a-f]{3,12}", text):
            raise ConfigurationError(
                f"--only {pattern}: neither parameter=value nor the beginning of a case's id (3 hex digits or more)",
                hint="write it like loader=tfdata,cache=file; `harness plan` shows the ids",
            )
        return lambda case: case.case_id.startswith(text)
    rule = _read_rule(text)
    return rule.matches


def _read_rule(pattern: str) -> Assignment:
    values: dict[str, Any] = {}
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


def _read_value(text: str, pattern: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigurationError(f"--only {pattern}: {text!r} cannot be read as a value", hint="like 16GB") from None


def limit_text(value: int | str) -> str:
    """A memory limit in words: ``no limit``, ``700 MB``, ``16 GiB``."""
    if isinstance(value, str):
        return {"none": "no limit", "search": "limit searched"}.get(value, value)
    usual, exact = format_bytes(value), exact_size(value)
    return usual if parse_bytes(usual) == value or exact == str(value) else _SIZE_UNIT.sub(" ", exact)
