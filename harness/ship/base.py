"""Make a base image from Debian packages where no image registry can be reached, by debootstrap and an import."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.launcher.confine import mounts_below, read_mountinfo
from harness.bench.protocol.atomic import write_file
from harness.engine import daemon
from harness.engine.daemon_words import words_of
from harness.engine.dockerinfo import Image, seek_image
from harness.values.errors import EngineError, ImageUnavailable
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from docker.api.client import APIClient

PACKAGES = ("ca-certificates", "python3", "python3-venv")
REPOSITORY = "harness-base"
_RECIPE = 1
"""Version of the steps besides the packages, so that a tar of older steps is not used."""
_KEYS = (
    "the packages' signatures cannot be verified: sudo apt-get install gpgv debian-archive-keyring (on Ubuntu: "
    "ubuntu-keyring), or name an image with --base-image"
)
_DEADLINE_S = 1800.0
PLACES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))


def make_base(
    client: APIClient,
    *,
    suite: str | None = None,
    mirror: str | None = None,
    cache: Path | None = None,
    on_progress: Callable[[str], None] | None = None,
) -> str:
    """Make a base image and return its reference; this needs root, unless the tar of an earlier call is in the cache.

    ``suite`` and ``mirror`` default to this machine's own. The tar is kept in ``cache`` under the hash of its content.
    Raises ImageUnavailable, HostUnreachable.
    """
    report = on_progress or (lambda _: None)
    folder = cache or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "base"
    suite, mirror = choose_source(read_sources(), suite=suite, mirror=mirror, own=own_suite())
    tar, content = find_kept(folder, suite, mirror) or _bootstrap(folder, suite, mirror, report)
    reference = f"{REPOSITORY}:{suite}-{content[:12]}"
    if look_for(client, reference) is None:
        report(f"import {reference} ({format_bytes(tar.stat().st_size)})")
        _import(client, tar, reference)
    return reference


def find_kept(folder: Path, suite: str, mirror: str) -> tuple[Path, str] | None:
    """Return the tar of an earlier call and its hash; None where there is none, or the hash does not match."""
    try:
        content = str(json.loads(_index(folder, suite, mirror).read_text())["content"])
        tar = folder / f"{content}.tar"
        return (tar, content) if _hash(tar) == content else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _bootstrap(folder: Path, suite: str, mirror: str, report: Callable[[str], None]) -> tuple[Path, str]:
    program = shutil.which("debootstrap") or shutil.which("debootstrap", path="/usr/sbin:/sbin")
    if program is None:
        raise ImageUnavailable("debootstrap is not installed", hint="sudo apt-get install debootstrap")
    if os.geteuid() != 0:
        raise ImageUnavailable("debootstrap needs root", hint="sudo harness image base")
    folder.mkdir(parents=True, exist_ok=True)
    with scratch_folder(folder) as scratch:
        root = scratch / "root"
        # Without --force-check-gpg a missing keyring is only a warning, and plain HTTP can be tampered with.
        options = ["--force-check-gpg", "--variant=minbase", "--include=" + ",".join(PACKAGES)]
        command = [program, *options, suite, str(root), mirror]
        _run(command, report)
        for place in ("var/cache/apt/archives", "var/lib/apt/lists", "var/log", "var/cache/debconf"):
            shutil.rmtree(root / place, ignore_errors=True)
            (root / place).mkdir(parents=True, exist_ok=True)
        tar = scratch / "base.tar"
        _run(
            ["tar", "--numeric-owner", "--sort=name", "--one-file-system", "-C", str(root), "-cf", str(tar), "."],
            report,
        )
        content = _hash(tar)
        tar.replace(folder / f"{content}.tar")
        write_file(_index(folder, suite, mirror), json.dumps({"suite": suite, "mirror": mirror, "content": content}))
    return folder / f"{content}.tar", content


@contextmanager
def explaining(client: APIClient | None, doing: str) -> Iterator[None]:
    """Context manager: turn a client's exceptions into HostUnreachable or ImageUnavailable; NotFound passes.

    ``doing`` is the action as a verb phrase. ``client`` None: there is no client yet. After HostUnreachable the caller
    must make a new client.
    """
    from docker.errors import APIError, NotFound

    words = words_of(client)
    try:
        with daemon.talking("localhost", doing, lambda: None, words):
            yield
    except NotFound:
        raise
    except APIError as error:
        raise ImageUnavailable(f"{words.title} could not {doing}: {daemon.explain(error)}") from error
    except EngineError as error:
        if isinstance(error, ImageUnavailable):
            raise
        raise ImageUnavailable(error.message, hint=error.hint) from error


def look_for(client: APIClient, reference: str) -> Image | None:
    """Return an image of this machine's engine by name; None if absent. Raises HostUnreachable, ImageUnavailable."""
    with explaining(client, f"look for {reference}"):
        return seek_image(client, reference)


def _import(client: APIClient, tar: Path, reference: str) -> None:
    repository, _, tag = reference.partition(":")
    with explaining(client, f"import {reference}"):
        said = str(client.import_image_from_file(str(tar), repository=repository, tag=tag))
    made = re.findall(r"[0-9a-f]{64}", said)
    if '"error"' in said or not made:
        raise ImageUnavailable(f"{reference} could not be imported: {said}", hint="check whether the disk is full")
    if look_for(client, reference) is None:  # Podman 4.3 ignores the tag
        with explaining(client, f"name {reference}"):
            client.tag(made[-1], repository, tag)


def _run(command: list[str], report: Callable[[str], None]) -> None:
    """Run a program to its end, and report each line of its output. Raises ImageUnavailable with the last lines."""
    lines: list[str] = []
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
    ) as run:
        try:
            for line in run.stdout or ():
                lines.append(line.strip())
                report(lines[-1])
            run.wait(timeout=_DEADLINE_S)
        except BaseException:
            run.terminate()
            raise
    if run.returncode != 0:
        tail = "\n".join(f"  | {line}" for line in lines[-8:])
        is_unproven = any(word in tail.lower() for word in ("keyring", "gpg", "unknown key", "signature"))
        hint = _KEYS if is_unproven else "check whether the package archive can be reached: apt-get update"
        raise ImageUnavailable(f"{Path(command[0]).name} failed ({run.returncode}):\n{tail}", hint=hint)


@contextmanager
def scratch_folder(folder: Path) -> Iterator[Path]:
    """Context manager: yield a folder, and remove it at the end after unmounting what debootstrap left mounted."""
    path = Path(tempfile.mkdtemp(prefix="making-", dir=folder))
    try:
        yield path
    finally:
        for point in reversed(mounts_below(str(path), read_mountinfo())):
            subprocess.run(["umount", "-l", point.path], check=False, capture_output=True)
        if not mounts_below(str(path), read_mountinfo()):
            shutil.rmtree(path, ignore_errors=True)


def _index(folder: Path, suite: str, mirror: str) -> Path:
    key = json.dumps([_RECIPE, suite, mirror, PACKAGES, platform.machine()])
    return folder / f"{suite}-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json"


def _hash(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@dataclass(frozen=True)
class Source:
    """A package archive in apt's sources."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def read_sources(places: tuple[Path, ...] = PLACES) -> list[Source]:
    """Return the package archives in this machine's apt sources, from both file formats."""
    found: list[Source] = []
    for place in places:
        files = sorted(place.iterdir()) if place.is_dir() else [place]
        for file in files:
            if file.suffix not in (".list", ".sources") or not file.is_file():
                continue
            text = file.read_text(errors="replace")
            found += parse_deb822(text) if file.suffix == ".sources" else parse_lines(text)
    return found


def parse_lines(text: str) -> list[Source]:
    """Parse lines ``deb [options] URI SUITE COMPONENT…`` (sources.list(5))."""
    found = []
    for line in text.splitlines():
        words = line.split("#")[0].split()
        if not words or words[0] != "deb":
            continue
        rest = words[1:]
        if rest and rest[0].startswith("["):
            end = next((index for index, word in enumerate(rest) if word.endswith("]")), len(rest))
            rest = rest[end + 1 :]
        if len(rest) >= 2:
            found.append(Source(rest[0], (rest[1],), tuple(rest[2:])))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Parse stanzas with ``Types``, ``URIs``, ``Suites``, ``Components`` (sources.list(5))."""
    found = []
    for stanza in text.split("\n\n"):
        fields: dict[str, str] = {}
        name = ""
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1].isspace():
                fields[name] = fields.get(name, "") + " " + line.strip()
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        suites, components = tuple(fields.get("suites", "").split()), tuple(fields.get("components", "").split())
        found += [Source(uri, suites, components) for uri in fields.get("uris", "").split()]
    return found


def choose_source(sources: list[Source], *, suite: str | None, mirror: str | None, own: str | None) -> tuple[str, str]:
    """Return the suite and mirror for a base image: the arguments, else the machine's own. Raises ImageUnavailable."""
    mains = [source for source in sources if "main" in source.components and source.uri.startswith("http")]
    wanted = suite or own
    for source in mains:
        if wanted in source.suites:
            return str(wanted), mirror or source.uri
    plain = [source for source in mains if not any("-security" in name or "/" in name for name in source.suites)]
    if plain and wanted:
        return wanted, mirror or plain[0].uri
    if wanted and mirror:
        return wanted, mirror
    hint = "name an image that the engine has with --base-image"
    raise ImageUnavailable("apt's sources on this machine name no Debian or Ubuntu archive", hint=hint)


def own_suite() -> str | None:
    """Return the code name of this machine's release; None where it has none."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME")
    except OSError:
        return None
