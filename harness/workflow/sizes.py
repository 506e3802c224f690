"""How many images a data set has, before a session has looked at it: for `harness plan`, which changes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from harness.values.case import Case
from harness.values.data_state import DataState
from harness.values.record import Record

if TYPE_CHECKING:
    from harness.inventory import Host
    from harness.inventory.variables import DataSet
    from harness.workflow.reaching import Reached


def sizes_of(
    cases: Iterable[Case], host: Host, reached: Reached | None, records: Sequence[Record]
) -> dict[str, DataState]:
    """The sizes of the data sets of some cases, by name; a host is asked where one was reached."""
    found = {}
    for name in sorted({case.data for case in cases}):
        source = host.variables.data.get(name)
        if source is not None:
            found[name] = _unseen(name, source, records) if reached is None else reached.inspect(name)[1]
    return found


def bytes_of_case(case: Case, sizes: Mapping[str, DataState]) -> int | None:
    """Bytes of the files that a case would read in an epoch; None where it is not known."""
    size = sizes.get(case.data)
    if size is None or not size.images or size.bytes is None:
        return None
    return round(size.bytes * min(1.0, (case.max_images or size.images) / size.images))


def _unseen(name: str, source: DataSet, records: Sequence[Record]) -> DataState:
    """Return what can be known of a data set of a host that nobody has asked."""
    place = ", ".join(source.paths.values())
    if source.generate is not None:
        return DataState(name, "generated", source.generate.images, source="generated", will_be_made=True)
    for record in records:
        if record.case.data == name and record.case.max_images is None and record.epochs:
            return DataState(name, place, record.epochs[0].images, source="as measured in this session")
    return DataState(name, place, source="not known before the host is asked")
