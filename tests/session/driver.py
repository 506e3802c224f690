"""A controller to be killed: runs a small session with the process engine and dies at the Nth boundary that it crosses.

    python driver.py WORK_FOLDER ROUNDS KILL_AT      (KILL_AT 0: never)

A boundary is the moment before and the moment after each step that changes something: starting a job, fetching it,
writing its record, removing it.
"""

from __future__ import annotations

import os
import secrets
import signal
import sys
import threading
from pathlib import Path

from harness.session.feasibility import limit_of

sys.path.insert(0, str(Path(__file__).parent))

from stub import stub_cases, stub_setup

from harness.engine.kinds.process import ProcessEngine
from harness.hosts.local import LocalConnection
from harness.records.content import SessionContent
from harness.records.folder import SessionFolder
from harness.records.journal import Journal
from harness.records.reading import read_content, read_records
from harness.session.collect import SessionIdentity
from harness.session.invocations import HostDigests, plan_host, remaining
from harness.session.runner import HostRunner, RunSettings


class Boundaries:
    """Counts crossings, and ends this process without a word at the chosen one."""

    def __init__(self, kill_at: int) -> None:
        self._left = kill_at

    def cross(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def around(self, owner: object, name: str) -> None:
        inner = getattr(owner, name)

        def wrapped(*arguments: object, **named: object) -> object:
            self.cross()
            value = inner(*arguments, **named)
            self.cross()
            return value

        setattr(owner, name, wrapped)


def main(work: Path, rounds: int, kill_at: int) -> None:
    scratch, data = work / "scratch", work / "data"
    scratch.mkdir(exist_ok=True)
    data.mkdir(exist_ok=True)
    connection = LocalConnection("here")
    engine = ProcessEngine(connection, scratch=str(scratch))
    setup = stub_setup(engine, connection, scratch, data)
    folder = SessionFolder(work / "session")
    journal = Journal(folder)
    if not folder.exists():
        folder.write(SessionContent(name=f"killed-{secrets.token_hex(6)}"))  # cgroups are named by it: no two alike
    session = read_content(folder).name
    cases = stub_cases(1)
    digests = HostDigests("here", setup.image_digest, setup.payload.digest, {"tiny": "2" * 64})
    planned = plan_host(
        digests,
        cases,
        rounds=rounds,
        order=lambda given, _round: given,
        limits={case.case_id: limit_of(case, None) for case in cases},
        predictions={},
    )
    boundaries = Boundaries(kill_at)
    for owner, names in ((engine, ("submit", "fetch", "cancel")), (journal, ("write_record",))):
        for name in names:
            boundaries.around(owner, name)
    records = read_records(folder)
    settings = RunSettings(SessionIdentity(session, "test", session), folder, seed=1, timeout_s=60.0)
    runner = HostRunner(settings, setup, journal, journal.write_event, threading.Event())
    todo = remaining(planned, records, rerun_failed=False)
    runner.run(todo, done=len(planned) - len(todo), planned=len(planned), known=records)
    journal.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
