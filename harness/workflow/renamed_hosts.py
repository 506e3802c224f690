"""Hosts that have another name than a session knows them by: reported, and carried over where the user asks for it."""

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
    """Carry the records of hosts over to their new names, each written ``OLD=NEW``. Raises HarnessError.

    ``note`` gets a line for each pair that was carried over before: the same command may be given again.
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
    """Return session and records as ``rename_hosts`` would leave them, and a line for each pair. Changes nothing.

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
            count = plural(carried.count, "invocation")
            cure = f"`harness run … --rename {old}={new}` carries them over"
            lines.append(f"{count} of {old} counted as of {new}: {cure}")
    return found, held, lines


def _say_done(old: str, new: str) -> str:
    return f"{_OPTION} {old}={new}: nothing to do, its records are kept as {new} already"


def _parse_all(wanted: Sequence[str], found: FoundSession) -> list[tuple[str, str]]:
    """Return the pairs of old and new names. Raises ConfigurationError for what is none, and in a new session."""
    pairs = [_parse(text, found) for text in wanted]
    if pairs and found.content is None:
        raise ConfigurationError("a new session has no records to carry over", where=_OPTION, hint="leave it out")
    return pairs


def _parse(text: str, found: FoundSession) -> tuple[str, str]:
    names = {host.name for host in found.resolved.inventory.hosts}
    old, mark, new = text.partition("=")
    if not mark or not old or not new:
        raise ConfigurationError(f"{text!r} is no pair of names", where=_OPTION, hint="write OLD=NEW, like ws1=lab-1")
    if new not in names:
        known = cap_list(sorted(names))
        raise ConfigurationError(f"the inventory has no host {new!r}", where=_OPTION, hint=f"it has {known}")
    if old in names:
        hint = "take its entry out of the inventory first: one machine, one name"
        raise ConfigurationError(f"{old!r} is still a host of the inventory", where=_OPTION, hint=hint)
    return old, new


def say_kept_names(found: FoundSession, records: Iterable[Record]) -> Iterable[str]:
    """Yield a line for each host whose records are kept under a name that the inventory no longer has.

    Yields nothing where all hosts of the inventory have records under their own names.
    """
    counts = Counter(record.host for record in current_records(records).values())
    names = [host.name for host in found.resolved.inventory.hosts]
    new = [name for name in names if name not in counts]
    for old, count in counts.items():
        if old not in names and new:
            are = "is" if count == 1 else "are"
            cure = f"if it is {cap_list(new, 4)} now: `harness run … --rename {old}={new[0]}`"
            kept = f"{plural(count, 'invocation')} of {old} {are} kept under that name"
            yield f"{kept}, which the inventory no longer has; {cure}"
