"""Read ``group_vars/`` and ``host_vars/`` beside an inventory file.

The rules are those of ``find_vars_files`` in ansible-core's ``parsing/dataloader.py``: of ``NAME`` (folder or file),
``NAME.yml``, ``NAME.yaml`` and ``NAME.json`` only the first that exists is read. In a folder all files are read,
sorted, with subfolders, but without hidden files and backups.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from harness.inventory.layers import Layer, Notes
from harness.inventory.variable_reading import read_layer
from harness.values.document import load_document, near_miss
from harness.values.errors import ConfigurationError, Mistake

GROUP_FOLDER, HOST_FOLDER = "group_vars", "host_vars"
_SUFFIXES = ("", ".yml", ".yaml", ".json")


class VarFiles:
    """The two folders of variables beside one inventory file; each file is read once."""

    def __init__(self, base: Path, notes: Notes) -> None:
        self._base = base
        self._notes = notes
        self._layers: dict[Path, Layer] = {}

    def group_layers(self, name: str) -> list[Layer]:
        """Return the layers of a group, weakest first."""
        return self._layers_of(self._base / GROUP_FOLDER, name)

    def host_layers(self, name: str) -> list[Layer]:
        """Return the layers of a host, weakest first."""
        return self._layers_of(self._base / HOST_FOLDER, name)

    def warn_strays(self, groups: Collection[str], hosts: Collection[str]) -> None:
        """Warn about files whose name is close to that of a group or host."""
        for folder, names in ((GROUP_FOLDER, groups), (HOST_FOLDER, hosts)):
            if not (self._base / folder).is_dir():
                continue
            for path in sorted((self._base / folder).iterdir()):
                name = path.stem if path.suffix in _SUFFIXES[1:] else path.name
                if name in names or path.name in names or path.name.startswith("."):
                    continue
                if guess := near_miss(name, names, cutoff=0.85):
                    kind = "group" if folder == GROUP_FOLDER else "host"
                    self._notes.warnings.append(
                        Mistake(str(path), None, f"no {kind} is called {name}", f"did you mean {guess}?")
                    )

    def _layers_of(self, folder: Path, name: str) -> list[Layer]:
        if not folder.is_dir():
            return []
        candidates = [folder / f"{name}{suffix}" for suffix in _SUFFIXES]
        present = [path for path in candidates if path.is_dir() or path.is_file()]
        if not present:
            return []
        for path in present[1:]:
            warning = Mistake(str(path), None, f"not read: {present[0].name} comes first", "keep one of the two")
            if warning not in self._notes.warnings:
                self._notes.warnings.append(warning)
        try:
            files = _files_below(present[0]) if present[0].is_dir() else [present[0]]
        except OSError as error:
            hint = "check the permissions of the folder"
            mistake = Mistake(str(error.filename or present[0]), None, f"cannot be read: {error.strerror}", hint)
            self._notes.mistakes += [] if mistake in self._notes.mistakes else [mistake]
            return []
        return [self._read(path) for path in files]

    def _read(self, path: Path) -> Layer:
        if path not in self._layers:
            self._layers[path] = {}
            try:
                document = load_document(path, is_empty_allowed=True)
            except ConfigurationError as error:
                alone = Mistake(error.where or str(path), None, error.message, error.hint)
                self._notes.mistakes += error.mistakes or (alone,)
                return {}
            layer = dict(read_layer(document, (), document.value, self._notes))
            priority = layer.pop("ansible_group_priority", None)
            if priority is not None:
                message = "ansible_group_priority: ignored, it has an effect only in the inventory file"
                self._notes.warnings.append(priority.mistake(message, "move it under the group's `vars:` there"))
            self._layers[path] = layer
        return self._layers[path]


def _files_below(folder: Path, above: tuple[Path, ...] = ()) -> list[Path]:
    """Return the files of a folder and its subfolders; a link back to a parent folder is not followed."""
    files = []
    above = (*above, folder.resolve())
    for path in sorted(folder.iterdir(), key=lambda p: p.name):
        if path.name.startswith(".") or path.name.endswith("~"):
            continue
        if path.is_dir() and not path.suffix:
            files += [] if path.resolve() in above else _files_below(path, above)
        elif path.is_file() and path.suffix in _SUFFIXES:
            files.append(path)
    return files
