"""JSON: the raw records as they lie on disk, newest attempts, in one array."""

from __future__ import annotations

import json
from collections.abc import Sequence

from harness.values.record import Record


def export_json(records: Sequence[Record]) -> bytes:
    """All that a record holds, epochs and environment included; `harness schema record` describes it."""
    values = [record.model_dump(mode="json") for record in records]
    return (json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode(errors="replace")
