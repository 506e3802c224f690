"""Some hundred images tell when a cache in memory dies: predicted and then seen, under a real limit."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from harness.analysis.predictions import predict
from harness.analysis.rehearsals import predict_from
from harness.bench.confine import try_limit
from harness.bench.manifest import Manifest, write_manifest
from harness.engine.interface import JobRequest, Mount
from harness.engine.kinds.process import ProcessEngine
from harness.hosts.local import LocalConnection
from harness.ship.payload import build_payload
from harness.values.case import Case

COUNT, LIMIT = 1500, 650 * 10**6


def make_set(root: Path) -> tuple[Path, Path]:
    """Small pictures that become 786 kB each once they are decoded to 256 × 256."""
    numbers, rows = np.random.default_rng(1), []
    folder = root / "images"
    folder.mkdir()
    for index in range(COUNT):
        path = folder / f"{index:04d}.jpg"
        Image.fromarray(numbers.integers(0, 255, (24, 24, 3), np.uint8)).save(path)
        data = path.read_bytes()
        rows.append((path.name, index % 3, 24, 24, len(data), hashlib.sha256(data).hexdigest()))
    paths, labels, widths, heights, sizes, digests = (tuple(column) for column in zip(*rows, strict=True))
    write_manifest(root / "dataset", Manifest(paths, labels, widths, heights, sizes, digests, ("a", "b", "c")))
    return folder, root / "dataset"


@pytest.mark.tensorflow
@pytest.mark.cgroup
@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed here")
def test_the_death_of_a_memory_cache_is_predicted_within_15_per_cent_of_images(tmp_path: Path) -> None:
    if not try_limit()["can_limit"]:
        pytest.skip("no memory limit can be enforced here")
    folder, dataset = make_set(tmp_path)
    engine = ProcessEngine(LocalConnection("here"), scratch=str(tmp_path / "scratch"))
    case = Case(data="d", loader="tfdata", cache="memory", image_size=(256, 256), memory_limit=LIMIT)
    mounts = (Mount("data", str(folder)), Mount("dataset", str(dataset)))

    def run(name: str, limit: int | None, **request: object) -> Path:
        limits = {"memory_bytes": limit, "cpus": [], "gpus": [], "oom_score_adj": 1000}
        whole = {"format": 1, "data": {"kind": "coco", "name": "d"}, "limits": limits, "timeout_s": 300.0, **request}
        job = JobRequest(name, {"harness.session": "t"}, build_payload(), whole, "", mounts, limit)
        handle = engine.submit(job)
        try:
            while engine.poll([handle])[0].phase == "running":
                time.sleep(0.2)
            engine.fetch(handle, tmp_path / name)
        finally:
            engine.cancel([handle])
        return tmp_path / name

    plain = case.model_copy(update={"cache": "none"}).model_dump(mode="json")
    paths = {"data": "data", "dataset": "dataset"}
    setting = {"key": "k", "case": plain, "data": {"kind": "coco", "name": "d"}, "paths": paths}
    results = run("harness-rehearse", None, task="rehearse", settings=[setting], seed=1)
    rehearsal = json.loads((results / "dataset.json").read_text())["settings"]["k"]
    assert rehearsal["images"] == 400, rehearsal
    by_formula = predict(case, images=COUNT, limit=LIMIT)
    assert by_formula is not None
    predicted = predict_from(case, COUNT, limit=LIMIT, rehearsal=rehearsal, by_formula=by_formula)
    assert predicted.fit == "does not fit" and predicted.images_until_oom is not None
    results = run("harness-measure", LIMIT, task="measure", case=case.model_dump(mode="json"), seed=1)
    outcome = json.loads((results / "outcome.json").read_text())
    assert outcome["memory"]["oom_kills"], outcome
    lines = [json.loads(line) for line in (results / "events.jsonl").read_text().splitlines()]
    seen = [line["images"] for line in lines if line["event"] == "progress"][-1]
    print("predicted", predicted.images_until_oom, "seen", seen)
    assert predicted.images_until_oom.expected == pytest.approx(seen, rel=0.15)
