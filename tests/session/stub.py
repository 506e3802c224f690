"""A payload whose benchmark takes a moment: the real supervisor, engines and runner around it."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

from harness.engine.interface import Mount, Payload
from harness.engine.jobs import HostData
from harness.session.setup import HostSetup
from harness.ship.payload_archive import build_payload
from harness.values.case import Case
from harness.values.facts import DiskFacts, Facts

STUB = '''
"""Stands in for the benchmark: notes that it ran, fills its cache, and says that it is done."""
import json, os, sys, time
from pathlib import Path

job = Path(sys.argv[1])
request = json.loads((job / "request.json").read_text())
results = job / "results"
paths = request["paths"]
name = job.name if job.name != "harness" else os.environ.get("HOSTNAME", "job")
with open(Path(paths["data"]) / "executions.txt", "a") as stream:
    stream.write(name + "\\n")
if "cache" in paths:
    (Path(paths["cache"]) / "images_0.data").write_bytes(b"x" * 1000)
time.sleep(0.15)
with open(results / "events.jsonl", "w") as stream:
    for index in (1, 2):
        stream.write(json.dumps({"event": "epoch", "index": index, "images": 10, "seconds": 1.0}) + "\\n")
    stream.write(json.dumps({"event": "done", "cache_bytes": None}) + "\\n")
'''


def stub_payload(benchmark: str = STUB) -> Payload:
    """The real payload with another benchmark in it."""
    buffer = io.BytesIO()
    with (
        tarfile.open(fileobj=io.BytesIO(build_payload().archive)) as source,
        tarfile.open(fileobj=buffer, mode="w") as target,
    ):
        for member in source.getmembers():
            stream = source.extractfile(member)
            content = b"" if stream is None else stream.read()
            if member.name == "bench/measure/benchmark.py":
                content = benchmark.encode()
                member.size = len(content)
            target.addfile(member, io.BytesIO(content) if member.isfile() else None)
    return Payload(digest="5" * 64, archive=buffer.getvalue())


def stub_cases(loaders: int = 2) -> tuple[Case, ...]:
    """Some cases, one with a file cache."""
    cases = [
        Case(data="tiny", loader="tfdata", batch_size=8 + index, memory_limit=200_003_584) for index in range(loaders)
    ]
    return (*cases, Case(data="tiny", loader="tfdata", cache="file", memory_limit=200_003_584))


def stub_setup(engine: object, connection: object, scratch: Path, data: Path, benchmark: str = STUB) -> HostSetup:
    """A host that is ready, with one data set of no images in a folder that the stub writes to."""
    facts = Facts(
        cpu_model="test",
        logical_cpus=2,
        ram_bytes=24 * 10**9,
        disks={"scratch": DiskFacts(path=str(scratch), free_bytes=10**11)},
    )
    engine_facts = engine.probe("")  # type: ignore[attr-defined]
    return HostSetup(
        host="here",
        connection=connection,  # type: ignore[arg-type]
        engine=engine,  # type: ignore[arg-type]
        engine_facts=engine_facts,
        facts=facts,
        image="",
        image_digest="1" * 64,
        payload=stub_payload(benchmark),
        data={
            "tiny": HostData(
                name="tiny",
                kind="folder",
                fingerprint="2" * 64,
                images=10,
                classes=2,
                bytes=1000,
                mounts=(Mount("data", str(data), read_only=False),),
            )
        },
        missing_data={},
        disks={"scratch": str(scratch)},
        memory_available=10**10,
        cpus=(0,),
    )
