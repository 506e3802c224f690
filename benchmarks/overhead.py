"""One tf.data pipeline through the harness and as a bare script, in turn: what does measuring cost?

Usage: ``python benchmarks/overhead.py [--pairs 9] [--epochs 10] [--image-size 128]`` (`make bench-overhead`). Exit 1
where a 95 % interval of the ratio harness ÷ bare does not contain 1, or where a run failed.

Each pair is one ``harness run`` of a single case (its A/A twin is not used; engine ``process``: controller, supervisor,
cgroup, payload, all as ever) and one run of `bare_pipeline.py`, in alternating order: same files, same order of them,
same operations, threads and budgets, pages of the files dropped before both. Both report each epoch; the first is left
out. The estimate is the product's own: geometric mean of paired ratios, with its confidence sequence.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.analysis.statistics import Estimate, estimate_ratio, judge_ratio

BATCH_SIZE = 32
LOCKED_PATIENCE_S = 600.0
BARE = Path(__file__).with_name("bare_pipeline.py")

INVENTORY = """
all:
  hosts: {{localhost: {{ansible_connection: local}}}}
  vars:
    harness:
      engine: process
      scratch: {scratch}
      data: {{photographs: {{generate: {{profile: coco, images: {images}, seed: 1}}}}}}
"""
EXPERIMENT = """
name: overhead
parameters: {{data: photographs, loader: tfdata, image_size: {image_size}, batch_size: {batch_size}, epochs: {epochs}}}
baseline: {{loader: tfdata}}
rounds: 1
"""


@dataclass(frozen=True)
class Run:
    """The steady epochs of one run: images per second and per CPU second."""

    images_per_s: float
    images_per_cpu_s: float

    @classmethod
    def of(cls, epochs: list[dict[str, Any]]) -> Run:
        """All epochs but the first, taken together."""
        steady = epochs[1:]
        images = sum(epoch["images"] for epoch in steady)
        return cls(images / sum(epoch["seconds"] for epoch in steady), images / sum(epoch["cpu_s"] for epoch in steady))


class Bench:
    """Both ways to run the pipeline, with a scratch folder of their own."""

    def __init__(self, folder: Path, asked: argparse.Namespace) -> None:
        self._folder = folder
        self._asked = asked
        self._sessions = 0
        self._inventory = folder / "bench.yaml"
        self._experiment = folder / "overhead.yaml"
        self._inventory.write_text(INVENTORY.format(scratch=folder / "scratch", images=asked.images))
        self._experiment.write_text(
            EXPERIMENT.format(image_size=asked.image_size, batch_size=BATCH_SIZE, epochs=asked.epochs)
        )
        self._seed = 0
        self._budgets: dict[str, Any] = {}

    def run_harness(self) -> Run:
        """One session of one case. Waits while another session holds this machine's lock."""
        self._sessions += 1
        output = self._folder / f"sessions-{self._sessions}"
        program = str(Path(sys.executable).with_name("harness"))
        command: list[str | Path] = [
            program,
            "run",
            self._inventory,
            "--experiment",
            self._experiment,
            "--output",
            output,
        ]
        deadline = time.monotonic() + LOCKED_PATIENCE_S
        while True:
            done = subprocess.run([*command, "--allow-busy"], capture_output=True, text=True, check=False)
            records = [json.loads(line) for path in output.glob("*/records.jsonl") for line in path.open()]
            if records or "locked" not in done.stderr or time.monotonic() > deadline:
                break
            time.sleep(2)
        if not records or any(record["status"] != "ok" for record in records):
            raise SystemExit(f"error: harness run left no good record\n{done.stderr}")
        # Neither its A/A twin nor its repeat, where it was disturbed, is a part of a pair.
        (record,) = (record for record in records if record["alias"] is None and record["attempt"] == 1)
        (session,) = (json.loads(path.read_text()) for path in output.glob("*/session.json"))
        self._seed = session["seed"] * 1000 + record["round"]  # as harness/session/request.py gives it to the payload
        self._budgets = record["environment"]["budgets"]
        return Run.of(record["epochs"])

    def run_bare(self) -> Run:
        """The same pipeline as a script of its own; a run through the harness was before it."""
        (annotations,) = self._folder.glob("scratch/data/*/annotations.json")
        options = {
            "image-size": self._asked.image_size,
            "batch-size": BATCH_SIZE,
            "epochs": self._asked.epochs,
            "seed": self._seed,
            "threads": self._budgets["threadpool_size"],
            "ram-budget": self._budgets["ram_budget_bytes"],
        }
        command: list[str | Path] = [sys.executable, BARE, annotations.parent / "images", annotations]
        command += [word for name, value in options.items() for word in (f"--{name}", str(value))]
        # A session of its own, as a job has: Linux's autogroups share the CPU out by sessions.
        done = subprocess.run(command, capture_output=True, text=True, check=False, start_new_session=True)
        if done.returncode:
            raise SystemExit(f"error: the bare script failed\n{done.stderr}")
        return Run.of(json.loads(done.stdout)["epochs"])


def main() -> int:
    """Measure, print a line a pair and the ratios, say whether they contain 1."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--images", type=int, default=400)
    parser.add_argument("--image-size", type=int, default=128)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="harness-overhead-") as folder:
        bench = Bench(Path(folder), asked)
        bench.run_harness()  # makes the data set, and tells seed and budgets; its figures are not used
        print(
            f"{'pair':>4}  {'first':<8}{'images/s':>20}{'images/CPU s':>22}\n{'':14}{'harness':>10}{'bare':>10}", end=""
        )
        print(f"{'harness':>12}{'bare':>10}")
        pairs = []
        for number in range(1, asked.pairs + 1):
            pairs.append(measure_pair(bench, number))
            harness, bare = pairs[-1]
            print(
                f"{number:>4}  {'harness' if number % 2 else 'bare':<8}{harness.images_per_s:>10.1f}"
                f"{bare.images_per_s:>10.1f}{harness.images_per_cpu_s:>12.1f}{bare.images_per_cpu_s:>10.1f}",
                flush=True,
            )
    return report(pairs)


def measure_pair(bench: Bench, number: int) -> tuple[Run, Run]:
    """Harness and bare; who goes first changes from pair to pair."""
    if number % 2:
        harness = bench.run_harness()
        return harness, bench.run_bare()
    bare = bench.run_bare()
    return bench.run_harness(), bare


def report(pairs: list[tuple[Run, Run]]) -> int:
    """The two ratios with their intervals; 0 where both contain 1."""
    ratios = {
        "images per CPU second": estimate_ratio([(a.images_per_cpu_s, b.images_per_cpu_s) for a, b in pairs]),
        "images per second": estimate_ratio([(a.images_per_s, b.images_per_s) for a, b in pairs]),
    }
    print("\nratio harness ÷ bare, geometric mean and 95 % interval")
    for name, ratio in ratios.items():
        if ratio is None or ratio.low is None or ratio.high is None:
            raise SystemExit("error: two pairs are the least that has an interval")
        says = "contains 1" if contains_one(ratio) else "DOES NOT CONTAIN 1"
        verdict = judge_ratio(ratio).kind
        print(f"  {name:<24}{ratio.value:.3f}  [{ratio.low:.3f}, {ratio.high:.3f}]  n = {ratio.n}  {says}; {verdict}")
    return 0 if all(ratio is not None and contains_one(ratio) for ratio in ratios.values()) else 1


def contains_one(ratio: Estimate) -> bool:
    """Whether the interval contains 1."""
    return ratio.low is not None and ratio.high is not None and ratio.low <= 1 <= ratio.high


if __name__ == "__main__":
    sys.exit(main())
