"""Canonical JSON and its digest, from which identities are made."""

from __future__ import annotations

import hashlib
import json


def canonical_json(value: object) -> str:
    """Return the JSON of a value with sorted keys and without spaces; equal values give equal text. Refuses NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest_of(value: object) -> str:
    """Return the SHA-256, in hex, of the canonical JSON of a value."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()
