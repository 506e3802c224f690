"""Specification of ``keras-pydataset``."""

from __future__ import annotations

from ..protocol.specs import ALL_FORMATS, ALL_KINDS, Loaders, LoaderSpec

LOADERS = Loaders(
    rank=30,
    specs=(
        LoaderSpec(
            name="keras-pydataset",
            maker="loaders.keras_pydataset:make",
            summary="a keras.utils.PyDataset with `workers` = CPUs: PIL in threads, one class of twenty lines",
            for_what="your own Python code for each image, without tf.data",
            caches=("none",),
            interpolations=("nearest", "bilinear-antialias", "native"),
            native="nearest",
            kinds=ALL_KINDS,
            formats=ALL_FORMATS,
            workers="threads",
            inline_workers=1,
            recipe="keras_pydataset",
        ),
    ),
)
