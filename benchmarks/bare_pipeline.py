"""A bare tf.data script: the other side of `overhead.py`. Nothing of harness is in it, only what one would write.

Loads all images of a COCO pair for some epochs and prints one JSON line: images, seconds and CPU seconds an epoch.
"""

import argparse
import json
import os
import resource
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")

import tensorflow as tf


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("images", type=Path)
    parser.add_argument("annotations", type=Path)
    parser.add_argument("--image-size", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--epochs", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--ram-budget", type=int, required=True)
    asked = parser.parse_args()
    tf.config.threading.set_intra_op_parallelism_threads(asked.threads)
    tf.config.threading.set_inter_op_parallelism_threads(asked.threads)
    files, labels = read_labels(asked.images, asked.annotations)
    dataset = build(files, labels, asked)
    drop_pages(files)
    epochs = []
    for _ in range(asked.epochs):
        images, begun, cpu_begun = 0, time.perf_counter(), cpu_seconds()
        iterator = iter(
            dataset
        )  # held until the clock stands: taking it down may wait, see harness/bench/measure/iterators.py
        for batch, _labels in iterator:
            images += len(batch)
        seconds, cpu_s = time.perf_counter() - begun, cpu_seconds() - cpu_begun
        del iterator
        epochs.append({"images": images, "seconds": seconds, "cpu_s": cpu_s})
    print(json.dumps({"epochs": epochs}))


def read_labels(images: Path, annotations: Path) -> tuple[list[str], list[int]]:
    """Files in the order of their names, each with the category of its largest annotation."""
    content = json.loads(annotations.read_text())
    index = {category["id"]: number for number, category in enumerate(content["categories"])}
    largest = {}
    for box in sorted(content["annotations"], key=lambda box: box["area"]):
        largest[box["image_id"]] = index[box["category_id"]]
    names = {image["file_name"]: largest[image["id"]] for image in content["images"] if image["id"] in largest}
    return [str(images / name) for name in sorted(names)], [names[name] for name in sorted(names)]


def build(files: list[str], labels: list[int], asked: argparse.Namespace) -> tf.data.Dataset:
    def load(path, label):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
        image = tf.image.resize(image, (asked.image_size, asked.image_size), method="nearest")
        return tf.cast(image, tf.float32) * (1 / 255), label

    dataset = tf.data.Dataset.from_tensor_slices((files, labels))
    dataset = dataset.shuffle(len(files), seed=asked.seed, reshuffle_each_iteration=True)
    dataset = dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE)
    dataset = dataset.batch(asked.batch_size).prefetch(tf.data.AUTOTUNE)
    options = tf.data.Options()
    options.autotune.ram_budget = asked.ram_budget
    options.autotune.cpu_budget = asked.threads
    options.threading.private_threadpool_size = asked.threads
    return dataset.with_options(options)


def drop_pages(files: list[str]) -> None:
    for file in files:
        descriptor = os.open(file, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main()
