"""Make an environment for jobs on a host from wheels that were sent there, all or nothing, without network.

Standard library only. It is made under a temporary name, sealed by a file that lists its packages, and then renamed. A
process that is killed meanwhile leaves ``.making-…`` behind, which the next one removes.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from typing import TypedDict

from . import jobs
from .environment_digest import SEAL, list_distributions
from .jobs import Trouble
from .removal import REMOVE

MAKING = ".making-"

_PIECE_BYTES = 2**20
_VENV_TIMEOUT_S = 300
_INSTALL_TIMEOUT_S = 3000
_TAIL = 600


class WheelFields(TypedDict):
    """A file in the folder of wheels, and the requirements line that asks for it by its hash."""

    file: str
    sha256: str
    requirement: str


def make(folder: str, name: str, digest: str, wheels: list[WheelFields]) -> dict[str, object]:
    """Make ``folder/name`` from the wheels in ``folder/wheels`` unless it exists. Raises Trouble, OSError.

    ``digest`` identifies its contents. pip is one of the wheels and runs from its own file.
    """
    os.makedirs(folder, mode=0o755, exist_ok=True)
    sweep(folder)
    target = os.path.join(folder, name)
    if os.path.isfile(os.path.join(target, SEAL)) and _runs(target):
        return {"made": target}
    making = os.path.join(folder, f"{MAKING}{name}-{os.getpid()}-{jobs.start_time(os.getpid())}")
    try:
        _install(making, os.path.join(folder, "wheels"), wheels)
        jobs.write_object(os.path.join(making, SEAL), {"digest": digest, "distributions": _list(making)})
        _remove(target)  # one without a seal, or whose Python is gone
        os.rename(making, target)
    finally:
        _remove(making)
    return {"made": target}


def sweep(folder: str) -> None:
    """Remove what killed processes left behind."""
    for name in jobs.names_in(folder):
        if name.startswith(MAKING):
            pid, _, start = name.rpartition("-")[0].rpartition("-")[2], "", name.rpartition("-")[2]
            if not (pid.isdigit() and jobs.start_time(int(pid)) == start):
                _remove(os.path.join(folder, name))


def _runs(target: str) -> bool:
    """Return whether the Python of an environment still starts: a system upgrade may have removed it."""
    command = [os.path.join(target, "bin", "python"), "-S", "-E", "-c", ""]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _install(making: str, store: str, wheels: list[WheelFields]) -> None:
    for wheel in wheels:
        if _hash(os.path.join(store, wheel["file"])) != wheel["sha256"]:
            raise Trouble(f"{wheel['file']} is missing or differs from what was sent", "run the same command again")
    pip = next((wheel["file"] for wheel in wheels if wheel["file"].startswith("pip-")), None)
    if pip is None:
        raise Trouble("the wheels that were sent do not include pip", "please report this: a lock file is wrong")
    _run([sys.executable, "-m", "venv", "--without-pip", making], _VENV_TIMEOUT_S, "cannot create the environment")
    requirements = os.path.join(making, "requirements.txt")
    with open(requirements, "w", encoding="utf-8") as stream:
        stream.writelines(f"{wheel['requirement']}\n" for wheel in wheels if wheel["file"] != pip)
    options = ["--no-index", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir", "--quiet"]
    program = [os.path.join(making, "bin", "python"), os.path.join(store, pip, "pip"), "--isolated", "install"]
    command = [*program, *options, "--disable-pip-version-check", "--find-links", store, "-r", requirements]
    _run(command, _INSTALL_TIMEOUT_S, "cannot install its packages")


def _list(making: str) -> list[str]:
    """Return the distributions in an environment, as its own Python finds them."""
    python = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    return list_distributions([os.path.join(making, "lib", python, "site-packages")])


def _run(command: list[str], timeout_s: int, failure: str) -> None:
    variables = {key: value for key, value in os.environ.items() if not key.startswith(("PIP_", "PYTHON"))}
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout_s, env=variables, check=False
        )
    except subprocess.TimeoutExpired:
        raise Trouble(f"{failure}: it took more than {timeout_s} s", "check the host's load and disk") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-_TAIL:]
        raise Trouble(f"{failure}: {said}", "check that its disk has free space and its Python is complete")


def _hash(path: str) -> str:
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
    except FileNotFoundError:
        return ""
    return digest.hexdigest()


def _remove(path: str) -> None:
    if os.path.lexists(path):
        subprocess.run([*REMOVE, path], stdin=subprocess.DEVNULL, capture_output=True, check=False)
