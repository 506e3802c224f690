"""Connections through a login node of Slurm: commands and files on it, and commands that run as jobs on a node."""

from __future__ import annotations

import re
import secrets
import shlex
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from harness.hosts.connection import MOST_OUTPUT_BYTES, Completed, Connection, no_answer
from harness.hosts.slurm.commands import (
    ACTIVE,
    COMMENT,
    NEVER,
    QUEUE_FORMAT,
    QUEUED,
    explain_failure,
    parse_queue,
    sbatch_command,
)
from harness.inventory.slurm_settings import Slurm
from harness.values.digest import digest_of
from harness.values.errors import HostNotReady
from harness.values.text import clean_text

COMMANDS = "slurm-commands"
"""Folder in scratch for the files of commands that run as jobs."""

_SESSION = "check"
"""The session in the comment of these jobs, for `harness clean`."""
_MINUTES = 10
_POLL_FIRST_S, _POLL_GROWTH, _POLL_MOST_S = 0.3, 0.1, 10.0
_SEEN_LATE_S = 20.0
"""How long after a job's end its files may become visible on a shared file system, in seconds."""
_NUMBER = re.compile(r"([0-9]{1,12})(;.*)?\Z")
_NODE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]{0,63}")

_BEGIN = r"""
folder=$1
shift
umask 077
mkdir -p -- "$folder" && cat > "$folder/input" || exit 74
exec "$@"
"""
_LOOK = r"""
if [ -f "$1/code" ]; then echo ended; cat "$1/code"; exit 0; fi
echo waits
exec squeue --noheader --states=all --user="$(id -u)" --format="$2"
"""


class SlurmConnection:
    """A ``Connection`` to a login node; ``slurm`` names one node or constraint behind it.

    Its own commands and files are those of the login node. ``on_node`` returns the connection whose commands run on the
    node. ``on_wait`` is called with Slurm's reason while such a command waits in the queue.
    """

    def __init__(
        self, host: str, login: Connection, slurm: Slurm, *, on_wait: Callable[[str], None] = lambda _reason: None
    ) -> None:
        self.host = host
        self.login = login
        self.slurm = slurm
        self.on_wait = on_wait
        self.node: str | None = slurm.nodes[0] if slurm.nodes else None

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout_s: float = 60.0,
        most_bytes: int = MOST_OUTPUT_BYTES,
        sink: IO[bytes] | None = None,
    ) -> Completed:
        """Run a command on the login node; see ``Connection.run``."""
        return self.login.run(argv, input=input, timeout_s=timeout_s, most_bytes=most_bytes, sink=sink)

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        """Write a file through the login node, on the file system that it shares with the nodes."""
        self.login.put(source, target, mode=mode)

    def get(self, source: str, target: Path) -> None:
        """Fetch a file through the login node."""
        self.login.get(source, target)

    def mark(self, scratch: str) -> str:
        """Return the prefix of the comment of this host's jobs, which distinguishes them from other hosts' jobs."""
        return f"{COMMENT} {digest_of([self.host, scratch])[:12]}"

    @property
    def lock_suffix(self) -> str:
        """Return the suffix of the lock's path: a node is locked, not the login node."""
        return f"-{digest_of([self.slurm.place, self.slurm.partition])[:12]}"

    def close(self) -> None:
        """Close the connection to the login node; jobs continue."""
        self.login.close()

    def on_node(self, scratch: str, *, memory_bytes: int | None = None) -> NodeConnection:
        """Return a connection whose commands run as jobs on the node. ``scratch`` is on a shared file system."""
        return NodeConnection(self, scratch, memory_bytes)


class NodeConnection:
    """A ``Connection`` that runs each command as a job on the node; files go through the login node.

    For a constraint, Slurm chooses the node of the first job, and all later jobs run on that node.
    """

    def __init__(self, login: SlurmConnection, scratch: str, memory_bytes: int | None) -> None:
        self.host = login.host
        self._login = login
        self._scratch = scratch
        self._memory_bytes = memory_bytes

    def run(
        self,
        argv: Sequence[str],
        *,
        input: bytes | None = None,
        timeout_s: float = 60.0,
        most_bytes: int = MOST_OUTPUT_BYTES,
        sink: IO[bytes] | None = None,
    ) -> Completed:
        """Run a command in a job to its end; ``timeout_s`` counts from the job's start, the queue has another limit."""
        token = secrets.token_hex(8)
        folder = f"{self._scratch}/{COMMANDS}/{token}"
        try:
            number = self._submit(argv, input or b"", folder, f"harness-command-{token}")
            code = self._wait(number, folder, argv[0], timeout_s)
            said = self._login.run(["cat", "--", f"{folder}/output"], most_bytes=most_bytes, sink=sink)
            errors = self._login.run(["tail", "-c", "65536", "--", f"{folder}/errors"])
            self._note_node(folder)
        finally:
            self._login.run(["rm", "-rf", "--", folder])
        return Completed(code, said.stdout, errors.stdout)

    def put(self, source: Path | bytes, target: str, *, mode: int = 0o644) -> None:
        """Write a file on the shared file system."""
        self._login.put(source, target, mode=mode)

    def get(self, source: str, target: Path) -> None:
        """Fetch a file from the shared file system."""
        self._login.get(source, target)

    def close(self) -> None:
        """Do nothing: the login node's connection is closed by its owner."""

    def _submit(self, argv: Sequence[str], input_bytes: bytes, folder: str, name: str) -> str:
        place = shlex.quote(folder)
        script = (
            f"printf '%s' \"$SLURMD_NODENAME\" > {place}/node\n"
            f"{shlex.join(argv)} < {place}/input > {place}/output 2> {place}/errors\n"
            f"echo $? > {place}/code.part && mv -f {place}/code.part {place}/code\n"
        )
        slurm = self._login.slurm
        command = sbatch_command(
            slurm,
            name=name,
            comment=f"{self._login.mark(self._scratch)} {_SESSION}",
            minutes=_MINUTES,
            memory_bytes=self._memory_bytes,
            with_gpus=True,
            node=self._login.node,
        )
        done = self._login.run(["sh", "-c", _BEGIN, "sh", folder, *command, f"--wrap={script}"], input=input_bytes)
        number = _NUMBER.match(done.text.strip())
        if done.returncode != 0 or number is None:
            raise explain_failure(done, self.host, "Slurm does not accept the job")
        return number[1]

    def _wait(self, number: str, folder: str, program: str, timeout_s: float) -> int:
        """Wait until the job has ended, and return the command's exit code."""
        begun, ran_since, gone_since, told = time.monotonic(), 0.0, 0.0, "None"
        try:
            while True:
                done = self._login.run(["sh", "-c", _LOOK, "sh", folder, QUEUE_FORMAT])
                if done.returncode != 0:
                    raise explain_failure(done, self.host, "the queue cannot be read")
                word, _, rest = done.text.partition("\n")
                if word == "ended":
                    return int(rest) if rest.strip().isdigit() else 1
                now = time.monotonic()
                row = next((one for one in parse_queue(rest) if one.id == number), None)
                if row is not None and row.state in QUEUED:
                    if row.reason.startswith(NEVER):
                        raise self._not_started(row.reason)
                    if row.reason != told:
                        self._login.on_wait(told := row.reason)
                elif row is not None and row.state in ACTIVE:
                    ran_since = ran_since or now
                    if now - ran_since > timeout_s:
                        raise no_answer(self.host, program, timeout_s)
                else:
                    gone_since = gone_since or now
                    if now - gone_since > _SEEN_LATE_S:
                        raise self._lost(row.state if row is not None else "no longer known")
                time.sleep(min(_POLL_MOST_S, _POLL_FIRST_S + (now - begun) * _POLL_GROWTH))
        except BaseException:
            self._login.run(["scancel", "--quiet", number])
            raise

    def _not_started(self, reason: str) -> HostNotReady:
        cure = "check `sinfo -R` and `scontrol show partition` on the login node, and `slurm:` in the inventory"
        return HostNotReady(f"Slurm starts no job there now: {reason}", where=self.host, hint=cure)

    def _lost(self, state: str) -> HostNotReady:
        if state == "DEADLINE":
            waited = f"a job waited {self._login.slurm.queue:.0f} s in the queue and was cancelled"
            cure = "try again later, or allow more with `slurm: queue: 12h`"
            return HostNotReady(waited, where=self.host, hint=cure)
        message = f"the job that reads the node's facts left no result; its state is {state}"
        cure = f"check that {self._scratch} is on a file system that the node shares with the login node"
        return HostNotReady(message, where=self.host, hint=cure)

    def _note_node(self, folder: str) -> None:
        """Remember the name of the node that Slurm chose."""
        if self._login.node is None:
            name = clean_text(self._login.run(["head", "-c", "100", "--", f"{folder}/node"]).text)
            self._login.node = name if _NODE_NAME.fullmatch(name) else None


def is_login_only(connection: Connection) -> bool:
    """Return whether a connection's commands run on a login node, whose memory and load are not those of jobs."""
    return isinstance(connection, SlurmConnection)


def on_machine(connection: Connection, scratch: str) -> Connection:
    """Return the connection whose commands run on the machine where jobs run."""
    return connection.on_node(scratch) if isinstance(connection, SlurmConnection) else connection
