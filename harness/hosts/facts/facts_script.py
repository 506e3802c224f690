"""Read all facts of a host by one script, whose output is split into sections for pure parsers; and its CPU load."""

from __future__ import annotations

import importlib
import secrets
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from harness.bench.protocol.plugins import module_names
from harness.hosts.answers import first_line, not_understood, reading
from harness.hosts.connection import Connection, last_line
from harness.hosts.facts.fact import Fact, Section, parse_int
from harness.hosts.facts.kinds import disks as disk_facts
from harness.hosts.facts.kinds import gpus, logout, memory, processor, system
from harness.hosts.slurm.connection import is_login_only
from harness.values.errors import HostNotReady
from harness.values.facts import DiskFacts, Facts
from harness.values.text import clean_text

T = TypeVar("T")

IMAGE_STORE = "/var/lib/docker"
"""Docker's default folder for images; its disk is the fact ``images``."""
IMAGES = "images"
"""The name of that disk."""

READ_TIMEOUT_S = 120.0

_KINDS = "harness.hosts.facts.kinds"
MOST_FACT_BYTES = 256 * 1024
"""The most characters of one fact's output; the longest usual ones, lists of PCI devices and mounts, have 20 kB."""

COMMAND_TIMEOUT_S = 15
"""The deadline of each fact's command: a tool that hangs (dead network disk, broken driver) costs only its own fact."""

_HEAD = """\
export LC_ALL=C
PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/lib/wsl/lib
limit=
timeout -k 1 5 true 2>/dev/null && limit='timeout -k 1 {seconds}'
mark={mark}
"""
_WATCH_S = 2.0
_TICKS_PER_S = 100.0


def find_facts() -> tuple[Fact[object], ...]:
    """Return the facts that are read from every host: all those in the modules of the package ``kinds``."""
    modules = (importlib.import_module(f"{_KINDS}.{name}") for name in module_names(_KINDS))
    found = {value.name: value for module in modules for value in vars(module).values() if isinstance(value, Fact)}
    return tuple(found.values())


def list_facts(
    scratch: str, disks: Mapping[str, str] | None = None, data_folders: Mapping[str, str] | Sequence[str] = ()
) -> tuple[Fact[object], ...]:
    """Return all facts of a host, including those of its disks. Paths are absolute.

    The names of disks are ``scratch``, ``images``, those in ``disks``, and ``data:NAME`` (``data:PATH`` for a list).
    """
    named = {"scratch": scratch, **(disks or {})}
    found = [disk_facts.disk_fact(name, path) for name, path in named.items()]
    folders = data_folders if isinstance(data_folders, Mapping) else {path: path for path in data_folders}
    found += [disk_facts.disk_fact(f"data:{name}", path) for name, path in folders.items()]
    against_scratch = disk_facts.scratch_fact(scratch, folders.values())
    if IMAGES not in named:
        found.append(disk_facts.disk_fact(IMAGES, IMAGE_STORE, only_if_there=True))
    return (*find_facts(), *found, against_scratch)


def read_facts(
    connection: Connection,
    *,
    scratch: str,
    disks: Mapping[str, str] | None = None,
    data_folders: Mapping[str, str] | Sequence[str] = (),
) -> Facts:
    """Read the host's current facts in one round trip. Paths are absolute (``folders.resolve_path``).

    Raises HostUnreachable; HostNotReady where the host has no POSIX shell, a needed fact cannot be parsed, or the
    scratch folder must not be used.
    """
    before = time.time()
    sections = read_sections(connection, list_facts(scratch, disks, data_folders))
    refuse_scratch(connection.host, scratch, sections)
    facts = build_facts(sections, connection.host)
    after = time.time()
    offset = None
    clock = _parse(system.CLOCK, sections, connection.host)
    if clock is not None:
        # The host's clock was read at some time between the two; the error of the offset is at most that interval.
        inside = min(max(clock, before), after)
        offset = round(clock - inside, 3)
    return facts.model_copy(
        update={"read_at": datetime.now(UTC).isoformat(timespec="seconds"), "clock_offset_s": offset}
    )


def read_disk(connection: Connection, path: str) -> DiskFacts | None:
    """Return the disk of a folder on the host, with its free space; None if unknown."""
    fact = disk_facts.disk_fact(IMAGES, path)
    return _parse(fact, read_sections(connection, (fact,)), connection.host)


def read_available_bytes(connection: Connection) -> int | None:
    """Return the bytes of memory that are available on the host within this user's cgroups; None if unknown."""
    if is_login_only(connection):
        return None
    return _available_bytes(read_sections(connection, (memory.MEMINFO, memory.CGROUP_ROOM)), connection.host)


def read_sections(connection: Connection, facts: tuple[Fact[object], ...]) -> dict[str, Section]:
    """Run the facts' commands on the host and return their outputs by fact.

    Raises HostNotReady where the host has no POSIX shell.
    """
    mark = f"--harness-{secrets.token_hex(12)}"
    script = build_script(facts, mark)
    done = connection.run(["sh"], input=script.encode(), timeout_s=READ_TIMEOUT_S)
    sections = split_sections(done.text, facts, mark)
    if not sections:
        reason = last_line(done.stderr, "")
        raise HostNotReady(
            f"facts cannot be read: the host's shell answered with exit code {done.returncode}"
            + (f" ({reason})" if reason else f" and printed {first_line(done.stdout)}"),
            where=connection.host,
            hint="the user needs a POSIX shell: try `ssh HOST sh -c 'echo ok'`; it must print only ok",
        )
    return sections


def refuse_scratch(host: str, scratch: str, sections: Mapping[str, Section]) -> None:
    """Raise HostNotReady where the scratch folder is the root or a home folder, or contains a home or data folder."""
    why = _parse(disk_facts.scratch_fact(scratch, ()), sections, host)
    if why:
        hint = "use a separate folder, which need not exist yet, such as `scratch: ~/.cache/harness`"
        raise HostNotReady(f"the scratch folder {scratch} is refused: {clean_text(why)}", where=host, hint=hint)


def build_facts(sections: Mapping[str, Section], host: str | None = None) -> Facts:
    """Build facts from the sections of outputs; a fact that could not be read is None.

    Raises HostNotReady for an output that is not valid.
    """

    def parse(fact: Fact[T]) -> T | None:
        return _parse(fact, sections, host)

    ram = parse(memory.MEMINFO)
    kernel = parse(system.KERNEL)
    user = parse(system.USER)
    online = parse(processor.ONLINE_CPUS)
    answering = parse(gpus.GPUS) or ()
    at_logout = parse(logout.LOGOUT)
    with reading(host, "its description", None):
        return Facts(
            cpu_model=parse(processor.CPU_MODEL) or parse(processor.LSCPU_MODEL) or parse(processor.DEVICE_TREE_MODEL),
            architecture=kernel[1] if kernel else None,
            logical_cpus=len(online) if online else None,
            usable_cpus=parse(processor.ALLOWED_CPUS) or (),
            ram_bytes=ram.total if ram else None,
            available_bytes=_available_bytes(sections, host),
            swap_bytes=ram.swap if ram else None,
            os=parse(system.OS),
            kernel=kernel[0] if kernel else None,
            cgroup_version=parse(system.CGROUP_VERSION),
            disks=_read_disks(sections, host),
            gpus=answering,
            silent_gpus=() if answering else parse(gpus.PCI_GPUS) or (),
            nvidia_runtime=parse(gpus.NVIDIA_RUNTIME),
            governor=parse(processor.GOVERNOR),
            turbo=parse(processor.TURBO),
            boot_id=parse(system.BOOT_ID),
            load_1m=parse(system.LOAD),
            uid=user[0] if user else None,
            gid=user[1] if user else None,
            lingers=at_logout.lingers if at_logout else None,
            kills_at_logout=at_logout.kills if at_logout else None,
            others={fact.label: parse(fact) for fact in find_facts() if fact.label and fact.name in sections},
        )


def _parse(fact: Fact[T], sections: Mapping[str, Section], host: str | None) -> T | None:
    section = sections.get(fact.name)
    if section is None:
        return None
    what = f"the fact {fact.name!r}"
    if len(section.output) > MOST_FACT_BYTES:
        raise not_understood(host, f"{what} of {len(section.output)} characters", section.output)
    with reading(host, what, section.output):
        value = fact.parse(section.output)
    if value is None and fact.is_needed and section.output.strip():
        raise not_understood(host, what, section.output)
    return value


def _read_disks(sections: Mapping[str, Section], host: str | None) -> dict[str, DiskFacts]:
    names = [name for name in sections if name.startswith("disk:")]
    found = {name: _parse(Fact(name, (), disk_facts.parse_disk), sections, host) for name in names}
    return {name.removeprefix("disk:"): disk for name, disk in found.items() if disk is not None}


def _available_bytes(sections: Mapping[str, Section], host: str | None) -> int | None:
    """Return the smaller of the machine's available memory and the room in this user's cgroups, in bytes."""
    ram = _parse(memory.MEMINFO, sections, host)
    if ram is None or ram.available is None:
        return None
    room = _parse(memory.CGROUP_ROOM, sections, host)
    return ram.available if room is None else min(ram.available, room)


def build_script(facts: Iterable[Fact[object]], mark: str) -> str:
    """Return the script that runs each fact's command and writes its output between lines that start with ``mark``.

    ``mark`` is a random word, new for each script, so that no output contains it by chance.
    """
    parts = [_HEAD.format(seconds=COMMAND_TIMEOUT_S, mark=shlex.quote(mark))]
    for fact in facts:
        command = shlex.join(fact.command)
        begin, end = f'echo "$mark" {shlex.quote(fact.name)}', "printf '\\n%s\\n' \"$mark= $?\""
        parts.append(f"{begin}\n$limit {command} </dev/null 2>/dev/null\n{end}")
    return "\n".join(parts) + "\n"


def split_sections(text: str, facts: Iterable[Fact[object]], mark: str) -> dict[str, Section]:
    """Split the script's output into sections by fact; an incomplete last section is left out."""
    commands = {fact.name: fact.command for fact in facts}
    sections: dict[str, Section] = {}
    for chunk in text.split(f"{mark} ")[1:]:
        name, _, rest = chunk.partition("\n")
        output, end, code = rest.rpartition(f"\n{mark}= ")
        if end and name in commands:
            sections[name] = Section(name, commands[name], parse_int(code), output)
    return sections


def parse_busy_ticks(text: str) -> float | None:
    """Return the busy clock ticks of all CPUs together from ``/proc/stat`` (proc(5)); None where parsing fails."""
    for line in text.splitlines():
        words = line.split()
        if words[:1] == ["cpu"] and len(words) > 5:
            values = [number for word in words[1:9] if (number := parse_int(word)) is not None]
            return float(sum(values) - values[3] - values[4]) if len(values) == len(words[1:9]) else None
    return None


def read_busy_cpus(connection: Connection, watch_s: float = _WATCH_S) -> float | None:
    """Return how many CPUs are in use, averaged over ``watch_s`` seconds; None if unknown."""
    if is_login_only(connection):
        return None
    before, begun = parse_busy_ticks(connection.run(["cat", "/proc/stat"]).text), time.monotonic()
    time.sleep(watch_s)
    after = parse_busy_ticks(connection.run(["cat", "/proc/stat"]).text)
    if before is None or after is None:
        return None
    return max(0.0, (after - before) / _TICKS_PER_S / (time.monotonic() - begun))
