"""The virtual machine as a fixture."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import virtual_machine as vm


@pytest.fixture(scope="session")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[vm.Machine]:
    """Return a machine that runs; what tests write on it is gone afterwards."""
    if reason := vm.why_not():
        pytest.skip(f"no virtual machine here: {reason}")
    booted = vm.Machine.boot(tmp_path_factory.mktemp("vm"))
    yield booted
    booted.off()
