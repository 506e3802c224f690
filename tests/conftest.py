"""What tests of more than one part need."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

settings.register_profile("no-wall-time", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("no-wall-time")


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of so many bytes (``64k``), and unmounts it in the end. Skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk-{size}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            refused = subprocess.run(command, capture_output=True, check=False).returncode != 0
        except FileNotFoundError:
            refused = True
        if refused:
            pytest.skip("a small file system needs root and mount")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:  # lazily: what a test started may still hold it for a moment
        subprocess.run(["umount", "-l", str(folder)], check=True)
