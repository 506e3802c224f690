"""The locks satisfy pyproject.toml on every Python and machine that they serve, and do not say where they were made."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from harness.values import platforms
from harness.values.wheels import Lock, Platform, read_lock

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT, GROUPS = PYPROJECT["project"], PYPROJECT["dependency-groups"]
EXTRAS = PROJECT["optional-dependencies"]
PYTHONS = ("3.11", "3.12", "3.13")


def load_refresh() -> Any:
    spec = importlib.util.spec_from_file_location("refresh", ROOT / "locks/refresh.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


REFRESH = load_refresh()


def expand(lines: list[str]) -> list[Requirement]:
    """Requirements, those on this package's own extras replaced by what they hold."""
    found = []
    for line in lines:
        wanted = Requirement(line)
        if wanted.name == PROJECT["name"]:
            found += [inner for extra in wanted.extras for inner in expand(EXTRAS[extra])]
        else:
            found.append(wanted)
    return found


def asked_of(name: str) -> list[Requirement]:
    """What pyproject.toml asks of a lock, by the words with which the lock is written."""
    words = REFRESH.LOCKS[name]
    found = [] if "--only-group" in words else expand(PROJECT["dependencies"])
    for option, value in zip(words[::2], words[1::2], strict=True):
        found += expand(EXTRAS[value] if option == "--extra" else GROUPS[value])
    return found


def read_pins(name: str) -> list[tuple[Requirement, list[str]]]:
    """Each pin of a lock with its hashes."""
    pins: list[tuple[Requirement, list[str]]] = []
    for line in (ROOT / name).read_text().splitlines():
        if line.startswith("    --hash="):
            pins[-1][1].append(line.strip().removesuffix(" \\").removeprefix("--hash="))
        elif not line.startswith("#"):
            pins.append((Requirement(line.removesuffix(" \\")), []))
    return pins


def pins_for(name: str, environment: dict[str, str]) -> dict[str, str]:
    """The versions that a lock installs in one environment; no name has two."""
    chosen: dict[str, str] = {}
    for pin, _ in read_pins(name):
        if pin.marker is None or pin.marker.evaluate(environment):
            assert canonicalize_name(pin.name) not in chosen, f"{name} pins {pin.name} twice for {environment}"
            (only,) = pin.specifier
            assert only.operator == "=="
            chosen[canonicalize_name(pin.name)] = only.version
    return chosen


@pytest.mark.parametrize("name", REFRESH.LOCKS)
def test_a_lock_satisfies_what_is_asked_for(name: Any) -> None:
    for environment in REFRESH.ENVIRONMENTS:
        pins = pins_for(name, environment)
        for wanted in asked_of(name):
            if wanted.marker is None or wanted.marker.evaluate(environment):
                version = pins.get(canonicalize_name(wanted.name))
                assert version is not None, f"{name} lacks {wanted.name} for {environment}: run `make lock`"
                assert wanted.specifier.contains(version), (
                    f"{name}: {wanted} is asked for, {version} locked: run `make lock`"
                )


@pytest.mark.parametrize("name", REFRESH.LOCKS)
def test_a_lock_holds_pins_and_hashes_only(name: Any) -> None:
    """No index, no address, no path: only the header, pins and hashes."""
    for line in (ROOT / name).read_text().splitlines():
        assert re.fullmatch(
            r"# Written by `make lock`.*|[a-z0-9.-]+==[0-9][0-9a-z.]*( ; [a-z_]+ (<|>=|==|!=) '[0-9a-z_.]+')?( \\)?|"
            r"    --hash=sha256:[0-9a-f]{64}( \\)?",
            line,
        ), line
    assert all(hashes for _, hashes in read_pins(name))


def test_all_locks_hold_the_same_versions() -> None:
    """They are installed over each other, and an image encodes data sets as the controller does."""
    for environment in REFRESH.ENVIRONMENTS:
        versions: dict[str, set[str]] = {}
        for name in REFRESH.LOCKS:
            for package, version in pins_for(name, environment).items():
                versions.setdefault(package, set()).add(version)
        assert {package: found for package, found in versions.items() if len(found) > 1} == {}


@pytest.mark.parametrize(("machine", "expected"), [
    ("x86_64", {"process": ["tensorflow"], "process-cpu": ["tensorflow-cpu"], "process-gpu": ["tensorflow"]}),
    ("aarch64", {"process": ["tensorflow"], "process-cpu": ["tensorflow"], "process-gpu": ["tensorflow"]}),
])  # fmt: skip
def test_tensorflow_is_chosen_by_the_machine(machine: str, expected: Any) -> None:
    """`tensorflow-cpu` has no wheel for 64-bit Arm, and no wheel for Arm has CUDA."""
    (environment,) = (
        one for one in REFRESH.ENVIRONMENTS if (one["platform_machine"], one["python_version"]) == (machine, "3.12")
    )
    found = {extra: pins_for(f"locks/{extra}.txt", environment) for extra in expected}
    assert {
        extra: [name for name in pins if name in ("tensorflow", "tensorflow-cpu")] for extra, pins in found.items()
    } == expected
    assert any(name.startswith("nvidia-") for name in found["process-gpu"]) is (machine == "x86_64")
    image = pins_for("images/requirements-cpu.txt", environment)
    assert set(expected["process-cpu"]) == {name for name in image if name in ("tensorflow", "tensorflow-cpu")}


def test_the_gpu_image_refuses_to_be_built_without_cuda() -> None:
    refusal = 'RUN test "$(uname -m)" = x86_64'
    assert refusal in (ROOT / "Dockerfile.gpu").read_text()
    assert refusal not in (ROOT / "images/Dockerfile.cpu").read_text()


def test_every_tensorflow_extra_has_a_lock_with_the_build_backend() -> None:
    assert {f"locks/{extra}.txt" for extra in EXTRAS} <= set(REFRESH.LOCKS)
    for extra in EXTRAS:
        for environment in REFRESH.ENVIRONMENTS:
            assert {"hatchling", "editables"} <= set(pins_for(f"locks/{extra}.txt", environment))
    wanted = {canonicalize_name(Requirement(one).name) for one in PYPROJECT["build-system"]["requires"]}
    assert wanted <= {canonicalize_name(Requirement(one).name) for one in GROUPS["build"]}


def test_every_dependency_has_an_upper_bound() -> None:
    for wanted in expand([*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]):
        if wanted.name == "tensorflow" and wanted.extras:
            continue  # `tensorflow[and-cuda]` stands beside the bounded `tensorflow`
        assert any(one.operator == "<" for one in wanted.specifier), f"{wanted} has no upper bound"


def test_the_pythons_are_the_same_wherever_they_are_said() -> None:
    oldest, newest = platforms.OLDEST_PYTHON, platforms.NEWEST_PYTHON
    said = SpecifierSet(PROJECT["requires-python"])
    assert [f"3.{minor}" for minor in range(30) if said.contains(f"3.{minor}.1")] == list(PYTHONS)
    assert PYTHONS == REFRESH.PYTHONS == tuple(f"3.{minor}" for minor in range(oldest[1], newest[1] + 1))
    assert tuple(platforms.MACHINES) == REFRESH.MACHINES
    words = f"Python {PYTHONS[0]} to {PYTHONS[-1]}"
    assert words == platforms.PYTHONS_IN_WORDS
    for name in ("README.md", "Makefile", "images/Dockerfile.cpu", "Dockerfile.gpu", "images/README.md"):
        assert words in (ROOT / name).read_text(), name
    for name in ("images/Dockerfile.cpu", "Dockerfile.gpu"):
        assert f"assert {oldest} <= sys.version_info < {(3, newest[1] + 1)}" in (ROOT / name).read_text()
    minors = {line.rpartition(" :: ")[2] for line in PROJECT["classifiers"]} & {f"3.{minor}" for minor in range(30)}
    assert minors == set(PYTHONS)


def test_the_install_line_of_a_host_asks_for_what_the_extra_asks_for() -> None:
    bounds = {wanted.name: wanted.specifier for wanted in expand([*EXTRAS["process"], *PROJECT["dependencies"]])}
    for line in platforms.TENSORFLOW_PACKAGES:
        wanted = Requirement(line)
        assert wanted.specifier == bounds[wanted.name], line
    (image,) = ({Requirement(one).name for one in GROUPS["image-cpu"]} - {"tensorflow-cpu"},)
    assert {Requirement(one).name for one in platforms.TENSORFLOW_PACKAGES} == image


@pytest.mark.parametrize(("python", "machine", "system", "said"), [
    ("3.11.2", "x86_64", "Linux", ""),
    ("3.13.9", "aarch64", "Linux", ""),
    ("3.12.0", "", "Linux", ""),
    ("3.14.0", "x86_64", "Linux", "TensorFlow has no packages for Python 3.14.0, only for Python 3.11 to 3.13"),
    ("3.10.13", "x86_64", "Linux", "TensorFlow has no packages for Python 3.10.13, only for Python 3.11 to 3.13"),
    ("3.12.0", "armv7l", "Linux", "need Linux on x86-64 or 64-bit Arm, not Linux on armv7l"),
    ("3.12.0", "arm64", "Darwin", "need Linux on x86-64 or 64-bit Arm, not Darwin on arm64"),
])  # fmt: skip
def test_what_cannot_be_used_is_said(python: str, machine: str, system: str, said: str) -> None:
    found = platforms.find_obstacle(python, machine, system)
    assert found.endswith(said) and bool(found) == bool(said)


def test_make_refuses_another_python_before_it_installs_anything(tmp_path: Path) -> None:
    """A Python 3.14, made of this one by its version alone."""
    (tmp_path / "python3.14").write_text(
        f"#!{sys.executable}\n"
        "import platform, runpy, sys\n"
        "assert sys.argv[1] == '-I', sys.argv\n"
        "platform.python_version = lambda: '3.14.0'\n"
        "runpy.run_path(sys.argv[2], run_name='__main__')\n"
    )
    (tmp_path / "python3.14").chmod(0o755)
    command = [
        "make",
        "-C",
        str(ROOT),
        "setup",
        f"PYTHON={tmp_path}/python3.14",
        f"VENV={tmp_path}/venv",
        "TF_EXTRA=process-cpu",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert "TensorFlow has no packages for Python 3.14.0, only for Python 3.11 to 3.13." in done.stderr
    assert "make run PYTHON=python3.13" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_shortened_markers_mean_what_they_meant() -> None:
    linux = "(platform_machine == 'aarch64' or platform_machine == 'x86_64') and sys_platform == 'linux'"
    arm = "platform_machine == 'aarch64' and sys_platform == 'linux'"
    new = "python_full_version >= '3.12' and platform_machine == 'x86_64' and sys_platform == 'linux'"
    assert REFRESH.shorten(f"a==1 ; {linux} \\\n") == "a==1 \\\n"
    assert REFRESH.shorten(f"a==1 ; {arm}\n") == "a==1 ; platform_machine != 'x86_64'\n"
    assert REFRESH.shorten(f"a==1 ; {new}\n") == f"a==1 ; {new}\n"
    assert REFRESH.shorten("    --hash=sha256:00\n") == "    --hash=sha256:00\n"


# -- what hosts without TensorFlow are sent ----------------------------------------------------------------------------

HOST_PYTHONS = tuple((3, minor) for minor in range(platforms.OLDEST_HOST_PYTHON[1], platforms.NEWEST_PYTHON[1] + 1))
HOST_PLATFORMS = [
    (kind, Platform(python, machine, (2, 28)))
    for kind, machines in (("cpu", platforms.MACHINES), ("gpu", ("x86_64",)))
    for python in HOST_PYTHONS
    for machine in machines
]


def host_lock(kind: str, platform: Platform) -> Lock:
    return read_lock((ROOT / f"locks/host-{kind}.txt").read_text(), platform)


@pytest.mark.parametrize(("kind", "platform"), HOST_PLATFORMS, ids=[f"{kind}-{on.name}" for kind, on in HOST_PLATFORMS])
def test_a_host_of_each_kind_gets_a_wheel_of_everything(kind: str, platform: Platform) -> None:
    """On 64-bit Arm, too, and from the C library of Debian 10 and RHEL 8 on."""
    lock = host_lock(kind, platform)
    wheels = {wheel.package: wheel for wheel in lock.choose()}
    assert len(wheels) == len(lock.packages) > 30
    environment = {"platform_machine": platform.machine, "python_version": ".".join(map(str, platform.python))}
    for wanted in map(Requirement, REFRESH.expand(GROUPS, f"host-{kind}")):
        if wanted.marker is None or wanted.marker.evaluate(environment):
            assert wheels[canonicalize_name(wanted.name)].version, f"{wanted} is asked for: run `make lock`"
    has_cuda = any(name.startswith("nvidia-cudnn") for name in wheels)
    assert has_cuda is (kind == "gpu") and "pip" in wheels
    for wanted in expand(EXTRAS["process"]):
        name = "tensorflow-cpu" if wanted.name == "tensorflow" and "tensorflow-cpu" in wheels else wanted.name
        assert wanted.specifier.contains(wheels[canonicalize_name(name)].version), wanted


@pytest.mark.parametrize(("kind", "platform"), HOST_PLATFORMS, ids=[f"{kind}-{on.name}" for kind, on in HOST_PLATFORMS])
def test_a_host_gets_what_images_hold(kind: str, platform: Platform) -> None:
    if platform.python < platforms.OLDEST_PYTHON:
        pytest.skip("no image is made for it")
    (environment,) = (
        one for one in REFRESH.ENVIRONMENTS if (one["python_version"] + "/" + one["platform_machine"]) == platform.name
    )
    versions = {one.name: one.version for one in host_lock(kind, platform).packages}
    del versions["pip"]
    assert versions == pins_for(f"images/requirements-{kind}.txt", environment)


def test_every_platform_of_hosts_is_another_environment() -> None:
    digests = [host_lock(kind, platform).digest for kind, platform in HOST_PLATFORMS]
    assert len(set(digests)) == len(digests) == 12
    assert host_lock("gpu", Platform((3, 12), "aarch64")).packages == (), "no wheel of TensorFlow for it has CUDA"


def test_the_locks_of_hosts_are_as_they_are_written() -> None:
    for name in REFRESH.HOST_LOCKS:
        header, *lines = (ROOT / name).read_text().splitlines(keepends=True)
        assert header == REFRESH.HEADER and "://" not in "".join(lines)
    assert {f"3.{minor}" for _, minor in HOST_PYTHONS} == {REFRESH.OLD_PYTHON, *REFRESH.PYTHONS}
    assert f"Python 3.{HOST_PYTHONS[0][1]} to 3.{HOST_PYTHONS[-1][1]}" == platforms.PYTHONS_OF_HOSTS


@pytest.mark.parametrize(("python", "machine", "said"), [
    ("3.10.12", "x86_64", ""),
    ("3.13.1", "aarch64", ""),
    ("3.9.21", "x86_64", "TensorFlow has no packages for Python 3.9.21, only for Python 3.10 to 3.13"),
    ("3.12.1", "riscv64", "TensorFlow has packages for x86-64 and 64-bit Arm, not for riscv64"),
])  # fmt: skip
def test_what_a_host_cannot_run_is_said(python: str, machine: str, said: str) -> None:
    assert platforms.find_host_obstacle(python, machine) == said
