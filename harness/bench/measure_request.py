"""What task ``measure`` was asked: ``request.json`` as values. Standard library only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .failure import BenchmarkFailure
from .protocol import REQUEST, read_json
from .registry import CACHES, LOADERS

CACHE_NAME = "images"
"""Caches on disk are named ``<cache folder>/images-<hash of the pipeline>``."""


@dataclass(frozen=True)
class MeasureRequest:
    """One case to measure, with all that belongs to it. Sizes in bytes; ``image_size`` is (height, width) in pixels.

    ``interpolation`` is what ``native`` became; ``model`` is None where nothing is trained.
    """

    kind: str
    loader: str
    cache: str
    is_reused: bool
    page_cache: str
    mode: str
    model: dict[str, Any] | None
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
    compression: str = "none"
    decoding: str = "exact"
    augment: str = "none"

    def path(self, name: str) -> str:
        """A path of the job; raises BenchmarkFailure where the engine gave none."""
        try:
            return self.paths[name]
        except KeyError:
            raise BenchmarkFailure("error", f"the job has no path `{name}`; it has {sorted(self.paths)}") from None

    @property
    def cache_prefix(self) -> str | None:
        """What the paths of all caches of this job begin with; None without a cache on disk."""
        return f"{self.path('cache')}/{CACHE_NAME}" if CACHES[self.cache].is_on_disk else None


def read_request(job: Path) -> MeasureRequest:
    """The request in a job's folder. Raises BenchmarkFailure where it asks for what no loader here makes."""
    request = read_json(job / REQUEST)
    if not isinstance(request, dict) or "case" not in request:
        raise BenchmarkFailure("error", f"{job / REQUEST} is no request to measure")
    case: dict[str, Any] = request["case"]
    limits: dict[str, Any] = request.get("limits") or {}
    check_case(case)
    check_kind(case["loader"], request["data"]["kind"])
    asked = case.get("interpolation", "nearest")
    height, width = case.get("image_size", (256, 256))
    return MeasureRequest(
        kind=request["data"]["kind"],
        loader=case["loader"],
        cache=case.get("cache", "none"),
        is_reused=case.get("cache_reuse") == "reused",
        page_cache=case.get("page_cache", "cold-start"),
        mode=case.get("mode", "load"),
        model=case.get("model"),
        image_size=(int(height), int(width)),
        interpolation=LOADERS[case["loader"]].native if asked == "native" else asked,
        is_native=asked == "native",
        batch_size=int(case.get("batch_size", 32)),
        epochs=int(case.get("epochs", 2)),
        budgets=case.get("budgets", "container"),
        shuffle=bool(case.get("shuffle", True)),
        deterministic=bool(case.get("deterministic", True)),
        precision=case.get("precision", "float32"),
        max_images=case.get("max_images"),
        limit_bytes=limits.get("memory_bytes"),
        gpus=list(limits.get("gpus") or []),
        seed=int(request.get("seed", 0)),
        paths=dict(request["paths"]),
        element=case.get("element", "float32"),
        compression=case.get("cache_compression", "none"),
        decoding=case.get("decoding", "exact"),
        augment=case.get("augment", "none"),
    )


def check_kind(loader: str, kind: str) -> None:
    """Refuse a data set that a loader cannot read."""
    kinds = LOADERS[loader].kinds
    if kind not in kinds:
        raise BenchmarkFailure("error", f"{loader} reads no data of kind {kind}, only {', '.join(kinds)}")


def check_case(case: dict[str, Any]) -> None:
    """Refuse what the registry does not offer: it would otherwise be measured as something else."""
    try:
        spec = LOADERS[case["loader"]]
    except KeyError:
        known = ", ".join(LOADERS)
        cure = "a loader of a package must be installed where the benchmark runs, so in its image"
        message = f"no loader is called `{case['loader']}` here; there are {known}; {cure}"
        raise BenchmarkFailure("error", message) from None
    except ValueError as error:
        raise BenchmarkFailure("error", str(error).replace("\n", ": ")) from None
    offers = (
        ("cache", "none", spec.caches),
        ("element", "float32", spec.elements),
        ("interpolation", "nearest", spec.interpolations),
        ("augment", "none", spec.augments),
        ("decoding", "exact", spec.decodings),
    )
    for name, default, offered in offers:
        value = case.get(name, default)
        if value not in offered:
            raise BenchmarkFailure("error", f"{spec.name} makes no {name} `{value}`, only {', '.join(offered)}")
    cache = CACHES[case.get("cache", "none")]
    for name, default, offered in (
        ("element", "float32", cache.elements),
        ("cache_compression", "none", cache.compressions),
    ):
        value = case.get(name, default)
        if value not in offered:
            raise BenchmarkFailure("error", f"cache {cache.name} has no {name} `{value}`, only {', '.join(offered)}")
