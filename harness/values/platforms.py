"""The Python versions and machines for which TensorFlow has wheels, and how to install it.

As a script (``python3 harness/values/platforms.py``) it checks whether the Python that runs it can be used. The
Makefile calls it before it installs anything, so it needs no package and no Python newer than 3.6.
"""

import platform
import sys

OLDEST_PYTHON = (3, 11)
NEWEST_PYTHON = (3, 13)
MACHINES = ("x86_64", "aarch64")
PYTHONS_IN_WORDS = "Python 3.11 to 3.13"

OLDEST_HOST_PYTHON = (3, 10)
PYTHONS_OF_HOSTS = "Python 3.10 to 3.13"
"""The Python versions that can run jobs on a host: also an older one than this program needs."""

TENSORFLOW_PACKAGES = (
    "tensorflow>=2.20,<2.22",
    "grain>=0.2.12,<0.3",
    "simplejpeg>=1.8,<2",
    "pandas>=2.2,<4",
    "pillow>=11,<14",
)
"""The packages that a host's Python needs to run jobs of the engine ``process``. Harness is not installed there."""


def find_obstacle(python: str, machine: str = "", system: str = "Linux") -> str:
    """Return why there is no TensorFlow for a Python version such as "3.14.0" on a machine; empty if there is.

    An empty ``machine`` is not known, and not judged.
    """
    version = tuple(int(part) for part in python.split(".")[:2])
    if not OLDEST_PYTHON <= version <= NEWEST_PYTHON:
        return "TensorFlow has no packages for Python " + python + ", only for " + PYTHONS_IN_WORDS
    if system != "Linux" or (machine and machine not in MACHINES):
        return "TensorFlow and this program need Linux on x86-64 or 64-bit Arm, not " + system + " on " + machine
    return ""


def find_host_obstacle(python: str, machine: str = "") -> str:
    """Return why a host's Python cannot run jobs; empty if it can. An empty ``machine`` is not judged."""
    version = tuple(int(part) for part in python.split(".")[:2])
    if not OLDEST_HOST_PYTHON <= version <= NEWEST_PYTHON:
        return "TensorFlow has no packages for Python " + python + ", only for " + PYTHONS_OF_HOSTS
    if machine and machine not in MACHINES:
        return "TensorFlow has packages for x86-64 and 64-bit Arm, not for " + machine
    return ""


def advise_install(python: str, lacks: "tuple[str, ...]" = (), *, is_managed: bool = False) -> str:
    """Return the commands that install the packages of the engine ``process`` for a Python, each in backquotes.

    ``lacks``: which of ``pip`` and ``venv`` are absent; ``is_managed``: the distribution manages its packages.
    """
    wanted = " ".join("'" + package + "'" for package in TENSORFLOW_PACKAGES)
    options = "--user --break-system-packages " if is_managed else ""
    install = "`" + python + " -m pip install " + options + wanted + "`"
    if "pip" not in lacks:
        return install
    first = "sudo apt-get install python3-pip python3-venv"
    if "venv" not in lacks and not is_managed:
        first = python + " -m ensurepip"
    return "`" + first + "`, then " + install


def main() -> None:
    """Exit with 2 and a message if this Python cannot be used."""
    obstacle = find_obstacle(platform.python_version(), platform.machine(), platform.system())
    if obstacle:
        cure = "Use another Python: make run PYTHON=python3.13"
        sys.stderr.write(sys.executable + " cannot be used: " + obstacle + ".\n" + cure + "\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
