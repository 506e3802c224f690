"""What tests of more than one part need."""

from __future__ import annotations

import atexit
import importlib.util
import itertools
import os
import resource
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings
from marks import find_marks, may_select, named_marks
from own_lock import use_lock

from harness.hosts.facts.facts_script import read_busy_cpus

if TYPE_CHECKING:
    from slurm_support import Cluster
    from sshd_support import Server

    from harness.hosts.ssh import SSHConnection

NOTES = os.environ.pop("HARNESS_TEST_NOTES", None)
"""The beginning of files in which run_all.sh reads what failed, what ran last, and the CPU time of all."""

settings.register_profile("no-wall-time", deadline=None)  # a busy machine is no fault of what is tested
settings.load_profile("no-wall-time")


def note(what: str, text: str, mode: str = "a") -> None:
    """Tell run_all.sh."""
    if NOTES is not None:
        with open(f"{NOTES}.{what}", mode, encoding="utf-8") as stream:
            stream.write(f"{text}\n")


def pytest_runtest_logstart(nodeid: str) -> None:
    """Note what runs: it may take this process with it."""
    note("running", nodeid, "w")


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Note what failed."""
    if report.failed:
        note("failed", report.nodeid)


@atexit.register
def _note_cpu_time() -> None:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    note("cpu", str(round(sum(each.ru_utime + each.ru_stime for each in used))))


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not load a file of which ``-m`` selects no test: to import TensorFlow for nothing takes seconds."""
    expression = config.option.markexpr
    if not expression or collection_path.suffix != ".py" or may_select(expression, collection_path.read_text()):
        return None
    return True


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse marks that ``may_select`` cannot see; skip what starts TensorFlow where that is not installed."""
    marks = find_marks(config.option.markexpr)
    for path, tests in itertools.groupby(items, key=lambda item: item.path):
        held = marks & {mark.name for test in tests for mark in test.iter_markers()}
        if unseen := held - named_marks(path.read_text(), held):
            raise pytest.UsageError(f"{path}: write `mark.{min(unseen)}` in this file, else -m does not load it")
    if importlib.util.find_spec("tensorflow") is None:
        for item in items:
            if item.get_closest_marker("tensorflow") is not None:
                item.add_marker(pytest.mark.skip(reason="TensorFlow is not installed here: extra `process-cpu`"))


@pytest.fixture(scope="session", autouse=True)
def own_place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's lock, jobs, scratch, SSH files and models out of reach: another lock, another home folder.

    Programs that tests start inherit the home; those that take the lock get one by ``whole/user.py``. Caches of what
    was downloaded or built (images, tools, packages) stay the user's: making them anew takes minutes. What programs
    leave in their folder of temporary files, as TensorFlow does where a process is killed, goes with those of pytest.
    """
    home, lock = Path.home(), f"/tmp/harness-tests-{os.getpid()}.lock"
    kept = {"XDG_CACHE_HOME": ".cache", "DOCKER_CONFIG": ".docker", "GIT_CONFIG_GLOBAL": ".gitconfig"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("temporary")))
        for name, place in kept.items():
            patch.setenv(name, os.environ.get(name, str(home / place)))
        patch.setattr(read_busy_cpus, "__defaults__", (0.1,))  # the tests keep the machine busy: two seconds each time
        use_lock(lock)
        yield
    shutil.rmtree(lock, ignore_errors=True)


@pytest.fixture
def make_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of so many bytes (``64k``), and unmounts it in the end. Skips where that is not allowed."""
    mounted: list[Path] = []

    def mount(size: str) -> Path:
        folder = tmp_path / f"disk-{size}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
        try:
            refused = subprocess.run(command, capture_output=True, check=False).returncode != 0
        except FileNotFoundError:
            refused = True
        if refused:
            pytest.skip("a small file system needs root and mount")
        mounted.append(folder)
        return folder

    yield mount
    for folder in mounted:  # lazily: what a test started may still hold it for a moment
        subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A Slurm of two nodes on this machine for all tests that are marked so."""
    from slurm_support import start_cluster

    with start_cluster(tmp_path_factory.mktemp("slurm")) as running:
        yield running


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user reaches: pytest closes its own to others whenever another of its processes starts."""
    folder = Path(tempfile.mkdtemp(prefix="harness-test-", dir="/tmp"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An sshd on loopback for all tests of a module."""
    from sshd_support import start_sshd

    with start_sshd(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def connection(server: Server) -> Iterator[SSHConnection]:
    """A connection to that sshd, which notices soon that it is gone."""
    from sshd_support import QUICK

    made = server.connection(patience=QUICK)
    yield made
    made.close()
