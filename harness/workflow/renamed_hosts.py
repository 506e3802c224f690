"""Hosts that have another name than a session knows them by: said, and carried over where the user says so."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from harness.analysis.selection import current_records
from harness.records.reading import read_records
from harness.records.renaming import rename_host
from harness.values.errors import ConfigurationError
from harness.values.event import HostRenamed
from harness.values.text import cap_list, plural
from harness.workflow.found_session import FoundSession

_OPTION = "--rename"


def rename_hosts(found: FoundSession, wanted: Sequence[str], note: Callable[[str], None]) -> list[HostRenamed]:
    """Carry the records of hosts over to their new names, each written ``OLD=NEW``. Raises HarnessError.

    What was carried over before is told ``note``: the same command may be given again.
    """
    pairs = [_parse(text, found) for text in wanted]
    if pairs and found.content is None:
        raise ConfigurationError("a new session has no records to carry over", where=_OPTION, hint="leave it out")
    renamed = []
    for old, new in pairs:
        count = rename_host(found.folder, old, new)
        if count is None:
            note(f"{_OPTION} {old}={new}: nothing to do, all that there is is kept as {new}")
        else:
            renamed.append(HostRenamed(new, old, count))
    return renamed


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


def say_kept_names(found: FoundSession) -> Iterable[str]:
    """Yield a line for each host whose records the session keeps under a name that the inventory has no more.

    Nothing where no host of the inventory could be it: all have records of their own.
    """
    if found.content is None:
        return
    records = read_records(found.folder, lambda _fault: None)  # what is wrong is said where records are needed
    counts = Counter(record.host for record in current_records(records).values())
    names = [host.name for host in found.resolved.inventory.hosts]
    new = [name for name in names if name not in counts]
    for old, count in counts.items():
        if old not in names and new:
            yield (
                f"{plural(count, 'invocation')} of {old} {'is' if count == 1 else 'are'} kept under that name, which "
                f"the inventory has no more; if it is {cap_list(new, 4)} now: `harness run … --rename {old}={new[0]}`"
            )
