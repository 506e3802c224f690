"""A rehearsal tells what fits, what does not, and when a cache in memory dies: predicted, then seen under limits."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.analysis.predictions import predict
from harness.analysis.rehearsals import setting_key
from harness.bench.data.task import Job
from harness.bench.launcher.confine import try_limit
from harness.bench.loaders.manifest import Manifest, write_manifest
from harness.bench.proof import apart, rehearsal
from harness.bench.protocol import protocol
from harness.engine.interface import Mount
from harness.engine.jobs import JobHost, build_job
from harness.engine.kinds.process import ProcessEngine
from harness.hosts.local import LocalConnection
from harness.ship.kept_settings import Found, Setting
from harness.ship.payload_archive import build_payload
from harness.ship.rehearsing import rehearse
from harness.values.case import Case
from harness.values.prediction import Prediction
from harness.values.record import SetSize
from harness.values.rehearsal import Rehearsal

COUNT, REHEARSED, BATCHES = 960, 128, 60
"""Two batches of 57 MB in work, more or less, are chance; claims are in per cent, and a large cache makes that few."""
CASE = Case(data="d", loader="tfdata", cache="memory", image_size=(384, 384), epochs=2)


def make_set(root: Path) -> tuple[Mount, ...]:
    """Small pictures that become 1.8 MB each once they are decoded to 384 × 384."""
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
    return (Mount("data", str(folder)), Mount("dataset", str(root / "dataset")))


class Host:
    """This machine, with a data set and the engine ``process``."""

    def __init__(self, root: Path) -> None:
        self._root = root
        connection = LocalConnection("here")
        self._scratch = str(root / "scratch")
        self._engine = ProcessEngine(connection, scratch=self._scratch)
        self._mounts = make_set(root)
        self._on = JobHost(
            host="here",
            connection=connection,
            engine=self._engine,
            image="",
            image_digest="i",
            payload=build_payload(),
            disks={"scratch": self._scratch},
        )

    def rehearse(self, *cases: Case) -> Found[Rehearsal]:
        settings = {
            setting_key(case): Setting(case, REHEARSED, BATCHES, "coco", "f" * 64, self._mounts, self._scratch)
            for case in cases
        }
        return rehearse(self._on, settings, lambda _text, _share: None, memory_bytes=None)

    def measure(self, limit: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """(outcome, events) of the case under a limit."""
        said = {"case": CASE.model_dump(mode="json"), "data": {"kind": "coco", "name": "d"}}
        job = build_job(
            self._on,
            "measure",
            f"harness-{limit}",
            said,
            session="t",
            timeout_s=300.0,
            seed=1,
            mounts=self._mounts,
            memory_bytes=limit,
        )
        handle = self._engine.submit(job)
        results = self._root / f"{limit}"
        try:
            while self._engine.poll([handle])[0].phase == "running":
                time.sleep(0.2)
            self._engine.fetch(handle, results)
        finally:
            self._engine.cancel([handle])
        lines = (results / "events.jsonl").read_text().splitlines()
        return json.loads((results / "outcome.json").read_text()), [json.loads(line) for line in lines]


@pytest.mark.tensorflow
@pytest.mark.cgroup
def test_what_fits_lives_what_does_not_dies_and_when_is_predicted(tmp_path: Path) -> None:
    if not try_limit()["can_limit"]:
        pytest.skip("no memory limit can be enforced here")
    host = Host(tmp_path)
    broken = CASE.model_copy(update={"loader": "no/such/loader.py:make", "cache": "none"})
    rehearsed = host.rehearse(CASE, broken)
    assert list(rehearsed.found) == [setting_key(CASE)] and "loader.py" in rehearsed.reasons[setting_key(broken)]
    assert rehearsed.found[setting_key(CASE)].images == REHEARSED

    def expect(limit: int) -> Prediction:
        found = predict(CASE, SetSize(images=COUNT), cpus=2, limit=limit, rehearsals=rehearsed.found)
        assert found is not None
        return found

    peak = expect(10**10).peak_memory_bytes
    assert peak is not None and peak.low > COUNT * 384 * 384 * 12, "the cache alone takes more"
    roomy, tight = round(1.3 * peak.expected), round(0.8 * peak.expected)
    assert (expect(roomy).fit, expect(tight).fit) == ("fits", "does not fit")
    outcome, events = host.measure(roomy)
    assert not outcome["memory"]["oom_kills"] and events[-1]["event"] == "done", outcome
    assert outcome["memory"]["peak_anon"] == pytest.approx(peak.expected, rel=0.12)
    outcome, events = host.measure(tight)
    assert outcome["memory"]["oom_kills"], outcome
    last = [event for event in events if event["event"] == "progress"][-1]
    until = expect(tight).images_until_oom
    assert until is not None and last["epoch"] == 1
    assert abs(until.expected - last["images"]) <= max(CASE.batch_size, 0.1 * last["images"])


def test_each_setting_is_told_what_it_is_and_one_that_ends_leaves_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each runs in a process of its own, which reads its own request; those of pandas come first."""

    def run(folder: Path, images: int, batches: int) -> dict[str, Any]:
        asked = protocol.read_request(folder)
        assert Path(asked.paths["cache"]).is_dir() and asked.paths["data"] == "/data" and asked.limits.cpus == (0,)
        loader = protocol.as_object(asked.said["case"])["loader"]
        if loader == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        if loader == "wrong":
            raise ValueError("no such thing")
        return {"images": images, "batches_wanted": batches, "runs": [{"start_bytes": 1, "points": [(images, 2)]}]}

    settings = [
        {"key": name, "case": {"loader": name}, "data": {"kind": "coco"}, "images": 7, "batches": 3}
        for name in ("tfdata", "killed", "wrong", "keras-idg")
    ]
    limits = {"memory_bytes": None, "cpus": [0], "gpus": [], "oom_score_adj": 1000}
    request = {"task": "rehearse", "settings": settings, "limits": limits, "paths": {"data": "/data"}}
    (tmp_path / "request.json").write_text(json.dumps(request))
    imported: list[Path] = []
    monkeypatch.setattr(rehearsal, "rehearse", run)
    monkeypatch.setattr(apart, "import_tensorflow", imported.append)
    found: Any = rehearsal.task(Job(tmp_path))["settings"]
    assert list(found) == ["keras-idg", "tfdata", "killed", "wrong"] and len(imported) == 1
    assert found["tfdata"]["images"] == 7 and len(found["tfdata"]["runs"]) == rehearsal.RUNS
    assert found["killed"] == {"reason": "it was killed by signal 9, without an error message"}
    assert found["wrong"] == {"reason": "it raised ValueError: no such thing"}
