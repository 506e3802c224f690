"""Run task ``samework``: check that every loader of a session does the same work, on images that carry an index.

``python -m bench.proof.same_work JOB_FOLDER``. ``variants`` of the request are the cases to try, each with its ``key``
and the ``kind`` of its data. TensorFlow is started once for all. The result in ``dataset.json`` is ``variants`` by key,
each ``{"is_proven", "problems", "pixel_difference", …}``; a difference is a mean over a picture, on the scale 0 to 255.

Each loader delivers one epoch; then the contents of all files are exchanged, and it continues. After that a loader
without a cache must deliver the new pictures, and one with a cache those that the cache was filled with. The epoch that
begins with the exchange is not judged in this respect, since a loader may have read ahead.
"""

from __future__ import annotations

import functools
import os
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypedDict

import numpy as np

from ..data.indexed import CLASSES, COUNT, STRIDE, IndexedSet, label_of
from ..data.task import Job, run_task
from ..protocol.failure import classify, explain, is_short
from ..protocol.loader_registry import LOADERS, is_on_disk
from ..protocol.protocol import REQUEST, Request, as_list, as_object, write_json
from .recognition import Match, Reference, explain_counts, explain_labels, read_batch

if TYPE_CHECKING:
    from ..loaders.interface import Loader
    from ..measure.measure_request import MeasureRequest

SIZE = (64, 96)
"""(height, width): not square, so that swapped sides are detected."""
BATCH = 8
APPROXIMATE_TOLERANCE = 6.0
"""For approximate decoding, whose error is also measured on the case's own images; smaller than a wrong filter's."""
_MOST_AHEAD = 3
"""Epochs after which a loader must have stopped delivering old pictures; it may have read several epochs ahead."""
_MOST_TORN = 2
"""Pictures that may have been read while their files were exchanged: half old, half new. A fault in at most this many
pictures, and in none before the exchange, counts only if it occurs again."""
_TRIES = 2
_MOST_IMAGES = 4 * COUNT
"""An epoch that delivers more images is treated as endless."""
_MOST_TRACE = 16_000
"""Most characters of a traceback that are kept for the log."""
_NOT_ITS_FAULT = ("oom", "gpu_oom", "disk_full")
"""Failures of the host: whether the loader does the same work is then unknown."""

Batches = Iterable[tuple[Any, Any]]


class Findings:
    """The faults of one variant, each kind reported once."""

    def __init__(self) -> None:
        self._words: dict[str, str] = {}
        self._where: dict[str, set[int]] = {}
        self._pictures: dict[str, list[Match]] = {}
        self._epochs: set[int] = set()
        self._compared = 0
        self._is_seen_at_once = False

    def begin_epoch(self, number: int) -> None:
        """Record that an epoch is judged."""
        self._epochs.add(number)

    def add(self, words: str, *, kind: str = "", epoch: int | None = None) -> None:
        """Add a fault; of one ``kind`` the first is kept. ``epoch``: the fault is specific to this epoch."""
        self._words.setdefault(kind or words, words)
        if epoch is not None:
            self._where.setdefault(kind or words, set()).add(epoch)

    def add_picture(self, match: Match) -> None:
        """Add the faults of one picture, if any."""
        self._compared += 1
        for fault in match.faults:
            self._words.setdefault(fault, fault)
            self._pictures.setdefault(fault, []).append(match)
            self._is_seen_at_once |= self._epochs == {1}

    def may_be_torn(self, *, has_failed: bool) -> bool:
        """Return whether all faults may come from pictures that were read while their files were exchanged."""
        faulty = sum(map(len, self._pictures.values()))
        is_late = len(self._epochs) > 1 and not self._is_seen_at_once
        return is_late and faulty <= _MOST_TORN and (has_failed or faulty > 0)

    def as_words(self) -> list[str]:
        """Return one message per fault."""
        return [words + self._say_where(kind) + self._say_pictures(kind) for kind, words in self._words.items()]

    def _say_where(self, kind: str) -> str:
        epochs = self._where.get(kind, self._epochs)
        return "" if epochs == self._epochs else f" in epoch {', '.join(map(str, sorted(epochs)))}"

    def _say_pictures(self, kind: str) -> str:
        matches = self._pictures.get(kind)
        if matches is None:
            return ""
        said = [f"{len(matches)} of {self._compared} pictures"]
        off = max((match.difference for match in matches if match.difference is not None), default=None)
        if off is not None and kind.startswith("its pixels"):
            said.append(f"up to {off:.1f} grey levels off")
        said += [matches[0].detail] if matches[0].detail else []
        return f" ({', '.join(said)})"


@dataclass
class _Epoch:
    """The contents of one epoch: pictures by index, unidentified pictures, expected and given labels."""

    seen: Counter[int] = field(default_factory=Counter)
    unknown: int = 0
    delivered: int = 0
    wanted: list[int] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    is_endless: bool = False


@dataclass
class Judge:
    """A judge of what one loader delivers. ``worst`` is the largest difference of a picture, on the scale 0 to 255.

    ``layer`` is the model's first layer for loaders that deliver uint8: its output is judged.
    """

    reference: Reference
    found: Findings
    places: int = COUNT
    worst: float = 0.0
    layer: Callable[[Any], Any] | None = None

    def judge_epoch(self, number: int, batches: Batches) -> Counter[int]:
        """Judge an epoch except for how new its pictures are; return how often it delivered each picture, by index."""
        self.found.begin_epoch(number)
        epoch = _Epoch()
        try:
            self._judge_batches(epoch, batches)
        except Exception as error:
            if is_short(error):  # the images delivered so far can still be judged
                self._judge_counts(number, epoch)
            raise
        if not epoch.is_endless:
            self._judge_counts(number, epoch)
            fault = explain_labels(epoch.wanted, epoch.given, CLASSES)
            if fault is not None:
                self.found.add(fault, kind="labels", epoch=number)
        return epoch.seen

    def _judge_batches(self, epoch: _Epoch, batches: Batches) -> None:
        for batch in batches:
            images, labels = self._open(batch)
            epoch.delivered += len(images)
            if epoch.delivered > _MOST_IMAGES:
                epoch.is_endless = True
                self.found.add(
                    f"its epoch does not end: more than {_MOST_IMAGES} images came, but the set has {self.places}"
                )
                return
            read = read_batch(images, SIZE, BATCH)
            for kind, fault in read.faults.items():
                self.found.add(fault, kind=kind)
            classes = self._read_labels(labels, len(images))
            if read.images is None:
                epoch.unknown += len(images)
                continue
            for image, label in zip(read.images, classes, strict=True):
                index = self._judge_picture(image) if read.is_comparable else self.reference.identify(image)
                if index is None:
                    epoch.unknown += 1
                    continue
                epoch.seen[index] += 1
                if label is not None:
                    epoch.wanted.append(label_of(index))
                    epoch.given.append(label)

    def _open(self, batch: Any) -> tuple[Any, Any]:
        if not isinstance(batch, tuple | list) or len(batch) != 2:
            what = type(batch).__name__ if not isinstance(batch, tuple | list) else f"{len(batch)} values"
            raise TypeError(f"its batches are {what}, not pairs of images and labels")
        images = np.asarray(batch[0])
        if self.layer is None or images.dtype != np.uint8:
            if self.layer is not None:
                self.found.add(f"its images are {images.dtype}, not uint8", kind="deliver")
            return images, np.asarray(batch[1])
        return np.asarray(self.layer(images)), np.asarray(batch[1])

    def _read_labels(self, labels: Any, images: int) -> list[int | None]:
        if labels.shape == (images, len(CLASSES)):
            self.found.add(f"its labels are one-hot vectors of {len(CLASSES)} values, not numbers")
            return [int(label) for label in labels.argmax(axis=1)]
        if labels.shape == (images, 1):
            labels = labels[:, 0]
        if labels.shape != (images,) or labels.dtype.kind not in "iuf":
            shape = " × ".join(map(str, labels.shape))
            words = f"its labels are {shape} values of type {labels.dtype} for {images} images"
            self.found.add(f"{words}: one number per image is expected")
            return [None] * images
        return [int(label) for label in labels]

    def _judge_picture(self, image: Any) -> int | None:
        match = self.reference.match(image)
        self.found.add_picture(match)
        self.worst = max(self.worst, match.difference or 0.0)
        return match.picture

    def _judge_counts(self, number: int, epoch: _Epoch) -> None:
        """Judge how often images came; if some pictures could not be identified, only by their total number."""
        if epoch.unknown:
            if epoch.delivered != self.places:
                words = f"it delivers {epoch.delivered} of {self.places} images"
                self.found.add(words, kind="missing", epoch=number)
            return
        by_place: Counter[int] = Counter()
        for index, times in epoch.seen.items():
            by_place[index % STRIDE] += times
        for kind, fault in explain_counts(self.places, by_place, BATCH).items():
            self.found.add(fault, kind=kind, epoch=number)


def count_stale(seen: Mapping[int, int]) -> int:
    """Return the number of pictures that the files held before the exchange."""
    return sum(times for index, times in seen.items() if index < STRIDE)


def judge_freshness(judge: Judge, loader: Loader, made: IndexedSet, cache: str) -> None:
    """Exchange the files' contents after the first epoch, and check which pictures the loader delivers then."""
    is_declared = cache != "none"
    judge.judge_epoch(1, loader.batches())
    made.show(1, keep_times=is_declared)
    judge.judge_epoch(2, loader.batches())  # this epoch may have been read ahead
    if is_declared:
        seen = judge.judge_epoch(3, loader.batches())
        fresh = sum(seen.values()) - count_stale(seen)
        if fresh:
            judge.found.add(
                f"it declares the cache `{cache}` and does not cache: {fresh} of {made.count} images of a later epoch "
                "are not those that the cache was filled with"
            )
        return
    for number in range(3, 3 + _MOST_AHEAD):
        stale = count_stale(judge.judge_epoch(number, loader.batches()))
        if not stale:
            return
    judge.found.add(
        f"it serves pictures from a cache that it does not declare: {stale} of {made.count} images were still the old "
        "ones after their files had changed"
    )


def judge_restart(judge: Judge, request: MeasureRequest, made: IndexedSet, folder: Path) -> None:
    """Check that an existing cache on disk is filled again if the data have changed."""
    made.show(1)
    loader = open_loader(request, made, 1, folder, is_kept=True)
    stale = count_stale(judge.judge_epoch(4, loader.batches()))
    loader.close()
    if stale:
        judge.found.add(
            f"it serves pictures from a cache of other data: {stale} of {made.count} images were still the old ones "
            "after the data had changed and the loader was started again"
        )


def open_loader(
    request: MeasureRequest, made: IndexedSet, generation: int, folder: Path, *, is_kept: bool = False
) -> Loader:
    """Make the loader, with its cache filled if it is to be reused. ``is_kept``: keep caches of earlier loaders."""
    from ..measure import invocation

    manifest = made.manifest(generation)
    if request.is_reused:
        first = invocation.build(replace(request, is_reused=False), manifest, folder, keep_caches=is_kept).loader
        first.fill()
        for _batch in first.batches():
            pass
        first.close()
    loader = invocation.build(request, manifest, folder, keep_caches=is_kept).loader
    loader.fill()
    return loader


@functools.cache
def make_reference(made: IndexedSet, interpolation: str, tolerance: float | None, is_cropped: bool) -> Reference:
    """Make the reference that a set's pictures are compared with; shared by all loaders."""
    return Reference(made.pictures, SIZE, interpolation, tolerance=tolerance, is_cropped=is_cropped)


class Proof(TypedDict, total=False):
    """The result for one variant; the controller reads it into a ``WorkProof``. ``seconds`` is its duration."""

    is_proven: bool
    problems: list[str]
    reason: str
    trace: str
    pixel_difference: float
    is_approximate: bool
    interpolation: str
    seconds: float


class Variant(NamedTuple):
    """A loader to try: the case that represents it, and the kind of its data."""

    key: str
    kind: str
    case: Mapping[str, object]

    @property
    def needs_pandas(self) -> bool:
        """Whether its data is read through a pandas data frame."""
        return LOADERS[str(self.case["loader"])].needs_pandas(self.kind)


def read_variant(value: object) -> Variant:
    """Read one of the request's ``variants``."""
    said = as_object(value)
    return Variant(str(said["key"]), str(said["kind"]), as_object(said["case"]))


def try_variant(variant: Variant, folder: Path, made: Mapping[str, IndexedSet]) -> Proof:
    """Run one loader over the set. ``folder`` is the variant's own; ``made`` are the sets by kind."""
    begun = time.monotonic()
    for number in range(_TRIES):
        proof, may_be_torn = _try_once(variant, folder / f"again-{number}" if number else folder, made)
        if not may_be_torn:
            break
    return {**proof, "seconds": time.monotonic() - begun}


def _try_once(variant: Variant, folder: Path, made: Mapping[str, IndexedSet]) -> tuple[Proof, bool]:
    """Run one loader over the set; also return whether its faults may come from the exchange of the files."""
    from ..measure.measure_request import read_request

    indexed = made[variant.kind]
    case = {**variant.case, "mode": "load", "model": None, "image_size": list(SIZE), "batch_size": BATCH}
    case.update(epochs=2, max_images=None, augment="none", gpus=0, page_cache="cold-start", memory_limit="none")
    (folder / "cache").mkdir(parents=True)
    paths = {"data": str(indexed.images), "dataset": str(indexed.dataset), "cache": str(folder / "cache")}
    said = {"case": case, "data": {"kind": variant.kind}}
    write_json(folder / REQUEST, Request("measure", seed=11, paths=paths, said=said).as_fields())
    request = read_request(folder)
    is_near = request.decoding != "exact" or (request.cache == "tfrecord-resized" and request.element == "encoded")
    is_cropped = request.decoding == "cropped"
    reference = make_reference(indexed, request.interpolation, APPROXIMATE_TOLERANCE if is_near else None, is_cropped)
    judge = Judge(reference, Findings(), indexed.count)
    if request.deliver == "uint8":
        from ..measure.keras_model import make_rescaling

        judge.layer = make_rescaling()
    found: Proof = {}
    problems = []
    try:
        loader = open_loader(request, indexed, 0, folder)
        with closing(loader):
            if loader.images != indexed.count:
                problems.append(f"it reports {loader.images} images, but the set has {indexed.count}")
            judge_freshness(judge, loader, indexed, request.cache)
        if is_on_disk(request.cache):
            judge_restart(judge, request, indexed, folder)
    except (Exception, SystemExit) as error:
        if classify(error) in _NOT_ITS_FAULT:
            raise
        traceback.print_exc()
        if not (is_short(error) and judge.found.as_words()):
            problems.append(f"it ends with an error: {explain(error)}")
        found["trace"] = "".join(traceback.format_exception(error))[-_MOST_TRACE:]
    finally:
        indexed.show(0)
    proof: Proof = {
        **found,
        "problems": problems + judge.found.as_words(),
        "pixel_difference": round(judge.worst, 3),
        "is_proven": True,
        "is_approximate": is_near,
        "interpolation": request.interpolation,
    }
    return proof, judge.found.may_be_torn(has_failed="trace" in found)


def task(job: Job) -> Mapping[str, object]:
    """Make the sets, start TensorFlow once, try every variant. A failure of the host leaves a variant unproven."""
    variants = [read_variant(value) for value in as_list(job.request.said["variants"])]
    root = job.results.parent / "scratch" / "samework"
    job.enter("check")
    kinds = sorted({variant.kind for variant in variants})
    made = {kind: IndexedSet(root / kind, kind, job.request.seed) for kind in kinds}
    _start_tensorflow(variants, root)
    results: dict[str, Proof] = {}
    for number, variant in enumerate(variants):
        try:
            results[variant.key] = try_variant(variant, root / f"variant-{number}", made)
        except Exception as error:
            traceback.print_exc()
            results[variant.key] = {"is_proven": False, "problems": [], "reason": explain(error)}
        job.progress(number + 1, len(variants))
    return {"images": COUNT, "variants": results}


def _start_tensorflow(variants: Sequence[Variant], root: Path) -> None:
    from ..measure.devices import restrict_gpus
    from ..measure.process_environment import leave_out_pandas, prepare_process

    prepare_process(str(root / "keras"))
    if not any(variant.needs_pandas for variant in variants):
        leave_out_pandas()
    restrict_gpus([])
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


if __name__ == "__main__":
    status = run_task(task, sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # TensorFlow's threads have been seen to crash while an interpreter ends
