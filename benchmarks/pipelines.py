"""The best of our pipelines beside what a user would take instead: the same files, pixels and cores, alternating.

    python benchmarks/pipelines.py [FOLDER [--annotations JSON] [--repeat N]] [--rounds 3] [--size 256]

FOLDER has one folder of images per class, or is the image folder of a COCO pair; without it photographs are generated.
Each contender runs in a process of its own, three epochs at ``nearest``; in each round every contender comes once, in
another order. Printed: images/s and images per CPU second of the first and of the later epochs (median of the rounds),
the cache's bytes, and the ratios that docs/loaders.md states, as Markdown; exit 1 where one of them is not reached. The
page cache is left warm: what is compared is the CPU's work. ``tfds`` needs tensorflow-datasets; it is left out where
that is not installed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from own_data import add_options, find_data

EPOCHS = 3
YARDSTICK = "decoder (yardstick)"
OURS = {
    "tfdata": ("tfdata", "none", "float32"),
    "tfdata-tuned": ("tfdata-tuned", "none", "float32"),
    "tfdata-tuned, uint8 file": ("tfdata-tuned", "file", "uint8"),
    "tfdata-tuned, float32 file": ("tfdata-tuned", "file", "float32"),
    "keras-idg": ("keras-idg", "none", "float32"),
    "keras-directory": ("keras-directory", "none", "float32"),
    "grain": ("grain", "none", "float32"),
    YARDSTICK: ("decoder", "none", "float32"),
}
CONTENDERS = [*OURS, *(["tfds"] if find_spec("tensorflow_datasets") else [])]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=800)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.folder, options.annotations = find_data(options)
    options.scratch = options.scratch / "pipelines"
    options.scratch.mkdir(exist_ok=True)
    if options.child:
        print(json.dumps(run_one(options)))
        return 0
    prepare_set(options)
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in CONTENDERS}
    for number in range(options.rounds):
        order = random.Random(number).sample(CONTENDERS, len(CONTENDERS))
        for name in order:
            command = [sys.executable, __file__, *sys.argv[1:], "--child", name]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr[-3000:]}")
            results[name].append(json.loads(done.stdout.splitlines()[-1]))
            steady = results[name][-1]["steady_per_cpu"]
            print(f"round {number + 1}: {name}: {steady:.0f} images per CPU second", file=sys.stderr)
    shutil.rmtree(options.scratch)
    return show(results, os.getloadavg()[0])


def prepare_set(options: argparse.Namespace) -> None:
    from harness.bench.data.dataset import list_path, prepare

    listing = list_path(options.folder, options.annotations)
    prepare(listing, options.scratch / "dataset", links=True)
    tree = options.scratch / "tfds"
    tree.mkdir(exist_ok=True)
    if not (tree / "train").exists():
        (tree / "train").symlink_to((options.scratch / "dataset" / "links").resolve())


def run_one(options: argparse.Namespace) -> dict[str, Any]:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    import tensorflow as tf

    from harness.bench.measure.iterators import hold_iterators

    cpus = len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    tf.config.threading.set_inter_op_parallelism_threads(cpus)
    cache = options.scratch / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    loader = make_tfds(options) if options.child == "tfds" else make_ours(options, cache)
    expected = loader.images
    epochs = []
    with hold_iterators() as held:
        for _ in range(EPOCHS):
            begun, used = time.perf_counter(), cpu_seconds()
            images = sum(int(batch.shape[0]) for batch, _ in loader.batches())
            assert images == expected, (images, expected)
            epochs.append((images / (time.perf_counter() - begun), images / (cpu_seconds() - used)))
            held.release()
    size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
    shutil.rmtree(cache)
    steady = epochs[1:]
    return {
        "first": epochs[0][0],
        "first_per_cpu": epochs[0][1],
        "steady": statistics.mean(rate for rate, _ in steady),
        "steady_per_cpu": statistics.mean(rate for _, rate in steady),
        "cache_bytes": size,
    }


def cpu_seconds() -> float:
    from harness.bench.measure.usage import read_usage

    return read_usage().cpu_s


def make_ours(options: argparse.Namespace, cache: Path) -> Any:
    from harness.bench.loaders import find_maker
    from harness.bench.loaders.budgets import compute_budgets, read_available_bytes
    from harness.bench.loaders.interface import LoaderContext
    from harness.bench.loaders.manifest import read_manifest

    name, kept, element = OURS[options.child]
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
        batch_size=32,
        interpolation="nearest",
        seed=1,
        links=str((options.scratch / "dataset" / "links").resolve()),
        cache=kept,
        cache_prefix=str(cache / "images") if kept == "file" else None,
        element=element,
        budgets=budgets,
    )
    return find_maker(name)(context)


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
    data = data.map(finish, num_parallel_calls=tf.data.AUTOTUNE).batch(32).prefetch(tf.data.AUTOTUNE)
    return Loader(data, count, 32, data.element_spec, "tfds", "tfds")


def show(results: dict[str, list[dict[str, Any]]], load: float) -> int:
    """Two tables; 0 where all that is claimed was reached."""

    def middle(name: str, key: str) -> float:
        return float(statistics.median(each[key] for each in results[name]))

    def ratio(name: str, key: str, other: str, other_key: str) -> float:
        return middle(name, key) / middle(other, other_key)

    print("| | first epoch, images/s | steady, images/s | first, images/CPU s | steady, images/CPU s | cache, MB |")
    print("|---|---|---|---|---|---|")
    for name in results:
        row = [middle(name, key) for key in ("first", "steady", "first_per_cpu", "steady_per_cpu")]
        print(f"| {name} | {' | '.join(f'{value:.0f}' for value in row)} | {middle(name, 'cache_bytes') / 1e6:.1f} |")
    cached, dump, plain, idg = "tfdata-tuned, uint8 file", "tfdata-tuned, float32 file", "tfdata-tuned", "keras-idg"
    facts = [
        ("uint8 file cache, steady, ÷ `keras-idg`", ">=", 10.0, ratio(cached, "steady", idg, "steady")),
        ("the same per CPU second", None, 0.0, ratio(cached, "steady_per_cpu", idg, "steady_per_cpu")),
        ("its fill epoch ÷ the same without a cache", ">=", 0.7, ratio(cached, "first", plain, "first")),
        ("the same per CPU second", None, 0.0, ratio(cached, "first_per_cpu", plain, "first_per_cpu")),
        ("its dump ÷ float32's", "<=", 0.26, ratio(cached, "cache_bytes", dump, "cache_bytes")),
        (
            "best uncached of ours ÷ the yardstick, per CPU second",
            ">=",
            0.9,
            max(ratio(name, "steady_per_cpu", YARDSTICK, "steady_per_cpu") for name in ("tfdata", "tfdata-tuned")),
        ),
    ]
    print("\n| | wanted | found |\n|---|---|---|")
    missed = 0
    for what, relation, bound, found in facts:
        is_reached = relation is None or (found >= bound if relation == ">=" else found <= bound)
        missed += not is_reached
        wanted = "" if relation is None else f"{'at least' if relation == '>=' else 'at most'} {bound:g}"
        print(f"| {what} | {wanted} | {found:.3g}{'' if is_reached else ', NOT REACHED'} |")
    print(f"\nload average at the end: {load:.1f}; CPUs: {len(os.sched_getaffinity(0))}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
