"""Whatever one host says, a controller's peak of memory stays below 300 MB: each in a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

MOST_MB = 300

BEGIN = """
import io, json, os, sys, tarfile, time
from pathlib import Path
sys.path.insert(0, {tests!r})
import harness.workflow.run.run, harness.cli.app, paramiko, docker  # what a controller has in memory anyway
work = Path({work!r})

def refused(call, *kinds):
    try:
        return call()
    except kinds as error:
        assert len(str(error)) < 2000
        return str(error)

def record_of(folder):
    from stub import stub_setup, stub_cases
    from test_outage import FakeEngine
    from harness.engine.interface import JobState
    from harness.hosts.local import LocalConnection
    from harness.session.collect import SessionIdentity, build_record, read_results
    from harness.session.invocations import HostDigests, plan_host
    setup = stub_setup(FakeEngine(), LocalConnection("here"), work, work)
    cases = stub_cases(1)[:1]
    limits = {{case.case_id: case.memory_limit for case in cases}}
    digests = HostDigests("here", "1" * 64, "5" * 64, {{"tiny": "2" * 64}})
    (planned,) = plan_host(digests, cases, rounds=1, order=lambda c, _: c, limits=limits, predictions={{}})
    return build_record(
        SessionIdentity("s", "e", "k"), setup, planned, JobState("exited", exit_code=0), read_results(folder),
        log=None, started_at="2026-01-01T00:00:00Z", finished_at="2026-01-01T00:00:00Z")

def fetched(name, *pieces):
    with open(work / name, "wb") as stream:
        for piece, times in pieces:
            for _ in range(times):
                stream.write(piece)
    record = record_of(work)
    assert record.status == "error" and name in record.cause, record.cause
    return record
"""
END = """
# Of this program alone: what getrusage says begins with the peak of the process that started it.
status = open("/proc/self/status").read().split("VmHWM:")[1]
peak = int(status.split()[0]) / 1000
print(round(peak))
"""
MIB = 2**20
SAID = {
    "nothing": "",
    "64 MiB of JSON in an outcome": f"fetched('outcome.json', (b'[' + b'[],' * {MIB // 3}, 64))",
    "the most of JSON that is read": (
        "from harness.bench.protocol import bounded_json\n"
        "text = b'[' + b'{\"\":{}},' * 66_600 + b'\"' + '𝄞'.encode() * 800_000 + b'\"]'\n"
        "kept = [bounded_json.parse(text)]"
    ),
    "a million epochs": (
        'fetched(\'events.jsonl\', (b\'{"event": "epoch", "index": 1, "images": 1, "seconds": 1}\\n\' * 1000, 1000))'
    ),
    "lines of progress for days": (
        "(work / 'outcome.json').write_text(json.dumps({'child': {'exit_code': 0}}))\n"
        "with open(work / 'events.jsonl', 'wb') as stream:\n"
        '    for _ in range(400): stream.write(b\'{"event": "progress", "epoch": 1, "images": 9}\\n\' * 1000)\n'
        '    stream.write(b\'{"event": "done"}\\n\')\n'
        "assert record_of(work).status == 'ok'"
    ),
    "a line of 60 MB": "fetched('events.jsonl', (b'{\"a\": \"', 1), (b'x' * 10**6, 60), (b'\"}\\n', 1))",
    "a log of 500 MB": ("with open(work / 'log.txt', 'wb') as stream: stream.truncate(500 * 10**6)\nrecord_of(work)"),
    "an archive of 500 MB": (
        "from harness.engine.job_archive import extract_results\n"
        "def chunks():\n"
        "    entry = tarfile.TarInfo('results/large'); entry.size = 500 * 10**6\n"
        "    yield entry.tobuf()\n"
        "    for _ in range(500): yield bytes(10**6)\n"
        "    yield bytes(10240)\n"
        "extract_results(chunks(), work / 'out', host='h', job='j')"
    ),
    "an archive with a header of 400 MB": (
        "from harness.engine.job_archive import extract_results\n"
        "from harness.values.errors import EngineError\n"
        "def chunks():\n"
        "    entry = tarfile.TarInfo('results/x'); entry.size = 400 * 10**6; entry.type = tarfile.XHDTYPE\n"
        "    yield entry.tobuf()\n"
        "    for _ in range(400): yield b'9' * 10**6\n"
        "said = refused(lambda: extract_results(chunks(), work / 'out', host='h', job='j'), EngineError)\n"
        "assert 'header' in said, said"
    ),
    "an archive of a million files": (
        "from harness.engine.job_archive import extract_results\n"
        "from harness.values.errors import EngineError\n"
        "def chunks():\n"
        "    for n in range(10**6): yield tarfile.TarInfo(f'results/{n}').tobuf()\n"
        "said = refused(lambda: extract_results(chunks(), work / 'out', host='h', job='j'), EngineError)\n"
        "assert 'more than' in said, said"
    ),
    "a sparse lock of 50 GB": (
        "from harness.hosts.connection import OutputTooLong\n"
        "from harness.hosts.local import LocalConnection\n"
        "with open(work / 'lock', 'wb') as stream: stream.truncate(50 * 10**9)\n"
        "said = refused(lambda: LocalConnection('h').run(['cat', '--', str(work / 'lock')]), OutputTooLong)\n"
        "assert 'exceeds' in said"
    ),
    "an endless stderr": (
        "from harness.hosts.local import LocalConnection\n"
        "LocalConnection('h').run(['sh', '-c', 'head -c 500000000 /dev/zero >&2'])"
    ),
    "a message of 200,000 spaces": (
        "(work / 'outcome.json').write_text(json.dumps({'child': {'exit_code': 1}}))\n"
        "(work / 'failure.json').write_text(json.dumps({'message': ' ' * 200_000 + 'x', 'type': 'E'}))\n"
        "begun = time.process_time()\n"
        "cause = record_of(work).cause\n"
        "assert cause.startswith('it raised E: ') and len(cause) < 100, cause\n"
        "assert time.process_time() - begun < 5"
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SAID)
def test_a_controller_stays_small(name: str, tmp_path: Path) -> None:
    begin = BEGIN.format(tests=str(Path(__file__).parent), work=str(tmp_path))
    script = f"{begin}\n{SAID[name]}\n{END}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < MOST_MB, f"{done.stdout.strip()} MB"
    print(f"{name}: {done.stdout.strip()} MB")
