"""The installed packages of a Python as a digest, which identifies an environment where there is no container image."""

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

from ..protocol import bounded_json
from ..protocol.atomic import read_text

_MOST_BYTES = 2**20
SEAL = "harness-environment.json"
"""File in an environment that was made from a lock: the lock's digest, and the packages installed then."""

_WANTED = {"grain": "grain", "simplejpeg": "simplejpeg", "pandas": "pandas", "pillow": "PIL"}
"""Packages besides TensorFlow that the payload imports, and their modules."""

_TENSORFLOWS = ("tensorflow", "tensorflow-cpu", "tensorflow-intel", "tf-nightly", "tf-nightly-cpu")


def describe() -> dict[str, object]:
    """Return the environment with a ``digest`` over Python, architecture and all packages; TensorFlow is not imported.

    An environment made from a lock has the lock's digest as long as its packages are unchanged. ``executable`` is the
    interpreter, ``missing`` the packages that single loaders need and that are not installed. ``lacks``, ``managed``,
    ``venv`` and ``libc`` are needed to decide how packages could be installed; ``build`` is TensorFlow's build info.
    """
    versions = _find_versions(None)
    python = f"{platform.python_implementation()} {platform.python_version()}"
    distributions = sorted(f"{name}=={version}" for name, version in versions.items())
    found = {"python": python, "architecture": platform.machine(), "distributions": distributions}
    digest = _read_seal(distributions) or hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()
    spec = importlib.util.find_spec("tensorflow")
    installed = spec is not None
    version = next((versions[name] for name in _TENSORFLOWS if name in versions), "unknown") if installed else None
    return {
        "digest": digest,
        "python": python,
        "machine": platform.machine(),
        "executable": sys.executable,
        "tensorflow": version,
        "missing": [name for name, module in _WANTED.items() if importlib.util.find_spec(module) is None],
        "lacks": _find_lacking(),
        "managed": _managed(),
        "venv": importlib.util.find_spec("venv") is not None,
        "libc": _find_libc(),
        "build": read_build(list(spec.submodule_search_locations or ()) if spec is not None else ()),
    }


def list_distributions(places: list[str]) -> list[str]:
    """Return ``name==version`` of each distribution in these folders, sorted."""
    return sorted(f"{name}=={version}" for name, version in _find_versions(places).items())


def _find_versions(places: list[str] | None) -> dict[str, str]:
    """Return the version of each distribution in some folders; None: in those that this Python imports from."""
    versions: dict[str, str] = {}
    for distribution in metadata.distributions() if places is None else metadata.distributions(path=places):
        name = (distribution.metadata["Name"] or "").lower().replace("_", "-").replace(".", "-")
        if name:
            versions.setdefault(name, distribution.version)
    return versions


def _read_seal(distributions: list[str]) -> str | None:
    """Return the digest from the environment's seal, if its packages have not changed since."""
    try:
        sealed = bounded_json.parse_object(read_text(os.path.join(sys.prefix, SEAL)))
    except bounded_json.Unreadable:
        return None
    digest = sealed.get("digest")
    return digest if isinstance(digest, str) and sealed.get("distributions") == distributions else None


def _find_libc() -> str | None:
    """Return for example ``glibc 2.36``; None for another C library such as musl."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION")
    except (ValueError, OSError):
        return None


def read_build(folders: Sequence[str]) -> object:
    """Return what ``tf.sysconfig.get_build_info()`` returns, read from its file, since an import takes seconds."""
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
    """Return the missing tools for installing packages; some distributions ship ``venv`` without ensurepip."""
    modules = {"pip": "pip", "venv": "ensurepip"}
    return [name for name, module in modules.items() if importlib.util.find_spec(module) is None]


def _managed() -> bool:
    """Return whether the packages of this Python are managed by the operating system (PEP 668)."""
    in_environment = sys.prefix != sys.base_prefix
    return not in_environment and os.path.exists(os.path.join(sysconfig.get_path("stdlib"), "EXTERNALLY-MANAGED"))
