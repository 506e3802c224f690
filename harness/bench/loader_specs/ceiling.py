"""Specification of ``ceiling``, which measures the model limit."""

from __future__ import annotations

from ..protocol.specs import ALL_FORMATS, ALL_KINDS, INTERPOLATIONS, Loaders, LoaderSpec

LOADERS = Loaders(
    rank=70,
    specs=(
        LoaderSpec(
            name="ceiling",
            maker="loaders.ceiling:make",
            summary="one batch, decoded once and repeated: the model limit, without a loader's cost",
            for_what="every training experiment, which gets it automatically; no loader can be faster",
            caches=("none",),
            interpolations=INTERPOLATIONS,
            native="bilinear",
            kinds=ALL_KINDS,
            formats=ALL_FORMATS,
            is_automatic=True,
        ),
    ),
)
