"""Images of the lab's workstations: whole Debian releases, each with sshd and a Docker Engine of its own.

Made of nothing but Debian packages, from the archive that this machine's apt uses, and kept outside the tree under the
hash of what they are made of.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from outer_engine import LabError, docker, run

from harness.ship.base import choose_source, own_suite, read_sources, scratch_folder

HERE = Path(__file__).parent
SUITES = ("bookworm", "trixie", "forky")
"""Debian releases, with Docker 20.10, 26.1 and 28.5."""
REPOSITORY = "harness-lab-host"
TINY = "harness-lab-tiny"
_PACKAGES = ("openssh-server", "docker.io", "iptables", "iproute2", "procps", "kmod", "python3", "tini", "e2fsprogs")
_CLI = {"trixie": ("docker-cli",), "forky": ("docker-cli",)}  # a part of docker.io in bookworm
_SCRIPTS = {"forky": "sid"}  # how debootstrap bootstraps a release that it does not know yet
_UNWANTED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "var/cache/apt", "var/lib/apt/lists", "var/log")
_RECIPE = 2
"""Counts changes of what is done beside the packages."""

Report = Callable[[str], None]


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def cache_folder() -> Path:
    """Where what is slow to make is kept between runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "lab"


def host_image(suite: str, report: Report = _tell) -> str:
    """The image of a release on the outer engine, made or imported if need be. Returns its reference."""
    mirror = debian_mirror()
    packages = (*_PACKAGES, *_CLI.get(suite, ()))
    key = hashlib.sha256(json.dumps([_RECIPE, suite, mirror, packages, platform.machine()]).encode()).hexdigest()[:12]
    reference = f"{REPOSITORY}:{suite}-{key}"
    with only_one(suite):
        if not has_image(reference):
            tar = cache_folder() / f"{suite}-{key}.tar.gz"
            if not tar.exists():
                report(f"make Debian {suite} with {', '.join(packages)}")
                _bootstrap(suite, mirror, packages, tar)
            report(f"import {reference}")
            run(["docker", "import", str(tar), reference])
    return reference


def tiny_image(report: Report = _tell) -> str:
    """An image with Python's standard library and nothing else, in three layers: what most tests ship."""
    source = host_image("bookworm", report)
    recipe = (HERE / "tiny_root.sh").read_bytes() + source.encode()
    reference = f"{TINY}:{hashlib.sha256(recipe).hexdigest()[:12]}"
    with only_one("tiny"):
        if not has_image(reference):
            report(f"make {reference}")
            command = f"docker run --rm -i {source} sh -s < {HERE}/tiny_root.sh | docker import - {reference}-root"
            run(["bash", "-o", "pipefail", "-c", command])
            layers = f"FROM {reference}-root\nENV PATH=/usr/bin:/bin\nCOPY one /one\nCOPY two /two\n"
            with tempfile.TemporaryDirectory() as context:
                (Path(context) / "one").write_bytes(os.urandom(2**20))
                (Path(context) / "two").write_text("the top layer\n")
                (Path(context) / "Dockerfile").write_text(layers)
                run(["docker", "build", "-q", "-t", reference, context])
    return reference


def has_image(reference: str) -> bool:
    """Whether the outer engine has it; never a pull."""
    try:
        docker("image", "inspect", "--format", "{{.Id}}", reference)
    except LabError:
        return False
    return True


def _bootstrap(suite: str, mirror: str, packages: tuple[str, ...], tar: Path) -> None:
    with scratch_folder(cache_folder()) as scratch:
        root = scratch / "root"
        make_root(root, suite, mirror, packages)
        part = scratch / "root.tar.gz"
        run(["tar", "--numeric-owner", "--one-file-system", "-C", str(root), "-I", "gzip -1", "-cf", str(part), "."])
        part.replace(tar)


def make_root(root: Path, suite: str, mirror: str, packages: tuple[str, ...]) -> None:
    """A Debian release with these packages in a folder, without manuals, lists and keys."""
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(packages)}", suite, str(root), mirror]
    run(command + ([_SCRIPTS[suite]] if suite in _SCRIPTS else []))
    for place in _UNWANTED:
        shutil.rmtree(root / place, ignore_errors=True)
        (root / place).mkdir(parents=True, exist_ok=True)
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each machine gets its own


def debian_mirror() -> str:
    """The package archive that this machine's apt uses."""
    return choose_source(read_sources(), suite=None, mirror=None, own=own_suite())[1]


@contextmanager
def only_one(name: str) -> Iterator[None]:
    """One maker of a thing at a time on this machine."""
    cache_folder().mkdir(parents=True, exist_ok=True)
    with (cache_folder() / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SUITES:
        print(host_image(wanted))
