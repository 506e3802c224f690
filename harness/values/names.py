"""Names of cases, of parameter values and of extra runs, for the console and the page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from harness.bench.protocol.loader_registry import LOADERS, is_automatic
from harness.values.case import Case, ModelSetting
from harness.values.comparability import MODEL_COST
from harness.values.devices import DEVICES
from harness.values.record import TRIAL, TWIN, WARM_RUN
from harness.values.text import clean_text, plural
from harness.values.units import format_bytes, parse_bytes

ALIASES = {
    TWIN: "repeat check (A/A)",
    WARM_RUN: "with its files in memory",
    TRIAL: "trial of the limit search",
}
"""Names of extra runs of a case, by the alias of their records."""

_SIZE_UNIT = re.compile(r"(?<=\d)(?=[A-Za-z])")
_SIZE_UNITS = (("TB", 10**12), ("GB", 10**9), ("MB", 10**6), ("kB", 10**3), ("GiB", 2**30), ("MiB", 2**20), ("", 1))

_LABEL_ORDER = (
    "mode", "loader", "cache", "element", "deliver", "memory_limit", "data", "image_size", "model", "interpolation",
    "page_cache", "cache_reuse", "cache_disk", "augment", "batch_size", "epochs", "cpus", "gpus", "precision",
    "budgets", "shuffle", "deterministic", "max_images", "decoding", "cache_compression",
    "workers", "shuffle_buffer",
)  # fmt: skip
_QUIET_DEFAULTS = frozenset(
    {"cache_reuse", "cache_compression", "decoding", "augment", "deliver", "workers", "shuffle_buffer"}
)
"""Parameters that are named only if they do not have their default."""


def exact_size(count: int) -> str:
    """Return a size that reads back as exactly this many bytes: ``16GB``, ``1.5GiB``, or the number itself."""
    texts = [f"{count / scale:.3f}".rstrip("0").rstrip(".") + unit for unit, scale in _SIZE_UNITS]
    return min((text for text in texts if parse_bytes(text) == count), key=len, default=str(count))


def name_limit(value: int | str) -> str:
    """Return a memory limit in words: ``no limit``, ``700 MB``, ``16 GiB``."""
    if isinstance(value, str):
        return {"none": "no limit", "search": "limit searched"}.get(value, value)
    usual, exact = format_bytes(value), exact_size(value)
    return usual if parse_bytes(usual) == value or exact == str(value) else _SIZE_UNIT.sub(" ", exact)


def name_size(case: Case) -> str:
    """Return ``256 × 256 px``: height, then width."""
    return name_value("image_size", case.image_size)


def name_model(model: ModelSetting | None) -> str:
    """Return ``mobilenet (α 0.25, base frozen, weights none)``."""
    if model is None:
        return "no model"
    if model.is_emulated:
        pace = f"{model.images_per_second:g} images/s" if model.images_per_second else ""
        pace = pace or ("" if model.step_seconds is None else f"{model.step_seconds:g} s a step")
        said = [pace, _name_device(model.device) if model.device else f"like {model.like}" if model.like else ""]
        return clean_text(f"emulated accelerator ({', '.join(filter(None, said)) or 'pace unknown'})", 120)
    said = ["trained whole" if model.trainable else "base frozen", f"weights {clean_text(model.weights, 60)}"]
    said += [] if model.xla is None else [f"xla {'on' if model.xla else 'off'}"]
    return f"{model.name} (α {model.alpha:g}, {', '.join(said)})"


def _name_device(name: str) -> str:
    """Return ``b200 with RetinaNet, MLPerf Storage v3.0: retinanet_b200.yaml``."""
    device = DEVICES.get(name)
    return name if device is None else f"{name} with {device.words}"


def name_value(parameter: str, value: object) -> str:
    """Return the value of a parameter in words: ``training``, ``256 × 256 px``, ``16 GiB``, ``all``."""
    match parameter, value:
        case "image_size", (height, width):
            return f"{height} × {width} px"
        case "mode", str():
            return {"train": "training", "load": "loading"}.get(value, value)
        case "model", ModelSetting() | None:
            return name_model(value)
        case "memory_limit", int() | str():
            return name_limit(value)
        case _, None:
            return "all"
        case _, bool():
            return "yes" if value else "no"
    return clean_text(f"{value:,}" if isinstance(value, int) else value, 80)


def name_row(case: Case) -> tuple[str, str]:
    """Return loader and cache of a case, with other settings that distinguish its row: element, disk, reuse."""
    extras: list[str] = []
    if case.cache != "none" and case.element != "float32":
        extras.append(case.element)
    if case.cache != "none" and case.cache_disk != "scratch":
        extras.append(f"on {case.cache_disk}")
    if case.cache != "none" and case.cache_compression != "none":
        extras.append(case.cache_compression)
    if case.cache_reuse != "fresh":
        extras.append("made before")
    if case.decoding != "exact":
        extras.append(f"decoding {case.decoding}")
    if case.workers is not None:
        extras.append(plural(case.workers, "worker"))
    if case.shuffle_buffer != "auto":
        extras.append(name_buffer(case.shuffle_buffer))
    return Path(case.loader).name, ", ".join([_name_cache(case.cache), *extras])


def name_pipeline(case: Case) -> str:
    """Return the pipeline of a case as ``tfdata with uint8 file cache``, for use in a sentence."""
    loader, cache = Path(case.loader).name, case.cache
    said = [f"decoding {case.decoding}"] if case.decoding != "exact" else []
    said += [plural(case.workers, "worker")] if case.workers is not None else []
    said += [name_buffer(case.shuffle_buffer)] if case.shuffle_buffer != "auto" else []
    loader += f" ({', '.join(said)})" if said else ""
    if cache == "none":
        return clean_text(loader, 80)
    element = f"{case.element} " if case.element != "float32" else ""
    element += f"{case.cache_compression} " if case.cache_compression != "none" else ""
    disk = f" on {case.cache_disk}" if case.cache_disk != "scratch" else ""
    reuse = " made before" if case.cache_reuse == "reused" else ""
    return clean_text(f"{loader} with {element}{cache} cache{disk}{reuse}", 120)


def name_buffer(size: int | str) -> str:
    """Return a shuffle buffer in words: ``buffer of 1,000``, ``buffer of all``."""
    return f"buffer of {size:,}" if isinstance(size, int) else f"buffer {'of all' if size == 'full' else size}"


def name_line(case: Case) -> str:
    """Return a row's name on an axis: ``tfdata · file cache``."""
    loader, cache = name_row(case)
    kept = cache.removeprefix(_name_cache("none")).removeprefix(", ")
    return clean_text(f"{loader} · {kept}" if kept else loader, 60)


def case_label(case: Case, among: Iterable[Case] = (), alias: str | None = None) -> str:
    """Return the name of a case in a list: loader, cache, memory limit, and what else distinguishes it in ``among``.

    The name is unique among these cases. It leaves out a limit if no case has one, values that all cases share, and
    values that follow from others (an image size that goes with a mode). ``alias`` adds the name of an extra run.
    """
    return name_alias(case_labels([*among, case])[case], alias)


def case_labels(cases: Iterable[Case]) -> dict[Case, str]:
    """Return the name of each case among all of them, as ``case_label`` does."""
    unique = list(dict.fromkeys(cases))
    telling = _telling(unique)
    return {case: _label(case, telling) for case in unique}


def name_alias(label: str, alias: str | None) -> str:
    """Return a case's name with that of an extra run."""
    return label if alias is None else f"{label}, {ALIASES.get(alias, alias)}"


class CaseNames:
    """Unique names of cases, safe to show on a page."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._labels = case_labels(cases)

    def name(self, case: Case, alias: str | None = None) -> str:
        """Return the name of a case, like ``tfdata, file cache, limit 1.5 GB``."""
        return clean_text(name_alias(self._labels.get(case) or case_label(case), alias), 200)


def _label(case: Case, telling: Sequence[str]) -> str:
    names = [name for name in telling if not _goes_without_saying(name, case)]
    words = [_WORDS.get(name, _plain)(name, getattr(case, name)) for name in names]
    if case.model is not None and case.model.is_emulated and "model" not in names:
        words.append("emulated")  # always named: no such accelerator was there
    return ", ".join(words) or case.loader


def _goes_without_saying(name: str, case: Case) -> bool:
    """Return whether a value needs no name, such as the cache of a loader that has none."""
    spec = LOADERS.get(case.loader)  # None for a user's own loader: its file may be absent
    if spec is not None and spec.is_automatic:
        return name not in ("mode", "loader", *MODEL_COST)
    if name == "element" and case.cache == "none":
        return True
    if name in _QUIET_DEFAULTS:
        return bool(getattr(case, name) == Case.model_fields[name].default)
    return name == "cache" and spec is not None and spec.caches == (case.cache,)


def _telling(cases: Sequence[Case]) -> list[str]:
    """Return the parameters that distinguish the cases: always loader and cache, and the limit if a case has one."""
    always = {"loader", "cache"} | ({"memory_limit"} if any(case.memory_limit != "none" for case in cases) else set())
    chosen: list[str] = []
    groups = 1
    for name in _LABEL_ORDER:
        found = len({tuple(getattr(case, other) for other in (*chosen, name)) for case in cases})
        if found > groups or name in always:
            chosen.append(name)
            groups = found
    return chosen


def _name_cache(cache: str) -> str:
    return "no cache" if cache == "none" else f"{cache} cache"


def _plain(name: str, value: object) -> str:
    if isinstance(value, bool):
        return f"{name.replace('_', ' ')} {str(value).lower()}"
    if value is None:
        return f"{name.replace('_', ' ')} {'all' if name == 'max_images' else 'auto'}"
    return f"{name.replace('_', ' ')} {value}"


_WORDS: dict[str, Callable[[str, object], str]] = {
    "mode": lambda _, value: str(value),
    "loader": lambda _, value: "model limit" if is_automatic(str(value)) else Path(str(value)).name,
    "data": lambda _, value: str(value),
    "cache": lambda _, value: _name_cache(str(value)),
    "element": lambda _, value: str(value),
    "memory_limit": lambda name, value: ("limit " if isinstance(value, int) else "") + name_value(name, value),
    "image_size": name_value,
    "model": name_value,
    "interpolation": lambda _, value: f"{value} pixels",
    "deliver": lambda _, value: f"delivers {value}",
    "cache_reuse": lambda _, value: "made before" if value == "reused" else "made anew",
    "cache_compression": lambda _, value: "not compressed" if value == "none" else str(value),
    "workers": lambda _, value: plural(value, "worker") if isinstance(value, int) else "workers auto",
    "shuffle_buffer": lambda _, value: name_buffer(value) if isinstance(value, int | str) else str(value),
}
