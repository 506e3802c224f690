"""What is expected of a case before it runs: predictions, from formulas and from what this session has measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from harness.analysis import predictions
from harness.values.case import Case
from harness.values.record import Record


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
