"""A session in the lab as a user runs it: the controller is a process of its own, what it leaves is read from disk."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bad_link import BadLink
from factory import without_repeats
from lab_inventory import inventory_text
from workstations import Host, Lab

from harness.records.folder import SessionFolder
from harness.records.reading import read_records
from harness.values.record import Record

DRIVER = Path(__file__).with_name("lab_driver.py")
DATA = "/srv/data/photos"
LOADERS = ("keras-idg", "tfdata")
DEADLINE_S = 300.0
PATIENCE = ("--set", "harness.session.runner:_LINK_PATIENCE_S=60")
"""Longer than any host stays away that comes back: a slow machine must not make a session give it up."""

EXPERIMENT = """\
name: faults
parameters:
  data: photos
  mode: load
  loader: [keras-idg, tfdata]
  memory_limit: 200MB
  epochs: 2
rounds: {rounds}
baseline: {{loader: keras-idg}}
timeout: 2min
"""


@dataclass
class Ended:
    """How a controller ended, and what it said."""

    code: int
    stdout: str
    stderr: str

    @property
    def said(self) -> str:
        return f"exit code {self.code}\n{self.stdout}\n{self.stderr}"


@dataclass
class Controller:
    """One session of some hosts of the lab, from a folder of its own; any number of controllers after each other."""

    lab: Lab
    folder: Path
    image: str
    hosts: tuple[str, ...]
    links: dict[str, BadLink] = field(default_factory=dict)
    own: dict[str, dict[str, Any]] = field(default_factory=dict)
    shared: dict[str, Any] = field(default_factory=dict)
    rounds: int = 1
    experiment: str = EXPERIMENT
    has_stub: bool = True
    copies: dict[str, str] = field(default_factory=dict)
    new_names: dict[str, str] = field(default_factory=dict)
    _running: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def inventory(self) -> Path:
        return self.folder / "inventory.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "reports"

    def write(self) -> None:
        """Write inventory and experiment as they are to be now."""
        usual = {"image": self.image, "data": {"photos": {"folder": DATA}}} if self.has_stub else {}
        shared = {**usual, **self.shared}
        ports = {name: link.port for name, link in self.links.items()}
        text = inventory_text(
            self.lab,
            shared=shared,
            own=self.own,
            ports=ports,
            only=self.hosts,
            copies=self.copies,
            new_names=self.new_names,
        )
        self.inventory.write_text(text)
        (self.folder / "experiment.yaml").write_text(self.experiment.format(rounds=self.rounds))

    def start(self, *words: str, driver: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start ``harness run``; ``driver`` are words for the driver itself."""
        self.write()
        options = ["--experiment", str(self.folder / "experiment.yaml"), "--output", str(self.output)]
        return self.start_command("run", str(self.inventory), *options, *words, driver=driver)

    def start_held(self, *hosts: str, driver: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start ``harness run`` and return when a measuring job waits on each of these hosts (of all)."""
        self.hold(*hosts)
        process = self.start(driver=driver)
        for name in hosts or self.hosts:
            self.wait_for_job(name, process)
        return process

    def start_command(self, *words: str, driver: Sequence[str] = ()) -> subprocess.Popen[str]:
        """Start any command of harness."""
        home = self.folder / "home"
        home.mkdir(exist_ok=True)
        environment = {**os.environ, "NO_COLOR": "1", "HOME": str(home), "COLUMNS": "250"}
        if self.has_stub:
            environment["XDG_CACHE_HOME"] = str(self.lab.folder / "controller-cache")  # unpacked once for all tests
        environment.pop("SSH_AUTH_SOCK", None)
        number = len(self._running)
        process = subprocess.Popen(
            [
                sys.executable,
                *([str(DRIVER), *driver] if self.has_stub else ["-c", "from harness.cli import main; main()"]),
                *words,
            ],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=(self.folder / f"stdout-{number}").open("w"),
            stderr=(self.folder / f"stderr-{number}").open("w"),
            text=True,
        )
        self._running.append(process)
        return process

    def end(self, process: subprocess.Popen[str], timeout_s: float = DEADLINE_S) -> Ended:
        """Wait for a controller; one that does not end in time is a failure, whatever it does."""
        number = self._running.index(process)
        try:
            code = process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)
            process.wait(10)
            raise AssertionError(f"the controller did not end in {timeout_s} s; {self._said(number)}") from None
        ended = Ended(code, *self._outputs(number))
        assert "Traceback" not in ended.stderr and "unexpected error" not in ended.stderr, ended.said
        return ended

    def run(self, *words: str, driver: Sequence[str] = ()) -> Ended:
        """``harness run`` from beginning to end."""
        return self.end(self.start(*words, driver=driver))

    def command(self, *words: str) -> Ended:
        """Any other command of harness on this inventory, from beginning to end."""
        self.write()
        return self.end(self.start_command(words[0], str(self.inventory), *words[1:]))

    def stop_all(self) -> None:
        """End whatever controllers still run."""
        for process in self._running:
            if process.poll() is None:
                process.kill()
                process.wait(10)

    def session(self) -> SessionFolder:
        """The session's folder."""
        found = [path for path in self.output.iterdir() if path.is_dir()]
        assert len(found) == 1, found
        return SessionFolder(found[0])

    def records(self, host: str | None = None) -> list[Record]:
        """All records, or those of one host, oldest first, without repeats of disturbed ones."""
        if not self.output.exists() or not any(self.output.iterdir()):
            return []
        return without_repeats(record for record in read_records(self.session()) if host in (None, record.host))

    def statuses(self, host: str) -> dict[str, str]:
        """The status of the newest record of each loader of a host."""
        return {record.case.loader: record.status for record in self.records(host)}

    def events(self) -> list[dict[str, Any]]:
        """The lines of ``events.jsonl`` so far."""
        if not self.output.exists():
            return []
        files = list(self.output.glob("*/events.jsonl"))
        lines = files[0].read_text().splitlines() if files else []
        return [json.loads(line) for line in lines if line.endswith("}")]

    def states(self, host: str) -> list[str]:
        """The host states that were told, in order."""
        return [one["state"] for one in self.events() if one["event"] == "HostStateChanged" and one["host"] == host]

    def kinds(self, host: str) -> list[str]:
        """The kinds of a host's events, in order."""
        return [event["event"] for event in self.events() if event.get("host") == host]

    def hold(self, *hosts: str) -> None:
        """Let jobs of these hosts (of all) wait."""
        for name in hosts or self.hosts:
            self.lab.hosts[name].write(f"{DATA}/hold", "")

    def let_go(self, *hosts: str) -> None:
        """Let them go on."""
        for name in hosts or self.hosts:
            self.lab.hosts[name].exec("rm", "-f", f"{DATA}/hold")

    def behave(self, host: str, wishes: Mapping[str, Mapping[str, Any]]) -> None:
        """Say what the stub does on a host, by loader."""
        self.lab.hosts[host].write(f"{DATA}/behaviour.json", json.dumps(wishes))

    def wait_for_job(self, host: str, process: subprocess.Popen[str]) -> str:
        """Until a measuring job runs on a host (held there); its container's name."""
        found: list[str] = []

        def look() -> bool:
            filters = ["--filter", "label=harness.task=measure", "--filter", "status=running"]
            found[:] = self.lab.hosts[host].docker("ps", "--format", "{{.Names}}", *filters).split()
            return bool(found)

        self.wait_until(lambda: "InvocationStarted" in self.kinds(host), process)  # asking the host costs CPU time
        self.wait_until(look, process, pause_s=0.5)
        return found[0]

    def wait_until(
        self, condition: Callable[[], bool], process: subprocess.Popen[str] | None = None, *, pause_s: float = 0.1
    ) -> None:
        """Until something is so; a controller that has ended before is a failure."""
        deadline = time.monotonic() + DEADLINE_S / 2
        while not condition():
            has_ended = process is not None and process.poll() is not None
            if has_ended and condition():
                return
            assert not has_ended, f"the controller ended early: {self._said(self._running.index(process))}"  # type: ignore[arg-type]
            said = self._said(self._running.index(process)) if process else ""
            assert time.monotonic() < deadline, f"it did not come about in time; {said}"
            time.sleep(pause_s)

    def assert_complete(self, *hosts: str, expected: Mapping[str, str] | None = None) -> None:
        """Each invocation of these hosts has one newest record, of the status ``expected`` by loader, else ok."""
        wanted = {**dict.fromkeys(LOADERS, "ok"), **(expected or {})}
        for host in hosts or self.hosts:
            records = self.records(host)
            mine = [record for record in records if record.case.loader in wanted]
            said = [(record.case.loader, record.round, record.attempt, record.status, record.cause) for record in mine]
            newest = {(record.case.loader, record.round): record.status for record in mine}
            rounds = range(1, self.rounds + 1)
            assert newest == {(loader, one): wanted[loader] for loader in wanted for one in rounds}, (host, said)
            twice = [key for key, count in Counter((r.invocation, r.attempt) for r in records).items() if count > 1]
            assert not twice, (host, said)

    def assert_nothing_left(self, *hosts: str) -> None:
        """No container, volume, ephemeral folder, lock or process of ours is on these hosts."""
        for name in hosts or self.hosts:
            left: list[str] = []

            def look(host: Host = self.lab.hosts[name], left: list[str] = left) -> bool:
                left[:] = host.leftovers()
                return not left

            deadline = time.monotonic() + 10  # sshd ends what it ran for a connection a moment after it
            while not look() and time.monotonic() < deadline:
                time.sleep(0.5)
            assert not left, (name, left)

    def _outputs(self, number: int) -> tuple[str, str]:
        return ((self.folder / f"stdout-{number}").read_text(), (self.folder / f"stderr-{number}").read_text())

    def _said(self, number: int) -> str:
        stdout, stderr = self._outputs(number)
        return f"it said:\n{stdout[-2000:]}\n{stderr[-4000:]}"


@contextmanager
def bad_links(lab: Lab, hosts: Sequence[str]) -> Iterator[dict[str, BadLink]]:
    """A link in front of each of these hosts, good until it is told otherwise."""
    with ExitStack() as stack:
        yield {name: stack.enter_context(BadLink(lab.hosts[name].port)) for name in hosts}
