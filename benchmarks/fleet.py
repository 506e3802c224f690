"""What the controller costs for a fleet: 1, 10, 100 and 1,000 simulated hosts, and 30 real SSH transports.

Usage: ``python benchmarks/fleet.py [--sizes 1 10 100 1000] [--rounds 1] [--links 30]`` (`make bench-fleet`). Exit 1
where the largest fleet takes 1 GiB or more, or the controller more than 2 % of the slowest host's time in CPU.

The session is the real ``harness run`` of tests/fleet: hosts, engines and the clock are simulated, so that cases of
half an hour and more pass at once; all else (threads, lock, journal with fsync, console, findings, report) is the
program's. A third of the hosts is in trouble: away, dead, locked, garbled, with jobs that fail, hang or vanish.
Simulated hosts live in the controller's process: their memory and CPU are counted as the controller's.
With ``--links`` each command and each verb of an engine is a command over the host's own SSH connection to an sshd on
loopback, and cases take minutes: what is seen there is threads, files, memory, and the CPU of so many commands, no
share of time. What the sshd and its children cost is not counted.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE.parent / "tests" / name) for name in ("fleet", "hosts")]

from fleet_clock import SimulatedClock  # noqa: E402 - the modules of the fleet lie beside the tests
from fleet_session import Outcome, Workstation, make_fleet, run_fleet  # noqa: E402

from harness.hosts.connection import Completed, Connection  # noqa: E402
from harness.hosts.lock import LOCK_PATH  # noqa: E402

MOST_BYTES = 2**30
MOST_CPU_SHARE = 0.02
SHORT_EPOCH_S = 30.0
"""Over real transports: each poll of a job is a command there, and an hour's would be a thousand on each host."""


class Watch:
    """The most threads and open files that were seen."""

    def __init__(self) -> None:
        self.threads = self.files = 0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self.threads = max(self.threads, threading.active_count() - 1)
            self.files = max(self.files, sum(1 for _ in Path("/proc/self/fd").iterdir()))


class OwnMachine:
    """A real connection to this machine as if it were another one: with a lock of its own."""

    def __init__(self, connection: Any, lock: str) -> None:
        self._connection = connection
        self._lock = lock
        self.host = connection.host

    def run(
        self, argv: Sequence[str], *, input: bytes | None = None, timeout_s: float = 60.0, **options: Any
    ) -> Completed:
        words = [self._lock if word == LOCK_PATH else word for word in argv]
        done: Completed = self._connection.run(words, input=input, timeout_s=timeout_s)
        return done

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        self._connection.put(source, target, mode=mode)

    def get(self, source: str, target: Path) -> None:
        self._connection.get(source, target)

    def close(self) -> None:
        self._connection.close()


def run_simulated(count: int, rounds: int, work: Path) -> Outcome:
    clock = SimulatedClock()
    return run_fleet(work, make_fleet(count, clock), clock, rounds=rounds)


def run_over_ssh(count: int, rounds: int, work: Path) -> Outcome:
    """The same over real transports; jobs are simulated, the way to them is not."""
    from sshd_support import start_sshd

    from harness.hosts.ssh import KeyRing

    clock = SimulatedClock()
    fleet = make_fleet(count, clock, troubled=0.0)
    for one in fleet:
        one.program.temper = replace(one.program.temper, epoch_s=SHORT_EPOCH_S)
        one.scratch, one.data = str(work / one.name / "scratch"), str(work / one.name / "pets")
        Path(one.data).mkdir(parents=True)
    with ExitStack() as stack:
        server = stack.enter_context(start_sshd(work / "sshd", options=(f"MaxStartups {2 * count}",)))

        def open_link(one: Workstation) -> tuple[Connection, Callable[[], None]]:
            connection = server.connection(host=one.name, ring=KeyRing())
            connection.open()
            return OwnMachine(connection, str(work / one.name / "lock")), lambda: _ask(connection)

        real = ("harness.hosts.ssh", "harness.hosts.facts")
        return run_fleet(work, fleet, clock, rounds=rounds, open_link=open_link, real=real, allow_busy=True)


def _ask(connection: Connection) -> None:
    connection.run(["true"])


def measure(count: int, rounds: int, *, over_ssh: bool) -> dict[str, Any]:
    """One session in this process, and what it took."""
    with tempfile.TemporaryDirectory(prefix="harness-fleet-") as folder, Watch() as watch:
        begun = time.perf_counter()
        outcome = (run_over_ssh if over_ssh else run_simulated)(count, rounds, Path(folder))
        wall_s = time.perf_counter() - begun
        records = len(outcome.records)
    return {
        "hosts": count,
        "way": "ssh" if over_ssh else "simulated",
        "records": records,
        "session_s": outcome.seconds,
        "slowest_s": outcome.slowest_s,
        "wall_s": wall_s,
        "cpu_s": time.process_time(),
        "threads": watch.threads,
        "files": watch.files,
        "peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="*", default=[1, 10, 100, 1000])
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--links", type=int, default=30, help="real SSH transports; 0 for none")
    parser.add_argument("--one", nargs=2, metavar=("WAY", "HOSTS"), help="one session in this process, as JSON")
    asked = parser.parse_args()
    if asked.one:
        found = measure(int(asked.one[1]), asked.rounds, over_ssh=asked.one[0] == "ssh")
        print(json.dumps(found))
        return 0
    wanted = [("simulated", size) for size in asked.sizes] + ([("ssh", asked.links)] if asked.links else [])
    print(_line("hosts", "records", "slowest host", "above it", "CPU s", "of it", "threads", "files", "peak", "a host"))
    smallest, are_met = None, True
    for way, size in wanted:
        found = _in_a_process(way, size, asked.rounds)
        smallest = smallest or found
        share = found["cpu_s"] / found["slowest_s"]
        print(_row(found, share, smallest))
        are_met &= found["peak_bytes"] < MOST_BYTES and (way == "ssh" or share <= MOST_CPU_SHARE)
    print("wanted: less than 1.00 GiB, at most 2 % of the slowest host's time:", "met" if are_met else "NOT MET")
    return 0 if are_met else 1


def _in_a_process(way: str, size: int, rounds: int) -> dict[str, Any]:
    command = [sys.executable, __file__, "--rounds", str(rounds), "--one", way, str(size)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{way} {size}: exit code {done.returncode}\n{done.stderr[-3000:]}")
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def _row(found: dict[str, Any], share: float, smallest: dict[str, Any]) -> str:
    more = found["hosts"] - smallest["hosts"]
    each = (found["peak_bytes"] - smallest["peak_bytes"]) / more / 2**20 if more > 0 else float("nan")
    name = f"{found['hosts']}" + (" by SSH" if found["way"] == "ssh" else "")
    above = found["session_s"] - found["slowest_s"]
    return _line(
        name,
        str(found["records"]),
        f"{found['slowest_s']:.0f} s",
        f"{above:.0f} s ({above / found['slowest_s']:.1%})",
        f"{found['cpu_s']:.1f}",
        f"{share:.2%}",
        str(found["threads"]),
        str(found["files"]),
        f"{found['peak_bytes'] / 2**30:.2f} GiB",
        f"{each:.2f} MiB",
    )


def _line(*cells: str) -> str:
    widths = (11, 8, 13, 14, 8, 7, 8, 6, 9, 10)
    return " ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))


if __name__ == "__main__":
    sys.exit(main())
