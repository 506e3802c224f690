"""``grain``."""

from __future__ import annotations

from ..protocol.specs import ALL_FORMATS, ALL_KINDS, Loaders, LoaderSpec

LOADERS = Loaders(
    rank=50,
    specs=(
        LoaderSpec(
            name="grain",
            recipe="grain",
            maker="loaders.grain_dataset:make",
            summary="Google's Grain: random access, PIL, read ahead by its threads (its processes are not used)",
            for_what="projects with JAX beside TensorFlow; exact restarts",
            caches=("none",),
            interpolations=("nearest", "bilinear-antialias", "native"),
            native="nearest",
            kinds=ALL_KINDS,
            formats=ALL_FORMATS,
            packages=("grain",),
        ),
    ),
)
