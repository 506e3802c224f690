"""The order of a round, and the digest that names a session's folder: the same in every Python."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from harness.experiment.model import Experiment
from harness.values.case import Case, digest_of

NOT_IN_DIGEST = frozenset({"rounds", "interval", "stall_rounds", "budget", "timeout", "notes"})
"""More rounds or more time continue a session; notes are remarks on how a file was read."""


def round_order(cases: Sequence[Case], *, seed: int, host: str, round_number: int) -> tuple[Case, ...]:
    """All cases once, in a random order that depends on nothing but these arguments.

    Sorted by SHA-256 over seed, host, round and case: so one case more or less leaves the order of the others as it is.
    """

    def key(case: Case) -> bytes:
        return hashlib.sha256(f"{seed}\n{host}\n{round_number}\n{case.case_id}".encode()).digest()

    return tuple(sorted(cases, key=key))


def experiment_digest(experiment: Experiment) -> str:
    """Eight hex digits over the resolved experiment without what only continues it (``NOT_IN_DIGEST``)."""
    resolved = experiment.model_dump(mode="json")
    return digest_of({name: value for name, value in resolved.items() if name not in NOT_IN_DIGEST})[:8]
