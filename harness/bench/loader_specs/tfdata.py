"""Specifications of the tf.data loaders: sequential, as the guide recommends, and tuned."""

from __future__ import annotations

from ..protocol.specs import (
    ALL_CACHES,
    ALL_FORMATS,
    ALL_KINDS,
    DECODINGS,
    ELEMENTS,
    INTERPOLATIONS,
    Loaders,
    LoaderSpec,
)


def _tfdata(name: str, variant: str, summary: str, for_what: str, *, can_reorder: bool) -> LoaderSpec:
    return LoaderSpec(
        name=name,
        maker=f"loaders.tfdata:make_{variant}" if variant else "loaders.tfdata:make",
        summary=summary,
        for_what=for_what,
        caches=ALL_CACHES,
        interpolations=INTERPOLATIONS,
        native="bilinear",
        elements=ELEMENTS,
        kinds=ALL_KINDS,
        formats=ALL_FORMATS,
        augments=("none", "flip-crop"),
        decodings=DECODINGS,
        can_reorder=can_reorder,
        is_single_threaded=not can_reorder,
        workers="threads" if can_reorder else "",
        takes_buffer=True,
        recipe="tfdata",
        variant=variant,
    )


LOADERS = Loaders(
    rank=40,
    specs=(
        _tfdata(
            "tfdata-sequential",
            "sequential",
            "tf.data in its simplest form: map and batch, nothing parallel, no prefetching",
            "comparison: the effect of AUTOTUNE and prefetching",
            can_reorder=False,
        ),
        _tfdata(
            "tfdata",
            "",
            "tf.data with AUTOTUNE: parallel map, batch, prefetch",
            "new code",
            can_reorder=True,
        ),
        _tfdata(
            "tfdata-tuned",
            "tuned",
            "tf.data with fused map and batch, scaling after batching, one thread per operation",
            "new code that should be as fast as tf.data can be",
            can_reorder=True,
        ),
    ),
)
