"""How far each way of decoding is from the exact one, and how much faster: ``python benchmarks/decoding.py IMAGES``.

IMAGES is a folder of JPEGs. Mean and largest difference in grey levels over all images at ``nearest``, and images per
CPU second of decoding and resizing, best of three passes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from pathlib import Path

SIZES = (128, 256)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("images", type=Path)
    options = parser.parse_args()
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import numpy as np
    import tensorflow as tf

    from harness.bench.loaders.decoding import make_decode
    from harness.bench.loaders.interface import LoaderContext
    from harness.bench.protocol.specs import DECODINGS

    paths = tuple(sorted(path.name for path in options.images.glob("*.jpg")))
    data = [(options.images / path).read_bytes() for path in paths]
    for size in SIZES:
        exact = None
        for decoding in DECODINGS:
            context = LoaderContext(
                kind="folder", folder=str(options.images), paths=paths, labels=(0,) * len(paths), classes=("x",),
                scratch=tempfile.gettempdir(), image_size=(size, size), batch_size=32, interpolation="nearest", seed=1,
                decoding=decoding,
            )  # fmt: skip
            decode = tf.function(make_decode(context), input_signature=[tf.TensorSpec((), tf.string)])
            images = np.stack([decode(item).numpy() for item in data]).astype(np.int16)
            exact = images if exact is None else exact
            error = np.abs(images - exact)
            best = 0.0
            for _ in range(3):
                used = time.process_time()
                for item in data:
                    decode(item)
                best = max(best, len(data) / (time.process_time() - used))
            print(f"| {size} px | `{decoding}` | {error.mean():.2f} | {error.max()} | {best:.0f} |", flush=True)


if __name__ == "__main__":
    main()
