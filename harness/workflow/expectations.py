"""What is expected of a case before it runs: predictions, from formulas and from what this session has measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from harness.analysis import predictions
from harness.values.case import Case
from harness.values.record import Record

if TYPE_CHECKING:
    from harness.inventory import Host


def data_size(case: Case, host: Host, records: Sequence[Record]) -> int | None:
    """Images that a case would read, before the data set was looked at; None where nobody can know yet."""
    source = host.variables.data.get(case.data)
    known: int | None = source.generate.images if source is not None and source.generate is not None else None
    for record in records:
        if known is None and record.case.data == case.data and record.case.max_images is None and record.epochs:
            known = record.epochs[0].images
    if known is None:
        return case.max_images
    return min(known, case.max_images or known)


def expect(
    case: Case,
    images: int | None,
    *,
    cpus: int,
    limit: int | None,
    has_gpu: bool = False,
    records: Sequence[Record] = (),
) -> Mapping[str, Any]:
    """Cache bytes, peak memory, whether it fits and how long it takes; empty where the number of images is unknown."""
    if images is None:
        return {}
    found = predictions.predict(case, images=images, cpus=cpus, limit=limit, has_gpu=has_gpu, records=records)
    return {"images": predictions.images_of(case, images), **found}
