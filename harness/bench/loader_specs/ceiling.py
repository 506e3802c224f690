"""``ceiling``: what the model alone can consume."""

from __future__ import annotations

from ..protocol.specs import ALL_FORMATS, ALL_KINDS, INTERPOLATIONS, Loaders, LoaderSpec

LOADERS = Loaders(
    rank=70,
    specs=(
        LoaderSpec(
            name="ceiling",
            maker="loaders.ceiling:make",
            summary="one batch, decoded once and repeated: what the model alone can consume",
            for_what="added to every training experiment by itself; no loader can be faster",
            caches=("none",),
            interpolations=INTERPOLATIONS,
            native="bilinear",
            kinds=ALL_KINDS,
            formats=ALL_FORMATS,
            is_automatic=True,
        ),
    ),
)
