"""An environment for jobs on a host: made of wheels that were sent there, whole or not at all, with no network.

Standard library only. It is made under another name, sealed by a marker that says what it holds, and only then gets its
own name: whoever is killed meanwhile leaves ``.making-…`` behind, which the next one sweeps up.
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
    """A file in the folder of wheels, and the line of a requirements file that asks for it by its hash."""

    file: str
    sha256: str
    requirement: str


def make(folder: str, name: str, digest: str, wheels: list[WheelFields]) -> dict[str, object]:
    """Make ``folder/name`` of the wheels in ``folder/wheels`` where it is not there. Raises Trouble, OSError.

    ``digest`` is the identity of what it holds. pip is one of the wheels, and runs out of its own file.
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
        _remove(target)  # one without a seal: somebody took it away, or an earlier version made it
        os.rename(making, target)
    finally:
        _remove(making)
    return {"made": target}


def sweep(folder: str) -> None:
    """Remove what killed makers left behind."""
    for name in jobs.names_in(folder):
        if name.startswith(MAKING):
            pid, _, start = name.rpartition("-")[0].rpartition("-")[2], "", name.rpartition("-")[2]
            if not (pid.isdigit() and jobs.start_time(int(pid)) == start):
                _remove(os.path.join(folder, name))


def _runs(target: str) -> bool:
    """Whether the Python of an environment is still there: an upgrade of the system may have taken it away."""
    command = [os.path.join(target, "bin", "python"), "-S", "-E", "-c", ""]
    try:
        return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def _install(making: str, store: str, wheels: list[WheelFields]) -> None:
    for wheel in wheels:
        if _hash(os.path.join(store, wheel["file"])) != wheel["sha256"]:
            raise Trouble(f"{wheel['file']} is not there as it was sent", "run the same command again")
    pip = next((wheel["file"] for wheel in wheels if wheel["file"].startswith("pip-")), None)
    if pip is None:
        raise Trouble("no pip is among the wheels that were sent", "report this: a lock is wrong")
    _run([sys.executable, "-m", "venv", "--without-pip", making], _VENV_TIMEOUT_S, "the environment cannot be made")
    requirements = os.path.join(making, "requirements.txt")
    with open(requirements, "w", encoding="utf-8") as stream:
        stream.writelines(f"{wheel['requirement']}\n" for wheel in wheels if wheel["file"] != pip)
    options = ["--no-index", "--no-deps", "--require-hashes", "--only-binary", ":all:", "--no-cache-dir", "--quiet"]
    program = [os.path.join(making, "bin", "python"), os.path.join(store, pip, "pip"), "--isolated", "install"]
    command = [*program, *options, "--disable-pip-version-check", "--find-links", store, "-r", requirements]
    _run(command, _INSTALL_TIMEOUT_S, "its packages cannot be installed")


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
        raise Trouble(f"{failure}: it took more than {timeout_s} s", "see the load and the disk of the host") from None
    if done.returncode != 0:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-_TAIL:]
        raise Trouble(f"{failure}: {said}", "see that its disk has room, and that its Python is whole")


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
