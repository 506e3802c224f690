"""Dropping pages, proven by what then comes from storage."""

# mypy: disable-error-code="union-attr, operator"

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness.bench.measure import pagecache


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder on storage that can forget; skips where there is none."""
    place = next(
        (p for p in (tmp_path, Path("/var/tmp")) if not pagecache.why_unproven(pagecache.file_system_of(str(p)))), None
    )
    if place is None or pagecache.storage_bytes() is None:
        pytest.skip("no file system here whose pages can be dropped and counted")
    with tempfile.TemporaryDirectory(dir=place) as name:
        for number in range(12):
            part = Path(name) / f"class{number % 3}"
            part.mkdir(exist_ok=True)
            (part / f"{number}.jpg").write_bytes(os.urandom(200_000))
        yield Path(name)


def read_counting(folder: Path) -> int:
    """Bytes from storage for reading everything once."""
    before = pagecache.storage_bytes()
    for path, _ in pagecache.walk([str(folder)]):
        Path(path).read_bytes()
    return pagecache.storage_bytes() - before


def test_dropped_pages_come_from_storage_again(folder: Path) -> None:
    pagecache.warm([folder])
    assert read_counting(folder) == 0
    dropped = pagecache.drop([folder])
    assert (dropped.files, dropped.bytes, dropped.unproven) == (12, 12 * 200_000, None)
    assert read_counting(folder) >= 12 * 200_000


def test_dirty_pages_are_written_and_dropped(folder: Path) -> None:
    (folder / "new").write_bytes(os.urandom(5_000_000))  # not yet on the disk
    assert pagecache.drop([folder / "new"]).unproven is None
    assert read_counting(folder / "new") >= 5_000_000


def test_warm_reads_everything(folder: Path) -> None:
    pagecache.drop([folder])
    warmed = pagecache.warm([folder])
    assert (warmed.files, warmed.bytes) == (12, 12 * 200_000)
    assert read_counting(folder) == 0


def test_pages_that_stay_make_it_unproven(folder: Path) -> None:
    import mmap

    path = folder / "class0/0.jpg"
    with open(path, "r+b") as stream, mmap.mmap(stream.fileno(), 0) as mapped:
        sum(mapped[::4096])  # mapped pages are not dropped
        assert "still in memory" in pagecache.drop([path]).unproven


def test_links_circles_and_holes_in_the_tree(folder: Path) -> None:
    (folder / "links").mkdir()
    (folder / "links/circle").symlink_to(folder)
    (folder / "links/file").symlink_to(folder / "class0/0.jpg")
    (folder / "links/dead").symlink_to(folder / "absent")
    os.mkfifo(folder / "pipe")
    assert len(list(pagecache.walk([str(folder), str(folder / "absent")]))) == 12


def test_memory_is_no_storage() -> None:
    shm = Path("/dev/shm")
    if pagecache.file_system_of(str(shm)) != "tmpfs":
        pytest.skip("/dev/shm is no tmpfs here")
    with tempfile.TemporaryDirectory(dir=shm) as name:
        (Path(name) / "file").write_bytes(b"x" * 10000)
        assert pagecache.drop([name]).unproven.startswith("tmpfs: ")


@pytest.mark.parametrize("kind", ["nfs", "nfs4", "zfs", "fuse.sshfs", "fuse", "cifs", "9p", "virtiofs"])
def test_what_keeps_a_cache_of_its_own_is_unproven(kind: str, tmp_path: Path) -> None:
    mountinfo = tmp_path / "mountinfo"
    point = str(tmp_path / "my data").replace(" ", "\\040")
    mountinfo.write_text(
        f"1 0 8:1 / / rw - ext4 /dev/sda rw\n2 1 0:50 / {point} ro,relatime shared:1 - {kind} there:/x ro\n"
        f"3 1 8:2 / {point}2 rw - xfs /dev/sdb rw\n"
    )
    found = pagecache.file_system_of(str(tmp_path / "my data/set"), str(mountinfo))
    assert found == kind
    assert pagecache.why_unproven(found).startswith(kind)
    assert pagecache.file_system_of(str(tmp_path / "my data2/set"), str(mountinfo)) == "xfs"
    assert pagecache.why_unproven("xfs") is None
    assert pagecache.why_unproven(pagecache.file_system_of("/", str(tmp_path / "absent")))


def test_as_a_program(folder: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-m", "harness.bench.measure.pagecache", "drop", folder],
        capture_output=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout)["files"] == 12
    assert pagecache.main(["melt"]) == 2
