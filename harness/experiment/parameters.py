"""The parameters of experiment files: each takes one value or a list of values."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Annotated, Literal, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainValidator,
    Strict,
    WithJsonSchema,
    model_serializer,
)
from pydantic_core import CoreSchema, core_schema

from harness.bench.protocol.loader_registry import CACHES, LOADERS
from harness.experiment.words import (
    MOST_COUNT,
    MOST_WORKERS,
    check_model,
    count_or,
    read_buffer,
    read_cache,
    read_image_size,
    read_loader,
    read_memory_limit,
    read_model,
)
from harness.values.case import (
    Case,
    Compression,
    Decoding,
    Deliver,
    Element,
    Interpolation,
    Mode,
    ModelSetting,
    PageCache,
)
from harness.values.comparability import matches


class Many:
    """Annotation of a tuple that a file may write as one value or as a list; duplicates are removed."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Return a schema that turns a single value into a list and removes duplicates."""
        items = core_schema.no_info_after_validator_function(distinct, handler(source))
        return core_schema.no_info_before_validator_function(_as_list, items)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, object]:
        """Return the JSON Schema: an item, or an array of items."""
        items = handler(schema)["items"]
        return {"anyOf": [items, {"type": "array", "items": items, "minItems": 1}]}


def distinct(values: Iterable[object]) -> tuple[object, ...]:
    """Return values without duplicates, in order. Models are equal if they set the same fields to the same values."""

    def identity(value: object) -> Hashable:
        named = frozenset(value.model_fields_set) if isinstance(value, BaseModel) else frozenset()
        return type(value), value, named

    return tuple({identity(value): value for value in values}.values())


def _as_list(value: object) -> object:
    if isinstance(value, list | tuple):
        if not value:
            raise ValueError("an empty list makes an empty matrix\ngive at least one value, or leave out the parameter")
        return value
    return (value,)


Name = Annotated[str, Strict(), Field(min_length=1, max_length=64)]  # as an inventory may name a data set or a disk
LoaderName = Annotated[
    str,
    Strict(),
    AfterValidator(read_loader),
    WithJsonSchema({"anyOf": [{"enum": [*LOADERS]}, {"type": "string", "pattern": r"\.py:[A-Za-z_]\w*$"}]}),
]
CacheName = Annotated[
    str,
    PlainValidator(read_cache),
    WithJsonSchema({"anyOf": [{"enum": [*CACHES]}, {"type": "boolean"}, {"type": "string", "pattern": r"\.tfcache$"}]}),
]
MemoryLimit = Annotated[
    int | Literal["none", "search"],
    PlainValidator(read_memory_limit),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": ["none", "search"]},
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([kKmMgGtT][iI]?)?[bB]?\s*$"},
            ]
        }
    ),
]
ImageSize = Annotated[
    tuple[int, int],
    PlainValidator(read_image_size),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {"type": "string", "pattern": r"^\s*\d+\s*[x×]\s*\d+\s*$"},
                {"type": "array", "items": {"type": "integer", "minimum": 1}, "minItems": 2, "maxItems": 2},
            ]
        }
    ),
]
Count = Annotated[int, Strict(), Field(ge=1, le=MOST_COUNT)]
Flag = Annotated[bool, Strict()]
Cpus = Annotated[
    int | None,
    PlainValidator(count_or((None, "auto"), None, least=1, what="cpus")),
    WithJsonSchema({"anyOf": [{"enum": ["auto", None]}, {"type": "integer", "minimum": 1}]}),
]
Gpus = Annotated[
    int | Literal["auto"],
    PlainValidator(count_or(("auto",), "auto", least=0, what="gpus")),
    WithJsonSchema({"anyOf": [{"const": "auto"}, {"type": "integer", "minimum": 0}]}),
]
MaxImages = Annotated[
    int | None,
    PlainValidator(count_or((None, "all"), None, least=1, what="max_images")),
    WithJsonSchema({"anyOf": [{"enum": ["all", None]}, {"type": "integer", "minimum": 1}]}),
]
Workers = Annotated[
    int | None,
    PlainValidator(count_or((None, "auto"), None, least=0, most=MOST_WORKERS, what="workers")),
    WithJsonSchema({"anyOf": [{"enum": ["auto", None]}, {"type": "integer", "minimum": 0, "maximum": MOST_WORKERS}]}),
]
Buffer = Annotated[
    int | Literal["auto", "full"],
    PlainValidator(read_buffer),
    WithJsonSchema({"anyOf": [{"enum": ["auto", "full"]}, {"type": "integer", "minimum": 1}]}),
]
Model = Annotated[ModelSetting, BeforeValidator(read_model), AfterValidator(check_model)]


class Assignment(BaseModel):
    """Values of some parameters, each one value or a list. A parameter that is not named is an empty tuple."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    data: Annotated[tuple[Name, ...], Many()] = Field((), description="A data set, by its name in the inventory.")
    mode: Annotated[tuple[Mode, ...], Many()] = Field(
        (), description="load: iterate without training; train: model.fit. Default load."
    )
    loader: Annotated[tuple[LoaderName, ...], Many()] = Field(
        (), description="The loader, which reads and decodes images: a name, or path/to/my_loader.py:make."
    )
    cache: Annotated[tuple[CacheName, ...], Many()] = Field(
        (), description="Where images are cached between epochs; also false, true, some_path.tfcache. Default none."
    )
    element: Annotated[tuple[Element, ...], Many()] = Field(
        (),
        description="How images are cached: as float32 (scaled pixels), uint8 (a quarter of the size) or encoded (as "
        "in the file). Default float32.",
    )
    deliver: Annotated[tuple[Deliver, ...], Many()] = Field(
        (), description="Type of the batches; uint8: the model begins with a Rescaling layer. Default float32."
    )
    cache_disk: Annotated[tuple[Name, ...], Many()] = Field(
        (), description="The disk for cache files, by its name in the inventory. Default scratch."
    )
    cache_reuse: Annotated[tuple[Literal["fresh", "reused"], ...], Many()] = Field(
        (), description="reused: an earlier process writes the cache files, outside the measurement. Default fresh."
    )
    page_cache: Annotated[tuple[PageCache, ...], Many()] = Field(
        (),
        description="Which files are in the kernel's page cache: cold-start (none at the start), cold (none before "
        "each epoch) or warm (all). Default cold-start.",
    )
    memory_limit: Annotated[tuple[MemoryLimit, ...], Many()] = Field(
        (),
        description="The enforced limit, like 16GB or 1.5GiB; none: all that the host has available; search: find the "
        "smallest limit under which the case runs, and the smallest for full speed. Default none.",
    )
    model: Annotated[tuple[Model, ...], Many()] = Field(
        (),
        description="The model to train: a name of keras.applications, or name, alpha, weights (none, imagenet or a "
        "path), trainable, xla; or name emulated with images_per_second, step_seconds, device (b200, mi355, h100, "
        "a100) or like (a host).",
    )
    image_size: Annotated[tuple[ImageSize, ...], Many()] = Field(
        (), description="Size in pixels: 256, or HEIGHTxWIDTH like 256x320; a list means several sizes. Default 256."
    )
    interpolation: Annotated[tuple[Interpolation, ...], Many()] = Field(
        (),
        description="How images are resized: nearest, bilinear or bilinear-antialias, with equal pixels for all "
        "loaders; native: each loader's own default. Default nearest.",
    )
    batch_size: Annotated[tuple[Count, ...], Many()] = Field(
        (), description="Images per batch, for all GPUs. Default 32."
    )
    epochs: Annotated[tuple[Count, ...], Many()] = Field((), description="Passes over the data. Default 2.")
    cpus: Annotated[tuple[Cpus, ...], Many()] = Field((), description="Number of CPUs; auto: all. Default auto.")
    gpus: Annotated[tuple[Gpus, ...], Many()] = Field(
        (), description="Number of GPUs that share a batch; auto: all. Default auto."
    )
    budgets: Annotated[tuple[Literal["container", "default"], ...], Many()] = Field(
        (),
        description="container: tf.data gets the limits of its container; default: its own assumptions. "
        "Default container.",
    )
    shuffle: Annotated[tuple[Flag, ...], Many()] = Field((), description="A new order each epoch. Default true.")
    augment: Annotated[tuple[Literal["none", "flip-crop"], ...], Many()] = Field(
        (), description="flip-crop: flip and shift images at random, after the cache. Default none."
    )
    deterministic: Annotated[tuple[Flag, ...], Many()] = Field(
        (), description="false: a loader may deliver images in the order in which they are ready. Default true."
    )
    precision: Annotated[tuple[Literal["float32", "mixed_float16"], ...], Many()] = Field(
        (), description="Precision of the model: float32 or mixed_float16. Default float32."
    )
    max_images: Annotated[tuple[MaxImages, ...], Many()] = Field(
        (), description="Use only this number of images, the first of the data set; all: no limit. Default all."
    )
    decoding: Annotated[tuple[Decoding, ...], Many()] = Field(
        (),
        description="How JPEGs are decoded: exact, or faster with approximate pixels: fast-dct, plain-upscaling, "
        "scaled, cropped. Default exact.",
    )
    cache_compression: Annotated[tuple[Compression, ...], Many()] = Field(
        (), description="For the caches save, snapshot and tfrecord-resized: none, gzip or snappy. Default none."
    )
    workers: Annotated[tuple[Workers, ...], Many()] = Field(
        (),
        description="Threads or processes that prepare images; 0: the calling thread; auto: one per CPU. Default auto.",
    )
    shuffle_buffer: Annotated[tuple[Buffer, ...], Many()] = Field(
        (),
        description="Images in the shuffle buffer; full: all; auto: all file names are shuffled, and a cache keeps one "
        "order. Default auto.",
    )

    def named(self) -> dict[str, tuple[object, ...]]:
        """Return the parameters that are named, with their values."""
        return {name: values for name in PARAMETERS if (values := getattr(self, name))}

    def with_models(self, change: Callable[[ModelSetting], ModelSetting]) -> Self:
        """Return a copy with each model changed by a function."""
        return self.model_copy(update={"model": tuple(map(change, self.model))})

    def matches(self, case: Case) -> bool:
        """Whether a case has one of the values of each named parameter; of models, only set fields are compared."""
        return matches(self.named(), case)

    @model_serializer(mode="plain")
    def _serialize(self) -> dict[str, object]:
        """Return only what is named, also in models, so that it can be read back as the same rule."""
        return {
            name: tuple(
                value.model_dump(exclude_unset=True) if isinstance(value, ModelSetting) else value for value in values
            )
            for name, values in self.named().items()
        }


PARAMETERS: tuple[str, ...] = tuple(Assignment.model_fields)
"""All parameters, in the order in which cases vary."""


def describe_parameters() -> dict[str, str]:
    """Return the description of each parameter, used by the schema, ``harness init`` and docs/experiment.md."""
    return {name: field.description or "" for name, field in Assignment.model_fields.items()}


def default_of(parameter: str) -> object:
    """Return the default of a parameter, which is that of ``Case``; None if it has none."""
    if parameter == "model":
        return ModelSetting()
    field = Case.model_fields[parameter]
    return None if field.is_required() else field.default


_Assignment = TypeVar("_Assignment", bound=Assignment)


def complete(assignment: _Assignment, base: Mapping[str, tuple[object, ...]]) -> _Assignment:
    """Return an assignment with every parameter named: absent ones from ``base``, models with all their fields."""
    values: dict[str, tuple[object, ...]] = {name: getattr(assignment, name) or base[name] for name in PARAMETERS}
    models = distinct(ModelSetting(**m.model_dump()) for m in values["model"] if isinstance(m, ModelSetting))
    return assignment.model_copy(update={**values, "model": models})
