"""The resolved environment of a Python: what takes the place of an image where there is no container."""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
import os
import platform
import sys
import sysconfig
from collections.abc import Sequence
from importlib import metadata

_MOST_BYTES = 2**20
_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tf-nightly", "tf-nightly-cpu")


def describe() -> dict[str, object]:
    """``digest`` over Python's version, the architecture and all distributions; TensorFlow is not imported.

    ``lacks`` and ``managed`` say what would have to be known to install it; ``build``: what TensorFlow says of itself.
    """
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
    spec = importlib.util.find_spec("tensorflow")
    installed = spec is not None
    version = next((versions[name] for name in _TENSORFLOWS if name in versions), "unknown") if installed else None
    return {
        "digest": digest,
        "python": python,
        "tensorflow": version,
        "lacks": _find_lacking(),
        "managed": _managed(),
        "build": read_build(list(spec.submodule_search_locations or ()) if spec is not None else ()),
    }


def read_build(folders: Sequence[str]) -> object:
    """Return what ``tf.sysconfig.get_build_info()`` would, from the file that it reads: an import takes seconds."""
    for folder in folders:
        try:
            with open(os.path.join(folder, "python", "platform", "build_info.py"), encoding="utf-8") as stream:
                tree = ast.parse(stream.read(_MOST_BYTES))
            calls = [node.value for node in tree.body if isinstance(node, ast.Assign)]
            return dict(ast.literal_eval(next(call.args[0] for call in calls if isinstance(call, ast.Call))))
        except (OSError, ValueError, TypeError, SyntaxError, StopIteration, IndexError):
            continue
    return None


def _find_lacking() -> list[str]:
    """Return what would install packages and is not there; distributions leave out of ``venv`` what makes it work."""
    modules = {"pip": "pip", "venv": "ensurepip"}
    return [name for name, module in modules.items() if importlib.util.find_spec(module) is None]


def _managed() -> bool:
    """Whether packages of this Python are its distribution's (PEP 668)."""
    in_environment = sys.prefix != sys.base_prefix
    return not in_environment and os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))
