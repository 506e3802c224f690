"""What makes a data set unusable, said so that its owner can mend it. Standard library only."""

from __future__ import annotations


class DatasetError(Exception):
    """A data set is missing, empty, damaged, or cannot be made; ``hint`` is what to do about it.

    ``kind`` is the ``kind`` of ``failure.json``: ``data``, or ``disk_full`` while one is made.
    """

    def __init__(self, message: str, *, hint: str, kind: str = "data") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.kind = kind
