"""With an emulated accelerator of 1,000 images/s: which pipeline keeps it busy, and what does a step cost its host?

    python benchmarks/emulated.py [FOLDER [--annotations JSON] [--repeat N]] [--rounds 3] [--images-per-second 1000]
                                  [--deliver uint8] [--epochs 3]

The payload itself runs, as a job runs it: the model limit (``ceiling``: one batch, repeated), ``tfdata-tuned`` without
a cache, and with caches of uint8, ``file`` and ``array``; each once a round, in another order, three epochs of 256 px,
``nearest``. Judged are the later epochs (median of the rounds), with the page cache warm. Exit 1 where ``array`` is not
within 5 % of the device's rate, or no cache is. Printed beside it: the CPU time of the steps of ``ceiling``, which is
what the emulation itself costs.
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
from pathlib import Path
from typing import Any

from own_data import add_options, find_data

BATCH_SIZE = 32
NEAR = 0.95
CASES: dict[str, dict[str, Any]] = {
    "ceiling": {"loader": "ceiling"},
    "uint8 array cache": {"loader": "tfdata-tuned", "cache": "array", "element": "uint8"},
    "uint8 file cache": {"loader": "tfdata-tuned", "cache": "file", "element": "uint8"},
    "no cache": {"loader": "tfdata-tuned"},
}


def main() -> int:
    from harness.bench.data.dataset import list_path, prepare

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=3000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--images-per-second", type=float, default=1000.0)
    parser.add_argument("--deliver", choices=("float32", "uint8"), default="float32", help="what the accelerator takes")
    parser.add_argument("--epochs", type=int, default=3)
    options = parser.parse_args()
    folder, annotations = find_data(options)
    scratch = options.scratch.resolve() / "emulated"
    prepare(list_path(folder, annotations), scratch / "dataset")
    results: dict[str, list[list[dict[str, Any]]]] = {name: [] for name in CASES}
    for number in range(options.rounds):
        for name in random.Random(number).sample(list(CASES), len(CASES)):
            results[name].append(run_one(CASES[name], folder, annotations is not None, scratch, options))
            print(f"round {number + 1}: {name}: {rate(results[name][-1][1:]):.0f} images/s", file=sys.stderr)
    shutil.rmtree(scratch)
    return show(results, options.images_per_second)


def run_one(
    case: dict[str, Any], folder: Path, is_pair: bool, scratch: Path, options: argparse.Namespace
) -> list[dict[str, Any]]:
    """The epochs of one job."""
    job = scratch / "job"
    shutil.rmtree(job, ignore_errors=True)
    (job / "cache").mkdir(parents=True)
    request = {
        "case": {
            "data": "benchmark",
            "mode": "train",
            "model": {"name": "emulated", "images_per_second": options.images_per_second},
            "image_size": [options.size, options.size],
            "batch_size": BATCH_SIZE,
            "epochs": options.epochs,
            "deliver": options.deliver,
            "page_cache": "warm",
            **case,
        },
        "data": {"kind": "coco" if is_pair else "folder"},
        "limits": {},
        "seed": 1,
        "paths": {"data": str(folder), "dataset": str(scratch / "dataset"), "cache": str(job / "cache")},
    }
    (job / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "harness.bench.measure.benchmark", str(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{case} failed:\n{done.stderr[-3000:]}")
    events = [json.loads(line) for line in (job / "results" / "events.jsonl").read_text().splitlines()]
    return [event for event in events if event["event"] == "epoch"]


def rate(epochs: list[dict[str, Any]]) -> float:
    """Images per second of epochs taken together."""
    return float(sum(epoch["images"] for epoch in epochs) / sum(epoch["seconds"] for epoch in epochs))


def show(results: dict[str, list[list[dict[str, Any]]]], pace: float) -> int:
    """A table; 0 where ``array`` keeps the pace and what is not cached does not."""
    steady = {name: statistics.median(rate(epochs[1:]) for epochs in runs) for name, runs in results.items()}
    first = {name: statistics.median(rate(epochs[:1]) for epochs in runs) for name, runs in results.items()}
    print(f"| *emulated*, {pace:g} images/s | first epoch, images/s | later epochs, images/s | ", end="")
    print("of the device's rate | of the model limit |\n|---|---|---|---|---|")
    for name, value in steady.items():
        label = "model limit (`ceiling`)" if name == "ceiling" else name
        print(f"| {label} | {first[name]:.0f} | {value:.0f} | {value / pace:.3f} | {value / steady['ceiling']:.3f} |")
    steps = [
        epoch["cpu_s"] / -(-epoch["images"] // BATCH_SIZE) for epochs in results["ceiling"] for epoch in epochs[1:]
    ]
    print(f"\nCPU time of a step at the model limit, its batch included: {1e3 * statistics.median(steps):.2f} ms")
    print(f"load average at the end: {os.getloadavg()[0]:.1f}; CPUs: {len(os.sched_getaffinity(0))}")
    is_near, is_far = steady["uint8 array cache"] >= NEAR * pace, steady["no cache"] < NEAR * pace
    print(f"`array` within 5 % of the device's rate: {'yes' if is_near else 'NOT REACHED'}")
    return 0 if is_near and is_far else 1


if __name__ == "__main__":
    sys.exit(main())
