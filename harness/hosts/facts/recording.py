"""Record a host's facts, anonymized so that the recording can be shared: the output of each command. Pure.

Replaced are: names of the host and its users, addresses, serial numbers (UUIDs, MAC addresses, machine and boot ids),
and names of servers from which disks are mounted. Equal words get equal replacements, so that parsers still work.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence

from pydantic import BaseModel

from harness.hosts.answers import UNREADABLE
from harness.hosts.facts.fact import Fact, Section

FORMAT = 1

_UUID = re.compile(r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b")
_LONG_HEX = re.compile(r"\b[0-9a-fA-F]{32,}\b")
_MAC = re.compile(r"\b(?:[0-9a-fA-F]{2}[:-]){5}[0-9a-fA-F]{2}\b")
_IPV4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.])")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9a-fA-F]{0,4}:){2,7}[0-9a-fA-F]{1,4}(?![\w:])")
_HOME = re.compile(r"(/home/|/Users/|/export/home/|/data/home/)([^/\s]+)")
_SERIAL = re.compile(r"(?i)\b(serial(?:[ _-]?(?:number|no))?\s*[:=]\s*)(\S+)")


class Anonymizer:
    """An anonymizer that replaces the same words alike in many texts; ``names`` are names of the host and its users."""

    def __init__(self, names: Iterable[str]) -> None:
        found = sorted({name for name in names if len(name) > 1}, key=len, reverse=True)
        self._names = re.compile(r"(?<![\w-])(?:" + "|".join(map(re.escape, found)) + r")(?![\w-])") if found else None
        self._kept: dict[str, dict[str, int]] = {}

    def clean(self, text: str) -> str:
        """Return ``text`` with names, addresses and serial numbers replaced."""
        text = _HOME.sub(lambda found: found[1] + "user", text)
        text = _UUID.sub(lambda found: f"00000000-0000-0000-0000-{self._number('uuid', found[0]):012d}", text)
        text = _LONG_HEX.sub(lambda found: str(self._number("hex", found[0])).zfill(len(found[0])), text)
        text = _MAC.sub(lambda found: f"02:00:00:00:00:{self._number('mac', found[0]):02x}", text)
        text = _IPV4.sub(lambda found: f"192.0.2.{self._number('ip', found[0])}", text)
        text = _SERIAL.sub(lambda found: f"{found[1]}{self._number('serial', found[2])}", text)
        text = re.sub(r"(?m)^(df )(//)?([^\s/:]+|\[[^]\n]+\])(:/|/)(?=\S)", self._hide_server, text)
        text = _IPV6.sub(lambda found: f"2001:db8::{self._number('ip', found[0]):x}", text)
        return self._names.sub("name", text) if self._names is not None else text

    def _hide_server(self, found: re.Match[str]) -> str:
        is_server = bool(found[2]) or found[4] == ":/"
        return f"{found[1]}{found[2] or ''}{'server' if is_server else found[3]}{found[4]}"

    def _number(self, kind: str, word: str) -> int:
        known = self._kept.setdefault(kind, {})
        return known.setdefault(word.lower(), len(known) + 1)


def build_recording(
    sections: Mapping[str, Section], facts: Sequence[Fact[object]], names: Iterable[str], *, source: str
) -> dict[str, object]:
    """Return a JSON object with each fact's command, exit code, lines of output, and parsed value."""
    anonymizer = Anonymizer(names)
    recorded: dict[str, object] = {}
    for number, fact in enumerate(facts):
        section = sections.get(fact.name)
        if section is None:
            continue
        # Users choose the names of disks and data sets, so these are replaced, too.
        kind, _, name = fact.name.partition(":")
        key = fact.name if not name or name in ("scratch", "images") else f"{kind}:{number}"
        output = anonymizer.clean(section.output)
        recorded[key] = {
            "command": [anonymizer.clean(word) for word in section.command],
            "returncode": section.returncode,
            "output": output.split("\n"),
            "fact": _parse(fact, output),
        }
    return {"format": FORMAT, "source": source, "facts": recorded}


def _parse(fact: Fact[object], output: str) -> object:
    """Return the parsed value of an output; None where the parser fails."""
    try:
        return _as_json(fact.parse(output))
    except UNREADABLE:
        return None


def _as_json(value: object) -> object:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, (list, tuple)):
        return [_as_json(item) for item in value]
    if dataclasses.is_dataclass(value):
        return {field.name: _as_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value
