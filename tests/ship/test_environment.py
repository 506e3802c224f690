"""Environments for hosts without TensorFlow, of tiny wheels: chosen, sent, made whole or not at all, offline."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from harness.bench.launcher import environments
from harness.engine.kinds.process import ProcessEngine
from harness.engine.reached import Reached
from harness.engine.registry import load_engine
from harness.hosts.connection import Completed
from harness.hosts.local import LocalConnection
from harness.inventory import load_inventory
from harness.ship import environment as environments_of_hosts
from harness.ship import filetransfer, room, transfers, wheel_cache
from harness.ship.engine_choice import find_engine
from harness.ship.environment import EnvironmentShip, choose_environment, find_made
from harness.ship.slots import TransferSlots
from harness.values.engine_names import HostPython
from harness.values.errors import EngineUnavailable, HarnessError, HostNotReady, HostUnreachable
from harness.values.event import Event, ImageShipped
from harness.values.facts import Facts
from harness.values.wheels import LockedPackage, Platform, Wheel, write_lock

if TYPE_CHECKING:
    from harness.hosts.ssh import SSHConnection

HERE = HostPython(
    ("python3",), sys.executable, (*sys.version_info[:2], 2), platform.machine(), libc=(2, 36), has_venv=True
)
ON = f"{HERE.version[0]}.{HERE.version[1]}/{HERE.machine}"


def pack_wheel(folder: Path, name: str, version: str, files: dict[str, bytes], info: dict[str, bytes]) -> Wheel:
    """Write a wheel, with a record of its files."""
    base = f"{name.replace('-', '_')}-{version}"
    whole = files | {f"{base}.dist-info/{path}": content for path, content in info.items()}
    lines = []
    for place, content in whole.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        lines.append(f"{place},sha256={digest},{len(content)}")
    whole[f"{base}.dist-info/RECORD"] = "\n".join([*lines, f"{base}.dist-info/RECORD,,", ""]).encode()
    path = folder / f"{base}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for place, content in whole.items():
            archive.writestr(zipfile.ZipInfo(place, (2020, 1, 1, 0, 0, 0)), content)
    return Wheel(name, version, path.name, path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())


def make_wheel(folder: Path, name: str, version: str, content: str) -> Wheel:
    module = "tensorflow" if name.startswith("tensorflow") else name.replace("-", "_")
    said = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()
    kind = b"Wheel-Version: 1.0\nGenerator: a test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    return pack_wheel(
        folder, name, version, {f"{module}/__init__.py": content.encode()}, {"METADATA": said, "WHEEL": kind}
    )


def make_pip(folder: Path) -> Wheel:
    """The pip of this Python as the wheel that it was."""
    pip = metadata.distribution("pip")
    files, info = {}, {}
    for path in pip.files or ():
        if ".." in path.parts or path.suffix == ".pyc" or path.name in ("RECORD", "INSTALLER", "REQUESTED"):
            continue
        content = Path(str(pip.locate_file(path))).read_bytes()
        if path.parts[0].endswith(".dist-info"):
            info["/".join(path.parts[1:])] = content
        else:
            files[path.as_posix()] = content
    return pack_wheel(folder, "pip", pip.version, files, info)


UNPACK = b"""
import hashlib, os, sys, sysconfig, zipfile
store, requirements = (sys.argv[sys.argv.index(word) + 1] for word in ("--find-links", "-r"))
wanted = {line.rpartition("sha256:")[2].strip() for line in open(requirements)}
for path in (os.path.join(store, name) for name in os.listdir(store)):
    if hashlib.sha256(open(path, "rb").read()).hexdigest() in wanted:
        zipfile.ZipFile(path).extractall(sysconfig.get_path("purelib"))
"""


def make_unpacker(folder: Path) -> Wheel:
    """What stands in for pip: out of its wheel that one takes seconds to begin."""
    said = b"Metadata-Version: 2.1\nName: pip\nVersion: 0\n"
    return pack_wheel(folder, "pip", "0", {"pip/__main__.py": UNPACK}, {"METADATA": said})


Store = tuple[Path, list[Wheel]]


def make_store(folder: Path, pip: Wheel) -> Store:
    """A folder with tiny wheels: what stands in for TensorFlow, a package, and pip."""
    tensorflow = make_wheel(folder, "tensorflow-cpu", "2.99", "__version__ = '2.99'")
    return folder, [tensorflow, make_wheel(folder, "pillow", "1", ""), pip]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("wheels")
    return make_store(folder, make_pip(folder))


@pytest.fixture(scope="module")
def small_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    folder = tmp_path_factory.mktemp("small")
    return make_store(folder, make_unpacker(folder))


class Host(LocalConnection):
    """This machine without a network, as far as that can be had; every command is kept."""

    def __init__(self) -> None:
        super().__init__("ws01")
        self.asked: list[Sequence[str]] = []
        alone = ["unshare", "-n"]
        self.cut_at: list[int] = []
        self.pieces = 0
        self.before = alone if shutil.which("unshare") and super().run([*alone, "true"]).returncode == 0 else []

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        self.asked.append(argv)
        if options.get("input") is not None:
            self.pieces += 1
            if self.pieces - 1 in self.cut_at:
                raise HostUnreachable("cut", where=self.host)
        return super().run([*self.before, *argv], **options)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python that has nothing, not even pip, as Debian's python3 without python3-venv."""
    folder = tmp_path_factory.mktemp("python") / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    (site,) = folder.glob("lib/*/site-packages")
    (site / "sitecustomize.py").write_text("import sys\nsys.modules['ensurepip'] = None\n")
    return folder


class Bench:
    """A host with a bare Python, and a lock of the tiny wheels."""

    def __init__(self, folder: Path, bare: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        shutil.copytree(bare, folder / "bare", symlinks=True)
        self.folder, self.wheels = folder, store[1]
        self.scratch = folder / "scratch"
        self.host = Host()
        self.engine = ProcessEngine(self.host, scratch=str(self.scratch), python=f"{folder}/bare/bin/python")
        self.fetched = 0
        self.files = {wheel.file: store[0] / wheel.file for wheel in self.wheels}
        self.monkeypatch = monkeypatch
        self.lock(*self.wheels)
        monkeypatch.setattr(environments_of_hosts, "fetch_wheels", self.fetch)

    def lock(self, *wheels: Wheel) -> None:
        packages = [LockedPackage(one.package, one.version, (ON,), (one,)) for one in wheels]
        text = "# a lock\n" + write_lock(packages)
        self.monkeypatch.setattr(environments_of_hosts, "read_definition", lambda _path: text.encode())

    def fetch(self, wheels: Sequence[Wheel], _platform: Platform, _progress: Any) -> dict[str, Path]:
        self.fetched += 1
        return {wheel.file: self.files[wheel.file] for wheel in wheels}

    def ship(self) -> tuple[str, ImageShipped]:
        environment = choose_environment(self.engine.describe_python(), "ws01", has_gpus=False)
        return EnvironmentShip(self.host, str(self.scratch), self.engine, environment).run()

    @property
    def made(self) -> list[str]:
        return sorted(path.name for path in (self.scratch / "environments").iterdir())


@pytest.fixture
def bench(tmp_path: Path, bare: Path, small_store: Store, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, bare, small_store, monkeypatch)


@pytest.fixture
def bench_with_pip(tmp_path: Path, bare: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(tmp_path, bare, store, monkeypatch)


def test_it_is_made_without_pip_and_without_a_network_and_is_named_by_its_lock(bench_with_pip: Bench) -> None:
    bench = bench_with_pip
    python, shipped = bench.ship()
    total = sum(wheel.size for wheel in bench.wheels)
    assert (shipped.method, shipped.bytes_needed, shipped.bytes_saved) == ("wheels", total, 0)
    assert shipped.bytes_sent >= total
    said = subprocess.run(
        [python, "-c", "import tensorflow; print(tensorflow.__version__)"], capture_output=True, check=True
    )
    assert said.stdout == b"2.99\n"
    assert bench.made == [".made-by-harness", f"cpu-{ON.replace('/', '-')}-{shipped.image_digest[:16]}", "wheels"]
    bench.engine.use(python)
    facts = bench.engine.probe("")
    assert (facts.version, facts.image_digest) == ("2.99", shipped.image_digest)
    assert facts.lacks == ("grain", "simplejpeg", "pandas", "pillow"), "its stand-in has no module PIL"


def test_what_is_there_is_not_sent_again_and_what_is_damaged_is(bench: Bench) -> None:
    python, first = bench.ship()
    second = bench.ship()[1]
    assert (second.bytes_needed, second.bytes_sent, second.bytes_saved) == (0, 0, first.bytes_needed)
    shutil.rmtree(Path(python).parents[1])
    damaged = bench.scratch / "environments/wheels" / bench.wheels[0].file
    damaged.write_bytes(b"x" * damaged.stat().st_size)
    third = bench.ship()[1]
    assert third.bytes_needed == bench.wheels[0].size and Path(python).exists()


def test_a_cut_link_goes_on_where_it_was(bench_with_pip: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = bench_with_pip
    monkeypatch.setattr(environments_of_hosts, "_PAUSES_S", (0.0, 0.0, 0.0))
    monkeypatch.setattr(filetransfer, "BATCH_BYTES", 256 * 2**10)
    environment = choose_environment(bench.engine.describe_python(), "ws01", has_gpus=False)
    bench.host.cut_at, bench.host.pieces = [2, 5], 0
    python, shipped = EnvironmentShip(bench.host, str(bench.scratch), bench.engine, environment).run()
    assert shipped.attempts == 3 and len(shipped.notes) == 2 and Path(python).exists()
    assert shipped.bytes_sent < 1.3 * shipped.bytes_needed, "what arrived was not sent again"
    assert bench.fetched == 1


@pytest.mark.ssh
def test_over_ssh_it_is_the_same(bench: Bench, connection: SSHConnection) -> None:
    engine = ProcessEngine(connection, scratch=str(bench.scratch), python=f"{bench.folder}/bare/bin/python")
    environment = choose_environment(engine.describe_python(), "ws01", has_gpus=False)
    python, shipped = EnvironmentShip(connection, str(bench.scratch), engine, environment).run()
    engine.use(python)
    assert engine.probe("").image_digest == shipped.image_digest == environment.lock.digest


def test_an_environment_that_somebody_changed_has_another_identity(bench: Bench) -> None:
    python, shipped = bench.ship()
    (pillow,) = Path(python).parents[1].glob("lib/*/site-packages/pillow-1.dist-info")
    pillow.rename(pillow.with_name("pillow-2.dist-info"))
    (pillow.with_name("pillow-2.dist-info") / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: pillow\nVersion: 2\n"
    )
    bench.engine.use(python)
    assert bench.engine.probe("").image_digest not in (None, shipped.image_digest)


def test_a_maker_that_was_killed_leaves_nothing_that_is_taken_for_one(bench: Bench) -> None:
    environment = choose_environment(bench.engine.describe_python(), "ws01", has_gpus=False)
    base = bench.scratch / "environments"
    (base / environment.name / "bin").mkdir(parents=True)
    (base / f"{environments.MAKING}{environment.name}-999999-12345/bin").mkdir(parents=True)
    (base / environment.name / "bin/python").symlink_to(sys.executable)
    assert find_made(bench.host, str(bench.scratch), environment) is None, "it has no seal"
    python, _ = bench.ship()
    assert find_made(bench.host, str(bench.scratch), environment) == python
    assert bench.made == [".made-by-harness", environment.name, "wheels"] or bench.made == [environment.name, "wheels"]


def test_what_cannot_be_installed_is_told_and_leaves_nothing(bench_with_pip: Bench, store: Store) -> None:
    bench = bench_with_pip
    no_pip = [wheel for wheel in bench.wheels if wheel.package != "pip"]
    bench.lock(*no_pip)
    with pytest.raises(HarnessError, match="the wheels that were sent do not include pip"):
        bench.ship()
    broken = store[0] / "broken-1-py3-none-any.whl"
    broken.write_bytes(b"no archive")
    wheel = Wheel("broken", "1", broken.name, 10, hashlib.sha256(b"no archive").hexdigest())
    bench.files[wheel.file] = broken
    bench.lock(*bench.wheels, wheel)
    with pytest.raises(HarnessError, match="cannot install its packages"):
        bench.ship()
    assert [name for name in bench.made if not name.startswith(".made")] == ["wheels"]


@pytest.mark.parametrize(("changes", "message", "hint"), [
    ({"version": (3, 9, 21)}, "(/p): TensorFlow has no packages for Python 3.9.21", "install Python 3.10 to"),
    ({"version": (3, 14, 0)}, "only for Python 3.10 to 3.13", "3.13 on the host, or name a Python"),
    ({"machine": "armv7l"}, "x86-64 and 64-bit Arm, not for armv7l", "or use a Docker Engine"),
    ({"libc": None}, "the host's C library is not glibc", "name a Python with TensorFlow in"),
    ({"has_venv": False}, "it has no module `venv`", "`sudo apt-get install python3-venv` on the host, or name"),
    ({"command": ("apptainer", "exec", "x", "python3")}, "for `apptainer exec x python3`, a command that", "install"),
    ({"libc": (2, 16)}, "tensorflow-cpu 2.99 has no wheel for glibc 2.16", "or use a Docker Engine"),
    ({"version": (3, 10, 1)}, "this version has no lock for 3.10/", "or use a Docker Engine"),
])  # fmt: skip
def test_where_it_cannot_be_done_one_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, changes: Any, message: str, hint: str
) -> None:
    wheel = Wheel(
        "tensorflow-cpu", "2.99", f"tensorflow_cpu-2.99-py3-none-manylinux_2_17_{HERE.machine}.whl", 1, "0" * 64
    )
    text = write_lock([LockedPackage("tensorflow-cpu", "2.99", (ON,), (wheel,))])
    monkeypatch.setattr(environments_of_hosts, "read_definition", lambda _path: text.encode())
    assert choose_environment(HERE, "ws01", has_gpus=False).wheels == (wheel,)
    with pytest.raises(EngineUnavailable) as caught:
        choose_environment(replace(HERE, path="/p", **changes), "ws01", has_gpus=False)
    assert message in caught.value.message and hint in str(caught.value.hint)
    assert "\n" not in caught.value.message


def test_gpus_get_their_libraries_where_there_are_any(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    wheel = Wheel("tensorflow", "2.99", "t-1-py3-none-any.whl", 1, "0" * 64)
    platforms = tuple(f"{HERE.version[0]}.{HERE.version[1]}/{machine}" for machine in ("x86_64", "aarch64"))
    text = write_lock([LockedPackage("tensorflow", "2.99", platforms, (wheel,))])

    def read(path: str) -> bytes:
        asked.append(path)
        return text.encode()

    monkeypatch.setattr(environments_of_hosts, "read_definition", read)
    for machine in ("x86_64", "aarch64"):
        kind = choose_environment(replace(HERE, machine=machine), "ws01", has_gpus=True).kind
        assert kind == {"x86_64": "gpu", "aarch64": "cpu"}[machine]
    assert asked == ["locks/host-gpu.txt", "locks/host-cpu.txt"]


def test_a_disk_that_is_too_full_is_told_before_anything_is_fetched(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "read_free_bytes", lambda *_: 10**9)
    with pytest.raises(HostNotReady, match=r"no space for the environment cpu-.*are needed, 1 GB are free at"):
        bench.ship()
    assert bench.fetched == 0 and not (bench.scratch / "environments").exists()


# -- as part of choosing the engine of a host --------------------------------------------------------------------------


def reached(bench: Bench) -> Reached:
    (bench.folder / "i.yaml").write_text("all: {hosts: {ws01: {harness: {engine: process}}}}")
    host = load_inventory(bench.folder / "i.yaml").host("ws01")
    python = (f"{bench.folder}/bare/bin/python",)
    return Reached(host, bench.host, Facts(), str(bench.scratch), {}, 10**9, python=python)


def test_a_look_says_what_is_to_come_and_a_run_brings_it(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.host, "host", "ws01")
    events: list[Event] = []
    looked = find_engine(reached(bench), "process", None, events.append).take()
    assert looked.facts.image_digest is None and looked.facts.version == "2.99" and events == []
    assert "environment cpu-" in looked.facts.to_come and not (bench.scratch / "environments").exists()
    bringing: Any = transfers.Transfers(images=None, sets=None, slots=TransferSlots())  # type: ignore[arg-type]
    brought = find_engine(reached(bench), "process", bringing, events.append).take()
    (shipped,) = [event for event in events if isinstance(event, ImageShipped)]
    assert brought.facts.image_digest == shipped.image_digest and not brought.facts.to_come
    assert brought.how == "wheels" and shipped.image in brought.facts.interpreter
    again = find_engine(reached(bench), "process", None, events.append).take()
    assert again.facts.image_digest == shipped.image_digest and bench.fetched == 1
    assert load_engine("process").uses_python


# -- the cache of this machine -----------------------------------------------------------------------------------------


def test_wheels_are_downloaded_once_and_only_those_that_are_not_whole(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, wheels = store
    commands: list[list[str]] = []

    def run(command: list[str], **_options: Any) -> subprocess.CompletedProcess[bytes]:
        commands.append(command)
        target = Path(command[command.index("--dest") + 1])
        for line in Path(command[-1]).read_text().splitlines():
            (wheel,) = [one for one in wheels if line == f"{one.package}=={one.version} --hash=sha256:{one.sha256}"]
            shutil.copy(folder / wheel.file, target)
        return subprocess.CompletedProcess(command, 0, b"", b"")

    monkeypatch.setattr(subprocess, "run", run)
    cache, said = tmp_path / "cache", []
    on = Platform((3, 10), "aarch64", (2, 31))
    found = wheel_cache.fetch_wheels(wheels, on, lambda text, _share: said.append(text), cache)
    assert found == {wheel.file: cache / wheel.file for wheel in wheels}
    assert "--require-hashes" in commands[0] and commands[0][commands[0].index("--python-version") + 1] == "3.10"
    (cache / wheels[1].file).write_bytes(b"damaged")
    wheel_cache.fetch_wheels(wheels, on, lambda text, _share: said.append(text), cache)
    wheel_cache.fetch_wheels(wheels, on, lambda text, _share: said.append(text), cache)
    assert [text.partition(" (")[0] for text in said] == ["downloading 3 wheels", "downloading 1 wheels"]
    assert sorted(path.name for path in cache.iterdir()) == sorted([".lock", *found])


def test_what_cannot_be_downloaded_is_told_with_the_way_round(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess([], 1, b"", b"WARNING: x\nERROR: No matching distribution found for a==1\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    wheel = Wheel("a", "1", "a-1-py3-none-any.whl", 1, "0" * 64)
    with pytest.raises(
        HarnessError, match=r"1 wheels could not be downloaded, first a-1-py3-none-any\.whl: ERROR: No mat"
    ) as caught:
        wheel_cache.fetch_wheels([wheel], Platform((3, 10), "x86_64"), lambda *_: None, tmp_path)
    assert f"copy the files to {tmp_path}" in str(caught.value.hint)


def test_the_marker_is_json_of_its_own(bench: Bench) -> None:
    python, shipped = bench.ship()
    seal = json.loads((Path(python).parents[1] / "harness-environment.json").read_text())
    assert seal["digest"] == shipped.image_digest and "tensorflow-cpu==2.99" in seal["distributions"]
    assert os.access(python, os.X_OK)
