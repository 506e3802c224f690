"""The file of the cache ``array``: whole or not there at all, and what was damaged is never delivered."""

from __future__ import annotations

import errno
import gc
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")

from harness.bench.loaders.record_file import DATA, SEAL, Blocks, RecordFile, Records  # noqa: E402
from harness.bench.loaders.store import clear, find_paths  # noqa: E402
from harness.bench.protocol.failure import BenchmarkFailure, classify  # noqa: E402

COUNT, SHAPE = 11, (5, 7, 3)
"""A record of 105 bytes: no whole number of words, nor of pages."""


def make_records(dtype: str = "uint8", seed: int = 1) -> Records:
    records: Records = np.random.default_rng(seed).integers(0, 256, (COUNT, *SHAPE)).astype(dtype)
    return records


def open_file(folder: Path, name: str = "images-01", dtype: str = "uint8") -> RecordFile:
    return RecordFile(str(folder / name), COUNT, SHAPE, dtype)


def fill(file: RecordFile, records: Records) -> None:
    """As an epoch does: in batches, in an order that is not the file's."""
    assert not file.open()
    order = np.random.default_rng(3).permutation(COUNT)
    for chosen in np.split(order, range(4, COUNT, 4)):
        file.write(records[chosen], chosen)


def read(file: RecordFile, numbers: list[int], dtype: str = "uint8") -> Records:
    found: Records = np.empty((len(numbers), *SHAPE), dtype)
    file.read_into(found, np.array(numbers))
    return found


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_what_is_written_at_a_number_is_read_at_it(tmp_path: Path, dtype: str) -> None:
    records, file = make_records(dtype), open_file(tmp_path, dtype=dtype)
    fill(file, records)
    assert file.is_whole() and file.open()
    later = open_file(tmp_path, dtype=dtype)
    assert later.is_whole() and later.open()
    for one in (file, later):
        for numbers in ([3, 4, 5, 0], [10], list(range(COUNT)), [9, 8, 7], [2, 2]):
            assert np.array_equal(read(one, numbers, dtype), records[numbers])
    size = os.path.getsize(f"{tmp_path}/images-01{DATA}")
    assert size == records.nbytes
    assert os.path.getsize(f"{tmp_path}/images-01{SEAL}") < 8 * COUNT + 300
    assert len(find_paths(str(tmp_path / "images"))) == 2
    clear(str(tmp_path / "images"))
    assert not file.is_whole() and not any(tmp_path.iterdir())


def test_two_epochs_that_fill_it_at_once_make_one_file(tmp_path: Path) -> None:
    """Keras looks at its first batches with an iterator that it then leaves."""
    records, file = make_records(), open_file(tmp_path)
    assert not file.open()
    file.write(records[:4], np.arange(4))
    fill(file, records)
    file.write(make_records(seed=2)[4:8], np.arange(4, 8))  # late, and of no effect
    assert np.array_equal(read(file, list(range(COUNT))), records)


def test_an_interrupted_one_is_not_there(tmp_path: Path) -> None:
    records, killed = make_records(), open_file(tmp_path)
    assert not killed.open()
    killed.write(records[:9], np.arange(9))
    again = open_file(tmp_path)
    assert not again.is_whole()
    fill(again, make_records(seed=2))
    assert np.array_equal(read(open_whole(tmp_path), [8, 0]), make_records(seed=2)[[8, 0]])


def open_whole(folder: Path) -> RecordFile:
    file = open_file(folder)
    assert file.open()
    return file


@pytest.mark.parametrize("change", ["cut", "longer", "no seal", "another digest", "another count", "half a seal"])
def test_what_does_not_fit_its_seal_is_made_again(tmp_path: Path, change: str) -> None:
    fill(open_file(tmp_path), make_records())
    data, seal = tmp_path / f"images-01{DATA}", tmp_path / f"images-01{SEAL}"
    if change in ("cut", "longer"):
        os.truncate(data, data.stat().st_size + (1 if change == "longer" else -1))
    elif change == "no seal":
        seal.unlink()
    elif change == "another digest":
        head, _, sums = seal.read_bytes().partition(b"\n")
        seal.write_bytes(head.replace(b'"digest": "', b'"digest": "0') + b"\n" + sums)
    elif change == "another count":
        seal.write_bytes(seal.read_bytes().replace(b'"records": 11', b'"records": 10'))
    else:
        seal.write_bytes(seal.read_bytes()[:-8])
    file = open_file(tmp_path)
    assert not file.is_whole()
    fill(file, make_records(seed=2))
    assert np.array_equal(read(open_whole(tmp_path), [0, 10]), make_records(seed=2)[[0, 10]])


def test_the_file_of_another_pipeline_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    """An old digest: the files of other data, or of other code, under this one's name."""
    fill(open_file(tmp_path, "images-00"), make_records())
    for suffix in (DATA, SEAL):
        os.rename(tmp_path / f"images-00{suffix}", tmp_path / f"images-01{suffix}")
    file = open_file(tmp_path)
    assert not file.is_whole() and not file.open()
    assert not (tmp_path / f"images-01{SEAL}").exists()


@pytest.mark.parametrize("fault", ["two records exchanged", "all moved by one", "one bit", "a page of zeros"])
def test_records_that_are_not_what_was_written_are_never_delivered(tmp_path: Path, fault: str) -> None:
    records = make_records()
    fill(open_file(tmp_path), records)
    wrong = records.copy()
    if fault == "two records exchanged":
        wrong[[2, 6]] = records[[6, 2]]
    elif fault == "all moved by one":
        wrong = np.roll(records, 1, axis=0)
    elif fault == "one bit":
        wrong[6, 0, 0, 0] ^= 64
    else:
        wrong.reshape(-1)[640:700] = 0
    (tmp_path / f"images-01{DATA}").write_bytes(wrong.tobytes())
    file = open_whole(tmp_path)
    with pytest.raises(
        BenchmarkFailure, match=r"the cache is damaged: .*record 6 differs from what was written"
    ) as caught:
        read(file, [6])
    assert caught.value.kind == "data"
    with pytest.raises(BenchmarkFailure, match="damaged"):
        read(file, [6, 4])


def test_a_file_that_is_cut_while_it_is_read_is_an_error_and_no_signal(tmp_path: Path) -> None:
    file = open_file(tmp_path)
    fill(file, make_records())
    os.truncate(tmp_path / f"images-01{DATA}", 4 * 105 + 50)
    assert np.array_equal(read(file, [1, 3]), make_records()[[1, 3]])
    with pytest.raises(BenchmarkFailure, match="ends within the record"):
        read(file, [3, 4])
    with pytest.raises(BenchmarkFailure, match="truncated or removed while in use"):
        file.open()
    # as TensorFlow hands it on
    assert classify(RuntimeError("{{node x}} BenchmarkFailure: the cache is damaged: it ends\nTraceback")) == "data"


def test_a_full_disk_seals_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_a_part(descriptor: int, data: memoryview, offset: int) -> int:
        if offset > 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        return written(descriptor, data[:50], offset)

    written, file = os.pwrite, open_file(tmp_path)
    monkeypatch.setattr(os, "pwrite", write_a_part)
    with pytest.raises(OSError, match="No space left") as caught:
        fill(file, make_records())
    assert classify(caught.value) == "disk_full"
    assert not file.is_whole() and not open_file(tmp_path).is_whole()


def test_a_batch_is_never_overwritten_while_anybody_holds_a_part_of_it() -> None:
    blocks = Blocks(4096)
    batch = blocks.take((4, 8), "uint8")
    place = batch.ctypes.data
    batch[:] = 7
    part = batch[1:2, ::3]
    del batch
    gc.collect()
    others = [blocks.take((4, 8), "uint8") for _ in range(3)]
    for other in others:
        other[:] = 9
    assert place not in {other.ctypes.data for other in others}
    assert (part == 7).all()
    del part
    gc.collect()
    assert blocks.take((2, 8), "float32").ctypes.data == place, "and then it is used again"


@pytest.mark.cgroup
def test_in_half_of_its_size_no_epoch_reads_much_more_than_the_file(tmp_path: Path) -> None:
    """Under a limit that leaves the page cache half of the file; records of 224 px, which share pages."""
    from harness.bench.launcher.confine import try_limit
    from harness.bench.launcher.removal import remove_cgroup
    from harness.bench.measure import pagecache

    if not try_limit()["can_limit"]:
        pytest.skip("no memory limit can be enforced here")
    count, side = 1000, 224
    file = RecordFile(str(tmp_path / "images-01"), count, (side, side, 3), "uint8")
    assert not file.open()
    for number in range(count):
        file.write(np.full((1, side, side, 3), number % 251, np.uint8), np.array([number]))
    size = count * side * side * 3
    dropped = pagecache.drop([str(tmp_path)])
    if dropped.unproven:
        pytest.skip(f"pages cannot be dropped here: {dropped.unproven}")
    reader = Path(__file__).with_name("record_reader.py")
    command = [sys.executable, str(reader), str(tmp_path / "images-01"), str(count), str(side), str(size // 2), "3"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    remove_cgroup(found["cgroup"])
    assert found["anon_bytes"] < size // 4
    first, *later = found["read_bytes"]
    assert size <= first <= 1.1 * size
    assert all(0.3 * size < read <= 1.3 * size for read in later), (later, size)
