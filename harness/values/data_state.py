"""What is known of a data set on a host before its images are read: where it lies, how large it is, what is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from harness.values.errors import DataError


@dataclass(frozen=True)
class DataState:
    """A data set as a host has it.

    ``place`` is where it lies, in words; ``images`` and ``bytes`` are None where nobody can know them yet, and
    ``source`` says from where they are known. ``is_bound``: files were counted, and those without an annotation fall
    away when they are read. ``fingerprint`` is what the last check of these files found; None: never computed, or the
    files have changed since. ``problem`` is why it cannot be used, ``hint`` what to do about that.
    """

    name: str
    place: str
    images: int | None = None
    bytes: int | None = None
    source: str = ""
    is_bound: bool = False
    fingerprint: str | None = None
    problem: str | None = None
    hint: str | None = None
    will_be_made: bool = False

    def as_error(self, host: str) -> DataError:
        """Return the problem as the error that ends a host's part in a session."""
        return DataError(self.problem or f"data set {self.name!r} cannot be used", where=host, hint=self.hint)
