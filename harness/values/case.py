"""A case: one combination of parameter values, and its identity."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from harness.values.digest import digest_of

Interpolation = Literal["nearest", "bilinear", "bilinear-antialias", "native"]
Element = Literal["float32", "uint8", "encoded"]
Deliver = Literal["float32", "uint8"]
Mode = Literal["load", "train"]
PageCache = Literal["cold-start", "cold", "warm"]
Decoding = Literal["exact", "fast-dct", "plain-upscaling", "scaled", "cropped"]
Compression = Literal["none", "gzip", "snappy"]

_AtLeastOne = Annotated[int, Field(ge=1)]

EMULATED = "emulated"
"""The model that computes nothing: a step only takes the time that a named accelerator would need for it."""


APPLICATIONS = (
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "DenseNet121",
    "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0",
    "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M",
    "EfficientNetV2S", "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large",
    "MobileNetV3Small", "NASNetLarge", "NASNetMobile", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2",
    "ResNet50", "ResNet50V2", "VGG16", "VGG19", "Xception",
)  # fmt: skip
"""The models of ``keras.applications`` that can be trained; case and punctuation of a name do not matter."""


class ModelSetting(BaseModel):
    """The model that a training case trains: a classifier on top of a ``keras.applications`` base.

    ``weights`` is ``none`` (random initialisation; the same cost per step), ``imagenet`` or the path of a weights file.
    ``trainable`` false freezes the base. ``xla`` None leaves the choice to Keras. An ``emulated`` model takes its pace
    from ``images_per_second`` or ``step_seconds``; ``device`` and ``like`` name the source of that figure: a published
    benchmark, or the model limit of a host of the lab.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "mobilenet"
    alpha: float = 1.0
    weights: str = "none"
    trainable: bool = False
    xla: bool | None = None
    images_per_second: float | None = None
    step_seconds: float | None = None
    device: str | None = None
    like: str | None = None

    @property
    def is_emulated(self) -> bool:
        """Whether steps only wait as long as an accelerator would take."""
        return self.name == EMULATED


class Case(BaseModel):
    """One combination of parameter values. Sizes are in bytes, ``image_size`` is (height, width) in pixels.

    ``memory_limit`` is a number of bytes, ``search`` (a bisection; no single run has it), or ``none``: all that the
    host can give, enforced like any other limit. ``model`` is None if ``mode`` is ``load``. ``cpus`` is a number of
    CPUs, or None for all that the host offers; ``gpus`` a number of GPUs, or ``auto`` for all. ``deliver`` is the type
    of the batches: float32 from 0 to 1, or uint8, which the model scales. ``workers`` is the number of threads or
    processes that prepare images (0: the calling thread), or None for the loader's own choice. ``shuffle_buffer`` is a
    number of images, ``full`` for all, or ``auto`` for the loader's own way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: str
    loader: str
    cache: str = "none"
    element: Element = "float32"
    deliver: Deliver = "float32"
    cache_disk: str = "scratch"
    cache_reuse: Literal["fresh", "reused"] = "fresh"
    page_cache: PageCache = "cold-start"
    memory_limit: _AtLeastOne | Literal["none", "search"] = "none"
    mode: Mode = "load"
    model: ModelSetting | None = None
    image_size: tuple[_AtLeastOne, _AtLeastOne] = (256, 256)
    interpolation: Interpolation = "nearest"
    batch_size: _AtLeastOne = 32
    epochs: _AtLeastOne = 2
    cpus: _AtLeastOne | None = None
    gpus: Annotated[int, Field(ge=0)] | Literal["auto"] = "auto"
    budgets: Literal["container", "default"] = "container"
    shuffle: bool = True
    augment: Literal["none", "flip-crop"] = "none"
    deterministic: bool = True
    precision: Literal["float32", "mixed_float16"] = "float32"
    max_images: _AtLeastOne | None = None
    decoding: Decoding = "exact"
    cache_compression: Compression = "none"
    workers: Annotated[int, Field(ge=0)] | None = None
    shuffle_buffer: _AtLeastOne | Literal["auto", "full"] = "auto"

    @property
    def case_id(self) -> str:
        """Twelve hex digits over all parameters: equal parameters give equal ids."""
        return digest_of(_identify(self))[:12]


_ADDED = ("deliver", "workers", "shuffle_buffer")
"""Parameters added after the first release: at their defaults they do not change a case's identity."""


def _identify(case: Case) -> dict[str, object]:
    idle = {name for name in _ADDED if getattr(case, name) == Case.model_fields[name].default}
    return case.model_dump(mode="json", exclude=idle)


def invocation_identity(
    *,
    image_digest: str,
    payload_digest: str,
    data_fingerprint: str,
    case: Case,
    alias: str | None,
    host: str,
    round_number: int,
) -> str:
    """Return sixteen hex digits that identify one invocation: what it runs, on which data, where, in which round."""
    return digest_of(
        {
            "image": image_digest,
            "payload": payload_digest,
            "data": data_fingerprint,
            "case": _identify(case),
            "alias": alias,
            "host": host,
            "round": round_number,
        }
    )[:16]
