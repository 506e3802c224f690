"""The outer Docker Engine, in whose containers the lab's workstations live: by its own program, as a user would."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

_STEPS_S = 1800.0
_PATH = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class LabError(RuntimeError):
    """The lab could not do something; the message has the last lines of what failed."""


def run(argv: Sequence[str], *, input: bytes | None = None, timeout_s: float = _STEPS_S) -> str:
    """Run a program to its end and return its stdout. Raises LabError with what it said."""
    try:
        done = subprocess.run(
            list(argv),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            check=False,
            timeout=timeout_s,
            env={**os.environ, "PATH": _PATH, "DOCKER_BUILDKIT": "0"},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LabError(f"{argv[0]}: {error}") from error
    if done.returncode != 0:
        said = (done.stderr + done.stdout).decode(errors="replace").splitlines()
        raise LabError("\n".join([f"{' '.join(argv)} ended with {done.returncode}:", *said[-15:]]))
    return done.stdout.decode(errors="replace")


def docker(*words: str, input: bytes | None = None, timeout_s: float = 120.0) -> str:
    """One command of the outer engine."""
    return run(["docker", *words], input=input, timeout_s=timeout_s).strip()


def answers() -> bool:
    """Whether an outer engine answers."""
    try:
        docker("version", "--format", "{{.Server.Version}}", timeout_s=20)
    except LabError:
        return False
    return True


def why_not() -> str | None:
    """Why the lab may not be brought up here, or None. A user's own engine is never used without ``HARNESS_LAB=1``."""
    if os.environ.get("HARNESS_LAB") == "0":
        return "HARNESS_LAB=0"
    if os.geteuid() != 0:
        return "it needs root"
    if shutil.which("apt-get") is None or _distribution() != "debian":
        return "it is built from Debian's packages, on Debian"
    if shutil.which("debootstrap", path=os.environ.get("PATH", "") + ":/usr/sbin") is None:
        return "debootstrap is not installed (apt-get install debootstrap)"
    if (
        shutil.which("docker") is None
        or shutil.which("dockerd", path=os.environ.get("PATH", "") + ":/usr/sbin") is None
    ):
        return "no Docker Engine is installed (apt-get install docker.io)"
    if os.environ.get("HARNESS_LAB") != "1" and (foreign := _foreign_packages()):
        return f"{', '.join(foreign)} is a Docker of your own, which is left alone; HARNESS_LAB=1 uses it"
    return None


def why_not_now() -> str | None:
    """The same, and whether an engine answers at this moment."""
    return why_not() or (None if answers() else "no Docker Engine answers")


def start(folder: Path) -> int | None:
    """Start an outer engine where none answers; its process id, or None. Its data stay in ``folder``."""
    if answers():
        return None
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "dockerd.log").open("ab") as log:
        Path("/var/run/docker.pid").unlink(missing_ok=True)
        daemon = subprocess.Popen(
            ["/usr/bin/env", "dockerd"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
            env={**os.environ, "PATH": _PATH},
        )
    for _ in range(120):
        if answers():
            return daemon.pid
        if daemon.poll() is not None:
            break
        time.sleep(0.5)
    raise LabError(f"dockerd did not start; see {folder / 'dockerd.log'}")


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release().get("ID", "")
    except OSError:
        return ""


def _foreign_packages() -> list[str]:
    """Docker packages that are not Debian's own docker.io: whoever installed them uses them."""
    wanted = ["docker-ce", "docker-ee", "docker-desktop", "moby-engine", "podman-docker"]
    done = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *wanted],
        capture_output=True,
        text=True,
        check=False,
    )
    return [line.split()[0] for line in done.stdout.splitlines() if line.split()[1:2] == ["ii"]]


if __name__ == "__main__":
    print(why_not_now() or "", end="")
