"""What a job leaves, damaged: read into a record, written, read back, judged among others and shown."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any, cast

import pytest
from fuzzing import (
    damaged_bytes,
    damaged_json,
    damaged_values,
    dump_json,
    fuzzed,
    fuzzed_with_fewer,
    one_case,
    refusal_of,
)
from hypothesis import given
from hypothesis import strategies as st

from harness.analysis.validity import judge_all
from harness.bench.protocol import protocol
from harness.engine.interface import Engine, JobState, Payload
from harness.engine.job_archive import extract_results
from harness.engine.jobs import HostData
from harness.engine.kinds.process import ProcessEngine
from harness.hosts.local import LocalConnection
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.records.reading import read_records
from harness.records.session_data import SessionData, read_session
from harness.report.columns import tabulate_rows
from harness.report.composition import build_view
from harness.session.collect import SessionIdentity, build_record, read_results
from harness.session.invocations import HostDigests, Invocation, plan_host
from harness.session.setup import HostSetup
from harness.values.engine_names import EngineFacts
from harness.values.facts import DiskFacts, Facts
from harness.values.record import Record

SESSION = Path(__file__).parent.parent / "report" / "session_format_1"
KNOWN = tuple(read_records(SessionFolder(SESSION)))
MEASURED = next(record for record in KNOWN if record.status == "ok" and record.io.get("host"))

GOOD: dict[str, Any] = {
    protocol.OUTCOME: {
        "child": {"signal": None, "exit_code": 0, "cpu_s": 3.5, "max_rss_bytes": 300_000_000},
        "memory": {**MEASURED.memory.model_dump(mode="json"), "oom_at_s": None, "thrashing": None},
        "timed_out": False,
        "terminated": False,
        "started_at": MEASURED.started_at,
        "finished_at": MEASURED.finished_at,
        "supervisor": MEASURED.environment.get("supervisor"),
        **{name: MEASURED.io.get(name) for name in ("page_cache", "disk", "wall_s", "host")},
    },
    protocol.ENVIRONMENT: {
        **MEASURED.environment,
        "devices": {"gpus": ["Test GPU"], "cpus": 2},
        "pixel_error": {"mean": 0.2, "max": 3.0},
    },
    protocol.GPU: {
        "samples": 3,
        "gpus": [{"name": "Test GPU", "utilisation": 0.5, "memory_bytes": 10**9}],
        "cpu_s": 0.1,
    },
}
EVENTS: list[dict[str, Any]] = [
    {"event": "phase", "name": "measure", "t": 1.5},
    {"event": "progress", "epoch": 1, "step": 2, "images": 64, "t": 2.0},
    *({"event": "epoch", "t": 3.0, **epoch.model_dump(mode="json")} for epoch in MEASURED.epochs),
    {"event": "progress", "epoch": 2, "step": 6, "images": 96, "t": 5.9},
    {"event": "done", "cache_bytes": 4096, "build_s": 0.5, "t": 6.0},
]
FAILURE = protocol.make_failure("error", "ValueError: [[{{node x}}]] shapes [1, 2] and [3]", phase="measure", epoch=1)
CASE = MEASURED.case.model_copy(update={"cache": "file", "loader": "tfdata"})
FACTS = Facts(cpu_model="test", logical_cpus=2, ram_bytes=24 * 10**9, disks={"scratch": DiskFacts(path="/tmp")})


def _set_up() -> tuple[HostSetup, Invocation]:
    connection = LocalConnection(MEASURED.host)
    engine = ProcessEngine(connection, scratch="/nowhere")
    setup = HostSetup(
        host=MEASURED.host,
        connection=connection,
        engine=cast(Engine, engine),
        engine_facts=EngineFacts("process", "2.21"),
        facts=FACTS,
        image="",
        image_digest="1" * 64,
        payload=Payload("5" * 64, b""),
        data={CASE.data: HostData(CASE.data, "folder", "2" * 64, 96, 2, 2_136_598, ())},
        missing_data={},
        disks={"scratch": "/nowhere"},
        memory_available=10**10,
        cpus=(0,),
    )
    digests = HostDigests(MEASURED.host, "1" * 64, "5" * 64, {CASE.data: "2" * 64})
    limits = {CASE.case_id: 10**9}
    (planned,) = plan_host(digests, [CASE], rounds=1, order=lambda given, _: given, limits=limits, predictions={})
    return setup, planned


SETUP, PLANNED = _set_up()


def collect(folder: Path, state: JobState) -> Record:
    """What a session does with a folder of results."""
    at = "2026-01-01T00:00:00Z"
    identity = SessionIdentity("s", "e", "k")
    results = read_results(folder)
    return build_record(identity, SETUP, PLANNED, state, results, log=None, started_at=at, finished_at=at, peers=KNOWN)


def keep(record: Record, folder: Path) -> Record:
    """Write a record and read it back, as the next controller and every report do."""
    session = SessionFolder(folder / "session")
    journal = Journal(session)
    journal.write_record(record)
    journal.close()
    (read,) = read_records(session)
    assert read == Record.model_validate_json(record.model_dump_json())
    assert len(read.cause or "") < 1500
    return read


@st.composite
def results(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of a job, of which a few are damaged, and one or the other is not there."""
    files = {name: dump_json(value) for name, value in GOOD.items()}
    files[protocol.EVENTS] = b"".join(dump_json(line) + b"\n" for line in EVENTS)
    files[protocol.LOG] = b"a line\n" * 3
    for name in draw(st.sets(st.sampled_from([*GOOD, protocol.EVENTS, protocol.FAILURE, protocol.LOG]), max_size=3)):
        if name == protocol.EVENTS:
            lines = draw(damaged_values(EVENTS))
            whole = b"".join(dump_json(line) + b"\n" for line in (lines if isinstance(lines, list) else [lines]))
            files[name] = draw(st.just(whole) | damaged_bytes(whole))
        elif name == protocol.LOG:
            files[name] = draw(damaged_bytes(b"one\ntwo \x1b[31m\n" * 9))
        elif name == protocol.FAILURE:
            files[name] = draw(damaged_json(FAILURE))
        else:
            files[name] = draw(damaged_json(GOOD[name]))
    for name in draw(st.sets(st.sampled_from(list(files)), max_size=1)):
        del files[name]
    return files


STATES = st.builds(
    JobState,
    phase=st.sampled_from(["exited", "gone"]),
    exit_code=st.sampled_from([0, 137, 255, None]),
    oom_killed=st.sampled_from([True, False, None]),
    error=st.none() | st.text(max_size=30),
)


@fuzzed
@given(results(), STATES)
def test_results_of_jobs(files: dict[str, bytes], state: JobState) -> None:
    with one_case() as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        record = keep(collect(folder, state), folder)
        judged = judge_all([*KNOWN, record], {MEASURED.host: FACTS})
        tabulate_rows(judged)


@pytest.mark.slow
@fuzzed_with_fewer
@given(results(), STATES)
def test_results_of_jobs_in_a_report(files: dict[str, bytes], state: JobState) -> None:
    with one_case() as folder:
        for name, content in files.items():
            (folder / name).write_bytes(content)
        record = keep(collect(folder, state), folder)
        session = read_session(SESSION)
        records = judge_all([*session.records, record], session.facts)
        build_view([_with(session, records)])


def _with(session: SessionData, records: list[Record]) -> SessionData:
    from dataclasses import replace

    return replace(session, records=tuple(records))


def _archive() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, value in {**GOOD, protocol.EVENTS: EVENTS, "sub/x": 1}.items():
            content = json.dumps(value).encode()[:600]
            entry = tarfile.TarInfo(f"results/{name}")
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
        link = tarfile.TarInfo("results/link")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    return buffer.getvalue()


ARCHIVE = _archive()


@fuzzed
@given(damaged_bytes(ARCHIVE, most=5), st.integers(1, 5000))
def test_archives_of_results(archive: bytes, size: int) -> None:
    with one_case() as folder:
        chunks = (archive[start : start + size] for start in range(0, len(archive), size))
        refusal_of(lambda: extract_results(chunks, folder / "deep" / "out", host="h", job="j"))
        outside = [path for path in folder.rglob("*") if not path.is_relative_to(folder / "deep")]
        assert outside == [] and not any(path.is_symlink() for path in folder.rglob("*"))
        keep(collect(folder / "deep" / "out", JobState("exited", exit_code=0)), folder)
