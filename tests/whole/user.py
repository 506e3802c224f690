"""``harness`` as a user starts it: in a process of its own, in a folder of its own, with a lock of its own.

python user.py LOCK CONTROL WORDS OF HARNESS …

Where CONTROL is a folder and not ``-``, a stand-in that needs no TensorFlow takes the benchmark's place: it waits
while ``hold`` lies in that folder, fails while ``fail`` lies there, and notes each of its runs in ``executions.txt``;
the loader whose name stands in ``differs`` does other work.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BENCHMARK = """
import json, sys, time
from pathlib import Path

job, control = Path(sys.argv[1]), Path("CONTROL")
request = json.loads((job / "request.json").read_text())
with open(control / "executions.txt", "a") as stream:
    stream.write(job.name + "\\n")
if "cache" in request["paths"]:
    (Path(request["paths"]["cache"]) / "images_0.data").write_bytes(b"x" * 1000)
while (control / "hold").exists():
    time.sleep(0.05)
if (control / "fail").exists():
    sys.exit(3)
listed = len((Path(request["paths"]["dataset"]) / "manifest.tsv").read_bytes().splitlines()) - 1
images = min(listed, request["case"]["max_images"] or listed)
with open(job / "results" / "events.jsonl", "w") as stream:
    for index in range(1, request["case"]["epochs"] + 1):
        epoch = {"event": "epoch", "index": index, "images": images, "seconds": 1.0, "cpu_s": 1.0}
        stream.write(json.dumps(epoch) + "\\n")
    stream.write(json.dumps({"event": "done", "cache_bytes": None}) + "\\n")
"""
SAMEWORK = """
import json, sys
from pathlib import Path

job, differs = Path(sys.argv[1]), Path("CONTROL") / "differs"
variants = json.loads((job / "request.json").read_text())["variants"]
bad = differs.read_text() if differs.exists() else None
problems = {one["key"]: ["it drops the last batch"] if one["case"]["loader"] == bad else [] for one in variants}
proven = {key: {"is_proven": not found, "problems": found} for key, found in problems.items()}
(job / "results" / "dataset.json").write_text(json.dumps({"variants": proven}))
"""


def main() -> None:
    """Run the program, its lock elsewhere and perhaps its benchmark another."""
    sys.path.append(str(Path(__file__).resolve().parents[1]))
    from own_lock import use_lock

    path, control, *words = sys.argv[1:]
    use_lock(path)
    if control != "-":
        from harness.ship.payload_archive import build_payload
        from harness.workflow import found_session

        own = {"bench/measure/benchmark.py": BENCHMARK, "bench/proof/same_work.py": SAMEWORK}
        made = build_payload({name: text.replace("CONTROL", control).encode() for name, text in own.items()})
        found_session.build_payload = lambda *_: made  # type: ignore[attr-defined]
    from harness.cli import main as program

    sys.argv = ["harness", *words]
    program()


NO_PODMAN = {"CONTAINER_HOST": "unix:///nowhere.sock"}
"""Tests of this machine's Podman run beside these, and `clean` would take their jobs for left behind."""


@dataclass(frozen=True)
class User:
    """Somebody with a folder, who measures on this machine."""

    folder: Path
    scratch: Path
    is_real: bool = False

    @property
    def lock(self) -> Path:
        return self.folder / "machine.lock"

    @property
    def control(self) -> Path:
        return self.folder / "control"

    def write(self, *, engine: str = "process", data: str | None = None, **parameters: Any) -> User:
        """Write ``inventory.yaml`` and ``experiment.yaml``."""
        self.control.mkdir(parents=True, exist_ok=True)
        data = data or "{generate: {profile: dogs-and-cats, images: 24, seed: 1}}"
        (self.folder / "inventory.yaml").write_text(
            f"all:\n  hosts:\n    here:\n      ansible_connection: local\n      harness:\n        engine: {engine}\n"
            f"        allow_busy: true\n        scratch: {self.scratch}\n        data:\n          mini: {data}\n"
        )
        self.experiment("experiment.yaml", **parameters)
        return self

    def experiment(self, name: str, **parameters: Any) -> None:
        """Write an experiment of tiny cases."""
        tiny = {"data": "mini", "loader": "tfdata", "image_size": 32, "batch_size": 8, "epochs": 1}
        setting = {**tiny, "memory_limit": "700MB", **parameters}
        text = json.dumps({"name": name.removesuffix(".yaml"), "rounds": 1, "parameters": setting})
        (self.folder / name).write_text(text)

    def command(self, *words: str) -> list[str]:
        control = "-" if self.is_real else str(self.control)
        return [sys.executable, __file__, str(self.lock), control, *words]

    def give(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """One command to its end."""
        return subprocess.run(
            self.command(*words),
            cwd=self.folder,
            env={**os.environ, **NO_PODMAN, **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=800,
            check=False,
        )

    def run(self, *words: str, experiment: str = "experiment.yaml", **environment: str) -> Any:
        """``harness run`` to its end."""
        return self.give("run", "inventory.yaml", "--experiment", experiment, *words, **environment)

    def start(self, *words: str, experiment: str = "experiment.yaml", **environment: str) -> subprocess.Popen[str]:
        """``harness run``, in a process group of its own."""
        return subprocess.Popen(
            self.command("run", "inventory.yaml", "--experiment", experiment, *words),
            cwd=self.folder,
            env={**os.environ, **NO_PODMAN, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def hold(self) -> None:
        (self.control / "hold").touch()

    def let_go(self) -> None:
        (self.control / "hold").unlink(missing_ok=True)

    def executions(self) -> list[str]:
        noted = self.control / "executions.txt"
        return noted.read_text().split() if noted.exists() else []

    def sessions(self) -> list[Path]:
        return sorted(path.parent for path in self.folder.glob("reports/*/session.json"))

    def records(self) -> list[dict[str, Any]]:
        """All records, of all sessions, without repeats of disturbed ones."""
        found: list[dict[str, Any]] = []
        for session in self.sessions():
            measured: set[str] = set()
            for one in lines_of(session / "records.jsonl"):
                if one["invocation"] not in measured or one["status"] == "skipped":
                    found.append(one)
                if one["status"] == "ok" and one["validity"] != "invalid":
                    measured.add(one["invocation"])
        return found

    def events(self, kind: str) -> list[dict[str, Any]]:
        found = [one for path in self.folder.glob("reports/*/events.jsonl") for one in lines_of(path)]
        return [one for one in found if one["event"] == kind]

    def left(self) -> list[str]:
        """Everything that this user's sessions left on the machine: nothing is right."""
        found = [str(path) for path in self.scratch.glob("harness-*")]
        found += [str(path) for path in self.scratch.glob("jobs/*")]
        for begin in map(jobs_of, self.sessions()):
            found += map(str, Path("/sys/fs/cgroup").rglob(f"{begin}*"))
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
                found += [words] if str(self.scratch) in words else []
        return found + [str(path) for path in self.lock.glob("owner")]


def jobs_of(session: Path) -> str:
    """How the names of a session's jobs begin, by which their cgroups are found: no other session has any such."""
    from harness.records.folder import SessionFolder
    from harness.records.reading import read_content
    from harness.session.request import job_prefix
    from harness.workflow.found_session import session_key

    folder = SessionFolder(session)
    return job_prefix(session_key(folder, read_content(folder)))


def lines_of(path: Path) -> list[dict[str, Any]]:
    """The whole lines of a file that may be growing."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text().split("\n")[:-1] if line.strip()]


def wait_until(is_true: Any, *, seconds: float = 300.0, what: str = "it never came") -> None:
    """Wait for something that another process does."""
    deadline = time.monotonic() + seconds
    while not is_true():
        assert time.monotonic() < deadline, what
        time.sleep(0.2)


def end(process: subprocess.Popen[str], number: int = signal.SIGINT, *, group: bool = False) -> tuple[int, str, str]:
    """Send a signal, to the whole group as a terminal does or to the program alone; its code and what it said."""
    (os.killpg if group else os.kill)(process.pid, number)
    out, err = process.communicate(timeout=300)
    return process.returncode, out, err


def assert_plain(done: Any, words: Sequence[str] = ()) -> None:
    """No trace of a program's inside, and the words that are to be there."""
    said = done.stdout + done.stderr
    for bad in ("Traceback", "unexpected error", 'File "', "\x1b"):
        assert bad not in said, said
    for word in words:
        assert word in said, said


if __name__ == "__main__":
    main()
