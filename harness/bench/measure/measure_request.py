"""The request of the task ``measure``: ``request.json`` as typed values. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ..protocol import protocol
from ..protocol.failure import BenchmarkFailure
from ..protocol.loader_registry import LOADERS, SUPPORTED, find_unsupported, is_on_disk
from ..protocol.protocol import as_count, as_list, as_number, as_object, as_text

CACHE_NAME = "images"
"""Caches on disk are named ``<cache folder>/images-<hash of the pipeline>``."""


@dataclass(frozen=True)
class ModelSetting:
    """A case's ``model``: a base of ``keras.applications``, or ``emulated`` with its speed.

    ``trainable`` false freezes the base; ``xla`` None leaves the choice to Keras; ``like`` names the source of a speed.
    """

    name: str = "mobilenet"
    alpha: float = 1.0
    weights: str = "none"
    trainable: bool = False
    xla: bool | None = None
    images_per_second: float | None = None
    step_seconds: float | None = None
    like: str | None = None

    @property
    def is_emulated(self) -> bool:
        """Whether a step computes nothing and only takes as long as on an accelerator."""
        return self.name == "emulated"


@dataclass(frozen=True)
class MeasureRequest:
    """One case to measure, with everything it needs. Sizes in bytes; ``image_size`` is (height, width) in pixels.

    ``interpolation`` is the actual one if the case says ``native``; ``model`` is None if nothing is trained.
    """

    kind: str
    loader: str
    cache: str
    is_reused: bool
    page_cache: str
    mode: str
    model: ModelSetting | None
    image_size: tuple[int, int]
    interpolation: str
    is_native: bool
    batch_size: int
    epochs: int
    budgets: str
    shuffle: bool
    deterministic: bool
    precision: str
    max_images: int | None
    limit_bytes: int | None
    gpus: list[str]
    seed: int
    paths: dict[str, str]
    element: str = "float32"
    deliver: str = "float32"
    compression: str = "none"
    decoding: str = "exact"
    augment: str = "none"
    workers: int | None = None
    shuffle_buffer: int | str = "auto"

    def path(self, name: str) -> str:
        """Return a path of the job. Raises BenchmarkFailure if the engine gave none of this name."""
        try:
            return self.paths[name]
        except KeyError:
            raise BenchmarkFailure("error", f"the job has no path `{name}`; it has {sorted(self.paths)}") from None

    @property
    def cache_prefix(self) -> str | None:
        """The path with which all caches of this job begin; None without a cache on disk."""
        return f"{self.path('cache')}/{CACHE_NAME}" if is_on_disk(self.cache) else None


def read_request(job: Path) -> MeasureRequest:
    """Read the request in a job's folder. Raises BenchmarkFailure if no loader here can satisfy it."""
    request = protocol.read_request(job)
    case, kind = as_object(request.said.get("case")), str(as_object(request.said.get("data")).get("kind"))
    if not case:
        raise BenchmarkFailure("error", f"{job / protocol.REQUEST} is not a request to measure")
    check_case(case)
    loader = str(case["loader"])
    check_kind(loader, kind)
    gpus, most = list(request.limits.gpus), as_count(case.get("gpus"))
    asked = _text(case, "interpolation", "nearest")
    sides = as_list(case.get("image_size", [256, 256]))
    height, width = (_count({"image_size": side}, "image_size", 0) for side in sides)
    return MeasureRequest(
        kind=kind,
        loader=loader,
        cache=_text(case, "cache", "none"),
        is_reused=case.get("cache_reuse") == "reused",
        page_cache=_text(case, "page_cache", "cold-start"),
        mode=_text(case, "mode", "load"),
        model=parse_model(case.get("model")),
        image_size=(height, width),
        interpolation=LOADERS[loader].native if asked == "native" else asked,
        is_native=asked == "native",
        batch_size=_count(case, "batch_size", 32),
        epochs=_count(case, "epochs", 2),
        budgets=_text(case, "budgets", "container"),
        shuffle=bool(case.get("shuffle", True)),
        deterministic=bool(case.get("deterministic", True)),
        precision=_text(case, "precision", "float32"),
        max_images=as_count(case.get("max_images")),
        limit_bytes=request.limits.memory_bytes,
        gpus=gpus if most is None else gpus[:most],
        seed=request.seed,
        paths=dict(request.paths),
        element=_text(case, "element", "float32"),
        deliver=_text(case, "deliver", "float32"),
        compression=_text(case, "cache_compression", "none"),
        decoding=_text(case, "decoding", "exact"),
        augment=_text(case, "augment", "none"),
        workers=as_count(case.get("workers")),
        shuffle_buffer=as_count(case.get("shuffle_buffer")) or _text(case, "shuffle_buffer", "auto"),
    )


def parse_model(value: object) -> ModelSetting | None:
    """Read a case's ``model``; return None if nothing is trained."""
    if not isinstance(value, dict):
        return None
    said, xla, alpha = as_object(value), value.get("xla"), as_number(value.get("alpha"))
    return ModelSetting(
        name=_text(said, "name", "mobilenet"),
        alpha=1.0 if alpha is None else alpha,
        weights=_text(said, "weights", "none"),
        trainable=bool(said.get("trainable", False)),
        xla=None if xla is None else bool(xla),
        images_per_second=as_number(said.get("images_per_second")),
        step_seconds=as_number(said.get("step_seconds")),
        like=as_text(said.get("like")),
    )


def _count(said: Mapping[str, object], name: str, default: int) -> int:
    value = as_count(said.get(name, default))
    if value is None:
        raise BenchmarkFailure("error", f"`{name}` is {said[name]!r}, not a whole number")
    return value


def _text(said: Mapping[str, object], name: str, default: str) -> str:
    return str(said.get(name, default))


def check_kind(loader: str, kind: str) -> None:
    """Raise BenchmarkFailure if the loader cannot read data sets of this kind."""
    kinds = LOADERS[loader].kinds
    if kind not in kinds:
        raise BenchmarkFailure("error", f"{loader} cannot read data of kind {kind} (it reads: {', '.join(kinds)})")


def check_case(case: Mapping[str, object]) -> None:
    """Raise BenchmarkFailure for a setting that the registry does not offer, as something else would be measured."""
    try:
        spec = LOADERS[str(case["loader"])]
    except KeyError:
        known = ", ".join(LOADERS)
        cure = "a loader of a package must be installed where the benchmark runs (in its image)"
        message = f"there is no loader `{case['loader']}` here, only {known}; {cure}"
        raise BenchmarkFailure("error", message) from None
    except ValueError as error:
        raise BenchmarkFailure("error", str(error).replace("\n", ": ")) from None
    values = {name: case.get(name, default) for name, default in SUPPORTED.items()}
    reason = next(find_unsupported(spec, values), None)
    if reason is not None:
        raise BenchmarkFailure("error", reason)
