"""Resolve all extras and dependency groups of pyproject.toml together with uv and write a lock for each: `make lock`.

The locks name no index: what they hold are names, versions, markers and hashes of the public packages. Those of hosts
(``harness/values/wheels.py``) are for Python 3.10, too, which gets a resolution of its own; the rest share one.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable
from itertools import product
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from harness.values.wheels import LockedPackage, Platform, Wheel, fit, write_lock  # noqa: E402

HEADER = "# Written by `make lock`; pyproject.toml says what is asked for.\n"
LOCKS = {
    "locks/process.txt": ["--group", "build", "--extra", "process"],
    "locks/process-cpu.txt": ["--group", "build", "--extra", "process-cpu"],
    "locks/process-gpu.txt": ["--group", "build", "--extra", "process-gpu"],
    "locks/test.txt": ["--only-group", "test"],
    "locks/bench.txt": ["--only-group", "bench"],
    "locks/docs.txt": ["--only-group", "docs"],
    "locks/lock.txt": ["--only-group", "lock"],
    "images/requirements-cpu.txt": ["--only-group", "image-cpu"],
    "images/requirements-gpu.txt": ["--only-group", "image-gpu"],
}
HOST_LOCKS = {"locks/host-cpu.txt": "host-cpu", "locks/host-gpu.txt": "host-gpu"}
"""What a host's Python gets where it lacks TensorFlow, by the group of pyproject.toml that says what it is."""

PYTHONS = ("3.11", "3.12", "3.13")
OLD_PYTHON = "3.10"
"""Runs jobs on hosts, and not this program."""

MACHINES = ("x86_64", "aarch64")
NO_CUDA = "aarch64"
"""No wheel of TensorFlow for this machine has CUDA: there is no lock of it."""


def list_environments(pythons: Iterable[str]) -> list[dict[str, str]]:
    """What markers are evaluated in, for each Python and machine."""
    return [
        {
            "python_version": python,
            "python_full_version": f"{python}.0",
            "platform_machine": machine,
            "sys_platform": "linux",
            "platform_system": "Linux",
            "os_name": "posix",
            "implementation_name": "cpython",
            "platform_python_implementation": "CPython",
            "extra": "",
        }
        for python, machine in product(pythons, MACHINES)
    ]


ENVIRONMENTS = list_environments(PYTHONS)
SHORT = [
    *(f"platform_machine {sign} 'x86_64'" for sign in ("==", "!=")),
    *(f"python_version {sign} '{python}'" for python in PYTHONS[1:] for sign in ("<", ">=")),
]


def main() -> None:
    """Write all locks; nothing is written where one cannot be resolved."""
    texts = {}
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        (project / "harness").mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE", "harness/__init__.py"):
            shutil.copy(ROOT / name, project / name)
        uv(project, "lock")
        for name, wanted in LOCKS.items():
            exported = uv(project, "export", "--frozen", "--no-emit-project", "--no-header", "--no-annotate", *wanted)
            texts[name] = HEADER + "".join(shorten(line) for line in exported.splitlines(keepends=True))
        older = make_old_project(Path(folder) / "older")
        for name, group in HOST_LOCKS.items():
            found = {**choose(older, group, (OLD_PYTHON,)), **choose(project, group, PYTHONS)}
            texts[name] = HEADER + write_lock(merge(found))
    for name, text in texts.items():
        (ROOT / name).write_text(text)


def make_old_project(folder: Path) -> Path:
    """Resolve what hosts get for the Python that is too old for the rest, within the same bounds."""
    said = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = said["dependency-groups"]
    own = {group: expand(groups, group) for group in HOST_LOCKS.values()}
    project, newer = said["project"], PYTHONS[0]
    environments = [f"{one} and python_version < '{newer}'" for one in said["tool"]["uv"]["environments"]]
    bounds = [*project["dependencies"], *project["optional-dependencies"]["process-cpu"]]
    lines = [
        "[project]", 'name = "hosts"', 'version = "0"', f'requires-python = ">={OLD_PYTHON}"',
        "[dependency-groups]", *(f"{name} = {json.dumps(wanted)}" for name, wanted in own.items()),
        "[tool.uv]", f"environments = {json.dumps(environments)}",
        "default-groups = []", f"constraint-dependencies = {json.dumps(bounds)}",
    ]  # fmt: skip
    folder.mkdir()
    (folder / "pyproject.toml").write_text("".join(f"{line}\n" for line in lines))
    uv(folder, "lock")
    return folder


def expand(groups: dict[str, Any], name: str) -> list[str]:
    """Return the requirements of a group, those of groups that it includes among them."""
    found = []
    for line in groups[name]:
        found += [line] if isinstance(line, str) else expand(groups, line["include-group"])
    return found


def choose(project: Path, group: str, pythons: Iterable[str]) -> dict[Platform, list[LockedPackage]]:
    """Return what a group comes to on each platform, with the wheels that fit there."""
    locked = tomllib.loads((project / "uv.lock").read_text())["package"]
    wheels = {(one["name"], one.get("version")): one.get("wheels", []) for one in locked}
    exported = uv(project, "export", "--frozen", "--no-emit-project", "--no-header", "--no-annotate", "--no-hashes",
                  "--only-group", group)  # fmt: skip
    pins = [Requirement(line) for line in exported.splitlines() if line and not line.startswith("#")]
    found: dict[Platform, list[LockedPackage]] = {}
    for environment in list_environments(pythons):
        major, minor = map(int, environment["python_version"].split("."))
        platform = Platform((major, minor), environment["platform_machine"])
        if group.endswith("gpu") and platform.machine == NO_CUDA:
            continue
        for pin in pins:
            if pin.marker is None or pin.marker.evaluate(environment):
                (version,) = (one.version for one in pin.specifier)
                files = [read_wheel(pin.name, version, one) for one in wheels[pin.name, version]]
                fitting = tuple(one for one in files if fit(one.file, platform) is not None)
                found.setdefault(platform, []).append(LockedPackage(pin.name, version, (platform.name,), fitting))
    return found


def read_wheel(name: str, version: str, said: dict[str, Any]) -> Wheel:
    """Read a wheel of a lock of uv."""
    return Wheel(name, version, said["url"].rpartition("/")[2], said["size"], said["hash"].removeprefix("sha256:"))


def merge(found: dict[Platform, list[LockedPackage]]) -> list[LockedPackage]:
    """Return the packages of all platforms, each version once, by name and version."""
    platforms: dict[tuple[str, str], list[str]] = {}
    wheels: dict[tuple[str, str], set[Wheel]] = {}
    for packages in found.values():
        for one in packages:
            platforms.setdefault((one.name, one.version), []).extend(one.platforms)
            wheels.setdefault((one.name, one.version), set()).update(one.wheels)
    merged = []
    for (name, version), names in sorted(platforms.items()):
        by_name = tuple(sorted(wheels[name, version], key=lambda wheel: wheel.file))
        merged.append(LockedPackage(name, version, tuple(names), by_name))
    return merged


def uv(project: Path, *words: str) -> str:
    """What uv prints."""
    command = [sys.executable, "-m", "uv", words[0], "--quiet", "--project", str(project), *words[1:]]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=project).stdout


def shorten(line: str) -> str:
    """Leave out of a line's marker what is true wherever the locks are used: uv repeats that it is Linux, and where."""
    found = re.fullmatch(r"(\S+) ; (.*?)( \\)?\n", line)
    if found is None:
        return line
    pin, marker, more = found[1], Marker(found[2]), found[3] or ""
    answers = [marker.evaluate(environment) for environment in ENVIRONMENTS]
    if all(answers):
        return f"{pin}{more}\n"
    short = (one for one in SHORT if answers == [Marker(one).evaluate(environment) for environment in ENVIRONMENTS])
    return f"{pin} ; {next(short, found[2])}{more}\n"


if __name__ == "__main__":
    main()
