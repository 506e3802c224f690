"""Cache writers of tf.data pipelines: where elements are stored between epochs."""

from __future__ import annotations

import glob
import os
from typing import Any

import tensorflow as tf

from ..protocol.failure import BenchmarkFailure
from .interface import CHANNELS, LoaderContext
from .store import Store

SHARDS = 4
"""Number of files of a sharded cache; each is read by its own reader."""
JPEG_QUALITY = 95
"""JPEG quality of images that are stored resized."""

_GRAPH_COMPRESSION = {"none": None, "gzip": "GZIP", "snappy": "SNAPPY"}
_Kept = tuple[Any, Store]


def keep(dataset: Any, context: LoaderContext) -> tuple[Any, Store | None]:
    """Return the data set of (element, label) pairs with its cache, and the cache's files if it has any."""
    if context.cache == "none":
        return dataset, None
    if context.cache == "memory":
        return dataset.cache(), None
    images, store = _MAKERS[context.cache](dataset, context, find_prefix(context))
    refuse_unwhole(store, context)
    return images, store


def find_prefix(context: LoaderContext) -> str:
    """Return the path of the case's cache on disk. Raises BenchmarkFailure if the job has no folder for it."""
    if context.cache_prefix is None:
        raise BenchmarkFailure("error", f"a cache `{context.cache}` is requested, but the job has no folder for it")
    return context.cache_prefix


def refuse_unwhole(store: Store, context: LoaderContext) -> None:
    """Raise BenchmarkFailure if the cache is to be reused but is incomplete."""
    if context.is_reused and not store.is_whole():
        raise BenchmarkFailure("error", f"the cache {context.cache_prefix} to be reused is missing or incomplete")


def is_file_whole(prefix: str) -> bool:
    """Return whether TensorFlow would read this cache file instead of filling it: it only checks for the index."""
    return os.path.exists(prefix + ".index") or os.path.exists(prefix + "_0.index")


def _keep_file(dataset: Any, context: LoaderContext, prefix: str) -> _Kept:
    return dataset.cache(prefix), Store(prefix, check=is_file_whole)


def _shard(index: Any, _pair: Any) -> Any:
    return index % SHARDS


def _unshard(datasets: Any) -> Any:
    """Interleave all shards, one element of each in turn: this restores the order in which they were written."""
    return datasets.interleave(lambda shard: shard, cycle_length=SHARDS, num_parallel_calls=tf.data.AUTOTUNE)


def _drop_index(_index: Any, pair: Any) -> Any:
    return pair


def _leave_out_failures(dataset: Any) -> Any:
    return dataset.ignore_errors()


def _refuse_incomplete(path: str, compression: Any, dataset: Any, images: int) -> None:
    kept = int(tf.data.Dataset.load(path, compression=compression).cardinality())
    if kept == images:
        return
    for _ in dataset:
        pass
    raise BenchmarkFailure("data", f"only {kept} of {images} images arrived while the cache was written")


def _keep_save(dataset: Any, context: LoaderContext, prefix: str) -> _Kept:
    """Cache elements with their numbers (8 bytes each), which determine their shards.

    ``save`` of TensorFlow 2.21 waits forever for its own writers if an image fails, so failing images are left out
    there. If the count shows that some are missing, the data set is read once more to raise the original error.
    """
    numbered = dataset.enumerate()
    compression = _GRAPH_COMPRESSION[context.compression]

    def write(path: str) -> None:
        _leave_out_failures(numbered).save(path, compression=compression, shard_func=_shard)
        _refuse_incomplete(path, compression, dataset, len(context.paths))

    spec = numbered.element_spec
    loaded = tf.data.Dataset.from_tensors(0).flat_map(  # opened when an epoch begins: it may not exist before
        lambda _: tf.data.Dataset.load(prefix, element_spec=spec, compression=compression, reader_func=_unshard)
    )
    return loaded.map(_drop_index), Store(prefix, write=write)


def _keep_snapshot(dataset: Any, context: LoaderContext, prefix: str) -> _Kept:
    compression = _GRAPH_COMPRESSION[context.compression] or ""
    numbered = dataset.enumerate().snapshot(prefix, compression=compression, shard_func=_shard, reader_func=_unshard)
    return numbered.map(_drop_index), Store(prefix, check=is_snapshot_whole)


def is_snapshot_whole(prefix: str) -> bool:
    """Return whether the folder has a finished snapshot, according to its metadata (``finalized``)."""
    from tensorflow.core.protobuf import snapshot_pb2

    for path in glob.glob(os.path.join(glob.escape(prefix), "*", "snapshot.metadata")):
        record = snapshot_pb2.SnapshotMetadataRecord()
        with open(path, "rb") as stream:
            record.ParseFromString(stream.read())
        if record.finalized:
            return True
    return False


def _keep_tfrecord(dataset: Any, context: LoaderContext, prefix: str) -> _Kept:
    """Cache files' bytes (JPEGs) and labels, as ``tf.train.Example``."""
    return _read_records(prefix, context), Store(prefix, write=lambda path: _write_records(dataset, path, context))


def _keep_resized(dataset: Any, context: LoaderContext, prefix: str) -> _Kept:
    """Cache resized images, as plain uint8 pixels or as JPEGs."""
    is_encoded = context.element == "encoded"

    def to_bytes(image: Any, label: Any) -> tuple[Any, Any]:
        return (_encode(image) if is_encoded else tf.io.serialize_tensor(image)), label

    def to_image(data: Any, label: Any) -> tuple[Any, Any]:
        image = _decode(data) if is_encoded else tf.io.parse_tensor(data, tf.uint8)
        return tf.ensure_shape(image, (*context.image_size, CHANNELS)), label

    records = dataset.map(to_bytes, num_parallel_calls=tf.data.AUTOTUNE)
    images = _read_records(prefix, context).map(to_image, num_parallel_calls=tf.data.AUTOTUNE)
    return images, Store(prefix, write=lambda path: _write_records(records, path, context))


def _encode(image: Any) -> Any:
    return tf.io.encode_jpeg(image, quality=JPEG_QUALITY, chroma_downsampling=False)


def _decode(data: Any) -> Any:
    return tf.io.decode_jpeg(data, channels=CHANNELS, dct_method="INTEGER_ACCURATE")


def encode_again(image: Any) -> Any:
    """Return an image as it is after being stored resized and encoded."""
    return _decode(_encode(image))


def _compression(context: LoaderContext) -> str:
    return {"none": "", "gzip": "GZIP"}[context.compression]


def _shard_paths(folder: str) -> list[str]:
    return [os.path.join(folder, f"{shard:05d}-of-{SHARDS:05d}.tfrecord") for shard in range(SHARDS)]


def _write_records(pairs: Any, folder: str, context: LoaderContext) -> None:
    os.makedirs(folder)
    writers = [tf.io.TFRecordWriter(path, _compression(context)) for path in _shard_paths(folder)]
    for number, (data, label) in enumerate(pairs.as_numpy_iterator()):
        feature = {
            "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[data])),
            "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
        }
        example = tf.train.Example(features=tf.train.Features(feature=feature))
        writers[number % SHARDS].write(example.SerializeToString())
    for writer in writers:
        writer.close()


_FEATURES = {"image": tf.io.FixedLenFeature((), tf.string), "label": tf.io.FixedLenFeature((), tf.int64)}


def _read_records(folder: str, context: LoaderContext) -> Any:
    """Return a data set of (bytes, int32 label) in the order in which they were written."""
    compression = _compression(context)
    shards = tf.data.Dataset.from_tensor_slices(_shard_paths(folder))
    records = shards.interleave(
        lambda path: tf.data.TFRecordDataset(path, compression_type=compression),
        cycle_length=SHARDS,
        num_parallel_calls=tf.data.AUTOTUNE,
    )

    def parse(record: Any) -> tuple[Any, Any]:
        found = tf.io.parse_single_example(record, _FEATURES)
        return found["image"], tf.cast(found["label"], tf.int32)

    return records.map(parse, num_parallel_calls=tf.data.AUTOTUNE)


_MAKERS = {
    "file": _keep_file,
    "save": _keep_save,
    "snapshot": _keep_snapshot,
    "tfrecord": _keep_tfrecord,
    "tfrecord-resized": _keep_resized,
}
