"""How many images a data set has, before a session has looked at it: for `harness plan`, which changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.hosts.folders import resolve_path
from harness.ship.dataset import read_known
from harness.values.case import Case
from harness.values.errors import HostError
from harness.values.record import Record

if TYPE_CHECKING:
    from harness.inventory import Host
    from harness.inventory.variables import DataSet
    from harness.workflow.reaching import Reached

_COUNT_SCRIPT = r"""find -L "$1" -type f \( -iname '*.jpg' -o -iname '*.jpeg' -o -iname '*.png' \) -printf '%s\n'"""


@dataclass(frozen=True)
class DataSize:
    """Of one data set on one host: ``images`` (None where nobody can know yet), ``bytes``, and from where it is known.

    ``is_bound``: files were counted; those that belong to no class or have no annotation fall away when it is read.
    """

    images: int | None
    bytes: int | None
    source: str
    is_bound: bool = False


def sizes_of(
    cases: Iterable[Case], host: Host, reached: Reached | None, records: Sequence[Record]
) -> dict[str, DataSize]:
    """The sizes of the data sets of some cases, by name; a host is asked where one was reached."""
    found = {}
    for name in sorted({case.data for case in cases}):
        source = host.variables.data.get(name)
        if source is not None:
            found[name] = _size_of(name, source, reached, records)
    return found


def bytes_of_case(case: Case, sizes: Mapping[str, DataSize]) -> int | None:
    """Bytes of the files that a case would read in an epoch; None where it is not known."""
    size = sizes.get(case.data)
    if size is None or not size.images or size.bytes is None:
        return None
    return round(size.bytes * min(1.0, (case.max_images or size.images) / size.images))


def _size_of(name: str, source: DataSet, reached: Reached | None, records: Sequence[Record]) -> DataSize:
    if source.generate is not None:
        return DataSize(source.generate.images, None, "generated")
    if reached is not None:
        known = read_known(reached.connection, reached.scratch, name, source)
        if known is not None:
            return DataSize(known.images, known.bytes, "as last checked")
    for record in records:
        if record.case.data == name and record.case.max_images is None and record.epochs:
            return DataSize(record.epochs[0].images, None, "as measured in this session")
    folder = source.folder or source.images
    if reached is not None and folder is not None:
        return _count(reached, folder)
    return DataSize(None, None, "not known before the host is asked")


def _count(reached: Reached, folder: str) -> DataSize:
    """Count the files of a folder: a bound, in a second or two also for COCO's 118,287."""
    try:
        done = reached.connection.run(["sh", "-c", _COUNT_SCRIPT, "sh", resolve_path(reached.connection, folder)])
    except HostError as error:
        return DataSize(None, None, error.message)
    sizes = [int(line) for line in done.text.split() if line.isdigit()]
    if done.returncode or not sizes:
        return DataSize(None, None, f"{folder} cannot be read, or holds no files")
    return DataSize(len(sizes), sum(sizes), "files counted, not read yet", is_bound=True)
