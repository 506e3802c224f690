"""Specification of ``keras-directory``."""

from __future__ import annotations

from ..protocol.specs import Loaders, LoaderSpec

LOADERS = Loaders(
    rank=20,
    specs=(
        LoaderSpec(
            name="keras-directory",
            maker="loaders.keras_directory:make",
            summary="keras.utils.image_dataset_from_directory: tf.data behind one call",
            for_what="new Keras code instead of ImageDataGenerator, with preprocessing layers to augment",
            caches=("none",),
            interpolations=("nearest", "bilinear", "native"),
            native="bilinear",
            formats=("BMP", "GIF"),
            links_for_lists=True,
            workers="threads",
            least_workers=1,
            recipe="keras_directory",
        ),
    ),
)
