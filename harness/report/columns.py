"""Columns of the exports, each with its meaning and unit; a row for each run, of the attempt that counts."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.analysis.coverage import cover, total
from harness.analysis.growth import find_growth
from harness.analysis.outcomes import outcome_of
from harness.analysis.prediction_check import check_prediction
from harness.analysis.selection import is_countable, select_records
from harness.analysis.shuffle_buffers import wait_first_batch
from harness.analysis.summary import Reduction, reduce_record
from harness.analysis.whole_set import Outlook, judge_record
from harness.values.prediction import Prediction
from harness.values.record import Record, number
from harness.values.stages import OTHER, PassCosts
from harness.values.text import NOTHING, one_line

if TYPE_CHECKING:
    import pandas

Value = str | int | float | bool | None


@dataclass(frozen=True)
class Entry:
    """A run with the values that are computed from it; ``is_averaged``: it counts in the averages of its case."""

    record: Record
    reduction: Reduction
    outlook: Outlook | None
    is_averaged: bool


@dataclass(frozen=True)
class Column:
    """A column: ``kind`` is its (nullable) pandas type, ``meaning`` is its description in docs/results.md."""

    name: str
    kind: str
    meaning: str
    pick: Callable[[Entry], Value]


def _case(name: str, kind: str, meaning: str) -> Column:
    return Column(name, kind, meaning, lambda entry: getattr(entry.record.case, name))


def _model(name: str, field: str, kind: str, meaning: str) -> Column:
    return Column(name, kind, meaning, lambda entry: getattr(entry.record.case.model, field, None))


def _record(name: str, kind: str, meaning: str) -> Column:
    return Column(name, kind, meaning, lambda entry: getattr(entry.record, name))


def _reduced(name: str, meaning: str) -> Column:
    return Column(name, "Float64", meaning, lambda entry: getattr(entry.reduction, name))


def _memory(name: str, field: str, meaning: str) -> Column:
    return Column(name, "Int64", meaning, lambda entry: getattr(entry.record.memory, field))


def _cache(name: str, field: str, kind: str, meaning: str) -> Column:
    return Column(name, kind, meaning, lambda entry: getattr(entry.record.cache, field, None))


def _mixed(name: str, kind: str, field: str, meaning: str) -> Column:
    def pick(entry: Entry) -> Value:
        found = number(entry.record.environment, "mixing", field)
        return found if found is None or kind == "Float64" else round(found)

    return Column(name, kind, meaning, pick)


def _whole(name: str, kind: str, meaning: str, pick: Callable[[Outlook], Value]) -> Column:
    return Column(name, kind, meaning, lambda entry: None if entry.outlook is None else pick(entry.outlook))


def _predicted(name: str, kind: str, meaning: str, pick: Callable[[Prediction], Value]) -> Column:
    return Column(
        name, kind, meaning, lambda entry: None if entry.record.predictions is None else pick(entry.record.predictions)
    )


def _predicted_memory(name: str, field: str, meaning: str) -> Column:
    def pick(prediction: Prediction) -> Value:
        peak = prediction.peak_memory_bytes
        return None if peak is None else int(getattr(peak, field))

    return _predicted(name, "Int64", meaning, pick)


def _stage(name: str, meaning: str) -> Column:
    said = f"CPU milliseconds per image of {meaning}"
    return Column(f"stage_{name}_cpu_ms", "Float64", said, lambda entry: _milliseconds(_costs_of_pass(entry), name))


def _milliseconds(costs: PassCosts | None, stage: str) -> float | None:
    seconds = None if costs is None else costs.parts_s().get(stage)
    return None if seconds is None else 1e3 * seconds


def _costs_of_pass(entry: Entry) -> PassCosts | None:
    """Return the costs of the later epochs of a run, or of the first where it is the only one."""
    stages = entry.record.stages
    if stages is None:
        return None
    return stages.steady if entry.record.case.epochs > 1 else _costs_of_fill(entry) or stages.steady


def _costs_of_fill(entry: Entry) -> PassCosts | None:
    stages = entry.record.stages
    return None if stages is None or entry.record.case.cache_reuse == "reused" else stages.first


def _judge_rate(entry: Entry) -> str | None:
    if entry.outlook is None or not is_countable(entry.record):
        return None
    return "holds" if entry.outlook.withdrawal is None else "withdrawn"


def _sum_read(entry: Entry) -> int | None:
    return total(epoch.bytes_read for epoch in entry.record.epochs if epoch.index > 1)


def _say_outcome(entry: Entry) -> str:
    return outcome_of(entry.record).text


COLUMNS: tuple[Column, ...] = (
    _record("session", "string", "name of the session"),
    _record("experiment", "string", "name of the experiment"),
    _record("invocation", "string", "identity of the run, 16 hex digits"),
    _record(
        "attempt", "Int64", "number of the attempt, from 1; of a repeated run only the undisturbed one is exported"
    ),
    _record("host", "string", "name of the host in the inventory"),
    _record("hardware", "string", "what the host is: CPU, CPUs, RAM, GPUs, disk class, and a digest of them"),
    _record("engine", "string", "name of the engine that ran it"),
    _record("round", "Int64", "round, from 1"),
    _record("order", "Int64", "place in the random order of the round"),
    _record("case_id", "string", "digest of all parameters, 12 hex digits"),
    _record(
        "alias",
        "string",
        "b: the repeat check (A/A); w: an extra warm run for the stalls; s: a trial of `memory_limit: search`",
    ),
    _case("data", "string", "name of the data set"),
    _case("mode", "string", "load (no training) or train"),
    _case("loader", "string", "loader"),
    _case("cache", "string", "cache"),
    _case("element", "string", "type of cached images: float32, uint8 or encoded"),
    _case("deliver", "string", "type of the batches: float32, or uint8, which the model scales"),
    _case("cache_disk", "string", "named disk of a cache file"),
    _case("cache_reuse", "string", "fresh, or reused: the cache was made before the measured training"),
    _case("cache_compression", "string", "how a cache's files were compressed"),
    _case("decoding", "string", "how JPEGs were decoded; all values but exact give approximate pixels"),
    _case(
        "workers", "Int64", "threads or processes that prepare images; 0: the calling thread; empty: the loader decides"
    ),
    Column(
        "shuffle_buffer",
        "string",
        "images of the requested shuffle buffer, full for all; auto: the loader shuffles in its own way",
        lambda entry: str(entry.record.case.shuffle_buffer),
    ),
    _case("augment", "string", "augmentation after the cache"),
    _case("page_cache", "string", "requested state of the page cache"),
    Column(
        "memory_limit_bytes",
        "Int64",
        "limit of the case in bytes; empty for none",
        lambda entry: None if entry.record.case.memory_limit == "none" else entry.record.case.memory_limit,
    ),
    Column("image_height_px", "Int64", "height after resizing", lambda entry: entry.record.case.image_size[0]),
    Column("image_width_px", "Int64", "width after resizing", lambda entry: entry.record.case.image_size[1]),
    _case("interpolation", "string", "nearest, bilinear, bilinear-antialias or native"),
    _case("batch_size", "Int64", "images per batch"),
    _case("epochs", "Int64", "requested epochs"),
    _model("model", "name", "string", "model; this and the next columns are empty for loading"),
    _model("model_alpha", "alpha", "Float64", "width of the model"),
    _model("model_weights", "weights", "string", "none, imagenet or a file"),
    _model("model_trainable", "trainable", "boolean", "whether the base of the model is trained, too"),
    _model("model_xla", "xla", "boolean", "whether XLA was requested; empty where Keras decides"),
    _model("model_images_per_second", "images_per_second", "Float64", "images/s of an emulated accelerator"),
    _model("model_step_seconds", "step_seconds", "Float64", "seconds per step of an emulated accelerator"),
    _model("model_device", "device", "string", "the emulated accelerator"),
    _model("model_like", "like", "string", "the host whose model limit is emulated"),
    _case("cpus", "Int64", "requested CPUs; empty for all"),
    Column("gpus", "string", "requested GPUs, or auto", lambda entry: str(entry.record.case.gpus)),
    _case("precision", "string", "precision of the training"),
    _case("max_images", "Int64", "largest number of images; empty for all"),
    _case("budgets", "string", "container: the budgets of tf.data were set from the limits; default: they were not"),
    _case("shuffle", "boolean", "whether the order of images changes with each epoch"),
    _case("deterministic", "boolean", "whether batches come in a fixed order"),
    Column("outcome", "string", "status and validity in one, with a reason, as shown on the page", _say_outcome),
    _record("status", "string", "ok, oom, timeout, disk_full, error, lost or skipped"),
    _record("cause", "string", "why it failed, or which limit it reached"),
    _record("validity", "string", "valid, degraded or invalid"),
    Column(
        "findings",
        "string",
        "ids of its findings, separated by spaces; empty for none",
        lambda entry: " ".join(finding.id for finding in entry.record.findings) or None,
    ),
    Column(
        "averaged",
        "boolean",
        "whether it counts in averages: undisturbed, or its host has fewer than three undisturbed runs of the case",
        lambda entry: entry.is_averaged,
    ),
    Column("epochs_done", "Int64", "epochs that were completed", lambda entry: len(entry.record.epochs)),
    Column(
        "images_per_epoch",
        "Int64",
        "images delivered in the first epoch",
        lambda entry: entry.record.epochs[0].images if entry.record.epochs else None,
    ),
    Column(
        "set_images",
        "Int64",
        "images of the whole data set; empty where not known",
        lambda entry: coverage.set_images if (coverage := cover(entry.record)) else None,
    ),
    _whole(
        "whole_set_fit",
        "string",
        "whether the case fits into its limit on the whole set: fits, may not fit, does not fit or unknown; predicted "
        "where it ran on part of the set; empty where it has no result",
        lambda outlook: outlook.fit,
    ),
    _whole(
        "whole_set_memory_bytes",
        "Int64",
        "memory that the case needs on the whole set: measured, else predicted",
        lambda outlook: outlook.memory.expected if outlook.memory else None,
    ),
    _whole(
        "whole_set_images_held",
        "Int64",
        "images that fit into the limit; empty where all fit, or where the number is not known",
        lambda outlook: outlook.held,
    ),
    Column(
        "whole_set_rate",
        "string",
        "holds, or withdrawn: its files came from memory, which cannot hold the whole set; empty without a rate",
        _judge_rate,
    ),
    _reduced("first_epoch_s", "duration of epoch 1 in seconds, without the flush of its cache"),
    _reduced("fill_s", "duration of epoch 1 in seconds, with the flush of its cache"),
    _reduced("first_images_per_s", "images/s of epoch 1"),
    _reduced("steady_epoch_s", "mean duration of epochs 2 to the last, in seconds; empty with one epoch"),
    _reduced("steady_images_per_s", "images/s of epochs 2 to the last"),
    _reduced("images_per_cpu_s", "images per CPU second of epochs 2 to the last, or of the only one"),
    _reduced("parallelism", "CPU seconds per second of the same epochs"),
    Column(
        "first_bytes_read",
        "Int64",
        "bytes that came from storage in epoch 1",
        lambda entry: next((epoch.bytes_read for epoch in entry.record.epochs if epoch.index == 1), None),
    ),
    Column(
        "steady_bytes_read",
        "Int64",
        "bytes that came from storage in epochs 2 to the last; 0: memory served them",
        _sum_read,
    ),
    Column(
        "steady_first_batch_s",
        "Float64",
        "seconds until the first batch of an epoch: mean of epochs 2 to the last, or of the only one",
        lambda entry: wait_first_batch(entry.record),
    ),
    _mixed("mixed_images", "Int64", "buffer", "images among which each epoch is shuffled; 0: the same order always"),
    _mixed("mixing_bytes", "Int64", "buffer_bytes", "bytes of that buffer when it is full; empty where not known"),
    _mixed(
        "displacement", "Float64", "displacement", "mean distance that shuffling moves an image, as a share of the set"
    ),
    _mixed("neighbours_kept", "Float64", "neighbours_kept", "share of images that keep their next neighbour"),
    _memory("limit_asked_bytes", "limit_asked", "memory limit that the engine was asked for"),
    _memory("limit_effective_bytes", "limit_effective", "memory limit that was read back in the container"),
    Column("limit_enforced_by", "string", "cgroup-v1 or cgroup-v2", lambda entry: entry.record.memory.enforced_by),
    _memory("peak_anon_bytes", "peak_anon", "highest anonymous memory, which is what the program needs"),
    Column(
        "last_anon_bytes",
        "Int64",
        "anonymous memory of the program and its children at the end of the last epoch",
        lambda entry: entry.record.epochs[-1].anon_bytes if entry.record.epochs else None,
    ),
    Column(
        "anon_growth_bytes_per_epoch",
        "Float64",
        "its growth per epoch: slope over the ends of epochs 2 to the last; empty below three epochs",
        lambda entry: growth.bytes_per_epoch if (growth := find_growth(entry.record.epochs)) else None,
    ),
    _memory("peak_total_bytes", "peak_total", "highest memory of the cgroup, page cache included"),
    _memory("oom_kills", "oom_kills", "OOM kills that the cgroup counted"),
    _memory("swap_used_bytes", "swap_used", "swap used"),
    _cache("cache_bytes", "bytes", "Int64", "measured bytes of the cache"),
    _cache(
        "cache_build_s",
        "build_s",
        "Float64",
        "seconds to write the cache before it was first read, for caches that are written first or were reused",
    ),
    _cache(
        "cache_predicted_bytes",
        "predicted_bytes",
        "Int64",
        "bytes of the cache by the formula: images × height × width × channels × bytes per value",
    ),
    _predicted("predicted_fit", "string", "predicted: fits, may not fit, does not fit or unknown", lambda it: it.fit),
    _predicted("prediction_basis", "string", "rehearsal (a trial run on the host), or formula", lambda it: it.basis),
    _predicted_memory("predicted_peak_low_bytes", "low", "least predicted memory"),
    _predicted_memory("predicted_peak_bytes", "expected", "predicted memory"),
    _predicted_memory("predicted_peak_high_bytes", "high", "most predicted memory"),
    _predicted(
        "predicted_images_until_oom",
        "Int64",
        "images of the first epoch after which it was predicted to run out of memory; empty where it was not",
        lambda it: None if it.images_until_oom is None else it.images_until_oom.expected,
    ),
    Column(
        "images_until_oom",
        "Int64",
        "images of the first epoch before it ran out of memory; all, if in a later epoch; empty where it did not",
        lambda entry: check.died_after if (check := check_prediction(entry.record)) else None,
    ),
    Column(
        "image_cpu_ms",
        "Float64",
        "CPU milliseconds per image in later epochs, all stages, from the extra run that measures stages; of the first "
        "epoch where it is the only one, and so are the stages",
        lambda entry: None if (costs := _costs_of_pass(entry)) is None else 1e3 * costs.cpu_s,
    ),
    _stage("read", "reading; empty where the loader does not have this stage, or the stages could not be separated"),
    _stage("decode", "decoding"),
    _stage("resize", "resizing"),
    _stage("scale", "casting and scaling"),
    _stage("cache", "reading from the cache, or writing to it in the first epoch"),
    _stage("augment", "augmenting"),
    _stage("batch", "batching and delivering"),
    _stage(OTHER, "what belongs to no stage, where that is more than 10 % of the whole"),
    Column(
        "fill_image_cpu_ms",
        "Float64",
        "CPU milliseconds per image in the epoch that fills the cache, all stages; empty without a cache",
        lambda entry: None if (costs := _costs_of_fill(entry)) is None else 1e3 * costs.cpu_s,
    ),
    Column(
        "fill_stage_cache_cpu_ms",
        "Float64",
        "of which writing to the cache",
        lambda entry: _milliseconds(_costs_of_fill(entry), "cache"),
    ),
    Column(
        "gpu_names",
        "string",
        "GPUs that the benchmark used, separated by semicolons",
        lambda entry: "; ".join(gpu.name for gpu in entry.record.gpu) or None,
    ),
    Column(
        "gpu_utilisation",
        "string",
        "mean share of time in which each GPU was busy, in percent, separated by semicolons",
        lambda entry: _say_utilisation(entry.record),
    ),
    _record("image_digest", "string", "identity of the image, or of the environment for engine process"),
    _record("payload_digest", "string", "digest of the code that measures"),
    _record("data_fingerprint", "string", "fingerprint of the data set"),
    _record("log", "string", "log file inside the session folder"),
    _record("started_at", "string", "UTC, ISO 8601"),
    _record("finished_at", "string", "UTC, ISO 8601"),
)


def tabulate_rows(records: Iterable[Record]) -> list[dict[str, Value]]:
    """Return a dictionary for each record, in the order of ``COLUMNS``; None for what was not measured.

    Text is one line without control characters, which hosts may send and no format can hold.
    """
    rows = []
    for entry in _make_entries(list(records)):
        values = {column.name: column.pick(entry) for column in COLUMNS}
        rows.append({name: one_line(one) or None if isinstance(one, str) else one for name, one in values.items()})
    return rows


def _say_utilisation(record: Record) -> str | None:
    """Return how busy each GPU was, in the order of ``io.gpu``: – where it is not known; None without any GPU."""
    watch = record.io.get("gpu")
    gpus = watch.get("gpus") if isinstance(watch, Mapping) else None
    shares = [number(gpu, "utilisation", "mean") for gpu in gpus or () if isinstance(gpu, Mapping)]
    return "; ".join(NOTHING if share is None else f"{100 * share:.0f}" for share in shares) or None


def _make_entries(records: Sequence[Record]) -> Iterator[Entry]:
    by_case: dict[tuple[str, str | None], list[Record]] = {}
    for record in records:
        by_case.setdefault((record.case_id, record.alias), []).append(record)
    averaged = {id(record) for found in by_case.values() for record in select_records(found).used}
    for record in records:
        yield Entry(record, reduce_record(record), judge_record(record), id(record) in averaged)


def make_frame(records: Iterable[Record]) -> pandas.DataFrame:
    """Return the same as a table with nullable types, so that a missing integer stays a missing integer."""
    import pandas

    rows = tabulate_rows(records)
    columns = {c.name: pandas.array([row[c.name] for row in rows], dtype=c.kind) for c in COLUMNS}  # type: ignore[call-overload]
    return pandas.DataFrame(columns)
