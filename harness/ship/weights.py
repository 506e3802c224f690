"""Find files of weights on a host, or send those of this machine. None is downloaded."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from harness.hosts.connection import Connection
from harness.hosts.folders import resolve_path
from harness.hosts.own_folders import make_own_folder
from harness.ship.datasource import OnProgress, source_file
from harness.ship.filetransfer import KNOWN, hash_files, list_files, send_large
from harness.ship.slots import TransferSlots
from harness.values.case import Case
from harness.values.errors import ConfigurationError
from harness.values.units import format_bytes
from harness.values.weights import WeightsFile, weights_key, weights_path

WEIGHTS_FOLDER = "weights"
"""Folder in scratch for files of weights, by content."""
_LIKELY_BYTES = 10**9
"""The size of the largest weights, which determines the time limit for hashing."""


@dataclass(frozen=True)
class FoundWeights:
    """A file of weights that cases need: its path on the host, or the file ``here`` that will be sent.

    ``problem`` is the error where the host does not have it and it cannot be sent.
    """

    path: str
    here: Path | None = None
    problem: ConfigurationError | None = None


def inspect_weights(connection: Connection, cases: Iterable[Case], *, may_send: bool) -> dict[str, FoundWeights]:
    """Find the files of weights that cases need, by ``weights_key``; nothing is sent yet.

    ``may_send``: a file of this machine is preferred, so that all hosts have the same one.
    """
    found = {}
    for case in cases:
        key = weights_key(case)
        if key is None or case.model is None or key in found:
            continue
        path = weights_path(case.model, case.image_size)
        here = Path(path).expanduser()
        if may_send and here.is_file():
            found[key] = FoundWeights(path, here)
            continue
        place = resolve_path(connection, path)
        problem = None
        if connection.run(["test", "-r", place]).returncode != 0:
            message = f"weights: {case.model.weights}: no file {place} that can be read"
            hint = "copy it there, name another with `weights: PATH`, or use `weights: none` (the same cost per step)"
            problem = ConfigurationError(message, where=connection.host, hint=hint)
        found[key] = FoundWeights(place, problem=problem)
    return found


def hash_weights(connection: Connection, path: str) -> WeightsFile:
    """Return a file of weights on the host with the hash of its content."""
    folder, name = posixpath.split(path)
    return WeightsFile(path, hash_files(connection, folder, [name], _LIKELY_BYTES)[name])


def ship_weights(
    connection: Connection, scratch: str, path: Path, slots: TransferSlots, on_progress: OnProgress
) -> WeightsFile:
    """Send a file of weights to scratch, in a folder named by its hash, unless it is there. Raises DataError."""
    file = source_file(path, path.name)
    base = posixpath.join(scratch, WEIGHTS_FOLDER, file.sha256[:16])
    sent = 0

    def tell(count: int) -> None:
        nonlocal sent
        sent += count
        on_progress(f"sending {format_bytes(sent)} of {format_bytes(file.size)}", sent / max(file.size, 1))

    stamp = list_files(connection, base).get(file.place)
    is_there = stamp is not None and stamp.size == file.size
    if not is_there or hash_files(connection, base, [file.place], file.size).get(file.place) != file.sha256:
        with slots.take(file.size, lambda: on_progress("waiting for other transfers", None)):
            make_own_folder(connection, scratch, base)
            send_large(connection, base, file, on_bytes=tell)
            connection.run(["rm", "-rf", "--", posixpath.join(base, "parts"), posixpath.join(base, KNOWN)])
    return WeightsFile(posixpath.join(base, file.place), file.sha256)
