"""Presets ``ladder`` and ``caches`` for real: on a set of your own and on a generated one, as Markdown tables.

    python benchmarks/presets.py [FOLDER [--annotations JSON] [--repeat N]] [--engine docker|process]

``docker`` brings up one workstation of the lab (``docs/lab.md``) with all CPUs of this machine, ships the image and the
sets to it over SSH, and runs ``harness run --forks 1``; ``process`` runs on this machine as it is. The presets are
taken as they are, but for the data, the rounds (``--rounds``) and the epochs (``--epochs``). Each table: images/s and
images per CPU second of the first epoch (a cache's fill) and of the later ones, the cache's bytes, the peak of
anonymous memory, and the share of the yardstick's images per CPU second.
Sessions stay in ``SCRATCH/sessions``; the same command goes on where one was stopped.
"""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from ending import clean_up_when_stopped
from own_data import add_options, find_data

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "lab"))

if TYPE_CHECKING:
    from harness.values.record import Record

PRESETS = ("ladder", "caches")
MADE = "made"
"""The generated set's name; one of yours is called ``own``."""
HEAD = (
    "| {} | first epoch, images/s | later epochs, images/s | first epoch, images/CPU s | later epochs, images/CPU s "
    "| cache, MB | peak, MB | of the yardstick |\n|---|---|---|---|---|---|---|---|"
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=2000)
    parser.add_argument("--engine", choices=("docker", "process"), default="docker")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--memory", type=int, default=6144, metavar="MIB", help="of the workstation")
    parser.add_argument("--only", metavar="CASES", help="only these, as `harness run --only` takes them: to try it")
    options = parser.parse_args()
    sets: dict[str, Any] = {MADE: {"generate": {"profile": "coco", "images": options.images, "seed": 1}}}
    if options.folder is not None:
        folder, annotations = find_data(options)
        pair = {"images": str(folder), "annotations": str(annotations)}
        sets = {"own": {"folder": str(folder)} if annotations is None else pair, **sets}
    sessions = options.scratch.resolve() / "sessions"
    sessions.mkdir(parents=True, exist_ok=True)
    codes = []
    with open_inventory(options, sets, sessions) as inventory:
        for preset in PRESETS:
            experiment = write_experiment(preset, list(sets), sessions, options)
            command: list[str | Path] = [
                Path(sys.executable).with_name("harness"),
                "run",
                inventory,
                "--experiment",
                experiment,
            ]
            command += ["--output", sessions, "--name", preset, "--forks", "1", "--allow-busy", "--ship-data"]
            command += ["--only", options.only] if options.only else []
            codes.append(subprocess.run(command, stdout=sys.stderr, check=False).returncode)
    show(sessions, list(sets))
    return max(codes)


@contextmanager
def open_inventory(options: argparse.Namespace, sets: dict[str, Any], folder: Path) -> Iterator[Path]:
    """The inventory of one host that is there as long as this lasts."""
    path = folder / "inventory.yaml"
    shared = {"data": sets, "disk_reserve": "2GB", "memory_reserve": "512MiB"}
    if options.engine == "process":
        scratch = str(options.scratch.resolve() / "host")
        host = {"ansible_connection": "local", "harness": {"engine": "process", "scratch": scratch, **shared}}
        path.write_text(yaml.safe_dump({"all": {"hosts": {"localhost": host}}}))
        yield path
        return
    import outer_engine
    from lab_inventory import inventory_text
    from workstations import HostSpec, Lab, sweep

    if reason := outer_engine.why_not():
        sys.exit(f"the lab cannot be brought up here: {reason}; --engine process needs none")
    sweep("presets-")
    clean_up_when_stopped()
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as keys:
        hosts = (HostSpec("ws1", "bookworm", options.memory),)
        lab = Lab.up(hosts, name=f"presets-{os.getpid()}", folder=Path(keys))
        try:
            path.write_text(inventory_text(lab, shared=shared))
            yield path
        finally:
            lab.down()


def write_experiment(preset: str, sets: Sequence[str], folder: Path, options: argparse.Namespace) -> Path:
    """The preset with other data, rounds and epochs."""
    from harness.experiment.experiment_file import preset_text

    experiment = yaml.safe_load(preset_text(preset))
    experiment["parameters"] |= {"data": list(sets), "epochs": options.epochs}
    experiment["include"] = [{"data": list(sets), **included} for included in experiment["include"]]
    experiment["rounds"] = options.rounds
    path = folder / f"{preset}.yaml"
    path.write_text(yaml.safe_dump(experiment, sort_keys=False))
    return path


def show(sessions: Path, sets: Sequence[str]) -> None:
    """A table for each preset and set. The yardstick of both presets is the ladder's: one machine."""
    from harness.analysis.yardstick import measure_nearness
    from harness.bench.protocol.loader_registry import LOADERS
    from harness.records.folder import SessionFolder
    from harness.records.reading import read_records

    records = {preset: read_records(SessionFolder(sessions / preset)) for preset in PRESETS}
    yardstick = [record for record in records[PRESETS[0]] if LOADERS[record.case.loader].is_yardstick]
    for preset in PRESETS:
        others = [record for record in records[preset] if record not in yardstick]
        shares = {nearness.case: nearness.share for nearness in measure_nearness([*yardstick, *others])}
        for name in sets:
            print(f"\n{HEAD.format(f'`{preset}`, set `{name}`')}")
            chosen = [record for record in records[preset] if record.case.data == name and record.alias is None]
            for line in make_rows(chosen, shares):
                print(line)


def make_rows(records: Sequence[Record], shares: dict[Any, float]) -> Iterator[str]:
    """A line for each case, in the experiment's order."""
    from harness.values.names import case_labels

    cases = list(dict.fromkeys(record.case for record in records))
    for case, label in sorted(case_labels(cases).items(), key=lambda item: -shares.get(item[0], 0.0)):
        of_case = [record for record in records if record.case == case]
        good = [record for record in of_case if record.status == "ok"]
        if not good:
            yield f"| {label} | {of_case[-1].status}: {of_case[-1].cause or ''} | | | | | | |"
            continue
        rates = [mean([rate(record, *which) for record in good]) for which in WAYS]
        held = [record.cache.bytes for record in good if record.cache is not None and record.cache.bytes]
        peaks = [record.memory.peak_anon for record in good if record.memory.peak_anon]
        share = shares.get(case)
        cells = [label, *(f"{value:.0f}" for value in rates)]
        cells += [f"{max(held) / 1e6:.1f}" if held else "", f"{max(peaks) / 1e6:.0f}" if peaks else ""]
        yield f"| {' | '.join(cells)} | {'' if share is None else f'{share:.2f}'} |"


WAYS = (("first", "seconds"), ("steady", "seconds"), ("first", "cpu_s"), ("steady", "cpu_s"))


def rate(record: Record, which: str, unit: str) -> float:
    """Images per second or per CPU second of the first epoch or the later ones."""
    epochs = record.epochs[:1] if which == "first" else record.epochs[1:]
    return sum(epoch.images for epoch in epochs) / math.fsum(getattr(epoch, unit) or math.nan for epoch in epochs)


def mean(values: Sequence[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


if __name__ == "__main__":
    sys.exit(main())
