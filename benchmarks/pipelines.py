"""The best of our pipelines beside what a user would take instead: the same files, pixels and cores, alternating.

    python benchmarks/pipelines.py [FOLDER [--annotations JSON] [--repeat N]] [--profile dogs-and-cats]
                                   [--rounds 7] [--size 256] [--only TEXT …]

FOLDER has one folder of images per class, or is the image folder of a COCO pair; without it photographs are generated.
In each round, a process of its own, every contender comes once, in another order: its first epoch, then later ones for
at least a second, at ``nearest``. Of each setting (what is delivered: float32 from 0 to 1, or uint8) there is a table:
images/s and images per CPU second, medians of the rounds, and the cache's bytes. Ratios are of the same round, and the
median of them is judged; exit 1 where one that docs/loaders.md states is not reached. How much is wanted depends on
what an image costs to decode: of COCO's photographs, or of small ones, whichever the set's are nearer to by pixels and
bytes. The page cache is left warm: what is compared is the CPU's work. Beside them stand a bare gather of records in
memory with NumPy (which hands out a new array each time, as a batch has to be; and into one buffer again and again), a
bare copy of them in their order, and the cost of the layer that scales uint8. ``tfds`` needs tensorflow-datasets; it is
left out where that is not installed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from own_data import add_options, find_data

STEADY_S = 1.0
BATCH = 32
KINDS = {"photographs of COCO's size": (278_000, 163_000), "small photographs": (145_000, 22_000)}
"""Pixels and bytes of an image, means: COCO 2017's, and those of Kaggle's dogs and cats."""
SMALL = "small photographs"
MOST_BARE = 1500
"""Records of the bare gather: 295 MB at 256 px, beyond any processor's cache."""


class Contender(NamedTuple):
    """A loader with its cache, and what it delivers."""

    loader: str
    cache: str = "none"
    element: str = "float32"
    deliver: str = "float32"


OURS = {
    "keras-idg": Contender("keras-idg"),
    "keras-directory": Contender("keras-directory"),
    "grain": Contender("grain"),
    "tfdata": Contender("tfdata"),
    "tfdata-tuned": Contender("tfdata-tuned"),
    "float32 file": Contender("tfdata-tuned", "file", "float32"),
    "uint8 file": Contender("tfdata-tuned", "file", "uint8"),
    "float32 array": Contender("tfdata-tuned", "array", "float32"),
    "uint8 array": Contender("tfdata-tuned", "array", "uint8"),
    "decoder (yardstick)": Contender("decoder"),
    "keras-idg, uint8": Contender("keras-idg", deliver="uint8"),
    "tfdata-tuned, uint8": Contender("tfdata-tuned", deliver="uint8"),
    "uint8 file, uint8": Contender("tfdata-tuned", "file", "uint8", "uint8"),
    "uint8 array, uint8": Contender("tfdata-tuned", "array", "uint8", "uint8"),
    "decoder (yardstick), uint8": Contender("decoder", deliver="uint8"),
}
TFDS = "tfds"
CONTENDERS = [*OURS, *([TFDS] if find_spec("tensorflow_datasets") else [])]
BARE = (
    "bare gather, new arrays",
    "bare gather, new arrays, a thread a CPU",
    "bare gather into one buffer",
    "bare copy into one buffer",
    "Rescaling layer",
)

Results = list[dict[str, dict[str, float]]]


class Claim(NamedTuple):
    """A ratio of two contenders' figures: of one key, or of two."""

    what: str
    one: str
    other: str
    keys: tuple[str, str]
    least: float | None = None
    most: float | None = None


def claims(*, is_small: bool) -> Iterator[Claim]:
    """What is to be reached on photographs of COCO's size, and on small ones."""
    wall, cpu, first = ("steady",) * 2, ("steady_per_cpu",) * 2, ("first",) * 2
    array, idg = "`array` ÷ `keras-idg`, ", ("keras-idg", "keras-idg, uint8")
    for deliver, name, base, wanted in (
        ("float32", "uint8 array", idg[0], (None, 4.0) if is_small else (20.0, 10.0)),
        ("uint8", "uint8 array, uint8", idg[1], (None, 12.0) if is_small else (45.0, 30.0)),
    ):
        yield Claim(f"{array}{deliver}, images/s", name, base, wall, wanted[0])
        yield Claim(f"{array}{deliver}, per CPU second", name, base, cpu, wanted[1])
    yield Claim("fill of `array` ÷ `cache: none`, float32, images/s", "uint8 array", "tfdata-tuned", first, 0.8)
    none = "tfdata-tuned, uint8"
    yield Claim("fill of `array` ÷ `cache: none`, uint8, images/s", "uint8 array, uint8", none, first, 0.8)
    yield Claim("fill of the uint8 `file` ÷ `cache: none`, float32, images/s", "uint8 file", "tfdata-tuned", first, 0.7)
    yield Claim("`array` uint8 ÷ bare gather on the same CPUs, images/s", "uint8 array, uint8", BARE[1], wall, 0.35)
    yield Claim("the same, per CPU second", "uint8 array, uint8", BARE[1], cpu)
    size = ("cache_bytes",) * 2
    yield Claim("bytes of the uint8 `array` ÷ float32's", "uint8 array", "float32 array", size, most=0.251)
    yard, best = "decoder (yardstick)", "best uncached of ours ÷ the yardstick, per CPU second"
    yield Claim(f"{best}, float32", "best uncached", yard, cpu, 0.95)
    yield Claim(f"{best}, uint8", "tfdata-tuned, uint8", f"{yard}, uint8", cpu, 0.95)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=800)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument(
        "--only", nargs="+", metavar="NAME", help="these contenders alone, and what can be judged of them"
    )
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder, options.annotations = find_data(options)
    options.scratch = options.scratch / "pipelines"
    options.scratch.mkdir(exist_ok=True)
    if options.child is not None:
        print(json.dumps(run_round(options)))
        return 0
    kind, said = find_kind(prepare_set(options))
    results: Results = []
    for number in range(options.rounds):
        command = [sys.executable, __file__, *sys.argv[1:], "--child", str(number)]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if done.returncode:
            sys.exit(f"round {number + 1} failed")
        results.append(json.loads(done.stdout.splitlines()[-1]))
    shutil.rmtree(options.scratch)
    missed = show(results, is_small=kind == SMALL)
    print(said)
    return missed


def find_kind(manifest: Any) -> tuple[str, str]:
    """The kind of set by whose bounds this one is judged: the nearer one, by the logarithms of its means; in words."""
    count = len(manifest)
    pixels = sum(width * height for width, height in zip(manifest.widths, manifest.heights, strict=True)) / count
    size = sum(manifest.sizes) / count

    def distance(kind: str) -> float:
        return math.hypot(math.log(pixels / KINDS[kind][0]), math.log(size / KINDS[kind][1]))

    kind = min(KINDS, key=distance)
    known = "; ".join(f"{name}: {each[0]:,} and {each[1] / 1e3:.0f} kB" for name, each in KINDS.items())
    return (
        kind,
        f"{count:,} images, in the mean {pixels:,.0f} pixels and {size / 1e3:.0f} kB: judged as {kind} ({known})",
    )


def prepare_set(options: argparse.Namespace) -> Any:
    """The set's manifest, and links to its files as the loaders want them."""
    from harness.bench.data.dataset import list_path, prepare
    from harness.bench.loaders.manifest import read_manifest

    listing = list_path(options.folder, options.annotations)
    prepare(listing, options.scratch / "dataset", links=True)
    tree = options.scratch / "tfds"
    tree.mkdir(exist_ok=True)
    if not (tree / "train").exists():
        (tree / "train").symlink_to((options.scratch / "dataset" / "links").resolve())
    return read_manifest(options.scratch / "dataset")


def run_round(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Every contender once."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    cpus = len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    tf.config.threading.set_inter_op_parallelism_threads(cpus)
    names = options.only or [*CONTENDERS, "bare"]
    found: dict[str, dict[str, float]] = {}
    for name in random.Random(options.child).sample(names, len(names)):
        if name == "bare":
            found |= measure_bare(options, cpus)
            continue
        found[name] = measure_loader(name, options)
        figures = found[name]
        first, later = f"first epoch {figures['first']:.0f}", f"later epochs {figures['steady']:.0f} images/s"
        print(
            f"round {options.child + 1}: {name}: {first}, {later}, {figures['steady_per_cpu']:.0f} per CPU second",
            file=sys.stderr,
        )
    return found


def measure_loader(name: str, options: argparse.Namespace) -> dict[str, float]:
    """The first epoch of a pipeline that is made afresh, and later ones for at least ``STEADY_S``."""
    cache = options.scratch / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    loader = make_tfds(options) if name == TFDS else make_ours(OURS[name], options, cache)
    first_s, first_cpu_s = run_epoch(loader)
    loader.flush()
    spent: list[tuple[float, float]] = []
    while sum(seconds for seconds, _ in spent) < STEADY_S:
        spent.append(run_epoch(loader))
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    images = loader.images
    loader.close()
    shutil.rmtree(cache)
    return {
        "first": images / first_s,
        "first_per_cpu": images / first_cpu_s,
        "steady": images * len(spent) / sum(seconds for seconds, _ in spent),
        "steady_per_cpu": images * len(spent) / sum(cpu_s for _, cpu_s in spent),
        "cache_bytes": size,
    }


def run_epoch(loader: Any) -> tuple[float, float]:
    """Seconds and CPU seconds of an epoch."""
    from harness.bench.measure.iterators import hold_iterators

    with hold_iterators():
        begun, used = time.perf_counter(), cpu_seconds()
        images = sum(int(batch.shape[0]) for batch, _ in loader.batches())
        spent = time.perf_counter() - begun, cpu_seconds() - used
    assert images == loader.images, (images, loader.images)
    return spent


def cpu_seconds() -> float:
    from harness.bench.measure.usage import read_usage

    return read_usage().cpu_s


def measure_bare(options: argparse.Namespace, cpus: int) -> dict[str, dict[str, float]]:
    """Records in memory, gathered and copied into one buffer a thread; and the layer that scales a batch."""
    import numpy as np

    from harness.bench.loaders.manifest import read_manifest

    count = min(MOST_BARE, len(read_manifest(options.scratch / "dataset").paths)) // BATCH * BATCH
    records = np.random.default_rng(1).integers(0, 256, (count, options.size, options.size, 3), np.uint8)
    order = np.random.default_rng(2).permutation(count).reshape(-1, BATCH)

    def gather(thread: int, threads: int) -> None:
        for chosen in order[thread::threads]:
            records[chosen]

    def gather_into(thread: int, threads: int) -> None:
        room = np.empty((BATCH, *records.shape[1:]), np.uint8)
        for chosen in order[thread::threads]:
            np.take(records, chosen, axis=0, out=room, mode="clip")

    def copy(_thread: int, _threads: int) -> None:
        room = np.empty((BATCH, *records.shape[1:]), np.uint8)
        for begin in range(0, count, BATCH):
            np.copyto(room, records[begin : begin + BATCH])

    layer = make_layer(records[:BATCH], count)
    works = zip(BARE, (gather, gather, gather_into, copy, layer), (1, cpus, 1, 1, 1), strict=True)
    return {name: time_work(work, threads, count) for name, work, threads in works}


def make_layer(images: Any, count: int) -> Callable[[int, int], None]:
    import tensorflow as tf

    from harness.bench.measure.keras_model import make_rescaling

    layer = tf.function(make_rescaling())
    batch = tf.constant(images)
    layer(batch)

    def scale(_thread: int, _threads: int) -> None:
        for _ in range(count // BATCH):
            layer(batch)

    return scale


def time_work(work: Callable[[int, int], None], threads: int, count: int) -> dict[str, float]:
    with ThreadPoolExecutor(threads) as pool:
        begun, used, passes = time.perf_counter(), cpu_seconds(), 0
        while time.perf_counter() - begun < STEADY_S:
            list(pool.map(work, range(threads), itertools.repeat(threads, threads)))
            passes += 1
        seconds, cpu_s = time.perf_counter() - begun, cpu_seconds() - used
    return {"steady": passes * count / seconds, "steady_per_cpu": passes * count / cpu_s}


def make_ours(contender: Contender, options: argparse.Namespace, cache: Path) -> Any:
    from harness.bench.loaders import find_maker
    from harness.bench.loaders.budgets import compute_budgets, read_available_bytes
    from harness.bench.loaders.interface import LoaderContext
    from harness.bench.loaders.manifest import read_manifest

    manifest = read_manifest(options.scratch / "dataset")
    scratch = options.scratch / "small"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    budgets = compute_budgets("container", limit_bytes=read_available_bytes(), anon_bytes=0, cache_bytes=0)
    context = LoaderContext(
        kind="folder" if options.annotations is None else "coco",
        folder=str(options.folder.resolve()),
        paths=manifest.paths,
        labels=manifest.labels,
        classes=manifest.classes,
        scratch=str(scratch),
        image_size=(options.size, options.size),
        batch_size=BATCH,
        interpolation="nearest",
        seed=1,
        links=str((options.scratch / "dataset" / "links").resolve()),
        cache=contender.cache,
        cache_prefix=None if contender.cache == "none" else str(cache / "images"),
        element=contender.element,
        deliver=contender.deliver,
        budgets=budgets,
    )
    return find_maker(contender.loader)(context)


def make_tfds(options: argparse.Namespace) -> Any:
    """``tfds.folder_dataset.ImageFolder`` as its page shows it, resized and scaled like the others."""
    import tensorflow as tf
    import tensorflow_datasets as tfds

    from harness.bench.loaders.interface import Loader

    builder = tfds.folder_dataset.ImageFolder(str(options.scratch / "tfds"))
    size = (options.size, options.size)

    def finish(image: Any, label: Any) -> Any:
        image = tf.image.resize(image, size, method="nearest")
        return tf.cast(image, tf.float32) / 255.0, label

    count = builder.info.splits["train"].num_examples
    data = builder.as_dataset(split="train", as_supervised=True, shuffle_files=True)
    data = data.map(finish, num_parallel_calls=tf.data.AUTOTUNE).batch(BATCH).prefetch(tf.data.AUTOTUNE)
    return Loader(data, count, BATCH, data.element_spec, "tfds", "tfds")


def show(results: Results, *, is_small: bool) -> int:
    """The tables; 0 where all that is claimed was reached."""

    def middle(name: str, key: str) -> float | None:
        values = [found[name][key] for found in results if key in found.get(name, {})]
        return statistics.median(values) if values else None

    for deliver in ("float32", "uint8"):
        names = [name for name in results[0] if name in OURS and OURS[name].deliver == deliver]
        names += [TFDS] if deliver == "float32" and TFDS in results[0] else list(BARE) if deliver == "uint8" else []
        ordered = [name for name in (*OURS, TFDS, *BARE) if name in names and name in results[0]]
        if not ordered:
            continue
        print(f"| {deliver} delivered | first epoch, images/s | later epochs, images/s | ", end="")
        print("first epoch, images/CPU s | later epochs, images/CPU s | cache, MB |\n|---|---|---|---|---|---|")
        for name in ordered:
            row = [middle(name, key) for key in ("first", "steady", "first_per_cpu", "steady_per_cpu")]
            size = middle(name, "cache_bytes")
            cells = ["" if value is None else f"{value:,.0f}" for value in row]
            print(f"| {name.removesuffix(', uint8')} | {' | '.join(cells)} | {f'{size / 1e6:.1f}' if size else ''} |")
        print()
    missed = show_claims(results, is_small=is_small)
    print(f"\n{len(results)} rounds; load average at the end: {os.getloadavg()[0]:.1f}; ", end="")
    print(f"CPUs: {len(os.sched_getaffinity(0))}")
    return 1 if missed else 0


def show_claims(results: Results, *, is_small: bool) -> int:
    """The ratios, medians of the rounds; how many are not reached."""
    for found in results:
        uncached = [found[name] for name in ("tfdata", "tfdata-tuned") if name in found]
        if uncached:
            found["best uncached"] = max(uncached, key=lambda each: each["steady_per_cpu"])
    print("| | target | result |\n|---|---|---|")
    missed = 0
    for claim in claims(is_small=is_small):
        if claim.one not in results[0] or claim.other not in results[0]:
            continue
        ratio = statistics.median(
            found[claim.one][claim.keys[0]] / found[claim.other][claim.keys[1]] for found in results
        )
        is_reached = (claim.least is None or ratio >= claim.least) and (claim.most is None or ratio <= claim.most)
        missed += not is_reached
        wanted = "" if claim.least is None else f"at least {claim.least:g}"
        wanted = wanted if claim.most is None else f"at most {claim.most:g}"
        print(f"| {claim.what} | {wanted} | {ratio:.3g}{'' if is_reached else ', NOT REACHED'} |")

    across_settings = ("uint8 array, uint8", "Rescaling layer", "keras-idg")
    if any(name not in results[0] for name in across_settings):
        return missed

    def with_layer(found: dict[str, dict[str, float]]) -> float:
        """Of a CPU second that also scales what is delivered as uint8."""
        array, layer, idg = (found[name]["steady_per_cpu"] for name in across_settings)
        return 1 / (1 / array + 1 / layer) / idg

    across = statistics.median(map(with_layer, results))
    print(
        "| across settings: `array` uint8 with the layer's cost ÷ `keras-idg` float32, per CPU second"
        f" | | {across:.3g} |"
    )
    return missed


if __name__ == "__main__":
    sys.exit(main())
