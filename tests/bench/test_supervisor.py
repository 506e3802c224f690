"""The supervisor: started as it is in a job, over a benchmark that does what a test says."""

# mypy: disable-error-code="operator"

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, cast

import pytest
from factory import plain_record

import harness.bench
from harness.analysis.pauses import paused_seconds
from harness.bench.launcher.cgroup import SHARED_VARIABLE, Cgroup
from harness.bench.protocol import protocol
from harness.bench.supervisor.caplog import CappedLog
from harness.bench.supervisor.sampling import Sampler

PAYLOAD = Path(harness.bench.__file__).parent


@pytest.fixture
def job(tmp_path: Path) -> Any:
    """Makes a job folder whose benchmark is ``code``."""

    def make(code: str, **request: Any) -> Path:
        folder = tmp_path / "job"
        shutil.copytree(PAYLOAD, folder / "payload/bench", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "payload/bench/measure/benchmark.py").write_text("import os, signal, sys, time\n" + code)
        (folder / "results").mkdir()
        whole = {"task": "measure", "case": {"page_cache": "warm"}, "limits": {}, "timeout_s": 30.0, "paths": {}}
        (folder / "request.json").write_text(json.dumps({**whole, **request}))
        return folder

    return make


def start(folder: Path, **variables: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-S", "-E", "-m", "bench.supervisor.supervisor", str(folder)],
        cwd=folder / "payload",
        env={**os.environ, SHARED_VARIABLE: "shared", **variables},
        stderr=subprocess.PIPE,
    )


def finish(folder: Path, **variables: str) -> Any:
    process = start(folder, **variables)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 0, said
    return json.loads((folder / "results/outcome.json").read_text())


def wait_for(path: Path, timeout_s: float = 20.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not path.exists():
        assert time.monotonic() < deadline, f"{path} never came"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM, signal.SIGABRT])
def test_it_outlives_any_death_of_its_child(job: Any, number: Any) -> None:
    outcome = finish(job(f"os.kill(os.getpid(), {int(number)})"))
    assert outcome["child"]["signal"] == number and outcome["child"]["exit_code"] is None
    assert not outcome["timed_out"] and not outcome["terminated"]


def test_an_exit_code_comes_through_with_everything_null_that_was_not_measured(job: Any) -> None:
    outcome = finish(job("print('hello'); sys.stderr.write('there'); sys.exit(3)"))
    assert outcome["child"]["exit_code"] == 3 and outcome["child"]["cpu_s"] > 0
    assert outcome["child"]["max_rss_bytes"] > 2**20
    assert outcome["memory"]["peak_anon"] is None and outcome["memory"]["enforced_by"] is None
    assert outcome["memory"]["oom_kills"] is None and outcome["disk"]["free_bytes_min"] is None
    assert outcome["page_cache"]["state"] == "warm" and outcome["format"] == protocol.FORMAT
    assert outcome["started_at"] <= outcome["finished_at"] and outcome["started_at"].endswith("Z")


def test_output_is_logged(job: Any) -> None:
    folder = job("print('hello'); sys.stdout.flush(); sys.stderr.write('there')")
    finish(folder)
    assert (folder / "results/log.txt").read_text() == "hello\nthere"


def test_a_child_that_talks_without_end_neither_blocks_nor_fills_the_disk(job: Any) -> None:
    folder = job("for n in range(200000): print('line %06d of very many' % n)")
    finish(folder)
    log = (folder / "results/log.txt").read_text()
    assert log.startswith("line 000000") and log.endswith("line 199999 of very many\n")
    assert "bytes left out" in log and len(log) < 2 * 2**20


def test_a_timeout_ends_a_child_that_listens(job: Any) -> None:
    folder = job("time.sleep(600)", timeout_s=1.0)
    outcome = finish(folder)
    assert outcome["timed_out"] and outcome["child"]["signal"] == signal.SIGTERM and not outcome["terminated"]


def test_a_timeout_kills_a_child_that_does_not_listen(job: Any) -> None:
    folder = job("signal.signal(15, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)", timeout_s=1.0)
    path = folder / "payload/bench/supervisor/supervisor.py"
    path.write_text(path.read_text().replace("GRACE_S = 10.0", "GRACE_S = 0.5"))
    outcome = finish(folder)
    assert outcome["timed_out"] and outcome["child"]["signal"] == signal.SIGKILL


def test_told_to_end_it_ends_the_child_and_writes_the_evidence(job: Any) -> None:
    folder = job("open('../results/on', 'w').close(); time.sleep(600)")
    process = start(folder)
    wait_for(folder / "results/on")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 0
    outcome = json.loads((folder / "results/outcome.json").read_text())
    assert outcome["terminated"] and not outcome["timed_out"] and outcome["child"]["signal"] == signal.SIGTERM


BUSY = "open('../results/pid', 'w').write(str(os.getpid()))\nend = time.time() + 4\nwhile time.time() < end: pass"


@pytest.mark.parametrize("is_whole", [True, False])
def test_a_job_that_stands_still_is_told_from_a_supervisor_that_does(job: Any, is_whole: bool) -> None:
    folder = job(BUSY)
    process = start(folder)
    wait_for(folder / "results/pid")
    time.sleep(0.5)
    stopped = [process.pid, *([int((folder / "results/pid").read_text())] if is_whole else [])]
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(2.0)
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)
    process.communicate(timeout=30)
    host = json.loads((folder / "results/outcome.json").read_text())["host"]
    assert host["pauses"]["count"] >= 1, "more where this machine itself lets a supervisor wait"
    assert 1.5 < host["pauses"]["longest_s"] <= host["pauses"]["seconds"]
    assert host["pauses"]["suspended_s"] == 0
    assert bool(paused_seconds(plain_record(io={"host": host}))) == is_whole


def test_the_child_dies_with_its_supervisor(job: Any) -> None:
    folder = job("open('../results/pid', 'w').write(str(os.getpid())); time.sleep(600)")
    process = start(folder)
    wait_for(folder / "results/pid")
    time.sleep(0.1)
    child = int((folder / "results/pid").read_text())
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(child, 0)
            time.sleep(0.02)
            continue
        return
    raise AssertionError("the child runs on")


def test_grandchildren_are_ended(job: Any) -> None:
    folder = job(
        "import subprocess\n"
        "p = subprocess.Popen(['sleep', '602'], start_new_session=True)\n"
        "open('../results/pid', 'w').write(str(p.pid)); time.sleep(600)",
        timeout_s=1.5,
    )
    code = "import ctypes, os, sys; ctypes.CDLL(None).prctl(36, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])"
    subprocess.run(  # as its launcher does it: orphans become the supervisor's children
        [sys.executable, "-c", code, sys.executable, "-S", "-E", "-m", "bench.supervisor.supervisor", folder],
        cwd=folder / "payload",
        env={**os.environ, SHARED_VARIABLE: "shared"},
        check=True,
        timeout=60,
    )
    assert json.loads((folder / "results/outcome.json").read_text())["timed_out"]
    assert not Path(f"/proc/{(folder / 'results/pid').read_text()}").exists()


def test_nothing_starts_without_the_limit_that_was_asked(job: Any) -> None:
    folder = job("open('../results/on', 'w').close()", limits={"memory_bytes": 10**9})
    outcome = finish(folder)
    assert outcome["child"] == {"exit_code": None, "signal": None, "cpu_s": None, "max_rss_bytes": None}
    assert outcome["memory"]["limit_effective"] is None
    failure = json.loads((folder / "results/failure.json").read_text())
    assert failure["kind"] in protocol.FAILURE_KINDS and "1000000000 bytes was requested" in failure["message"]
    assert not (folder / "results/on").exists()


@pytest.mark.parametrize("text", ["{", "[1]", '{"task": "brew"}'])
def test_a_request_that_makes_no_sense_is_evidence_too(job: Any, text: str) -> None:
    folder = job("")
    (folder / "request.json").write_text(text)
    assert finish(folder)["child"]["exit_code"] is None
    assert "unknown task" in json.loads((folder / "results/failure.json").read_text())["message"]


def test_the_page_cache_is_dropped_before_the_child_begins(job: Any, tmp_path: Path) -> None:
    data, cache = tmp_path / "data", tmp_path / "cache"
    for folder, count in ((data, 3), (cache, 2)):
        folder.mkdir()
        for number in range(count):
            (folder / str(number)).write_bytes(b"x" * 10000)
    paths = {"data": str(data), "cache": str(cache)}
    outcome = finish(job("print(1)", case={"page_cache": "cold-start"}, paths=paths))
    found = outcome["page_cache"]
    assert (found["state"], found["dropped_files"], found["dropped_bytes"]) == ("cold-start", 5, 50000)
    assert found["seconds"] >= 0
    assert outcome["disk"]["free_bytes_min"] > 0


def test_the_evidence_is_written_though_the_disk_is_full(job: Any, tmp_path: Path) -> None:
    image, point = tmp_path / "image", tmp_path / "small"
    point.mkdir()
    image.write_bytes(b"")
    os.truncate(image, 12 * 2**20)
    if (
        subprocess.run(["mkfs.ext4", "-q", "-m", "0", image], check=False, capture_output=True).returncode
        or subprocess.run(["mount", "-o", "loop", image, point], check=False, capture_output=True).returncode
    ):
        pytest.skip("no small file system can be mounted here: not root, or no loop devices")
    try:
        code = (
            "path = sys.argv[1] + '/results/filler'\n"
            "try:\n"
            "    with open(path, 'wb', 0) as f:\n"
            "        while True: f.write(b'x' * 65536)\n"
            "except OSError: pass\n"
            "try:\n"
            "    with open(path + '2', 'wb', 0) as f:\n"
            "        while True: f.write(b'x' * 512)\n"
            "except OSError: print('full', flush=True)\n"
        )
        folder = job(code)
        shutil.move(folder, point / "job")
        outcome = finish(point / "job")
        assert outcome["child"]["exit_code"] == 0
        assert os.statvfs(point).f_bavail * os.statvfs(point).f_frsize < 2**20
    finally:
        subprocess.run(["umount", point], check=True)


def test_samples_are_thinned_evenly_and_peaks_are_kept(tmp_path: Path) -> None:
    class Group:
        """Counts up, with one peak; what a real cgroup would not do on order."""

        name, count = "cgroup-v2", 0

        def read(self) -> Any:
            from harness.bench.launcher.cgroup import Reading

            self.count += 1
            return Reading(anon=10**6 if self.count == 778 else self.count, total=0, oom_kills=int(self.count > 500))

        def limit_bytes(self) -> Any:
            return None

        swap_limit_bytes = peak_bytes = limit_bytes

    sampler = Sampler(str(tmp_path / "samples.jsonl"), cast(Cgroup, Group()), str(tmp_path), most_lines=100)
    for _ in range(5000):
        sampler.take()
    sampler.close()
    lines = list(protocol.read_lines(tmp_path / "samples.jsonl"))
    assert 50 <= len(lines) <= 101
    steps = {second["anon"] - first["anon"] for first, second in itertools.pairwise(lines)}
    assert len(steps) == 1
    memory = sampler.memory()
    assert memory["peak_anon"] == 10**6 and memory["oom_kills"] == 1 and memory["oom_at_s"] is not None


def test_a_log_keeps_head_and_tail(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = CappedLog(str(path), head=100, tail=200)
    for number in range(1000):
        log.write(b"%04d\n" % number)
        assert path.stat().st_size <= 100 + 2 * 200 + 64
    log.close()
    text = path.read_text()
    assert text.startswith("0000\n0001\n") and text.endswith("0998\n0999\n") and text.count("left out") == 1


def test_a_job_that_fills_its_own_folder_is_ended(job: Any) -> None:
    folder = job("open('/proc/self/cwd/../results/large', 'wb').write(bytes(40_000_000)); time.sleep(60)")
    filling = folder / "payload/bench/supervisor/filling.py"
    filling.write_text(
        filling.read_text().replace("16 * 2**30", "20 * 2**20").replace("_EVERY_S = 5.0", "_EVERY_S = 0.2")
    )
    outcome = finish(folder)
    assert outcome["child"]["signal"] == signal.SIGKILL and outcome["wall_s"] < 30
    failure = json.loads((folder / "results/failure.json").read_text())
    assert failure["kind"] == "disk_full" and "into its own folder" in failure["message"]
