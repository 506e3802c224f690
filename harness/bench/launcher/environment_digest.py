"""The resolved environment of a Python: what takes the place of an image where there is no container."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import platform
from importlib import metadata

_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tf-nightly", "tf-nightly-cpu")


def describe() -> dict[str, str | None]:
    """``digest`` over Python's version, the architecture and all distributions; TensorFlow is not imported."""
    versions: dict[str, str] = {}
    for distribution in metadata.distributions():
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-").replace(".", "-")
        if name:
            versions.setdefault(name, distribution.version)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    found = {
        "python": python,
        "architecture": platform.machine(),
        "distributions": sorted(f"{name}=={version}" for name, version in versions.items()),
    }
    digest = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    installed = importlib.util.find_spec("tensorflow") is not None
    version = next((versions[name] for name in _TENSORFLOWS if name in versions), "unknown") if installed else None
    return {"digest": digest, "python": python, "tensorflow": version}
