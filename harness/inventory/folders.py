"""Folders of one host: relative ones made absolute, and caches kept out of the user's data."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness.inventory.layers import Setting
from harness.inventory.variables import HostVariables
from harness.values.errors import Mistake

_DATA_KEYS = ("folder", "images", "annotations", "tfrecord")


def place_folders(own: Mapping[str, Setting], *, is_local: bool, mistakes: list[Mistake]) -> dict[str, Setting]:
    """The settings with relative paths made absolute: from the file that holds them, on this machine.

    On another machine a relative path means nothing, and is a mistake. A YAML file under ``experiment``
    is one of this machine in any case.
    """
    placed: dict[str, Setting] = {}
    for key, setting in own.items():
        head, value = key.partition(".")[0], setting.value
        if head == "experiment" and isinstance(value, str) and value.endswith((".yaml", ".yml")):
            value = _from_file(value, setting)
        elif head in {"scratch", "disks"}:
            value = _place(setting, is_local, mistakes)
        elif head == "data" and isinstance(value, Mapping):
            value = {
                name: _place(below, is_local, mistakes) if name in _DATA_KEYS else below.value
                for name, below in setting.below().items()
            }
        placed[key] = Setting(value, setting.document, setting.path)
    return placed


def _place(setting: Setting, is_local: bool, mistakes: list[Mistake]) -> object:
    path = setting.value
    if not isinstance(path, str) or not path.strip() or path.startswith(("/", "~")) or "{{" in path:
        return path
    if is_local:
        return _from_file(path, setting)
    mistakes.append(
        setting.mistake(
            f"{path!r}: a relative path says nothing on another machine", "write an absolute path, or begin with ~/"
        )
    )
    return path


def _from_file(path: str, setting: Setting) -> str:
    if path.startswith("~"):
        return path
    return os.path.normpath(Path(setting.document.file).absolute().parent / path)


_CURE = "name a folder apart from the data, like /nvme/harness"


def folder_conflicts(variables: HostVariables, *, is_local: bool) -> Iterator[tuple[tuple[str, str], str, str]]:
    """Each place of caches that meets a data folder: (keys of the two, what is wrong, what to do)."""
    for name, data in variables.data.items():
        for kind in {"folder", "images", "tfrecord"} & data.paths.keys():
            path = data.paths[kind]
            for disk, place in variables.cache_disks.items():
                key = "scratch" if disk == "scratch" else f"disks.{disk}"
                relation = _relation(place, path, is_local)
                if relation is None or (relation == "lies around" and disk != "scratch"):
                    continue  # a disk may hold data beside its caches; scratch may not
                yield (key, f"data.{name}"), f"{key} ({place}) {relation} data.{name}.{kind} ({path})", _CURE


def _relation(place: str, data: str, is_local: bool) -> str | None:
    first, second = _normal(place, is_local), _normal(data, is_local)
    if first == second:
        return "is the same folder as"
    if first.startswith(second.rstrip("/") + "/"):
        return "lies inside"
    return "lies around" if second.startswith(first.rstrip("/") + "/") else None


def _normal(path: str, is_local: bool) -> str:
    text = posixpath.normpath(str(Path(path).expanduser()) if is_local else path)
    return "/" + text.lstrip("/") if text.startswith("/") else text
