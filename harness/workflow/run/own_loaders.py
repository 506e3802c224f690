"""Users' own loaders: their files travel with the payload, each with a digest of its own."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from harness.bench.protocol.own import own_place, split_own
from harness.values.case import Case
from harness.values.errors import ConfigurationError


def gather_own_loaders(cases: Iterable[Case]) -> dict[str, bytes]:
    """Path in the payload → content, for each file that a loader of these cases names. Raises ConfigurationError."""
    found: dict[str, Path] = {}
    for name in dict.fromkeys(case.loader for case in cases):
        own = split_own(name)
        if own is None:
            continue
        path = Path(own[0]).expanduser().resolve()
        place = own_place(own[0])
        if found.setdefault(place, path) != path:
            hint = "rename one of them: both would be the same file in a job"
            raise ConfigurationError(f"two loaders' files have the same name: {found[place]} and {path}", hint=hint)
    try:
        return {place: path.read_bytes() for place, path in found.items()}
    except OSError as error:
        hint = "the path is relative to where you start `harness`"
        raise ConfigurationError(f"a loader's file cannot be read: {error}", hint=hint) from error
