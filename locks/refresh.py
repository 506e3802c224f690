"""Resolve all extras and dependency groups of pyproject.toml together with uv and write a lock for each: `make lock`.

The locks name no index: what they hold are names, versions, markers and hashes of the public packages.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from itertools import product
from pathlib import Path

from packaging.markers import Marker

ROOT = Path(__file__).resolve().parent.parent
HEADER = "# Written by `make lock`; pyproject.toml says what is asked for.\n"
LOCKS = {
    "locks/process.txt": ["--group", "build", "--extra", "process"],
    "locks/process-cpu.txt": ["--group", "build", "--extra", "process-cpu"],
    "locks/process-gpu.txt": ["--group", "build", "--extra", "process-gpu"],
    "locks/test.txt": ["--only-group", "test"],
    "locks/bench.txt": ["--only-group", "bench"],
    "locks/lock.txt": ["--only-group", "lock"],
    "images/requirements-cpu.txt": ["--only-group", "image-cpu"],
    "images/requirements-gpu.txt": ["--only-group", "image-gpu"],
}
PYTHONS = ("3.11", "3.12", "3.13")
MACHINES = ("x86_64", "aarch64")
ENVIRONMENTS = [
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
    for python, machine in product(PYTHONS, MACHINES)
]
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
    for name, text in texts.items():
        (ROOT / name).write_text(text)


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
