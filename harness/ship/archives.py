"""The package archives of a Debian or Ubuntu machine, as apt knows them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path

from harness.values.errors import ImageUnavailable

PLACES = (Path("/etc/apt/sources.list"), Path("/etc/apt/sources.list.d"))


@dataclass(frozen=True)
class Source:
    """A package archive as apt knows it."""

    uri: str
    suites: tuple[str, ...]
    components: tuple[str, ...]


def read_sources(places: tuple[Path, ...] = PLACES) -> list[Source]:
    """The package archives of this machine, from both of apt's file formats."""
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
    """Sources of ``deb [options] URI SUITE COMPONENT…`` lines (sources.list(5))."""
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
    """Sources of stanzas with ``Types``, ``URIs``, ``Suites``, ``Components`` (sources.list(5))."""
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
    """The suite and mirror to make a base of: what was asked for, else the machine's own. Raises ImageUnavailable."""
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
    """The code name of this machine's release, or None where it has none."""
    try:
        return platform.freedesktop_os_release().get("VERSION_CODENAME")
    except OSError:
        return None
