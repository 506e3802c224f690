"""Specifications of ``grain`` (threads) and ``grain-processes``."""

from __future__ import annotations

from ..protocol.specs import ALL_FORMATS, ALL_KINDS, Loaders, LoaderSpec


def _grain(name: str, workers: str, summary: str, for_what: str) -> LoaderSpec:
    return LoaderSpec(
        name=name,
        recipe="grain" if workers == "threads" else "",
        variant=workers,
        maker=f"loaders.grain_dataset:make_{workers}",
        summary=summary,
        for_what=for_what,
        caches=("none",),
        interpolations=("nearest", "bilinear-antialias", "native"),
        native="nearest",
        kinds=ALL_KINDS,
        formats=ALL_FORMATS,
        packages=("grain",),
        workers=workers,
    )


LOADERS = Loaders(
    rank=50,
    specs=(
        _grain(
            "grain",
            "threads",
            "Google's Grain: random access, PIL, prefetching by threads",
            "projects that also use JAX; exact restarts",
        ),
        _grain(
            "grain-processes",
            "processes",
            "Grain with `mp_prefetch`: batches made by processes, which are restarted in each epoch",
            "Python code per image that holds the GIL; long epochs",
        ),
    ),
)
