"""Where the weights of models lie on a host. Never a silent fallback, and nothing is ever downloaded."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts.folders import resolve_path
from harness.ship.datatransfer import ship_weights
from harness.ship.filetransfer import hash_files
from harness.values.case import Case
from harness.values.errors import ConfigurationError
from harness.values.event import Event, progress_of
from harness.values.weights import WeightsFile, weights_key, weights_path

if TYPE_CHECKING:
    from harness.workflow.reaching import Reached
    from harness.workflow.ship.transfers import Transfers

_LIKELY_BYTES = 10**9
"""Weights of the largest applications are about as large; how long hashing may take goes by it."""


def find_weights(
    cases: Iterable[Case],
    reached: Reached,
    transfers: Transfers | None = None,
    emit: Callable[[Event], None] = lambda event: None,
) -> dict[str, WeightsFile]:
    """Return the files of weights of these cases on the host, by ``weights_key``; those that are nowhere are left out.

    A file of this machine goes to another host's scratch by its content, so that all hosts have the same one.
    """
    cases = list(cases)
    missing = missing_weights(cases, reached, may_ship=transfers is not None)
    found = {}
    for key, (_, path) in _wanted(cases).items():
        if key not in missing:
            place = _ship(path, reached, transfers, emit) or resolve_path(reached.connection, path)
            folder, name = posixpath.split(place)
            found[key] = WeightsFile(place, hash_files(reached.connection, folder, [name], _LIKELY_BYTES)[name])
    return found


def missing_weights(cases: Iterable[Case], reached: Reached, *, may_ship: bool) -> dict[str, ConfigurationError]:
    """Return, by ``weights_key``, an error that names the file for weights that the host cannot have."""
    missing = {}
    for key, (asked, path) in _wanted(cases).items():
        if may_ship and _is_sent(path, reached):
            continue
        place = resolve_path(reached.connection, path)
        if reached.connection.run(["test", "-r", place]).returncode != 0:
            missing[key] = ConfigurationError(
                f"weights: {asked}: no file {place} that can be read",
                where=reached.name,
                hint="put it there, name another with `weights: PATH`, or use `weights: none` (the same cost per step)",
            )
    return missing


def _wanted(cases: Iterable[Case]) -> dict[str, tuple[str, str]]:
    """Return what cases say of their ``weights`` and the path of the file, by ``weights_key``."""
    return {
        key: (case.model.weights, weights_path(case.model, case.image_size))
        for case in cases
        if case.model is not None and (key := weights_key(case)) is not None
    }


def _is_sent(path: str, reached: Reached) -> bool:
    """Return whether a file of this machine goes to the host."""
    return reached.host.connection != "local" and Path(path).expanduser().is_file()


def _ship(path: str, reached: Reached, transfers: Transfers | None, emit: Callable[[Event], None]) -> str | None:
    """Send a file of this machine and return where it lies on the host; None where nothing is to be sent."""
    if transfers is None or not _is_sent(path, reached):
        return None
    here = Path(path).expanduser()
    show = progress_of(reached.name, emit, f"weights {here.name}")
    return ship_weights(reached.connection, reached.scratch, here, transfers.slots, show)
