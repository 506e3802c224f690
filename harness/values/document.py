"""Reading YAML files that users write: each value keeps its line, and all mistakes are reported at once.

::

    document = load_document(Path("inventory/lab.yaml"))
    settings, mistakes = validate(Settings, document.value, document)

YAML 1.1 is read as Ansible and PyYAML read it (``no`` is false); where that may surprise, the message explains it.
Models should use ``StrictInt`` and ``StrictBool`` where ``yes`` must not become 1.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import yaml

from harness.values.errors import ConfigurationError, Mistake
from harness.values.validation import Complaint, complaints_of, near_miss
from harness.values.yaml_text import (
    Opaque,
    UnsafeText,
    Values,
    compose_text,
    describe,
    surprise_of,
    walk_scalars,
    written_text,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

__all__ = [
    "Document",
    "Opaque",
    "UnsafeText",
    "describe",
    "dotted",
    "load_document",
    "near_miss",
    "parse_text",
    "read_bounded",
    "validate",
]

MOST_FILE_BYTES = 2 * 2**20
"""Bytes of a file at most; 30,000 hosts need less. Larger files are not written by hand and take long to read."""

_Model = TypeVar("_Model", bound="BaseModel")


@dataclass(frozen=True)
class Document:
    """The content of a file. ``value`` is plain Python (dict, list, str, int, float, bool, None, date, ``Opaque``).

    A value that the file refers to several times (``*alias``) is one object: do not change it.
    """

    value: object
    file: str
    _root: yaml.Node | None = field(default=None, repr=False, compare=False)
    values: Values | None = field(default=None, repr=False, compare=False)

    def line_of(self, path: Sequence[str | int]) -> int | None:
        """Return the line (from 1) of the key or item at a path; of the nearest ancestor if it is absent.

        None only if the document is empty.
        """
        return self.find(path)[0]

    def written(self, path: Sequence[str | int]) -> str | None:
        """Return the text in the file at a path, if it is a scalar without quotes; else None."""
        _, node, is_whole = self.find(path)
        return written_text(node) if is_whole and node is not None else None

    def mistake(self, path: Sequence[str | int], message: str, hint: str | None = None) -> Mistake:
        """Return a mistake at a path of this document."""
        return Mistake(self.file, self.line_of(path), message, hint)

    def find(self, path: Sequence[str | int]) -> tuple[int | None, yaml.Node | None, bool]:
        """Return (line, node, whether the whole path exists) for a path."""
        node = self._root
        if node is None or self.values is None:
            return None, None, False
        line = node.start_mark.line + 1
        for part in path:
            if isinstance(node, yaml.MappingNode):
                found = self.values.entry(node, part)
                if found is None:
                    return line, node, False
                _, key, node = found
                line = key.start_mark.line + 1
            elif isinstance(node, yaml.SequenceNode) and isinstance(part, int) and 0 <= part < len(node.value):
                node = node.value[part]
                line = node.start_mark.line + 1
            else:
                return line, node, False
        return line, node, True


def load_document(path: Path, *, is_empty_allowed: bool = False) -> Document:
    """Read a file. Raises ConfigurationError, with file and line, if it is absent, unreadable, not valid or empty.

    An empty file, if allowed, has the value None.
    """
    try:
        raw = read_bounded(path)
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except FileNotFoundError:
        raise ConfigurationError("there is no such file", where=str(path), hint=_file_hint(path)) from None
    except IsADirectoryError:
        raise ConfigurationError("this is a folder, not a file", where=str(path), hint=_file_hint(path)) from None
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        mistake = Mistake(str(path), line, "this is not UTF-8 text", "save the file as UTF-8")
        raise ConfigurationError([mistake]) from None
    except OSError as error:
        hint = "check the permissions of the file and its folders"
        raise ConfigurationError(f"cannot be read: {error.strerror}", where=str(path), hint=hint) from None
    if path.suffix == ".json":
        text = text.replace("\t", " ")  # JSON allows tabs between values, but not inside strings
    return parse_text(text, str(path), is_empty_allowed=is_empty_allowed)


def read_bounded(path: Path, most: int = MOST_FILE_BYTES) -> bytes:
    """Read a file of at most ``most`` bytes. Raises ConfigurationError if it is larger, and OSError like ``open``."""
    with path.open("rb") as stream:
        raw = stream.read(most + 1)
    if len(raw) > most:
        raise ConfigurationError(
            f"the file is larger than {most / 2**20:g} MiB", where=str(path), hint="is this the right file?"
        )
    return raw


def parse_text(text: str, file_name: str, *, is_empty_allowed: bool = False) -> Document:
    """Parse a text as a document. Raises ConfigurationError with all of its mistakes."""
    root, mistakes = compose_text(text, file_name)
    if mistakes:
        raise ConfigurationError(mistakes)
    values = Values(file_name)
    value = None if root is None else values.build(root)
    if values.mistakes:
        raise ConfigurationError(sorted(values.mistakes, key=lambda m: m.line or 0))
    if value is None and not is_empty_allowed:
        mistake = Mistake(file_name, None, "the file is empty", "`harness init` writes files to start from")
        raise ConfigurationError([mistake])
    return Document(value, file_name, root, values)


def _file_hint(path: Path) -> str | None:
    folder = path if path.is_dir() else path.parent
    if not folder.is_dir():
        return f"the folder {folder} does not exist either"
    names = sorted(p.name for p in folder.iterdir() if p.suffix in {".yaml", ".yml"})
    guess = near_miss(path.name, names)
    if guess and not path.is_dir():
        return f"did you mean {folder / guess}?"
    return f"YAML files there: {', '.join(names)}" if names else "`harness init` writes files to start from"


def validate(
    model: type[_Model], value: object, document: Document, *, prefix: Sequence[str | int] = ()
) -> tuple[_Model | None, list[Mistake]]:
    """Validate ``value``, found at ``prefix`` of ``document``. Returns (model or None, mistakes with file and line).

    A validator of the model may raise ValueError("what is wrong\\nwhat to do").
    """
    from pydantic import ValidationError

    mistakes = _key_mistakes(value, document, tuple(prefix))
    if mistakes:
        value = _without_odd_keys(value)
    result = None
    try:
        result = model.model_validate(value)
    except ValidationError as error:
        mistakes += [_to_mistake(c, value, document, tuple(prefix)) for c in complaints_of(error, model, value)]
    lines = {m.line for m in mistakes}
    mistakes += [m for m in _surprises(document, tuple(prefix)) if m.line not in lines]
    mistakes.sort(key=lambda m: m.line or 0)
    return (None if mistakes else result), mistakes


def _to_mistake(complaint: Complaint, value: object, document: Document, prefix: tuple[str | int, ...]) -> Mistake:
    message, hint = complaint.message, complaint.hint
    if complaint.is_about_value:
        for part in complaint.path:
            value = value[part]  # type: ignore[index] # the path was found by walking this value
        message = f"{message}, found {describe(value, document.written((*prefix, *complaint.path)))}"
        hint = hint or _missing_space_hint(value)
    name = dotted((*prefix[-1:], *complaint.path)) if prefix else dotted(complaint.path)
    return document.mistake((*prefix, *complaint.path), f"{name}: {message}" if name else message, hint)


def _missing_space_hint(value: object) -> str | None:
    if isinstance(value, str):
        key, colon, rest = value.partition(":")
        if colon and key.isidentifier() and rest and not rest.startswith((" ", "/")):
            return f"is a space missing after the colon? `{key}: {rest}`"
    return None


def dotted(path: Sequence[str | int]) -> str:
    """Return a path as ``hosts.ws01.gpus[0]``."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) and not isinstance(part, bool) else f".{part}"
    return text.removeprefix(".")


def _surprises(document: Document, prefix: tuple[str | int, ...]) -> list[Mistake]:
    """Return mistakes for scalars below a path that YAML 1.1 reads as a number that was not meant."""
    _, node, is_whole = document.find(prefix)
    if node is None or not is_whole or document.values is None:
        return []
    mistakes = []
    for scalar in walk_scalars(document.values, node):
        surprise = surprise_of(scalar)
        if surprise:
            message = f"YAML reads `{scalar.value}` as {surprise[0]}"
            mistakes.append(Mistake(document.file, scalar.start_mark.line + 1, message, surprise[1]))
    return mistakes


def _key_mistakes(value: object, document: Document, path: tuple[str | int, ...]) -> list[Mistake]:
    """Return mistakes for keys that YAML does not read as text."""
    if isinstance(value, list):
        return [m for i, item in enumerate(value) for m in _key_mistakes(item, document, (*path, i))]
    if not isinstance(value, Mapping):
        return []
    mistakes = []
    for key, item in value.items():
        if isinstance(key, str):
            mistakes += _key_mistakes(item, document, (*path, key))
        else:
            message = f"a key must be text, but YAML reads this one as {describe(key)}"
            mistakes.append(document.mistake((*path, key), message, "put the key in quotes"))
    return mistakes


def _without_odd_keys(value: object) -> object:
    if isinstance(value, Mapping):
        return {key: _without_odd_keys(item) for key, item in value.items() if isinstance(key, str)}
    return [_without_odd_keys(item) for item in value] if isinstance(value, list) else value
