"""The best of our pipelines beside what a user would take instead: the same files, pixels and cores, alternating.

    python benchmarks/pipelines.py FOLDER [--annotations JSON] [--rounds 7] [--size 256] [--scratch FOLDER]

FOLDER has one folder of images per class, or is the image folder of a COCO pair. Each contender runs in a process of
its own, three epochs at ``nearest``; in each round every contender comes once, in another order. Printed: images/s and
images per CPU second of the first and of the later epochs (median of the rounds), the cache's bytes, and the ratios
that docs/loaders.md states. The page cache is left warm: what is compared is the CPU's work. ``tfds`` needs
tensorflow-datasets; it is left out where that is not installed.
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

EPOCHS = 3
OURS = {
    "tfdata": ("tfdata", "none", "float32"),
    "tfdata-tuned": ("tfdata-tuned", "none", "float32"),
    "tfdata-tuned, uint8 file": ("tfdata-tuned", "file", "uint8"),
    "tfdata-tuned, float32 file": ("tfdata-tuned", "file", "float32"),
    "keras-idg": ("keras-idg", "none", "float32"),
    "keras-directory": ("keras-directory", "none", "float32"),
    "grain": ("grain", "none", "float32"),
    "decoder (yardstick)": ("decoder", "none", "float32"),
}
CONTENDERS = [*OURS, *(["tfds"] if find_spec("tensorflow_datasets") else [])]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--scratch", type=Path, default=Path("pipelines-scratch"))
    parser.add_argument("--child", help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.scratch.mkdir(parents=True, exist_ok=True)
    if options.child:
        print(json.dumps(run_one(options)))
        return
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
            print(f"round {number + 1}: {name}: {results[name][-1]}", file=sys.stderr)
    show(results, os.getloadavg()[0])


def prepare_set(options: argparse.Namespace) -> None:
    from harness.bench.dataset import list_path, prepare

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

    cpus = len(os.sched_getaffinity(0))
    tf.config.threading.set_intra_op_parallelism_threads(cpus)
    tf.config.threading.set_inter_op_parallelism_threads(cpus)
    cache = options.scratch / "cache"
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir()
    loader = make_tfds(options) if options.child == "tfds" else make_ours(options, cache)
    expected = loader.images
    epochs = []
    for _ in range(EPOCHS):
        begun, used = time.perf_counter(), cpu_seconds()
        images = sum(int(batch.shape[0]) for batch, _ in loader.batches())
        assert images == expected, (images, expected)
        epochs.append((images / (time.perf_counter() - begun), images / (cpu_seconds() - used)))
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
    from harness.bench.usage import read_usage

    return read_usage().cpu_s


def make_ours(options: argparse.Namespace, cache: Path) -> Any:
    from harness.bench.budgets import compute_budgets, read_available_bytes
    from harness.bench.loaders import find_maker
    from harness.bench.loaders.interface import LoaderContext
    from harness.bench.manifest import read_manifest

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


def show(results: dict[str, list[dict[str, Any]]], load: float) -> None:
    def middle(name: str, key: str) -> float:
        return statistics.median(each[key] for each in results[name])

    print(f"{'':28} {'first/s':>9} {'steady/s':>9} {'first/CPU s':>12} {'steady/CPU s':>13} {'cache MB':>9}")
    for name in results:
        row = [middle(name, key) for key in ("first", "steady", "first_per_cpu", "steady_per_cpu")]
        size = middle(name, "cache_bytes") / 1e6
        print(f"{name:28} {row[0]:9.1f} {row[1]:9.1f} {row[2]:12.1f} {row[3]:13.1f} {size:9.1f}")
    cached, dump = "tfdata-tuned, uint8 file", "tfdata-tuned, float32 file"
    facts = {
        "uint8 file, steady ÷ keras-idg, steady (≥ 10)": middle(cached, "steady") / middle("keras-idg", "steady"),
        "its fill epoch ÷ the same without a cache (≥ 0.7)": middle(cached, "first") / middle("tfdata-tuned", "first"),
        "its dump ÷ float32's (≤ 0.26)": middle(cached, "cache_bytes") / middle(dump, "cache_bytes"),
        "per CPU second: uint8 file ÷ keras-idg": middle(cached, "steady_per_cpu")
        / middle("keras-idg", "steady_per_cpu"),
        "per CPU second: fill ÷ no cache": middle(cached, "first_per_cpu") / middle("tfdata-tuned", "first_per_cpu"),
        "per CPU second: best uncached ÷ yardstick (≥ 0.9)": max(
            middle(name, "steady_per_cpu") for name in ("tfdata", "tfdata-tuned")
        )
        / middle("decoder (yardstick)", "steady_per_cpu"),
    }
    for name, value in facts.items():
        print(f"{name:52} {value:6.2f}")
    print(f"load average at the end: {load:.1f}; CPUs: {len(os.sched_getaffinity(0))}")


if __name__ == "__main__":
    main()
