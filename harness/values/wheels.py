"""Lock files of the environments for hosts: packages, their wheels, and the Pythons and machines they are for. Pure.

A lock is text. A line names a package, its version and its platforms, like ``3.11/x86_64``; the indented lines below it
are its wheels: SHA-256, size in bytes, file name. Standard library only, because the script that writes locks uses this
module, too.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

NEWEST_LIBC = (2, 999)
"""A C library version that fits every wheel."""

_PACKAGE = re.compile(r"([a-z0-9][a-z0-9._-]{0,99})==([0-9][0-9a-z.+!-]{0,60}) ([a-z0-9_./ ]+)")
_WHEEL = re.compile(r"    ([0-9a-f]{64}) ([0-9]{1,12}) ([A-Za-z0-9][A-Za-z0-9._+!-]{0,250}\.whl)")
_LEGACY = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}
_MANYLINUX = re.compile(r"manylinux_([0-9]{1,2})_([0-9]{1,3})_(\w+)|(manylinux1|manylinux2010|manylinux2014)_(\w+)")
_PYTHON = re.compile(r"(cp|py)([0-9])([0-9]{0,2})")


class Platform(NamedTuple):
    """What wheels must fit: a CPython version such as (3, 11), a machine, and its glibc version."""

    python: tuple[int, int]
    machine: str
    libc: tuple[int, int] = NEWEST_LIBC

    @property
    def name(self) -> str:
        """The platform as in locks, like ``3.11/x86_64``."""
        return f"{self.python[0]}.{self.python[1]}/{self.machine}"


class Wheel(NamedTuple):
    """A wheel: a file that installs one package."""

    package: str
    version: str
    file: str
    size: int
    sha256: str

    @property
    def requirement(self) -> str:
        """The line for a requirements file, with the hash of this file."""
        return f"{self.package}=={self.version} --hash=sha256:{self.sha256}"


class LockedPackage(NamedTuple):
    """A package of a lock, the platforms that it is for, and its wheels."""

    name: str
    version: str
    platforms: tuple[str, ...]
    wheels: tuple[Wheel, ...]

    def is_for(self, platform: Platform) -> bool:
        """Whether an environment of this platform holds it."""
        return platform.name in self.platforms


class Lock(NamedTuple):
    """The packages of an environment for one platform."""

    platform: Platform
    packages: tuple[LockedPackage, ...]

    @property
    def digest(self) -> str:
        """SHA-256, in hex, over the platform, all packages, and their wheels for any C library version.

        It names the environment: hosts with other C libraries get other wheels of the same versions.
        """
        anywhere = self.platform._replace(libc=NEWEST_LIBC)
        lines = [self.platform.name]
        for package in self.packages:
            lines.append(f"{package.name}=={package.version}")
            lines += sorted(wheel.sha256 for wheel in package.wheels if fit(wheel.file, anywhere) is not None)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()

    def choose(self) -> tuple[Wheel, ...]:
        """Return the best-fitting wheel of each package. Raises LookupError with a package that has none."""
        chosen = []
        for package in self.packages:
            ranks = ((fit(wheel.file, self.platform), wheel) for wheel in package.wheels)
            fitting = [(rank, wheel) for rank, wheel in ranks if rank is not None]
            if not fitting:
                raise LookupError(f"{package.name} {package.version}")
            chosen.append(max(fitting)[1])
        return tuple(chosen)


def read_lock(text: str, platform: Platform) -> Lock:
    """Parse the packages of a lock for a platform; none if the lock is not for it. Raises ValueError if damaged."""
    found: list[tuple[str, str, tuple[str, ...], list[Wheel]]] = []
    for line in text.splitlines():
        if line.startswith("#") or not line:
            continue
        if (match := _PACKAGE.fullmatch(line)) is not None:
            found.append((match[1], match[2], tuple(match[3].split()), []))
        elif found and (match := _WHEEL.fullmatch(line)) is not None:
            name, version, _, wheels = found[-1]
            wheels.append(Wheel(name, version, match[3], int(match[2]), match[1]))
        else:
            raise ValueError(f"a lock has an invalid line: {line[:80]!r}")
    packages = [LockedPackage(name, version, names, tuple(wheels)) for name, version, names, wheels in found]
    return Lock(platform, tuple(package for package in packages if package.is_for(platform)))


def write_lock(packages: Iterable[LockedPackage]) -> str:
    """Return the text of a lock, without its first line."""
    lines = []
    for package in packages:
        lines.append(f"{package.name}=={package.version} {' '.join(package.platforms)}")
        lines += [f"    {wheel.sha256} {wheel.size} {wheel.file}" for wheel in package.wheels]
    return "".join(f"{line}\n" for line in lines)


def fit(file: str, platform: Platform) -> tuple[int, ...] | None:
    """Return how well a wheel fits, as a rank (higher is better); None if it does not (PEP 425, 600, 656)."""
    parts = file.removesuffix(".whl").split("-")
    if len(parts) not in (5, 6):
        return None
    pythons, abis, machines = (part.split(".") for part in parts[-3:])
    libc = max((found for tag in machines if (found := _fit_machine(tag, platform)) is not None), default=None)
    python = max(_fit_python(tag, abi, platform.python) for tag in pythons for abi in abis)
    return None if libc is None or not python else (python, *libc)


def _fit_machine(tag: str, platform: Platform) -> tuple[int, int] | None:
    """Return the glibc version that a platform tag needs, (0, 0) for none; None if the tag does not fit."""
    if tag in ("any", f"linux_{platform.machine}"):
        return (0, 0)
    match = _MANYLINUX.fullmatch(tag)
    if match is None or (match[3] or match[5]) != platform.machine:
        return None
    needed = _LEGACY[match[4]] if match[4] else (int(match[1]), int(match[2]))
    return needed if needed <= platform.libc else None


def _fit_python(tag: str, abi: str, python: tuple[int, int]) -> int:
    """Return 3 for exactly this CPython, 2 for the stable ABI, 1 for any Python, 0 if the tag does not fit."""
    match = _PYTHON.fullmatch(tag)
    if match is None or int(match[2]) != python[0]:
        return 0
    minor = int(match[3]) if match[3] else None
    if abi == "none":
        is_this = minor == python[1] if match[1] == "cp" else minor is None or minor <= python[1]
        return int(is_this)
    if match[1] != "cp" or minor is None:
        return 0
    if abi == f"cp{python[0]}{python[1]}" and minor == python[1]:
        return 3
    return 2 if abi == "abi3" and minor <= python[1] else 0


def platform_tags(wheels: Sequence[Wheel]) -> tuple[str, ...]:
    """Return the platform tags of wheels, sorted, without ``any``."""
    tags = {tag for wheel in wheels for tag in wheel.file.removesuffix(".whl").split("-")[-1].split(".")}
    return tuple(sorted(tags - {"any"}))
