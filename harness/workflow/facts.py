"""``harness facts``: what hosts are, by hardware, and recordings of it that can be sent."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.hosts.connection import Connection
from harness.hosts.facts import list_facts, read_sections
from harness.hosts.facts.recording import build_recording
from harness.hosts.folders import resolve_path
from harness.inventory import Host, load_inventory, select_hosts
from harness.values.errors import HarnessError, HostError
from harness.values.facts import Facts
from harness.workflow.links import LINKS
from harness.workflow.reaching import open_connection, reach

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
"""What hosts of one hardware may differ in, and what then explains different figures."""


def show_facts(console: Console, inventory: Path, *, limit: str | None, forks: int, as_json: bool) -> int:
    """Print the facts of each host, hosts of one hardware together. Returns 0, 1 or 3."""
    LINKS.ask_with(console)
    hosts = select_hosts(load_inventory(inventory), limit)

    def read(host: Host) -> Facts | HarnessError:
        try:
            reached = reach(host)
        except HostError as error:
            return error
        reached.connection.close()
        return reached.facts

    with ThreadPoolExecutor(max_workers=forks) as pool:
        answers = dict(zip([host.name for host in hosts], pool.map(read, hosts), strict=True))
    known = {name: answer for name, answer in answers.items() if isinstance(answer, Facts)}
    for answer in answers.values():
        if not isinstance(answer, Facts):
            console.alarm(str(answer))
    if as_json:
        console.result_json({name: {"hardware": f.hardware, **f.model_dump(mode="json")} for name, f in known.items()})
    else:
        _print(console, known)
    return 0 if len(known) == len(hosts) else 1 if known else 3


def record_facts(console: Console, inventory: Path, *, limit: str | None, folder: Path) -> int:
    """Write one recording for each host, fit to be sent. Returns 0, 1 or 3."""
    LINKS.ask_with(console)
    read = load_inventory(inventory)
    hosts, failed = select_hosts(read, limit), 0
    everybody = [word for host in read.hosts for word in (host.name, host.address, host.user or "")]
    for host in hosts:
        try:
            recording = _record(host, everybody)
        except HostError as error:
            failed += 1
            console.alarm(str(error))
            continue
        file = _free_file(folder)
        file.write_text(json.dumps(recording, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        console.result(str(file))
    if failed < len(hosts):
        console.note("names, addresses and serial numbers were taken out; look through it before you send it")
    return 0 if not failed else 3 if failed == len(hosts) else 1


def _record(host: Host, names: Sequence[str]) -> dict[str, Any]:
    from harness import __version__

    connection = open_connection(host)
    try:
        variables = host.variables
        disks = {name: resolve_path(connection, folder) for name, folder in variables.disks.items()}
        folders = {name: path for name, source in variables.data.items() if (path := source.folder or source.images)}
        facts = list_facts(resolve_path(connection, variables.scratch), disks, folders)
        own = _read_names(connection)
        sections = read_sections(connection, facts)
    finally:
        connection.close()
    source = f"recorded with `harness facts --record`, harness {__version__}"
    return build_recording(sections, facts, [*names, *own, *_parts([*names, *own])], source=source)


def _read_names(connection: Connection) -> list[str]:
    """Words by which the host and its user are called there."""
    text = connection.run(["sh", "-c", f"{{ {_NAMES}; }} 2>/dev/null"]).text
    return [line.strip() for line in text.splitlines() if line.strip() not in ("", "root", "localhost", "(none)")]


def _parts(names: Sequence[str]) -> list[str]:
    """The first part of each full name, and its domain."""
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
        for what, pick in _COMPARED.items():
            said: dict[object, list[str]] = {}
            for name, facts in hosts.items():
                said.setdefault(pick(facts), []).append(name)
            if len(said) > 1:
                differing = "; ".join(f"{value} on {', '.join(names)}" for value, names in said.items())
                console.result(f"  ! {what} differs: {differing}")
            else:
                console.result(f"  {what}: {next(iter(said))}")
        for name, facts in hosts.items():
            offset = "" if not facts.clock_offset_s else f"; clock off by {facts.clock_offset_s:g} s"
            places = ", ".join(f"{place} on {disk.kind} ({disk.filesystem})" for place, disk in facts.disks.items())
            console.result(f"  {name}: {places}{offset}")
