"""Hosts that were renamed since a session began: report them, and carry records over with ``--rename``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from harness.analysis.selection import current_records
from harness.records.renaming import carry_over, rename_host
from harness.values.errors import ConfigurationError
from harness.values.event import HostRenamed
from harness.values.record import Record
from harness.values.text import cap_list, plural
from harness.workflow.found_session import FoundSession

_OPTION = "--rename"


def rename_hosts(found: FoundSession, wanted: Sequence[str], note: Callable[[str], None]) -> list[HostRenamed]:
    """Carry the records of hosts over to their new names, given as ``OLD=NEW``. Raises HarnessError.

    ``note`` is told of hosts that were renamed before: the same command may be given again.
    """
    renamed = []
    for old, new in _parse_all(wanted, found):
        count = rename_host(found.folder, old, new)
        if count is None:
            note(_say_done(old, new))
        else:
            renamed.append(HostRenamed(new, old, count))
    return renamed


def preview_renames(
    found: FoundSession, records: Sequence[Record], wanted: Sequence[str]
) -> tuple[FoundSession, list[Record], list[str]]:
    """Return session and records as ``rename_hosts`` would leave them, and a line for each pair, changing nothing.

    Raises HarnessError.
    """
    held, lines = list(records), []
    for old, new in _parse_all(wanted, found):
        assert found.content is not None
        carried = carry_over(found.folder, found.content, held, old, new)
        found, held = replace(found, content=carried.content), carried.records
        if carried.count is None:
            lines.append(_say_done(old, new))
        else:
            count = plural(carried.count, "run")
            cure = f"`harness run … --rename {old}={new}` carries them over"
            lines.append(f"{count} of {old} counted for {new}: {cure}")
    return found, held, lines


def _say_done(old: str, new: str) -> str:
    return f"{_OPTION} {old}={new}: nothing to do, the records are already stored under {new}"


def _parse_all(wanted: Sequence[str], found: FoundSession) -> list[tuple[str, str]]:
    """Return the pairs of old and new names. Raises ConfigurationError for a wrong pair, or in a new session."""
    pairs = [_parse(text, found) for text in wanted]
    if pairs and found.content is None:
        raise ConfigurationError("a new session has no records to carry over", where=_OPTION, hint="leave it out")
    return pairs


def _parse(text: str, found: FoundSession) -> tuple[str, str]:
    names = {host.name for host in found.resolved.inventory.hosts}
    old, mark, new = text.partition("=")
    if not mark or not old or not new:
        message = f"{text!r} is not a pair of names"
        raise ConfigurationError(message, where=_OPTION, hint="write OLD=NEW, like ws1=lab-1")
    if new not in names:
        known = cap_list(sorted(names))
        raise ConfigurationError(f"the inventory has no host {new!r}", where=_OPTION, hint=f"its hosts: {known}")
    if old in names:
        hint = "remove its entry from the inventory first: a machine has one name"
        raise ConfigurationError(f"{old!r} is still a host of the inventory", where=_OPTION, hint=hint)
    return old, new


def say_kept_names(found: FoundSession, records: Iterable[Record]) -> Iterable[str]:
    """Yield a line for each host name in the session's records that is no longer in the inventory.

    Yields nothing if every host of the inventory already has records.
    """
    counts = Counter(record.host for record in current_records(records).values())
    names = [host.name for host in found.resolved.inventory.hosts]
    new = [name for name in names if name not in counts]
    for old, count in counts.items():
        if old not in names and new:
            yield (
                f"{plural(count, 'run')} recorded under the name {old}, which is no longer in the inventory; if that "
                f"host is now {cap_list(new, 4)}: `harness run … --rename {old}={new[0]}`"
            )
