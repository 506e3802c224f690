"""Every loader with every cache that it makes: killed in the middle, with wrong files, short of memory, on a full disk.

In `make test` each cache once (with the tuned loader) and each loader once; all pairs with `make test-loaders`.
"""

# mypy: disable-error-code="union-attr"

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from bench_images import ENOUGH_WORKERS, Made, make_images
from forked import Forker, read_events

from harness.bench.launcher.confine import try_limit
from harness.bench.protocol.loader_registry import CACHES, LOADERS

pytestmark = pytest.mark.tensorflow
EVERYWHERE = "tfdata-tuned"
"""The loader whose caches are all tried in `make test`."""
PAIRS = [
    pytest.param(name, cache, marks=[pytest.mark.loaders_full] if cache != "none" and name != EVERYWHERE else [])
    for name, spec in LOADERS.items()
    if not spec.is_automatic
    for cache in spec.caches
]
ON_DISK = [pair for pair in PAIRS if CACHES[str(pair.values[1])].is_on_disk]
FEW, MANY, SIDE = 13, 400, 48


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_images(tmp_path_factory.mktemp("few"), count=FEW)


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """The same thirteen images many times over, as files of their own."""
    made = make_images(tmp_path_factory.mktemp("many"), count=FEW)
    return multiply(made, MANY)


def multiply(made: Made, count: int) -> Made:
    from harness.bench.loaders.manifest import Manifest, write_manifest

    rows = []
    old = made.manifest
    for index in range(count):
        source = index % len(old)
        folder, name = old.paths[source].split("/")
        path = f"{folder}/{index:04d}-{name}"
        shutil.copy(made.folder / old.paths[source], made.folder / path)
        kept = (column[source] for column in (old.labels, old.widths, old.heights, old.sizes, old.hashes))
        rows.append((path, *kept))
    for path in old.paths:
        (made.folder / path).unlink()
    rows.sort(key=lambda row: row[0].encode())
    manifest = Manifest(*zip(*rows, strict=True), classes=old.classes)  # type: ignore[misc]
    write_manifest(made.dataset, manifest)
    return Made(made.kind, made.folder, made.dataset, manifest)


def write_job(
    folder: Path, made: Made, loader: str, cache: str, *, disk: Path | None = None, **changes: object
) -> Path:
    """The folder of a job, with its request. ``changes`` are of its case; ``disk`` is where its cache goes."""
    kept = disk or folder / "cache"
    for place in (folder, kept):
        place.mkdir(exist_ok=True)
    case = {
        "data": "made", "loader": loader, "cache": cache, "element": choose_element(cache), "image_size": [SIDE, SIDE],
        "batch_size": 4, "epochs": 2, "workers": ENOUGH_WORKERS.get(loader), **changes,
    }  # fmt: skip
    paths = {"data": str(made.folder), "dataset": str(made.dataset), "cache": str(kept)}
    request = {"case": case, "data": {"kind": made.kind}, "limits": {}, "seed": 3, "paths": paths}
    (folder / "request.json").write_text(json.dumps(request))
    return folder


def choose_element(cache: str) -> str:
    """uint8 where a cache holds it, else what it holds."""
    offered = CACHES[cache].elements
    return "float32" if cache == "none" else "uint8" if "uint8" in offered else offered[0]


@pytest.mark.parametrize(("name", "cache"), PAIRS)
def test_killed_in_the_middle_it_does_all_its_work_again(
    forker: Forker, many: Made, tmp_path: Path, name: str, cache: str
) -> None:
    """SIGKILL while the cache is being written (or, without one on disk, while images come): nothing of it counts."""
    job = write_job(tmp_path / "job", many, name, cache)
    kept = job / "cache"

    def is_in_the_middle() -> bool:
        if CACHES[cache].is_on_disk:
            return any(path.is_file() and path.stat().st_size for path in kept.rglob("*"))
        return any(event["event"] == "progress" for event in read_events(job))

    killed = forker.run(job, kill_when=is_in_the_middle)
    assert (killed.signal, killed.images, killed.done) == (signal.SIGKILL, [], {}), killed.log
    left = {path.name for path in kept.iterdir()}
    assert bool(left) == CACHES[cache].is_on_disk
    again = forker.run(job)
    assert (again.code, again.signal, again.failure) == (0, 0, {}), again.log
    assert again.images == [MANY, MANY]
    if choose_element(cache) == "uint8" and CACHES[cache].is_on_disk:
        assert again.done["cache_bytes"] == pytest.approx(MANY * SIDE * SIDE * 3, rel=0.1)


@pytest.mark.parametrize("wrong", ["cut", "gone", "no image"])
@pytest.mark.parametrize(("name", "cache"), PAIRS)
def test_a_file_that_went_bad_after_its_check_is_the_data_sets_fault(
    forker: Forker, tmp_path: Path, name: str, cache: str, wrong: str
) -> None:
    made = make_images(tmp_path / "set", count=FEW)
    path = made.folder / made.manifest.paths[6]
    data = path.read_bytes()
    if wrong == "gone":
        path.unlink()
    else:
        path.write_bytes(data[: len(data) // 2] if wrong == "cut" else b"no image" * 40)
    end = forker.run(write_job(tmp_path / "job", made, name, cache))
    assert (end.code, end.failure.get("kind"), end.done) == (1, "data", {}), (end.failure, end.log)


@pytest.mark.cgroup
@pytest.mark.parametrize(("name", "cache"), PAIRS)
def test_what_needs_more_memory_than_its_limit_ends_as_that(
    forker: Forker, many: Made, tmp_path: Path, name: str, cache: str
) -> None:
    """It is killed, its worker is, or TensorFlow or Python gives up; nothing hangs, and nothing is called done."""
    if not try_limit()["can_limit"]:
        pytest.skip("no memory limit can be enforced here")
    batch = 4 if cache == "memory" else 100  # a cache of 400 × 786 kB, or batches of 100 × 3.1 MB
    job = write_job(tmp_path / "job", many, name, cache, image_size=[512, 512], batch_size=batch)
    end = forker.run(job, memory=200 * 2**20)
    assert end.done == {}
    if end.signal:
        assert end.signal == signal.SIGKILL
        assert end.oom_kills
    else:
        assert end.failure["kind"] == "oom", (end.failure, end.log)


@pytest.fixture
def small_disk(make_disk: Callable[[str], Path]) -> Path:
    return make_disk("64k")


@pytest.mark.parametrize(("name", "cache"), ON_DISK)
def test_a_full_disk_is_said(
    forker: Forker, few: Made, tmp_path: Path, small_disk: Path, name: str, cache: str
) -> None:
    job = write_job(tmp_path / "job", few, name, cache, disk=small_disk)
    (small_disk / "foreign").write_bytes(bytes(56 * 1024))
    end = forker.run(job)
    assert (end.code, end.failure.get("kind"), end.done) == (1, "disk_full", {}), (end.failure, end.log)
