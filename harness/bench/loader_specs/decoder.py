"""Specification of ``decoder``, the yardstick."""

from __future__ import annotations

from ..protocol.specs import ALL_FORMATS, ALL_KINDS, Loaders, LoaderSpec

LOADERS = Loaders(
    rank=60,
    specs=(
        LoaderSpec(
            name="decoder",
            maker="loaders.decoder:make",
            summary="libjpeg-turbo through simplejpeg in plain threads: only reading, decoding and resizing",
            for_what="comparison: the yardstick of images per CPU second at equal pixels",
            caches=("none",),
            interpolations=("nearest", "native"),
            native="nearest",
            kinds=ALL_KINDS,
            formats=ALL_FORMATS,
            decodings=("exact", "fast-dct", "plain-upscaling"),
            packages=("simplejpeg",),
            is_yardstick=True,
            workers="threads",
        ),
    ),
)
