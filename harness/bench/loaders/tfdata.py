"""Implement the tf.data loaders: ``tfdata-sequential``, ``tfdata`` (AUTOTUNE), ``tfdata-tuned``, with every cache."""

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
"""Stages that are a tf.data operation each; the stages between them are combined in one map."""


@dataclass(frozen=True)
class Rung:
    """A variant of the tf.data pipeline. ``parallel`` is the maps' ``num_parallel_calls``: None, a number, AUTOTUNE."""

    parallel: Any
    is_prefetched: bool = True
    is_scaled_in_batches: bool = False


def make(context: LoaderContext) -> Loader:
    """Make ``tfdata``: shuffled paths → read, decode, resize and scale in parallel → cache → batch → prefetch."""
    return build(context, Rung(tf.data.AUTOTUNE))


def make_sequential(context: LoaderContext) -> Loader:
    """Make ``tfdata-sequential``: the same pipeline without parallelism and prefetching."""
    loader = build(context, Rung(None, is_prefetched=False))
    options = tf.data.Options()
    options.autotune.enabled = False
    loader.dataset = loader.dataset.with_options(options)
    return loader


def make_tuned(context: LoaderContext) -> Loader:
    """Make ``tfdata-tuned``: images are decoded into their batch and scaled there, with one thread per operation."""
    rung = Rung(tf.data.AUTOTUNE, is_scaled_in_batches=True)
    loader = build(context, rung)
    options = tf.data.Options()
    options.threading.max_intra_op_parallelism = 1
    if context.cache != "array":
        options.experimental_optimization.map_and_batch_fusion = True
    loader.dataset = loader.dataset.with_options(options)
    return loader


def build(context: LoaderContext, rung: Rung) -> Loader:
    """Build the pipeline; ``workers`` of the context sets its parallel calls and pool threads, else AUTOTUNE does.

    The context's ``element`` says what the cache holds; stages after the cache run in every epoch:

    * float32: the finished image;
    * uint8: the resized image, followed by cast and scaling unless batches are to stay uint8;
    * encoded: the file's bytes, followed by all other stages.

    Without a cache the whole list of paths is shuffled before each epoch. A cache freezes the order in which images
    came, so the list is permuted once, by the seed, and every epoch has the same order. A shuffle buffer after a cache
    on disk would take memory for images, and after a memory cache it would delay the first batch until the cache is
    full, so there is one only if ``shuffle_buffer`` asks for it. Without a cache, a buffer smaller than the set mixes
    images as they come from their files in the order of paths, as ``map``, ``shuffle``, ``batch`` does. The cache
    ``array`` freezes no order: it holds images by number.
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
        dataset = dataset.apply(tf.data.experimental.assert_cardinality(steps))  # else `fit` runs one step too many
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
    """Augment the images of a data set one by one; the cache ``array`` delivers batches, which are split for that."""
    if context.cache != "array":
        return augment(dataset, context, rung.parallel)
    return augment(dataset.unbatch(), context, rung.parallel).batch(context.batch_size)


def _find_kind(stage: str, context: LoaderContext) -> str:
    """Return which operation does a stage: a separate one, or a map shared with neighbouring stages."""
    if stage == "scale" and context.cache == "array" and context.augment == "none" and context.element == "uint8":
        return "cache"  # done while a batch is gathered
    return stage if stage in _ALONE else "images"


def mixes_images(context: LoaderContext) -> bool:
    """Return whether images pass a shuffle buffer without a cache: one smaller than the set; otherwise paths do."""
    size, is_plain = context.shuffle_buffer, context.cache == "none" and context.features is None
    return context.shuffle and is_plain and size is not None and size < len(context.paths)


def mix(dataset: Any, context: LoaderContext) -> Any:
    """Add the requested shuffle buffer to the data set, if any."""
    size = context.shuffle_buffer if context.shuffle else None
    return dataset if size is None else dataset.shuffle(size, seed=context.seed, reshuffle_each_iteration=True)


def count_mixed(context: LoaderContext) -> int | None:
    """Return how many images the shuffle buffer of an epoch mixes (``Loader.buffer``)."""
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
    """Return the bytes of a full buffer; ``held`` is the spec of an image in it. None if that is not known.

    After a memory cache the buffer only refers to cached images; if file names are permuted it holds the names.
    """
    if context.cache == "memory":
        return 0
    count = count_mixed(context)
    if held is None:
        return sum(map(len, context.paths)) if count and context.features is None else None
    is_known = held.dtype != tf.string and held.shape.is_fully_defined()
    return count * held.shape.num_elements() * held.dtype.size if count is not None and is_known else None


def order_stages(context: LoaderContext, rung: Rung) -> tuple[str, ...]:
    """Return the stages of a pipeline in their order, which depends on the cache and on where images are scaled."""
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
    """Return the stage whose output the cache holds."""
    if context.cache == "tfrecord" or (context.element == "encoded" and context.cache != "tfrecord-resized"):
        return "read"
    return "scale" if context.element == "float32" else "resize"


def _map_images(dataset: Any, rung: Rung, stages: tuple[str, ...], context: LoaderContext) -> Any:
    """Apply neighbouring stages in one map, over images, or over batches if ``scale`` follows them."""
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
    """Map (path, label) to (bytes, label) and apply ``step``, which is None if the bytes themselves are wanted.

    For TFRecord files ``ordered`` is (bytes, label) already.
    """
    if context.features is not None:
        return ordered if step is None else ordered.map(step, num_parallel_calls=rung.parallel)

    def read(path: Any, label: Any) -> tuple[Any, Any]:
        data = tf.io.read_file(path)
        return (data, label) if step is None else step(data, label)

    return ordered.map(read, num_parallel_calls=rung.parallel)


def order_files(context: LoaderContext) -> tuple[Any, str]:
    """Return a data set of (path, label) and its order; for the cache ``array`` the label is the file's number."""
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
    """Return ``tf.data.Options`` with the case's order and budgets."""
    options = tf.data.Options()
    options.deterministic = context.deterministic
    budgets = context.budgets
    if budgets is not None and budgets.ram_budget_bytes is not None:
        options.autotune.ram_budget = budgets.ram_budget_bytes
        options.autotune.cpu_budget = budgets.cpu_budget
        options.threading.private_threadpool_size = budgets.threadpool_size
    if context.workers is not None:
        options.threading.private_threadpool_size = max(1, context.workers)
    if context.cache == "array":  # rewriting the pipeline in each epoch costs as much as hundreds of images
        options.experimental_optimization.apply_default_optimizations = False
        options.autotune.enabled = False
    return options
