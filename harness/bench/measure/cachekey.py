"""Hash a pipeline, so that a cache made by another one is never read: its path differs. Standard library only."""

from __future__ import annotations

import hashlib
import json
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..loaders.manifest import Manifest
    from .measure_request import MeasureRequest

FORMAT = 1
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def pipeline_hash(request: MeasureRequest, manifest: Manifest) -> str:
    """Return 12 hex digits over all that decides a cache's contents: images, labels, order, pixels, format, our code.

    What follows the cache (batches, augmentation, the model) is not included.
    """
    digest = hashlib.sha256()
    settings = {
        "format": FORMAT,
        "loader": request.loader,
        "cache": request.cache,
        "element": request.element,
        "compression": request.compression,
        "image_size": list(request.image_size),
        "interpolation": request.interpolation,
        "is_native": request.is_native,
        "decoding": request.decoding,
        "shuffle": request.shuffle,
        "seed": request.seed,
    }
    digest.update(json.dumps(settings, sort_keys=True).encode())
    for row in zip(manifest.paths, manifest.labels, manifest.hashes, strict=True):
        digest.update(repr(row).encode())
    for name in sorted(os.listdir(os.path.join(_PACKAGE, "loaders"))):
        if name.endswith(".py"):
            with open(os.path.join(_PACKAGE, "loaders", name), "rb") as stream:
                digest.update(hashlib.sha256(stream.read()).digest())
    return digest.hexdigest()[:12]
