"""Pydantic's errors in plain language, grouped by place, with what was found and what is expected.

The rest of the project imports ``document.py``, which adds file and line.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidationError
    from pydantic.fields import FieldInfo
    from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_WANTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "set_type": "a list",
    "frozen_set_type": "a list",
    "dict_type": "a mapping (`key: value` lines)",
    "mapping_type": "a mapping (`key: value` lines)",
    "model_type": "a mapping (`key: value` lines)",
    "model_attributes_type": "a mapping (`key: value` lines)",
    "none_required": "nothing (null)",
}
_BOUNDS = {
    "greater_than": ("gt", "a number greater than {}"),
    "greater_than_equal": ("ge", "a number not smaller than {}"),
    "less_than": ("lt", "a number smaller than {}"),
    "less_than_equal": ("le", "a number not greater than {}"),
    "multiple_of": ("multiple_of", "a multiple of {}"),
    "too_short": ("min_length", "at least {} items"),
    "too_long": ("max_length", "at most {} items"),
    "string_too_short": ("min_length", "at least {} characters"),
    "string_too_long": ("max_length", "at most {} characters"),
}


@dataclass(frozen=True)
class Complaint:
    """One error in a validated value: its path, what is expected there, and a hint.

    ``message`` is complete unless ``is_about_value``: then the caller adds what was found.
    """

    path: Path
    message: str
    hint: str | None = None
    is_about_value: bool = False


_MOST_WORD = 200


def near_miss(word: str, known: Iterable[str], *, cutoff: float = 0.6) -> str | None:
    """Return the known word that ``word`` was probably meant to be; None if none is similar enough.

    ``cutoff`` is difflib's ratio. Words longer than ``_MOST_WORD`` are not compared: the time grows with the square of
    their length.
    """
    plain = {_plain(name): name for name in known if len(str(name)) <= _MOST_WORD}
    if _plain(word) in plain:
        return plain[_plain(word)]
    if len(str(word)) > _MOST_WORD:
        return None
    found = difflib.get_close_matches(_plain(word), list(plain), n=1, cutoff=cutoff)
    return plain[found[0]] if found else None


def _plain(word: str) -> str:
    return str(word).lower().replace("-", "_").replace(" ", "_")


def complaints_of(error: ValidationError, model: type[BaseModel], value: object) -> list[Complaint]:
    """Return the errors of one validation; those of a union's branches at one place are combined."""
    groups: dict[Path, list[tuple[Path, ErrorDetails]]] = {}
    for entry in error.errors(include_url=False):
        loc: Path = entry["loc"]
        groups.setdefault(real_path(loc, value, entry["type"]), []).append((loc, entry))
    complaints = []
    above = {path[:length] for path in groups for length in range(len(path))}
    for path, entries in groups.items():
        if path in above and _is_of_union(path, entries):
            continue  # another branch of the same union got further: its errors are more precise
        complaints.append(_combine(path, [entry for _, entry in entries], model))
    return complaints


def real_path(loc: Path, value: object, kind: str = "") -> Path:
    """Return a pydantic location without the names of union branches: only keys and indices of ``value``."""
    path: list[str | int] = []
    for index, part in enumerate(loc):
        is_last = index == len(loc) - 1
        is_item = isinstance(value, list | tuple) and isinstance(part, int) and part < len(value)
        if is_item or (isinstance(value, Mapping) and part in value):
            path.append(part)
            value = value[part]  # type: ignore[index] # one of the two holds
        elif is_last and kind == "missing":
            path.append(part)
    return tuple(path)


def _is_of_union(path: Path, entries: list[tuple[Path, ErrorDetails]]) -> bool:
    return any(len(loc) > len(path) for loc, _ in entries)


def _combine(path: Path, entries: list[ErrorDetails], model: type[BaseModel]) -> Complaint:
    whole = [e for e in entries if e["type"] in {"value_error", "assertion_error", "extra_forbidden", "missing"}]
    if whole:
        return _whole_complaint(path, whole[0], model)
    wanted: list[str] = []
    words: list[str] = []
    for entry in entries:
        words += _expected_words(entry)
        text = _wanted(entry)
        if text not in wanted:
            wanted.append(text)
    found = entries[0].get("input")
    guess = near_miss(found, words) if isinstance(found, str) else None
    hint = f"did you mean {guess}?" if guess else None
    return Complaint(path, f"expected {_any_of(wanted)}", hint, is_about_value=True)


def _any_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} or {words[-1]}"


def _whole_complaint(path: Path, entry: ErrorDetails, model: type[BaseModel]) -> Complaint:
    if entry["type"] == "extra_forbidden":
        known = known_keys(model, path[:-1])
        guess = near_miss(str(path[-1]), known)
        hint = f"did you mean {guess}?" if guess else f"known keys: {', '.join(known)}" if known else None
        return Complaint(path, "unknown key", hint)
    if entry["type"] == "missing":
        return Complaint(path, "this key is missing", f"add `{path[-1]}: …`")
    text = str(entry.get("ctx", {}).get("error") or entry["msg"])
    message, _, hint = text.partition("\n")
    return Complaint(path, message, hint.strip(" →\n") or None)


def _wanted(entry: ErrorDetails) -> str:
    kind, context = entry["type"], entry.get("ctx", {})
    if kind in _WANTED:
        return _WANTED[kind]
    if kind in {"literal_error", "enum"}:
        return str(context["expected"]).replace("'", "")
    if kind in _BOUNDS:
        name, text = _BOUNDS[kind]
        return text.format(context[name])
    if kind == "string_pattern_mismatch":
        return f"text of the form {context['pattern']}"
    message: str = entry["msg"]
    return message[:1].lower() + message[1:]


def _expected_words(entry: ErrorDetails) -> list[str]:
    if entry["type"] not in {"literal_error", "enum"}:
        return []
    return re.findall(r"'((?:[^'\\]|\\.)*)'", str(entry["ctx"]["expected"]))


def known_keys(model: type[BaseModel], path: Path) -> list[str]:
    """Return the keys that a model accepts at a path; empty if there is no model at that path."""
    places: list[object] = [model]
    for part in path:
        places = [step for place in places for step in _steps(place, part)]
    keys: dict[str, None] = {}
    for place in places:
        items = [*_branches(place), *(inner for item in _items(place) for inner in _branches(item))]
        for branch in items:
            keys.update((field.alias or name, None) for name, field in _fields_of(branch).items())
    return list(keys)


def _items(annotation: object) -> list[object]:
    """Return the item types of the lists in an annotation: a file may give one item instead of a list."""
    lists = [branch for branch in _branches(annotation) if typing.get_origin(branch) in (tuple, list)]
    return [argument for branch in lists for argument in typing.get_args(branch)[:1]]


def _fields_of(annotation: object) -> Mapping[str, FieldInfo]:
    """Return the fields of a model; none if an annotation is not a model."""
    return getattr(annotation, "model_fields", {})


def _branches(annotation: object) -> list[object]:
    """Return the members of a union, without Annotated; for other annotations, the annotation itself."""
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _branches(typing.get_args(annotation)[0])
    if origin in (typing.Union, types.UnionType):
        return [branch for member in typing.get_args(annotation) for branch in _branches(member)]
    return [annotation]


def _steps(annotation: object, part: str | int) -> list[object]:
    """Return the annotations that one key or index leads to."""
    found: list[object] = []
    for branch in _branches(annotation):
        if fields := _fields_of(branch):
            found += [field.annotation for name, field in fields.items() if part in (name, field.alias)]
            continue
        arguments = [a for a in typing.get_args(branch) if a is not Ellipsis]
        if arguments:
            found.append(arguments[-1])
    return found
