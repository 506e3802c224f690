"""Where the bytes come from under a real limit: a small machine reads again, and nobody helps the next invocation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bench_images import Made, make_images

from harness.bench.launcher.confine import try_limit
from harness.bench.loaders.manifest import read_manifest, write_manifest
from harness.bench.measure import bytes_read, pagecache

MB = 10**6
FILES, FILE_BYTES = 31, 24 * MB


def big(root: Path) -> Made:
    """Small pictures in large files (what follows the end of a JPEG is read and not decoded): 744 MB."""
    made = make_images(root, count=FILES)
    padding = bytes(range(256)) * (FILE_BYTES // 256)
    for path in made.manifest.paths:
        with open(made.folder / path, "ab") as stream:
            stream.write(padding)
    sizes = tuple((made.folder / path).stat().st_size for path in made.manifest.paths)
    from dataclasses import replace

    manifest = replace(made.manifest, sizes=sizes)
    write_manifest(made.dataset, manifest)
    assert read_manifest(made.dataset).sizes == sizes
    return Made(made.kind, made.folder, made.dataset, manifest)


@pytest.mark.tensorflow
@pytest.mark.cgroup
def test_a_small_machine_reads_again_and_the_last_invocation_does_not_help(tmp_path: Path) -> None:
    from harness.engine.interface import JobRequest, Mount
    from harness.engine.kinds.process import ProcessEngine
    from harness.hosts.local import LocalConnection
    from harness.ship.payload_archive import build_payload

    if not try_limit()["can_limit"]:
        pytest.skip("no memory limit can be enforced here")
    made = big(tmp_path / "set")
    reason = pagecache.drop([str(made.folder)]).unproven
    if reason:
        pytest.skip(f"pages cannot be dropped here: {reason}")
    engine = ProcessEngine(LocalConnection("here"), scratch=str(tmp_path / "scratch"))
    needed = sum(made.manifest.sizes)

    def measure(name: str, limit: int, page_cache: str = "cold-start") -> list[dict[str, Any]]:
        case = {"data": "d", "loader": "tfdata", "image_size": [32, 32], "batch_size": 4, "page_cache": page_cache}
        request = {
            "format": 1,
            "task": "measure",
            "case": case,
            "data": {"kind": made.kind, "name": "d"},
            "limits": {"memory_bytes": limit, "cpus": [0], "gpus": [], "oom_score_adj": 1000},
            "timeout_s": 300.0,
            "seed": 1,
        }
        mounts = (Mount("data", str(made.folder)), Mount("dataset", str(made.dataset)))
        job = JobRequest(name, {"harness.session": "t"}, build_payload(), request, "", mounts, limit, (0,))
        handle = engine.submit(job)
        try:
            import time

            while engine.poll([handle])[0].phase == "running":
                time.sleep(0.2)
            engine.fetch(handle, tmp_path / name)
        finally:
            engine.cancel([handle])
        lines = (tmp_path / name / "events.jsonl").read_text().splitlines()
        failure = tmp_path / name / "failure.json"
        assert not failure.exists(), failure.read_text()
        outcome = json.loads((tmp_path / name / "outcome.json").read_text())
        assert outcome["host"]["samples"] > 0
        assert outcome["supervisor"]["anon_bytes"] < 16 * 2**20
        return [line for line in map(json.loads, lines) if line["event"] == "epoch"]

    roomy = measure("harness-roomy", 2000 * MB)
    assert [epoch["bytes_needed"] for epoch in roomy] == [needed, needed]
    assert roomy[0]["bytes_read"] >= needed
    assert roomy[1]["bytes_read"] < 0.1 * needed
    # All files are in memory now, and the next one starts cold all the same.
    small = measure("harness-small", 600 * MB)
    assert small[0]["bytes_read"] >= needed > 600 * MB
    assert small[1]["bytes_read"] >= 0.5 * needed


def test_a_counter_that_does_not_count_is_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from harness.bench.measure.event_log import Journal
    from harness.bench.measure.meter import Meter

    monkeypatch.setattr(bytes_read, "file_system_of", lambda path: "nfs4" if "nfs" in path else "ext4")
    assert bytes_read.is_counted(["/data"])
    assert not bytes_read.is_counted(["/data", "/nfs/data"])
    published: list[Any] = []
    for is_counted in (True, False):
        meter = Meter(
            Journal(tmp_path / "events.jsonl"),
            1,
            prepare=lambda _index: None,
            settle=lambda _index: None,
            publish=published.append,
            needed=lambda index: 100 * index,
            is_counted=is_counted,
        )
        meter.begin()
        meter.step(1)
        meter.end()
    assert isinstance(published[0]["bytes_read"], int)
    assert published[1]["bytes_read"] is None
    assert [fields["bytes_needed"] for fields in published] == [100, 100]
