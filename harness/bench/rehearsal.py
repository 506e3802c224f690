"""Task ``rehearse``: some hundred images of the real data, from which memory and times of the whole are predicted.

``python -m bench.rehearsal JOB_FOLDER``; ``settings`` of the request are cases that stand for others, each with its
``key``. Each runs in a process of its own (memory is to be counted from nothing): a cache in memory, none, a cache
file. What is left in ``dataset.json``: ``settings`` by key, each the fields of ``rehearse``.
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from .journal import Journal
from .preparation import Job, run_task
from .protocol import REQUEST, read_json, write_json
from .usage import read_anon_bytes

IMAGES = 400
CHILD = "--child"
ANSWER = "rehearsal.json"
_TIMEOUT_S = 300.0


class Trace(Journal):
    """A journal that notes, with each step, how much memory the process holds."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.points: list[tuple[int, int]] = []
        self.epochs: list[dict[str, Any]] = []

    def report_step(self, step: int, images: int) -> None:
        """One more point: images so far, bytes of anonymous memory."""
        self.points.append((images, read_anon_bytes() or 0))

    def end_epoch(self, **fields: Any) -> None:
        """Keep the figures of a whole epoch."""
        self.epochs.append(fields)


def fit_memory(points: list[tuple[int, int]]) -> tuple[int, float] | None:
    """(bytes without an image, bytes an image): a line through the later two thirds of a filling epoch."""
    last = max((images for images, _ in points), default=0)
    late = [(images, held) for images, held in points if images >= last / 3]
    if len(late) < 3:
        return None
    middle, centre = sum(x for x, _ in late) / len(late), sum(y for _, y in late) / len(late)
    width = sum((x - middle) ** 2 for x, _ in late)
    slope = sum((x - middle) * (y - centre) for x, y in late) / width
    return round(centre - slope * middle), slope


def rehearse(folder: Path) -> dict[str, Any]:
    """Run one setting three times over: bytes, seconds and images.

    ``base_bytes`` and ``image_bytes`` are of the memory cache's fill; ``peak_bytes`` of a pass without a cache;
    ``none_s``, ``memory_fill_s`` … are seconds an image of the first and of the steady pass.
    """
    from . import invocation
    from .measure_request import read_request

    asked = read_request(folder)
    request = replace(asked, max_images=min(IMAGES, asked.max_images or IMAGES), is_reused=False)
    manifest = invocation.read_data(request)
    invocation.import_tensorflow(request, folder)
    found: dict[str, Any] = {"images": len(manifest)}
    for cache in ("memory", "none", "file"):
        variant = replace(request, cache=cache, page_cache="cold-start")
        bench = invocation.build(variant, manifest, folder)
        invocation.load_training().warm_up(bench.loader, bench.model)
        trace = Trace(folder / f"{cache}.jsonl")
        trace.enter_phase("measure")
        invocation.run_epochs(bench, trace, 2, trace.end_epoch)
        first, steady = trace.epochs
        found[f"{cache}_first_s"] = (first["seconds"] + (first["flush_s"] or 0.0)) / len(manifest)
        found[f"{cache}_steady_s"] = steady["seconds"] / len(manifest)
        if cache == "memory":
            fitted = fit_memory(trace.points[: len(trace.points) // 2])
            found["base_bytes"], found["image_bytes"] = fitted if fitted else (None, None)
        elif cache == "file":
            found["file_image_bytes"] = (invocation.measure_cache(bench.loader) or 0) / len(manifest)
        trace.close()
        bench.loader.close()
    return found


def task(job: Job) -> dict[str, Any]:
    """Each setting in a process of its own; one that fails leaves its reason."""
    job.enter("check")
    results: dict[str, Any] = {}
    settings: list[dict[str, Any]] = job.request["settings"]
    for number, setting in enumerate(settings):
        folder = job.results.parent / "scratch" / f"rehearsal-{number}"
        (folder / "cache").mkdir(parents=True)
        paths = {name: job.paths[mount] for name, mount in setting["paths"].items()}
        write_json(folder / REQUEST, {**job.request, **setting, "paths": {"cache": str(folder / "cache"), **paths}})
        command = [sys.executable, "-m", f"{__package__}.rehearsal", CHILD, str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        sys.stderr.write(done.stderr[-4000:])
        answer = read_json(folder / ANSWER)
        reason = done.stderr.strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        results[setting["key"]] = answer if isinstance(answer, dict) else {"reason": reason[0][:300]}
        job.progress(number + 1, len(settings))
    return {"images": IMAGES, "settings": results}


def main(arguments: list[str]) -> int:
    """``JOB_FOLDER``, or ``--child FOLDER``."""
    if arguments[:1] != [CHILD]:
        return run_task(task, arguments)
    folder = Path(arguments[1])
    write_json(folder / ANSWER, rehearse(folder))
    return 0


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # TensorFlow's threads have been seen to crash while an interpreter ends
