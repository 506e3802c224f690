"""Epochs of a record file inside a memory limit: ``python record_reader.py PREFIX COUNT SIDE LIMIT EPOCHS``.

Prints, as JSON, what each epoch read from storage, beside the anonymous memory of this process.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from harness.bench.launcher.confine import enter_cgroup, place_cgroup
from harness.bench.loaders.record_file import Blocks, RecordFile
from harness.bench.measure.pagecache import storage_bytes
from harness.bench.measure.usage import read_anon_bytes

BATCH, READERS = 16, 2


def main(prefix: str, count: int, side: int, limit: int, epochs: int) -> None:
    version, path = place_cgroup(f"harness-records-{os.getpid()}")
    enter_cgroup(version, path, limit)
    file = RecordFile(prefix, count, (side, side, 3), "uint8")
    assert file.open()
    blocks = Blocks(BATCH * side * side * 3)

    def read(numbers: np.ndarray) -> int:
        batch = blocks.take((len(numbers), side, side, 3), "uint8")
        file.read_into(batch, numbers)
        return int(batch[:, 0, 0, 0].sum())

    read_bytes = []
    with ThreadPoolExecutor(READERS) as readers:
        for epoch in range(epochs):
            order = np.random.default_rng(epoch).permutation(count)
            before = storage_bytes() or 0
            list(readers.map(read, np.array_split(order, -(-count // BATCH))))
            read_bytes.append((storage_bytes() or 0) - before)
    print(json.dumps({"read_bytes": read_bytes, "anon_bytes": read_anon_bytes(), "cgroup": path}))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
