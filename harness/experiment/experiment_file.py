"""Reading experiments from files and presets; their JSON Schema and template, made from the same models."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib import resources
from pathlib import Path

from harness.experiment.experiment import Experiment
from harness.experiment.parameters import PARAMETERS, describe_parameters
from harness.experiment.words import ARTICLE_CACHE_SUFFIX
from harness.values.case import ModelSetting
from harness.values.document import Document, load_document, near_miss, parse_text, validate
from harness.values.errors import ConfigurationError, Mistake
from harness.values.paths import expand_home, is_file
from harness.values.text import clean_text

SCHEMA_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_FILE_SUFFIXES = (".yaml", ".yml", ".json")
_PACKAGE = "harness.experiment"
_PARAMETER = re.compile(r"  (?:# )?(\w+): ")
"""A line of the template that sets a parameter, also in a comment."""


def preset_names() -> tuple[str, ...]:
    """Return the names of the presets, sorted."""
    folder = resources.files(_PACKAGE) / "presets"
    return tuple(sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")))


def preset_text(name: str) -> str:
    """Return the YAML of a preset."""
    return (resources.files(_PACKAGE) / "presets" / f"{name}.yaml").read_text(encoding="utf-8")


def init_experiment_text() -> str:
    """Return the commented experiment that ``harness init`` writes.

    Above each parameter is its description, as in the schema and in docs/experiment.md.
    """
    meaning, lines = describe_parameters(), []
    for line in (resources.files(_PACKAGE) / "template.yaml").read_text(encoding="utf-8").splitlines():
        match = _PARAMETER.match(line)
        if match is not None and match[1] in meaning:
            lines += textwrap.wrap(meaning[match[1]], 112, initial_indent="  # ", subsequent_indent="  # ")
        lines.append(line)
    return "\n".join(lines) + "\n"


def load_experiment(name_or_path: str) -> Experiment:
    """Load a preset by name, or an experiment from a YAML file (a text with a slash or ending in ``.yaml``).

    Raises ConfigurationError with every mistake in the file, each with its line. Paths of weights files are relative to
    the experiment file; the result has absolute paths.
    """
    if name_or_path in preset_names():
        return parse_experiment(preset_text(name_or_path), f"preset {name_or_path}", name=name_or_path)
    path = expand_home(name_or_path)
    if "/" in name_or_path or path.suffix.lower() in _FILE_SUFFIXES or is_file(path):
        return read_experiment(load_document(path), name=path.stem, folder=path.parent)
    near = near_miss(name_or_path, preset_names())
    raise ConfigurationError(
        f"there is no preset or file {clean_text(name_or_path, 80)!r}",
        where="--experiment",
        hint=(f"did you mean {near}? " if near else "")
        + f"presets: {', '.join(preset_names())}; or the path of a YAML file",
    )


def parse_experiment(text: str, file_name: str, *, name: str = "experiment", folder: Path = Path()) -> Experiment:
    """Parse an experiment from a text. ``file_name`` is its name in messages."""
    return read_experiment(parse_text(text, file_name), name=name, folder=folder)


def read_experiment(document: Document, *, name: str, folder: Path) -> Experiment:
    """Parse an experiment from a document. ``name`` is used if it has none; paths are relative to ``folder``."""
    value = document.value
    if isinstance(value, dict) and "name" not in value:
        value = {"name": name, **value}
    experiment, mistakes = validate(Experiment, value, document)
    weights, absent = _find_weights(document, folder)
    if experiment is None or absent:
        raise ConfigurationError(sorted([*mistakes, *absent], key=lambda mistake: mistake.line or 0))
    notes = (*experiment.notes, *_reading_notes(document))
    resolved = experiment.with_models(lambda model: _resolve(model, weights))
    return resolved.model_copy(update={"notes": notes})


def experiment_schema() -> dict[str, object]:
    """Return the JSON Schema of experiment files, made from the models that check them. ``name`` is optional."""
    schema = Experiment.model_json_schema()
    for definition in schema["$defs"].values():
        for name in PARAMETERS if "loader" in definition["properties"] else ():
            definition["properties"][name].pop("default")  # an empty tuple means "not named", which a file cannot write
    schema["required"] = [key for key in schema["required"] if key != "name"]
    return {
        "$schema": SCHEMA_DIALECT,
        **schema,
        "title": "Experiment of harness",
        "description": "What to vary, what to leave out or add, and how to measure.",
    }


_Place = tuple[str | int, ...]


def _assignments(value: object) -> Iterator[tuple[_Place, Mapping[str, object]]]:
    """Yield the mappings of a document that name parameters (``parameters``, each rule, ``baseline``), with paths."""
    if not isinstance(value, Mapping):
        return
    for key in ("parameters", "baseline"):
        if isinstance(value.get(key), Mapping):
            yield (key,), value[key]
    for key in ("exclude", "include"):
        rules = value.get(key)
        for index, rule in enumerate(rules if isinstance(rules, list) else []):
            if isinstance(rule, Mapping):
                yield (key, index), rule


def _values_of(document: Document, parameter: str) -> Iterator[tuple[_Place, object]]:
    """Yield each value that a document gives a parameter, with its path."""
    for place, mapping in _assignments(document.value):
        value = mapping.get(parameter)
        if isinstance(value, list):
            yield from (((*place, parameter, index), item) for index, item in enumerate(value))
        elif value is not None:
            yield (*place, parameter), value


def _find_weights(document: Document, folder: Path) -> tuple[dict[str, str], list[Mistake]]:
    """Return the absolute paths of the weights files that a document names, and a mistake for each absent one."""
    found: dict[str, str] = {}
    absent = []
    for place, value in _values_of(document, "model"):
        weights = value.get("weights") if isinstance(value, Mapping) else None
        if not isinstance(weights, str) or weights in ("none", "imagenet"):
            continue
        path = (folder / expand_home(weights)).absolute()
        if is_file(path):
            found[weights] = str(path.resolve())
        else:
            hint = "weights are none, imagenet, or the path of a file beside the experiment"
            message = f"there is no weights file {clean_text(path)}"
            absent.append(document.mistake((*place, "weights"), message, hint))
    return found, absent


def _resolve(model: ModelSetting, paths: Mapping[str, str]) -> ModelSetting:
    if model.weights not in paths:
        return model
    return model.model_copy(update={"weights": paths[model.weights]})


def _reading_notes(document: Document) -> list[str]:
    """Return notes on how values in foreign notation (such as the article's) were read."""
    notes = []
    for _, value in _values_of(document, "cache"):
        if isinstance(value, bool):
            notes.append(f"cache: {str(value).lower()} is read as {'memory' if value else 'none'}")
        elif isinstance(value, str) and value.endswith(ARTICLE_CACHE_SUFFIX):
            notes.append(f"cache: {value} is read as file; cache_disk sets where the file lies")
    for _, mapping in _assignments(document.value):
        size = mapping.get("image_size")
        if isinstance(size, list) and len(size) == 2 and size[0] != size[1] and all(isinstance(s, int) for s in size):
            notes.append(
                f"image_size: {size} is read as two sizes; for one of {size[0]} × {size[1]} write {size[0]}x{size[1]}"
            )
    return list(dict.fromkeys(notes))


def choose_experiment(
    option: str | None, host_settings: Sequence[str | None], data_names: Collection[str]
) -> tuple[str, str]:
    """Choose the experiment. Returns (preset name or path, the reason in words).

    This is ``--experiment``, else the inventory's (``host_settings``: one value per host), else ``article`` if a host
    has data named ``coco``, else ``quick``. Raises ConfigurationError if hosts name different ones: a session has one
    experiment.
    """
    if option is not None:
        return option, "chosen with --experiment"
    named = sorted({setting for setting in host_settings if setting})
    if len(named) > 1:
        raise ConfigurationError(
            f"the hosts name different experiments: {', '.join(named)}",
            hint="choose one with --experiment, or run each group separately with --limit",
        )
    if named:
        return named[0], "named in the inventory"
    if "coco" in data_names:
        return "article", "a host has a data set named coco, as in the article"
    return "quick", "no host has a data set named coco"
