"""Image definitions: the files from which images are built, in a wheel or a source tree."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path

from harness.values.errors import ImageUnavailable

CERTIFICATES_FOLDER = "images/ca"
"""Folder in the build context for additional certificates; it is not part of a definition."""


@dataclass(frozen=True)
class ImageDefinition:
    """An image definition: ``files`` are (path in the build context, content); ``dockerfile`` is one of these paths."""

    kind: str
    dockerfile: str
    files: tuple[tuple[str, bytes], ...]

    @property
    def digest(self) -> str:
        """Return the SHA-256 in hex over paths and unchanged contents."""
        digest = hashlib.sha256()
        for path, content in sorted(self.files):
            for part in (path.encode(), content):
                digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()


_FILES = {
    "cpu": ("images/Dockerfile.cpu", "images/requirements-cpu.txt"),
    "gpu": ("Dockerfile.gpu", "images/requirements-gpu.txt"),
}
"""By kind: the Dockerfile, and the files that it copies."""

KINDS = tuple(_FILES)


def image_definitions() -> dict[str, ImageDefinition]:
    """Return all definitions by kind. Raises ImageUnavailable where the installation is damaged."""
    return {kind: image_definition(kind) for kind in KINDS}


def image_definition(kind: str) -> ImageDefinition:
    """Return the definition of the kind ``cpu`` or ``gpu``. Raises ImageUnavailable."""
    root = _root()
    paths = _FILES[kind]
    return ImageDefinition(kind, paths[0], tuple((path, _child(root, path).read_bytes()) for path in sorted(paths)))


def image_reference(definition: ImageDefinition) -> str:
    """Return a name such as ``harness-cpu:1a2b3c4d5e6f``, whose tag is the beginning of the definition's digest."""
    return f"harness-{definition.kind}:{definition.digest[:12]}"


def read_definition(path: str) -> bytes:
    """Return the content of a file beside the definitions, by its path in the source tree. Raises ImageUnavailable."""
    return _child(_root(), path).read_bytes()


def _root() -> Traversable:
    """Return the root of the definitions: beside this module in a wheel, the root of a source tree else."""
    packed = resources.files("harness.ship").joinpath("definitions")
    if packed.joinpath("Dockerfile.gpu").is_file():
        return packed
    tree = Path(__file__).resolve().parents[2]
    if (tree / "Dockerfile.gpu").is_file():
        return tree
    raise ImageUnavailable(
        "this installation has no image definitions", hint="reinstall this program from its wheel or a checkout"
    )


def _child(root: Traversable, path: str) -> Traversable:
    for part in path.split("/"):
        root = root.joinpath(part)
    return root
