"""Renaming a host in a session: its records, facts and entries in the session's file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

from harness.bench.protocol.atomic import write_file
from harness.records.content import SessionContent
from harness.records.folder import SessionFolder
from harness.records.journal import take_folder
from harness.records.reading import read_content, read_events, read_records
from harness.values.case import invocation_identity
from harness.values.errors import SessionError
from harness.values.event import HostRenamed
from harness.values.record import Record

_V = TypeVar("_V")


@dataclass(frozen=True)
class Renamed:
    """What a session holds once a host has its new name; ``count``: so many invocations were carried over.

    ``count`` is None where that was done before, and no more is left of the old name.
    """

    content: SessionContent
    records: list[Record]
    count: int | None


def rename_host(folder: SessionFolder, old: str, new: str) -> int | None:
    """Carry what a session holds of a host over to its new name; returns of how many invocations (see ``carry_over``).

    Each file is written whole or not at all, records first: the same command finishes what was cut off. Raises
    SessionError where it cannot be (``carry_over``), or the session is being worked on.
    """
    with take_folder(folder):
        found = carry_over(folder, read_content(folder), read_records(folder), old, new)
        if found.count is None:
            return None
        write_file(folder.records_file, "".join(f"{record.model_dump_json()}\n" for record in found.records))
        facts = folder.facts_folder / f"{old}.json"
        if facts.is_file():
            target = folder.facts_folder / f"{new}.json"
            target.parent.mkdir(parents=True, exist_ok=True)
            facts.replace(target)
        folder.write(found.content)
        return found.count


def carry_over(
    folder: SessionFolder, content: SessionContent, records: Sequence[Record], old: str, new: str
) -> Renamed:
    """Return what a session holds under a host's new name; changes nothing on disk.

    Raises SessionError where the session has nothing of ``old`` and never had, or records of both.
    """
    hosts, where = {record.host for record in records}, str(folder.path)
    if old not in hosts and old not in content.hosts:
        if HostRenamed(new, old, 0) in _read_renames(folder):
            return Renamed(content, list(records), None)
        known = ", ".join(sorted(hosts)) or "none"
        hint = f"it has records of {known}; the records of a host that was renamed before are not renamed again"
        raise SessionError(f"this session has nothing of a host {old!r}", where=where, hint=hint)
    if old in hosts and new in hosts:
        hint = "only records of one of them can be carried over; take the other out of the session, or use --fresh"
        raise SessionError(f"this session has records of both {old!r} and {new!r}", where=where, hint=hint)
    moved = [_rename_record(record, new) if record.host == old else record for record in records]
    count = len({record.invocation for record in records if record.host == old})
    return Renamed(_rename_in_content(content, old, new), moved, count)


def _read_renames(folder: SessionFolder) -> list[HostRenamed]:
    """Return the earlier renamings in a session, with counts set to 0."""
    events = read_events(folder, lambda _fault: None, {HostRenamed})
    return [replace(each.event, records=0) for each in events if isinstance(each.event, HostRenamed)]


def _rename_record(record: Record, new: str) -> Record:
    identity = invocation_identity(
        image_digest=record.image_digest,
        payload_digest=record.payload_digest,
        data_fingerprint=record.data_fingerprint,
        case=record.case,
        alias=record.alias,
        host=new,
        round_number=record.round,
    )
    return record.model_copy(update={"host": new, "invocation": identity})


def _rename_in_content(content: SessionContent, old: str, new: str) -> SessionContent:
    inventory = content.inventory
    hosts = tuple(dict.fromkeys(new if host == old else host for host in inventory.hosts))
    return content.model_copy(
        update={
            "hosts": _rename_key(content.hosts, old, new),
            "image_digests": _rename_key(content.image_digests, old, new),
            "machines": {key: value for key, value in content.machines.items() if new not in (key, value)},
            "inventory": inventory.model_copy(update={"hosts": hosts}),
        }
    )


def _rename_key(values: Mapping[str, _V], old: str, new: str) -> dict[str, _V]:
    """Return a copy with the key ``old`` renamed to ``new``; an existing value of ``new`` has priority."""
    moved = {new: values[old]} if old in values else {}
    return {**moved, **{key: value for key, value in values.items() if key != old}}
