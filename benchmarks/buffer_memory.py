"""How a shuffle buffer behind a cache file grows in memory from epoch to epoch: plain tf.data, nothing of the harness.

python benchmarks/buffer_memory.py IMAGES_IN_BUFFER; MALLOC_ARENA_MAX=2 in the environment shows what arenas hold.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

IMAGES, SIDE, EPOCHS = 3000, 256, 6


def read_anon_mb() -> int:
    """Return the anonymous memory of this process in megabytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("RssAnon"))


def main() -> None:
    """Read random images from a cache file through a buffer, and print the memory before and after each epoch."""
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import tensorflow as tf

    def draw(number: Any) -> Any:
        levels = tf.random.stateless_uniform((SIDE, SIDE, 3), tf.stack([number, number]), 0, 255, tf.int32)
        return tf.cast(levels, tf.uint8)

    buffer, seen = int(sys.argv[1]), [read_anon_mb()]
    with tempfile.TemporaryDirectory() as folder:
        images = tf.data.Dataset.range(IMAGES).map(draw, num_parallel_calls=tf.data.AUTOTUNE).cache(f"{folder}/cache")
        mixed = images.shuffle(buffer, seed=1) if buffer else images
        for _ in range(EPOCHS):
            for _batch in mixed.batch(32).prefetch(tf.data.AUTOTUNE):
                pass
            seen.append(read_anon_mb())
    arenas = os.environ.get("MALLOC_ARENA_MAX", "as glibc likes")
    print(f"buffer {buffer}, MALLOC_ARENA_MAX {arenas}: {', '.join(map(str, seen))} MB")


if __name__ == "__main__":
    main()
