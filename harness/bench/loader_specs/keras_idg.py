"""Specifications of ``keras-idg``, alone and with workers as threads or processes."""

from __future__ import annotations

from ..protocol.specs import Loaders, LoaderSpec


def _keras_idg(name: str, variant: str, summary: str, for_what: str, *, is_single_threaded: bool = False) -> LoaderSpec:
    return LoaderSpec(
        name=name,
        maker=f"loaders.keras_idg:make_{variant}" if variant else "loaders.keras_idg:make",
        summary=summary,
        for_what=for_what,
        caches=("none",),
        interpolations=("nearest", "bilinear-antialias", "native"),
        native="nearest",
        formats=("BMP",),
        is_single_threaded=is_single_threaded,
        frames_for_lists=True,
        workers=variant,
        inline_workers=1 if variant == "threads" else 0,
        recipe="keras_idg",
        variant=variant,
    )


LOADERS = Loaders(
    rank=10,
    specs=(
        _keras_idg(
            "keras-idg",
            "",
            "Keras ImageDataGenerator (deprecated by Keras) with its defaults: PIL, one thread",
            "many existing projects; the usual baseline",
            is_single_threaded=True,
        ),
        _keras_idg(
            "keras-idg-threads",
            "threads",
            "Keras ImageDataGenerator (deprecated by Keras) with `workers` = CPUs: threads of one process",
            "existing projects, with one line changed",
        ),
        _keras_idg(
            "keras-idg-processes",
            "processes",
            "Keras ImageDataGenerator (deprecated by Keras) with `workers` = CPUs and `use_multiprocessing=True`",
            "existing projects, with one line changed and memory for a copy per process; batches pass through pipes",
        ),
    ),
)
