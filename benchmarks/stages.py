"""What an image costs in each stage of every loader, in milliseconds of CPU time, as a session finds it.

    python benchmarks/stages.py [FOLDER [--annotations JSON]] [--size 256] [--caches-of tfdata-tuned] [--only LOADER …]

FOLDER has one folder of images per class, or is the image folder of a COCO pair; without it photographs are generated.
Printed as Markdown: the stages of a later epoch of each loader without a cache, and of one with each cache and element;
of these also the stages of the first epoch, which fills the cache.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import time
from typing import Any

from own_data import add_options, find_data

IMAGES = 96


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser, images=128)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--caches-of", default="tfdata-tuned", metavar="LOADER", help="whose caches are tried, too")
    parser.add_argument("--only", nargs="+", metavar="LOADER", help="these loaders alone")
    options = parser.parse_args()
    options.folder, options.annotations = find_data(options)
    job = options.scratch.resolve() / "stages"
    shutil.rmtree(job, ignore_errors=True)
    (job / "results").mkdir(parents=True)
    kind = "folder" if options.annotations is None else "coco"
    settings = list_settings(options, kind)
    prepare_job(options, job, settings)
    begun = time.perf_counter()
    command = [sys.executable, "-m", "harness.bench.stages.stage_costs", str(job)]
    subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    seconds = time.perf_counter() - begun
    found = json.loads((job / "results" / "dataset.json").read_text())["settings"]
    show(settings, found)
    print(f"\n{len(settings)} settings in {seconds:.0f} s, {IMAGES} images each")
    shutil.rmtree(job)
    return 0


def list_settings(options: argparse.Namespace, kind: str) -> list[dict[str, Any]]:
    from harness.bench.protocol.loader_registry import CACHES, LOADERS

    found = []
    for name, spec in LOADERS.items():
        if spec.is_automatic or (options.only and name not in options.only):
            continue
        for cache in spec.caches if name == options.caches_of else ("none",):
            elements = ["float32"] if cache == "none" else [e for e in spec.elements if e in CACHES[cache].elements]
            for element in elements:
                case = {"data": "d", "loader": name, "cache": cache, "element": element, "batch_size": 32}
                case |= {"image_size": [options.size] * 2, "interpolation": spec.interpolations[0]}
                data = {"kind": kind, "name": "d"}
                found.append({"key": f"{name}, {cache}, {element}", "case": case, "data": data, "images": IMAGES})
    return found


def prepare_job(options: argparse.Namespace, job: Any, settings: list[dict[str, Any]]) -> None:
    from harness.bench.data.dataset import list_path, prepare

    prepare(list_path(options.folder, options.annotations), job / "dataset", links=True)
    paths = {"data": str(options.folder.resolve()), "dataset": str(job / "dataset"), "cache": str(job / "cache")}
    request = {"task": "stages", "settings": settings, "limits": {}, "paths": paths, "seed": 5}
    (job / "request.json").write_text(json.dumps(request))


def show(settings: list[dict[str, Any]], found: dict[str, Any]) -> None:
    from harness.bench.protocol.specs import STAGES

    print("| loader, cache, element | epoch | whole | " + " | ".join(STAGES) + " | rest |")
    print("|---|---|" + "---|" * (len(STAGES) + 2))
    for setting in settings:
        costs = found[setting["key"]]
        if "reason" in costs:
            print(f"| {setting['key']} | {costs['reason']} |")
            continue
        for epoch, which in (("first", "first"), ("later", "steady")):
            if (each := costs[which]) is None:
                continue
            stages = {stage["name"]: 1e3 * stage["cpu_s"] for stage in each["stages"]}
            whole = 1e3 * each["cpu_s"]
            cells = [f"{stages[name]:.2f}" if name in stages else "" for name in STAGES]
            rest = whole - sum(stages.values())
            row = [setting["key"], epoch, f"{whole:.2f}", *cells, f"{rest:+.2f} ({100 * rest / whole:+.0f} %)"]
            print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    sys.exit(main())
