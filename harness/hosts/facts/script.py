"""Many commands in one round trip: a POSIX script that writes sections, and what reads them. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from harness.hosts.facts.fact import Fact, Section

COMMAND_TIMEOUT_S = 15
"""A tool that hangs (a dead network disk, a broken driver) costs this much and its own fact, not the others."""

_HEAD = """\
export LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wsl/lib
limit=
timeout -k 1 5 true 2>/dev/null && limit='timeout -k 1 {seconds}'
mark={mark}
"""


def build_script(facts: Iterable[Fact[object]], mark: str) -> str:
    """The script that runs each fact's command and writes its output between lines that start with ``mark``.

    ``mark`` is a word that no output can hold by chance: a fresh random one each time.
    """
    parts = [_HEAD.format(seconds=COMMAND_TIMEOUT_S, mark=shlex.quote(mark))]
    for fact in facts:
        command = shlex.join(fact.command)
        begin, end = f'echo "$mark" {shlex.quote(fact.name)}', "printf '\\n%s\\n' \"$mark= $?\""
        parts.append(f"{begin}\n$limit {command} </dev/null 2>/dev/null\n{end}")
    return "\n".join(parts) + "\n"


def split_sections(text: str, facts: Iterable[Fact[object]], mark: str) -> dict[str, Section]:
    """What the script wrote, by fact. A section that the end of the output cut is left out."""
    commands = {fact.name: fact.command for fact in facts}
    sections: dict[str, Section] = {}
    for chunk in text.split(f"{mark} ")[1:]:
        name, _, rest = chunk.partition("\n")
        output, end, code = rest.rpartition(f"\n{mark}= ")
        if end and name in commands:
            sections[name] = Section(name, commands[name], int(code.strip()), output)
    return sections
