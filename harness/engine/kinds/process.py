"""The ``process`` engine: it runs each job in a fresh process of the host's own Python, in a new cgroup.

It is for hosts without a container engine. Each operation ("verb") is one command through a ``Connection``: the source
of a few modules of ``harness.bench`` is sent to the host's Python, so that nothing is installed on the host.
"""

from __future__ import annotations

import functools
import json
import re
import shlex
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import IO, Any, get_args

from harness.bench.launcher import jobs
from harness.bench.protocol import bounded_json
from harness.bench.protocol.protocol import as_count, as_list, as_object, as_text
from harness.engine.interface import Engine, JobHandle, JobPhase, JobRequest, JobState
from harness.engine.job_archive import RESULTS_BYTES, extract_results
from harness.engine.refusal import refuse_job
from harness.engine.spec import EngineSpec, Means
from harness.hosts.answers import first_line, reading
from harness.hosts.connection import MOST_OUTPUT_BYTES, Completed, Connection, OutputTooLong, last_line
from harness.hosts.local import LocalConnection
from harness.hosts.pythons import FoundPython, find_pythons
from harness.values.cuda import read_build
from harness.values.engine_names import EngineFacts, EngineWords, HostPython
from harness.values.errors import EngineError, EngineUnavailable, JobGone, ResultsRefused
from harness.values.platforms import (
    NEWEST_PYTHON,
    OLDEST_HOST_PYTHON,
    PYTHONS_OF_HOSTS,
    advise_install,
    find_host_obstacle,
)
from harness.values.text import clean_text

SESSION_LABEL = "harness.session"
NAME_LABEL = "harness.name"
EPHEMERAL_LABEL = "harness.ephemeral"

_MODULES = (
    "launcher.slurm_job",
    "protocol.atomic", "protocol.bounded_json", "launcher.cgroup", "launcher.jobs", "launcher.removal",
    "launcher.confine", "launcher.environment_digest", "launcher.environments", "launcher.launch",
)  # fmt: skip
_BOOT = f"""\
import json, sys
if sys.version_info < {OLDEST_HOST_PYTHON}:
    sys.exit("Python %d.%d.%d is too old" % sys.version_info[:3])
from importlib.machinery import ModuleSpec
sys.path[:] = [place for place in sys.path if place]
request = json.loads(sys.stdin.buffer.readline())
class Sources:
    def find_spec(self, name, path=None, target=None):
        if name in request["sources"]:
            return ModuleSpec(name, self, is_package=not request["sources"][name])
    def create_module(self, spec):
        return None
    def exec_module(self, module):
        exec(compile(request["sources"][module.__name__], module.__name__, "exec"), module.__dict__)
sys.meta_path.insert(0, Sources())
from bench.launcher import launch
launch.answer(request, sys.stdin.buffer, sys.stdout.buffer)
"""
_SUBMIT_TIMEOUT_S = 120.0
_CANCEL_TIMEOUT_S = 120.0
_FETCH_TIMEOUT_S = 120.0
_MAKE_TIMEOUT_S = 3600.0
_SLICE_BYTES = 256 * 1024

_PHASES: dict[str, JobPhase] = {phase: phase for phase in get_args(JobPhase)}
_VERSION = re.compile(r"([0-9]{1,3})\.([0-9]{1,3})(?:\.([0-9]{1,3}))?")
_LIBC = re.compile(r"glibc ([0-9]{1,2})\.([0-9]{1,3})[0-9.]*")
_DIGEST = re.compile(r"[0-9a-f]{64}")
_ANOTHER = "check whether another version of harness, or another program, answers on the host"
_MOST_WARNINGS = 20
_MOST_WORDS = 1000
"""The most characters of a text from a host about a job."""

NAME = "process"
HOST_PYTHON = "python3"
"""The Python of jobs on another machine, unless the inventory names one."""

_NAME_ANOTHER = "name a Python that has it in the inventory (`harness: {python: …}`)"

LOADER_PACKAGES = ("grain", "simplejpeg", "pandas", "pillow")
"""Packages that some of the loaders need."""


class ProcessEngine:
    """Jobs as processes on one host; implements ``harness.engine.interface.PythonEngine``.

    ``scratch`` is the host's folder for jobs (``~`` is the connected user's home). ``python`` is the interpreter of
    jobs, with TensorFlow: a program, or the words of a command that ends in one. ``starter`` is a plain Python that
    starts and watches jobs (default: ``python``). ``may_look``: where one of them cannot be used, another Python of the
    host may replace it.
    """

    name = NAME

    def __init__(
        self,
        connection: Connection,
        *,
        scratch: str,
        python: str | Sequence[str] = sys.executable,
        starter: str | None = None,
        may_look: bool = False,
    ) -> None:
        self.host = connection.host
        self._connection = connection
        self._scratch = scratch
        self._command = (python,) if isinstance(python, str) else tuple(python)
        self._starter = (starter,) if starter is not None else self._command
        self._may_look = may_look
        self._interpreter = ""

    @property
    def _python(self) -> str:
        """Return the command of the interpreter of jobs, for messages."""
        return shlex.join(self._command)

    def probe(self, image: str) -> EngineFacts:
        """Return the facts of this host's Python, and whether memory can be limited; ``image`` is ignored.

        Raises EngineUnavailable where TensorFlow is not installed.
        """
        found = self._asked(self._describe)
        if found.get("tensorflow") is None and self._command == self._starter:
            others = self._find_others()
            if others and (others[0].has_tensorflow or not _is_able(_read_version(found))):
                self._command = self._starter = (others[0].path,)
                found = self._asked(self._describe)
        if as_text(found.get("tensorflow")) is None:
            version = _read_version(found)
            obstacle = find_host_obstacle(".".join(map(str, version))) if any(version) else ""
            lacks = tuple(name for name in ("pip", "venv") if name in as_list(found.get("lacks")))
            message = f"TensorFlow is not installed for {self._python}"
            if obstacle:
                cure = f"install {PYTHONS_OF_HOSTS} on the host"
                message += f": {obstacle}"
            else:
                install = advise_install(self._python, lacks, is_managed=found.get("managed") is True)
                cure = f"run {install} on the host"
                message += f", and it has no {' and no '.join(lacks)}" if lacks else ""
            raise EngineUnavailable(message, where=self.host, hint=f"{cure}, {_NAME_ANOTHER}, or use a Docker Engine")
        return self._make_facts(found)

    def _make_facts(self, found: Mapping[str, object]) -> EngineFacts:
        """Build the engine's facts from the answer of a Python about itself and about limits."""
        tensorflow, digest = (as_text(found.get(name)) for name in ("tensorflow", "digest"))
        group = as_object(found.get("cgroup"))
        can_limit = bool(group.get("can_limit"))
        reasons = () if can_limit else (f"memory cannot be limited: {clean_text(group.get('reason'), _MOST_WORDS)}",)
        return EngineFacts(
            engine=self.name,
            version=clean_text(tensorflow or "", 100),
            image_digest=digest if digest is not None and _DIGEST.fullmatch(digest) else None,
            cgroup_version=version if (version := as_count(group.get("version"))) in (1, 2) else None,
            can_limit_memory=can_limit,
            can_limit_swap=bool(group.get("can_limit_swap")),
            can_limit_cpus=True,
            gpu_support="direct",
            cuda=read_build(found.get("build")),
            interpreter=self._name_interpreter(found),
            lacks=tuple(name for name in LOADER_PACKAGES if name in as_list(found.get("missing"))),
            ends_with_user=group.get("ends_with_user") is True,
            reasons=reasons,
        )

    def describe_python(self) -> HostPython:
        """Return the Python in which jobs would run. Raises EngineUnavailable."""
        found = self._asked(self._describe)
        self._interpreter = self._name_interpreter(found)
        version = _read_version(found)
        path, machine = as_text(found.get("executable")), as_text(found.get("machine"))
        if not any(version) or path is None or not path.startswith("/"):
            message = f"{self._python} does not report its version and path"
            raise EngineUnavailable(message, where=self.host, hint=_ANOTHER)
        libc = _LIBC.fullmatch(as_text(found.get("libc")) or "")
        return HostPython(
            command=self._command,
            path=clean_text(path, 1000),
            version=version,
            machine=clean_text(machine, 30),
            libc=None if libc is None else (int(libc[1]), int(libc[2])),
            has_venv=found.get("venv") is True,
            has_tensorflow=found.get("tensorflow") is not None,
        )

    def make_environment(self, name: str, digest: str, wheels: Sequence[Mapping[str, str]]) -> str:
        """Make an environment from wheels below scratch and return the path of its Python. Raises EngineError."""
        wanted = {"name": name, "digest": digest, "wheels": [dict(wheel) for wheel in wheels]}
        found = self._checked(self._run("environment", timeout_s=_MAKE_TIMEOUT_S, environment=wanted).stdout)
        with self._reading("environment", found):
            return f"{_named(found['made'])}/bin/python"

    def use(self, python: str) -> None:
        """Run jobs in another Python of the host from now on; the Python that starts them stays."""
        self._command = (python,)

    def promise(self, tensorflow: str, to_come: str) -> EngineFacts:
        """Return the facts that the engine will have with an environment of this TensorFlow.

        ``to_come`` says what must be brought to the host before. Raises EngineUnavailable.
        """
        group = self._asked(lambda: self._read(self._run("limit").stdout))
        facts = self._make_facts({**group, "tensorflow": tensorflow})
        return replace(facts, image_digest=None, lacks=(), interpreter=self._interpreter, to_come=to_come)

    def _asked(self, ask: Callable[[], dict[str, object]]) -> dict[str, object]:
        """Call ``ask`` and return its answer, with EngineError turned into EngineUnavailable."""
        try:
            return ask()
        except EngineUnavailable:
            raise
        except EngineError as error:
            raise EngineUnavailable(error.message, where=self.host, hint=error.hint) from error

    def _describe(self) -> dict[str, object]:
        """Ask the interpreter of jobs for its description, and try to limit its memory. Raises EngineError."""
        if self._command == self._starter:
            return self._read(self._run("probe", flags=()).stdout)
        found = self._read(self._run("describe", flags=(), interpreter=self._command).stdout)
        if found.get("tensorflow") is None:
            return found
        return {**found, **self._read(self._run("limit", python=list(self._command)).stdout)}

    def _name_interpreter(self, found: Mapping[str, object]) -> str:
        """Return a name such as ``CPython 3.11.2 (python3, /usr/bin/python3)``, with the command and the real path."""
        python, executable = (clean_text(as_text(found.get(name)) or "", 300) for name in ("python", "executable"))
        return f"{python} ({', '.join(dict.fromkeys(part for part in (self._python, executable) if part))})"

    def _find_others(self) -> list[FoundPython]:
        """Return other usable Pythons of the host, those with TensorFlow first; nothing from the second call on."""
        if not self._may_look:
            return []
        self._may_look = False
        able = [one for one in find_pythons(self._connection) if _is_able(one.version)]
        return sorted(able, key=lambda one: not one.has_tensorflow)

    def _take_starter(self) -> bool:
        """Replace the Python that starts jobs, which does not run; return whether there is a replacement.

        The replacement also runs jobs where no Python was named for them. Without one, the named Python starts itself.
        """
        is_named, others = self._command != self._starter, self._find_others()
        if others:
            self._starter = (others[0].path,)
            self._command = self._command if is_named else self._starter
        elif is_named:
            self._starter = self._command
        return is_named or bool(others)

    def submit(self, request: JobRequest) -> JobHandle:
        """Start a job, detached, and return its handle; where a job of that name is there, return that one's handle."""
        labels = {
            **request.labels,
            NAME_LABEL: request.name,
            EPHEMERAL_LABEL: json.dumps([mount.source for mount in request.mounts if mount.ephemeral]),
        }
        done = self._run(
            "submit",
            archive=request.payload.archive,
            timeout_s=_SUBMIT_TIMEOUT_S,
            name=request.name,
            labels=labels,
            request=dict(request.request),
            mounts=[vars(mount) for mount in request.mounts],
            memory_bytes=request.memory_bytes,
            cpus=list(request.cpus),
            gpus=list(request.gpus),
            tmp_bytes=request.tmp_bytes,
            python=list(self._command),
        )
        found = self._read(done.stdout)
        if "refused" in found:
            raise refuse_job(_reason(found), self.host, _words(found.get("hint")))
        with self._reading("submit", found):
            return JobHandle(host=self.host, name=request.name, id=_named(found["id"]), labels=labels)

    def poll(self, handles: Sequence[JobHandle]) -> list[JobState]:
        """Return the states of jobs, with one command; on this machine without any.

        Starting Python takes about 40 ms of CPU time, which on this machine would be taken from the benchmark.
        """
        names = [handle.name for handle in handles]
        if not names:
            return []
        if isinstance(self._connection, LocalConnection):
            folder = Path(self._scratch).expanduser().absolute() / "jobs"
            return [_job_state(self.host, jobs.look(str(folder / name))) for name in names]
        found = self._checked(self._run("look", names=names).stdout)
        with self._reading("look", found):
            states = [_job_state(self.host, as_object(state)) for state in as_list(found["states"])]
            if len(states) != len(names):
                raise ValueError("states of other jobs")
        return states

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        """Copy the results that the job has written so far; existing files are replaced one by one."""
        destination.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=destination) as archive:
            try:
                self._run("results", sink=archive, timeout_s=_FETCH_TIMEOUT_S, names=[handle.name])
            except OutputTooLong as error:
                hint = "check what the job writes to its results"
                raise ResultsRefused(error.message, where=self.host, hint=hint) from error
            archive.seek(0)
            if archive.read(1) == b"{":
                archive.seek(0)
                answer = archive.read(bounded_json.MOST_BYTES)
                refused = self._read(answer)
                if self.poll([handle])[0].phase == "gone":
                    raise JobGone(_reason(refused), where=self.host, hint=_words(refused.get("hint")))
                self._checked(answer)
            archive.seek(0)
            chunks = iter(lambda: archive.read(_SLICE_BYTES), b"")
            extract_results(chunks, destination, host=self.host, job=handle.name)

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        """End jobs, and remove all that they left on the host."""
        if handles:
            names = [handle.name for handle in handles]
            self._checked(self._run("end", timeout_s=_CANCEL_TIMEOUT_S, names=names).stdout)

    def list(self, session: str | None = None) -> list[JobHandle]:
        """Return the jobs of a session (None: of all sessions), rebuilt from the host alone."""
        found = self._checked(self._run("list").stdout)
        with self._reading("list", found):
            jobs_there = [as_object(job) for job in as_list(found["jobs"])]
            handles = [
                JobHandle(
                    host=self.host,
                    name=_named(job["name"]),
                    id=f"{self._scratch}/jobs/{job['name']}",
                    labels={key: str(value) for key, value in as_object(job.get("labels")).items()},
                )
                for job in jobs_there
            ]
        return [handle for handle in handles if session is None or handle.labels.get(SESSION_LABEL) == session]

    def _read(self, answer: bytes) -> dict[str, object]:
        """Parse the answer to a verb. Raises EngineError."""
        try:
            return bounded_json.parse_object(answer)
        except bounded_json.Unreadable as error:
            raise self._broken(Completed(0, answer, str(error).encode()), self._python) from None

    def _reading(self, verb: str, found: Mapping[str, object]) -> AbstractContextManager[None]:
        """Context manager: turn a missing or wrong field of an answer into an EngineError."""
        what = f"the answer of {self._python} to {verb!r}"
        return reading(self.host, what, json.dumps(found)[:4000], kind=EngineError, hint=_ANOTHER)

    def _run(
        self,
        verb: str,
        *,
        flags: Sequence[str] = ("-S", "-E"),
        interpreter: Sequence[str] | None = None,
        archive: bytes = b"",
        timeout_s: float = 60.0,
        sink: IO[bytes] | None = None,
        **fields: Any,
    ) -> Completed:
        header = {
            "verb": verb,
            "scratch": self._scratch,
            "sources": read_sources(),
            "boot": _BOOT,
            "archive_bytes": len(archive),
            **fields,
        }
        used = tuple(interpreter or self._starter)
        done = self._connection.run(
            [*used, *flags, "-c", _BOOT],
            input=json.dumps(header).encode() + b"\n" + archive,
            timeout_s=timeout_s,
            most_bytes=MOST_OUTPUT_BYTES if sink is None else RESULTS_BYTES,
            sink=sink,
        )
        if done.returncode != 0:
            if interpreter is None and self._take_starter():
                return self._run(verb, flags=flags, archive=archive, timeout_s=timeout_s, sink=sink, **fields)
            raise self._broken(done, shlex.join(used))
        return done

    def _checked(self, answer: bytes) -> dict[str, object]:
        """Parse the answer to a verb. Raises EngineError where it was refused."""
        value = self._read(answer)
        if "refused" in value:
            raise EngineError(_reason(value), where=self.host, hint=_words(value.get("hint")))
        return value

    def _broken(self, done: Completed, python: str) -> EngineError:
        if done.returncode in (126, 127):
            return EngineUnavailable(
                f"{python} cannot be run",
                where=self.host,
                hint=f"install {PYTHONS_OF_HOSTS} and TensorFlow on the host, or use a Docker Engine",
            )
        said = clean_text(last_line(done.stderr, "")) or f"it printed {first_line(done.stdout)}"
        return EngineError(
            f"{python} gave no answer (exit code {done.returncode}): {said}",
            where=self.host,
            hint=f"check that it is {PYTHONS_OF_HOSTS} and that the disk is not full",
        )


def read_boot() -> str:
    """Return the code that starts the launcher on a host from the sources in a request."""
    return _BOOT


@functools.cache
def read_sources() -> dict[str, str]:
    """Return the source of the modules that a verb may need on the host, by module name."""
    folder = resources.files("harness.bench")
    sources = {"bench": ""}
    for name in _MODULES:
        package, _, module = name.partition(".")
        sources[f"bench.{package}"] = ""
        sources[f"bench.{name}"] = (folder / package / f"{module}.py").read_text(encoding="utf-8")
    return sources


def _job_state(host: str, found: Mapping[str, object]) -> JobState:
    """Parse a host's description of a job's state. Raises EngineError where it is not valid."""
    phase, oom_killed = _PHASES.get(str(found.get("phase"))), found.get("oom_killed")
    if phase is None:
        said = clean_text(repr(found.get("phase")), 60)
        raise EngineError(f"a job has the unknown phase {said}", where=host, hint=_ANOTHER)
    code = as_count(found.get("exit_code"))
    return JobState(
        phase=phase,
        exit_code=code if code is not None and abs(code) < 2**31 else None,
        oom_killed=oom_killed if isinstance(oom_killed, bool) else None,
        error=_words(found.get("error")),
        started_at=_words(found.get("started_at")),
        finished_at=_words(found.get("finished_at")),
        warnings=tuple(clean_text(warning, _MOST_WORDS) for warning in as_list(found.get("warnings"))[:_MOST_WARNINGS]),
    )


def _read_version(found: Mapping[str, object]) -> tuple[int, int, int]:
    """Return the version in a Python's description of itself; zeros where there is none."""
    match = _VERSION.search(as_text(found.get("python")) or "")
    return (0, 0, 0) if match is None else (int(match[1]), int(match[2]), int(match[3] or 0))


def _is_able(version: tuple[int, int, int]) -> bool:
    """Return whether jobs can run in a Python of this version."""
    return OLDEST_HOST_PYTHON <= version[:2] <= NEWEST_PYTHON


def _words(said: object) -> str | None:
    """Return a text from a host, shortened and without control characters; None for anything else."""
    return clean_text(said, _MOST_WORDS) if isinstance(said, str) else None


def _reason(refused: Mapping[str, object]) -> str:
    """Return the reason in a host's refusal."""
    return _words(refused.get("refused")) or "it gave no reason"


def _named(said: object) -> str:
    """Return a name from a host: one line of printable text. Raises ValueError for anything else."""
    if not isinstance(said, str) or not said.isprintable() or not 0 < len(said) < _MOST_WORDS:
        raise ValueError("no valid name")
    return said


def _make(means: Means) -> ProcessEngine:
    own = sys.executable if means.is_local else HOST_PYTHON
    return ProcessEngine(
        means.connection,
        scratch=means.scratch,
        python=means.python or own,
        starter=own if means.python else None,
        may_look=not means.is_local,
    )


def _may_have_jobs(_engine: Engine, means: Means) -> bool:
    """Return whether the folder of jobs exists; this works on hosts without a Python, too."""
    return means.connection.run(["test", "-d", f"{means.scratch}/jobs"]).returncode == 0


SPEC = EngineSpec(
    name=NAME,
    rank=90,
    words=EngineWords(
        title="Python with TensorFlow",
        instead="jobs run as processes of this machine's own Python instead",
        image="this Python's packages, digest",
        limit_cure="run as root, or in `systemd-run --user --scope -p Delegate=yes`, or use another engine",
        evidence="which cgroups this user may create",
        gpu_cure="none is needed: processes see the GPUs directly",
        caution=f"jobs of `{NAME}` are not isolated as in a container",
    ),
    make=_make,
    may_have_jobs=_may_have_jobs,
    uses_python=True,
)
