"""The ladder of tf.data: ``tfdata-sequential``, ``tfdata`` (AUTOTUNE) and ``tfdata-tuned``, with every cache."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import tensorflow as tf

from ..protocol.loader_registry import keeps_order
from ..protocol.specs import NEW_ORDER
from .array_cache import READ_AHEAD, keep_array
from .augmenting import augment
from .cache_writers import keep
from .decoding import describe_decoder, make_plain_decode, make_resize, scale, to_uint8
from .interface import Loader, LoaderContext
from .reading_records import name_order, read_records, records_buffer

_ALONE = ("cache", "augment", "batch")
"""Stages that are an operation of their own; those between them are done by one map."""


@dataclass(frozen=True)
class Rung:
    """How a pipeline of the ladder is written. ``parallel`` is what maps are given: None, or AUTOTUNE."""

    parallel: Any
    is_prefetched: bool = True
    is_scaled_in_batches: bool = False


def make(context: LoaderContext) -> Loader:
    """``tfdata``: paths, shuffled → read, decode, resize and scale in parallel → cache → batch → prefetch."""
    return build(context, Rung(tf.data.AUTOTUNE))


def make_sequential(context: LoaderContext) -> Loader:
    """``tfdata-sequential``: the same without a thing in parallel."""
    loader = build(context, Rung(None, is_prefetched=False))
    options = tf.data.Options()
    options.autotune.enabled = False
    loader.dataset = loader.dataset.with_options(options)
    return loader


def make_tuned(context: LoaderContext) -> Loader:
    """``tfdata-tuned``: images are written into their batch, and scaled there; an operation has one thread."""
    rung = Rung(tf.data.AUTOTUNE, is_scaled_in_batches=True)
    loader = build(context, rung)
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    if context.cache != "array":
        options.experimental_optimization.map_and_batch_fusion = True
    loader.dataset = loader.dataset.with_options(options)
    return loader


def build(context: LoaderContext, rung: Rung) -> Loader:
    """The pipeline. ``workers`` of the context are its parallel calls and the threads of its pool, else AUTOTUNE's.

    What its cache holds, the context's ``element`` says; what follows the cache runs every epoch:

    * float32: the finished image, as the article kept it;
    * uint8: the resized image; then cast and scaling, where batches are not to stay uint8;
    * encoded: the file as it is; then all the rest.

    Without a cache the list of paths is shuffled whole before each epoch. A cache freezes the order in which images
    came: the list is then permuted once, by the seed, and every later epoch has the same order. A shuffle
    buffer behind a cache on disk would hold images and so cost memory, and behind a memory cache it would delay the
    first batch until the cache is full: there is one where ``shuffle_buffer`` asks for it. Without a cache, one that
    does not hold all images mixes them as they come from their files in the order of their paths, as ``map``,
    ``shuffle``, ``batch`` does. The cache ``array`` freezes none: it holds images by their numbers, in batches.
    """
    if context.workers is not None and rung.parallel is not None:
        rung = replace(rung, parallel=context.workers or None)
    if context.features is None:
        ordered, order = order_files(context)
    else:
        ordered, order = read_records(context, rung.parallel)
    stages = context.stages_of(order_stages(context, rung))
    dataset, store, mixed, is_mixed_late = ordered, None, None, mixes_images(context)
    for kind, group in groupby(context.running(stages), lambda stage: _find_kind(stage, context)):
        together = tuple(group)
        if is_mixed_late and kind in ("augment", "batch"):
            dataset, is_mixed_late = mix(dataset, context), False
            mixed = dataset.element_spec[0]
        if kind == "cache" and context.cache == "array":
            dataset, store = keep_array(dataset, context, rung.parallel, is_scaled="scale" in together)
        elif kind == "cache":
            dataset, store = keep(dataset, context)
            dataset = mix(dataset, context)
            mixed = dataset.element_spec[0]
        elif kind == "augment":
            dataset = _augment(dataset, rung, context)
        elif kind == "batch":
            dataset = dataset.batch(context.batch_size)
        else:
            dataset = _map_images(dataset, rung, together, context)
    if context.until is None:
        steps = -(-len(context.paths) // context.batch_size)
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))  # `fit` runs a step too many otherwise
    if context.until is None and rung.is_prefetched:
        dataset = dataset.prefetch(READ_AHEAD if context.cache == "array" else tf.data.AUTOTUNE)
    dataset = dataset.with_options(make_options(context))
    return Loader(
        dataset=dataset,
        images=len(context.paths),
        batch_size=context.batch_size,
        element_spec=dataset.element_spec,
        order=order,
        decoder=describe_decoder(context),
        store=store,
        stages=stages,
        workers=context.workers,
        buffer=count_mixed(context),
        buffer_bytes=count_mixed_bytes(context, mixed),
    )


def _augment(dataset: Any, rung: Rung, context: LoaderContext) -> Any:
    """The data set with its images augmented one by one; what comes out of the cache ``array`` are batches."""
    if context.cache != "array":
        return augment(dataset, context, rung.parallel)
    return augment(dataset.unbatch(), context, rung.parallel).batch(context.batch_size)


def _find_kind(stage: str, context: LoaderContext) -> str:
    """What a stage is done by: an operation of its own, or one map with its neighbours."""
    if stage == "scale" and context.cache == "array" and context.augment == "none" and context.element == "uint8":
        return "cache"  # as a batch is gathered
    return stage if stage in _ALONE else "images"


def mixes_images(context: LoaderContext) -> bool:
    """Whether images pass a buffer without a cache: one that does not hold all, for then their files are permuted."""
    size, is_plain = context.shuffle_buffer, context.cache == "none" and context.features is None
    return context.shuffle and is_plain and size is not None and size < len(context.paths)


def mix(dataset: Any, context: LoaderContext) -> Any:
    """The data set behind the shuffle buffer that was asked for, if one was."""
    size = context.shuffle_buffer if context.shuffle else None
    return dataset if size is None else dataset.shuffle(size, seed=context.seed, reshuffle_each_iteration=True)


def count_mixed(context: LoaderContext) -> int | None:
    """How many images each epoch is mixed in: ``Loader.buffer``."""
    if not context.shuffle:
        return None
    if context.cache == "array":
        return len(context.paths)
    if context.cache != "none":
        return context.shuffle_buffer or 0
    if context.features is not None:
        return records_buffer(context)
    return context.shuffle_buffer or len(context.paths)


def count_mixed_bytes(context: LoaderContext, held: Any) -> int | None:
    """Bytes of a full buffer; ``held`` is the spec of an image in it. None where that is not known.

    Behind a cache in memory the buffer refers to what is cached; of files that are permuted it holds the names.
    """
    if context.cache == "memory":
        return 0
    count = count_mixed(context)
    if held is None:
        return sum(map(len, context.paths)) if count and context.features is None else None
    is_known = held.dtype != tf.string and held.shape.is_fully_defined()
    return count * held.shape.num_elements() * held.dtype.size if count is not None and is_known else None


def order_stages(context: LoaderContext, rung: Rung) -> tuple[str, ...]:
    """The stages of a pipeline in their order: where its cache is, and where it scales."""
    if context.cache == "array":
        before, after = (("scale",), ()) if context.element == "float32" else ((), ("scale",))
        augmenting = () if context.augment == "none" else ("augment",)
        return ("read", "decode", "resize", *before, "batch", "cache", *augmenting, *after)
    kept = None if context.cache == "none" else _last_kept(context)
    scales_batches = rung.is_scaled_in_batches and kept != "scale"
    scales_first = not scales_batches and kept != "resize"
    stages = ["read", "decode", "resize", *(["scale"] if scales_first else [])]
    if kept is not None:
        stages.insert(stages.index(kept) + 1, "cache")
    if context.augment != "none":
        stages.append("augment")
    if scales_first:
        return (*stages, "batch")
    return (*stages, "batch", "scale") if scales_batches else (*stages, "scale", "batch")


def _last_kept(context: LoaderContext) -> str:
    """The stage whose images the cache holds."""
    if context.cache == "tfrecord" or (context.element == "encoded" and context.cache != "tfrecord-resized"):
        return "read"
    return "scale" if context.element == "float32" else "resize"


def _map_images(dataset: Any, rung: Rung, stages: tuple[str, ...], context: LoaderContext) -> Any:
    """One map for neighbouring stages: of images, or of batches where ``scale`` comes after them."""
    resize = make_resize(context)
    is_uint8 = not context.is_scaled or (context.cache != "none" and _last_kept(context) == "resize")
    steps: dict[str, Callable[[Any], Any]] = {
        "decode": make_plain_decode(context),
        "resize": (lambda image: to_uint8(resize(image))) if is_uint8 else resize,
        "scale": scale,
    }
    chosen = [steps[stage] for stage in stages if stage != "read"]

    def step(data: Any, label: Any) -> tuple[Any, Any]:
        for one in chosen:
            data = one(data)
        return data, label

    if stages[0] == "read":
        return _map_files(dataset, rung, step if chosen else None, context)
    return dataset.map(step, num_parallel_calls=rung.parallel)


def _map_files(ordered: Any, rung: Rung, step: Any, context: LoaderContext) -> Any:
    """(path, label) → (bytes, label) → ``step``, which is None where the bytes themselves are wanted.

    TFRecord files have been read by then: ``ordered`` is (bytes, label).
    """
    if context.features is not None:
        return ordered if step is None else ordered.map(step, num_parallel_calls=rung.parallel)

    def read(path: Any, label: Any) -> tuple[Any, Any]:
        data = tf.io.read_file(path)
        return (data, label) if step is None else step(data, label)

    return ordered.map(read, num_parallel_calls=rung.parallel)


def order_files(context: LoaderContext) -> tuple[Any, str]:
    """A data set of (path, label), and how it is ordered; the cache ``array`` has the file's number for its label."""
    files, is_array = context.files, context.cache == "array"
    labels = list(range(len(files))) if is_array else list(context.labels)
    if not context.shuffle:
        return _pair(files, labels), "by path"
    if mixes_images(context):
        return _pair(files, labels), name_order(context, "by path")
    if not keeps_order(context.cache):
        shuffled = _pair(files, labels).shuffle(len(files), seed=context.seed, reshuffle_each_iteration=True)
        return shuffled, NEW_ORDER
    order = list(range(len(files)))
    random.Random(context.seed).shuffle(order)
    frozen = "one permutation, frozen by the cache"
    said = frozen if context.shuffle_buffer is None else name_order(context, frozen)
    return _pair([files[i] for i in order], [labels[i] for i in order]), said


def _pair(files: list[str], labels: list[int]) -> Any:
    return tf.data.Dataset.from_tensor_slices((tf.constant(files), tf.constant(labels, tf.int32)))


def make_options(context: LoaderContext) -> Any:
    """Order and budgets, as ``tf.data.Options``."""
    options = tf.data.Options()
    options.deterministic = context.deterministic
    budgets = context.budgets
    if budgets is not None and budgets.ram_budget_bytes is not None:
        options.autotune.ram_budget = budgets.ram_budget_bytes
        options.autotune.cpu_budget = budgets.cpu_budget
        options.threading.private_threadpool_size = budgets.threadpool_size
    if context.workers is not None:
        options.threading.private_threadpool_size = max(1, context.workers)
    if context.cache == "array":  # to rewrite the pipeline for each epoch takes as long as reading hundreds of images
        options.experimental_optimization.apply_default_optimizations = False
        options.autotune.enabled = False
    return options
