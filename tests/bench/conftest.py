"""What tests of the payload share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from forked import Forker


@pytest.fixture(scope="session")
def forker() -> Iterator[Forker]:
    """One process with TensorFlow for all tests that run whole benchmarks."""
    forker = Forker()
    try:
        yield forker
    finally:
        forker.close()
