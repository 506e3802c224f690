"""``harness facts``: the facts of hosts, grouped by hardware, and recordings that can be shared."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from harness.hosts.connection import Connection
from harness.hosts.facts import list_facts, read_sections
from harness.hosts.folders import data_folders, resolve_path, resolve_sources
from harness.hosts.slurm.connection import on_machine
from harness.inventory import Host, load_inventory, select_hosts
from harness.values.facts import Facts
from harness.workflow.host_links import Links
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code, tell_failure, values_of
from harness.workflow.reaching import find_scratch, reach

if TYPE_CHECKING:
    from harness.console import Console

_NAMES = (
    'id -un; hostname; hostname -f; hostname -s; cat /etc/hostname; printf "%s\\n" "$USER" "$LOGNAME" "${HOME##*/}"'
)

_COMPARED: Mapping[str, Callable[[Facts], object]] = {
    "GPU driver": lambda facts: ", ".join(sorted({gpu.driver or "?" for gpu in facts.gpus})) or "none",
    "kernel": lambda facts: facts.kernel,
    "system": lambda facts: facts.os,
    "cgroup": lambda facts: facts.cgroup_version,
    "governor": lambda facts: facts.governor,
    "turbo": lambda facts: facts.turbo,
}
"""In what hosts with the same hardware may differ; such differences can explain different results."""


def show_facts(console: Console, inventory: Path, *, limit: str | None, forks: int, as_json: bool) -> int:
    """Print the facts of hosts, grouped by hardware. Returns the exit code: 0, 1 or 3."""
    hosts, links = select_hosts(load_inventory(inventory, limit), limit), Links(console)

    def read(host: Host) -> Facts:
        with closing(reach(host, links)) as reached:
            return reached.facts

    answers = ask_hosts(console, hosts, read, forks=forks, tell=lambda answer: tell_failure(console, answer))
    known = values_of(answers)
    if as_json:
        console.result_json({name: {"hardware": f.hardware, **f.model_dump(mode="json")} for name, f in known.items()})
    else:
        _print(console, known)
    return exit_code(answers)


def record_facts(console: Console, inventory: Path, *, limit: str | None, folder: Path, forks: int) -> int:
    """Write a recording of each host, without names. Returns the exit code: 0, 1 or 3."""
    read, links = load_inventory(inventory, limit), Links(console)
    hosts = select_hosts(read, limit)
    everybody = [word for host in read.hosts for word in (host.name, host.address, host.user or "")]

    def write(answer: Answer[dict[str, object]]) -> None:
        tell_failure(console, answer)
        for recording in values_of([answer]).values():
            file = _free_file(folder)
            file.write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
            console.result(str(file))

    answers = ask_hosts(console, hosts, lambda host: _record(host, links, everybody), forks=forks, tell=write)
    if values_of(answers):
        console.note("names, addresses and serial numbers were removed; check the files before you share them")
    return exit_code(answers)


def _record(host: Host, links: Links, names: Sequence[str]) -> dict[str, object]:
    from harness import __version__
    from harness.hosts.facts.recording import build_recording

    with closing(links.open(host)) as connection:
        variables = host.variables
        disks = {name: resolve_path(connection, folder) for name, folder in variables.disks.items()}
        folders = data_folders(resolve_sources(connection, variables.data))
        scratch = find_scratch(host, connection)
        facts, machine = list_facts(scratch, disks, folders), on_machine(connection, scratch)
        own = _read_names(machine)
        sections = read_sections(machine, facts)
    source = f"recorded with `harness facts --record`, harness {__version__}"
    return build_recording(sections, facts, [*names, *own, *_parts([*names, *own])], source=source)


def _read_names(connection: Connection) -> list[str]:
    """Return the names that the host and its user have there."""
    text = connection.run(["sh", "-c", f"{{ {_NAMES}; }} 2>/dev/null"]).text
    return [line.strip() for line in text.splitlines() if line.strip() not in ("", "root", "localhost", "(none)")]


def _parts(names: Sequence[str]) -> list[str]:
    """Return the first part of each full name, and its domain."""
    cut = [name.partition(".") for name in names if not name.replace(".", "").isdigit()]
    return [part for first, dot, domain in cut if dot for part in (first, domain)]


def _free_file(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    number = 1
    while (file := folder / f"facts-{number}.json").exists():
        number += 1
    return file


def _print(console: Console, known: Mapping[str, Facts]) -> None:
    by_hardware: dict[str, dict[str, Facts]] = {}
    for name, facts in known.items():
        by_hardware.setdefault(facts.hardware, {})[name] = facts
    for hardware, hosts in by_hardware.items():
        console.result(f"{hardware}: {', '.join(hosts)}")
        labels = dict.fromkeys(label for facts in hosts.values() for label in facts.others)
        for what in (*_COMPARED, *labels):
            said: dict[object, list[str]] = {}
            for name, facts in hosts.items():
                value = _COMPARED[what](facts) if what in _COMPARED else facts.others.get(what)
                said.setdefault(value, []).append(name)
            if len(said) > 1:
                differing = "; ".join(f"{_say(value)} on {', '.join(names)}" for value, names in said.items())
                console.result(f"  ! {what} differs: {differing}")
            else:
                console.result(f"  {what}: {_say(next(iter(said)))}")
        for name, facts in hosts.items():
            offset = "" if not facts.clock_offset_s else f"; clock off by {facts.clock_offset_s:g} s"
            places = ", ".join(f"{place} on {disk.kind} ({disk.filesystem})" for place, disk in facts.disks.items())
            console.result(f"  {name}: {places}{offset}")


def _say(value: object) -> str:
    """Return the value of a fact in words: None is not known."""
    return "not known" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)
