"""Image identity: what an image *is*, on any image store."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def image_digest(inspected: Mapping[str, Any]) -> str:
    """SHA-256 in hex over layers, Env, Cmd, User and architecture, out of an engine's ``inspect`` of an image.

    An image's ID is the digest of its configuration on one store and of its manifest on
    the other; these five are what both say alike, and what decides how a program behaves in it.
    """
    config = inspected.get("Config") or {}
    root = inspected.get("RootFS") or {}
    parts = {
        "layers": list(root.get("Layers") or ()),
        "env": list(config.get("Env") or ()),
        "cmd": list(config.get("Cmd") or ()),
        "user": config.get("User") or "",
        "architecture": inspected.get("Architecture") or "",
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
