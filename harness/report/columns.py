"""Columns of the exports: one row an invocation, of the attempt that counts; each with its meaning and unit."""

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
    """One invocation with what is computed from it; ``is_averaged``: it counts in the averages of its case."""

    record: Record
    reduction: Reduction
    outlook: Outlook | None
    is_averaged: bool


@dataclass(frozen=True)
class Column:
    """A column: ``kind`` is its pandas type (nullable), ``meaning`` goes into the documentation."""

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
    said = f"CPU milliseconds an image of {meaning}"
    return Column(f"stage_{name}_cpu_ms", "Float64", said, lambda entry: _milliseconds(_costs_of_pass(entry), name))


def _milliseconds(costs: PassCosts | None, stage: str) -> float | None:
    seconds = None if costs is None else costs.parts_s().get(stage)
    return None if seconds is None else 1e3 * seconds


def _costs_of_pass(entry: Entry) -> PassCosts | None:
    """What its later epochs cost, or its first where it has no other."""
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
    _record("invocation", "string", "identity of the invocation, 16 hex digits"),
    _record(
        "attempt", "Int64", "which attempt this is, from 1; of a repeated one the undisturbed, others are not exported"
    ),
    _record("host", "string", "name of the host in the inventory"),
    _record("hardware", "string", "what the host is: CPU, CPUs, RAM, GPUs, disk class, and a key over them"),
    _record("engine", "string", "what ran it, by its name"),
    _record("round", "Int64", "round, from 1"),
    _record("order", "Int64", "place in the round's random order"),
    _record("case_id", "string", "twelve hex digits over all parameters"),
    _record(
        "alias",
        "string",
        "b: the repeat check (A/A); w: an extra warm run for the stalls; s: a trial of memory_limit search",
    ),
    _case("data", "string", "name of the data set"),
    _case("mode", "string", "load (no training) or train"),
    _case("loader", "string", "loader"),
    _case("cache", "string", "cache"),
    _case("element", "string", "what a cache holds: float32, uint8 or encoded"),
    _case("deliver", "string", "type of the batches: float32, or uint8, which the model scales"),
    _case("cache_disk", "string", "named disk of a cache file"),
    _case("cache_reuse", "string", "fresh, or reused: the dump was made before the measured training"),
    _case("cache_compression", "string", "how a cache's files were compressed"),
    _case("decoding", "string", "how JPEGs were decoded; all but exact give approximate pixels"),
    _case(
        "workers", "Int64", "threads or processes that prepare images; 0: the caller's own; empty: left to the loader"
    ),
    Column(
        "shuffle_buffer",
        "string",
        "images of the shuffle buffer that was asked for, full for all; auto: the loader orders them in its own way",
        lambda entry: str(entry.record.case.shuffle_buffer),
    ),
    _case("augment", "string", "augmentation after the cache"),
    _case("page_cache", "string", "state of the page cache that was asked for"),
    Column(
        "memory_limit_bytes",
        "Int64",
        "limit of the case in bytes; empty for none",
        lambda entry: None if entry.record.case.memory_limit == "none" else entry.record.case.memory_limit,
    ),
    Column("image_height_px", "Int64", "height after resizing", lambda entry: entry.record.case.image_size[0]),
    Column("image_width_px", "Int64", "width after resizing", lambda entry: entry.record.case.image_size[1]),
    _case("interpolation", "string", "nearest, bilinear, bilinear-antialias or native"),
    _case("batch_size", "Int64", "images a batch"),
    _case("epochs", "Int64", "epochs asked for"),
    _model("model", "name", "string", "model; empty for loading, as all of these"),
    _model("model_alpha", "alpha", "Float64", "width of the model"),
    _model("model_weights", "weights", "string", "none, imagenet or a file"),
    _model("model_trainable", "trainable", "boolean", "whether the base is trained, too"),
    _model("model_xla", "xla", "boolean", "whether XLA was asked for; empty where Keras decides"),
    _model("model_images_per_second", "images_per_second", "Float64", "pace of an emulated accelerator"),
    _model("model_step_seconds", "step_seconds", "Float64", "pace of an emulated accelerator, a step"),
    _model("model_device", "device", "string", "the accelerator that is emulated"),
    _model("model_like", "like", "string", "the host whose model limit is emulated"),
    _case("cpus", "Int64", "CPUs asked for; empty for all"),
    Column("gpus", "string", "GPUs asked for, or auto", lambda entry: str(entry.record.case.gpus)),
    _case("precision", "string", "of the training"),
    _case("max_images", "Int64", "cap on the number of images; empty for all"),
    _case("budgets", "string", "container: tf.data was told its limits; default: it was not"),
    _case("shuffle", "boolean", "whether the order of images changes with each epoch"),
    _case("deterministic", "boolean", "whether batches come in a fixed order"),
    Column("outcome", "string", "how it is shown: status and validity in one, with a reason", _say_outcome),
    _record("status", "string", "ok, oom, timeout, disk_full, error, lost or skipped"),
    _record("cause", "string", "why it failed, or which limit it reached"),
    _record("validity", "string", "valid, degraded or invalid"),
    Column(
        "findings",
        "string",
        "ids, separated by spaces; empty for none",
        lambda entry: " ".join(finding.id for finding in entry.record.findings) or None,
    ),
    Column(
        "averaged",
        "boolean",
        "whether it counts in its case's averages: undisturbed, or its host has fewer than three undisturbed ones",
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
        "images of the whole data set; empty where that is not known",
        lambda entry: coverage.set_images if (coverage := cover(entry.record)) else None,
    ),
    _whole(
        "whole_set_fit",
        "string",
        "whether the case lives on the whole set under its limit: fits, may not fit, does not fit or unknown; it is "
        "predicted from what was measured where it ran on part of the set; empty where it has no result",
        lambda outlook: outlook.fit,
    ),
    _whole(
        "whole_set_memory_bytes",
        "Int64",
        "memory that it needs on the whole set: measured there, else predicted",
        lambda outlook: outlook.memory.expected if outlook.memory else None,
    ),
    _whole(
        "whole_set_images_held",
        "Int64",
        "up to how many images it holds under its limit; empty where all fit, or where no number is known",
        lambda outlook: outlook.held,
    ),
    Column(
        "whole_set_rate",
        "string",
        "holds, or withdrawn: its files came from memory, which cannot hold those of the whole set; empty for none",
        _judge_rate,
    ),
    _reduced("first_epoch_s", "duration of epoch 1 in seconds, without the flush of a cache"),
    _reduced("fill_s", "duration of epoch 1 with the flush of its cache, in seconds"),
    _reduced("first_images_per_s", "images delivered in epoch 1 a second"),
    _reduced("steady_epoch_s", "mean duration of epochs 2 to the last, in seconds; empty with one epoch"),
    _reduced("steady_images_per_s", "images delivered a second over epochs 2 to the last"),
    _reduced(
        "images_per_cpu_s", "images delivered a CPU second in the steady epochs (in the only one, if there is one)"
    ),
    _reduced("parallelism", "CPU seconds a second in the same epochs"),
    Column(
        "first_bytes_read",
        "Int64",
        "bytes that came from storage in epoch 1",
        lambda entry: next((epoch.bytes_read for epoch in entry.record.epochs if epoch.index == 1), None),
    ),
    Column(
        "steady_bytes_read",
        "Int64",
        "bytes that came from storage in epochs 2 to the last, in all; 0 means that memory served them",
        _sum_read,
    ),
    Column(
        "steady_first_batch_s",
        "Float64",
        "seconds until the first batch of an epoch came, in the mean of epochs 2 to the last, or in the only one",
        lambda entry: wait_first_batch(entry.record),
    ),
    _mixed("mixed_images", "Int64", "buffer", "in how many images each epoch is mixed; 0: all epochs have one order"),
    _mixed("mixing_bytes", "Int64", "buffer_bytes", "bytes of that buffer when it is full; empty where not known"),
    _mixed(
        "displacement", "Float64", "displacement", "how far mixing moves an image, in the mean, as share of the set"
    ),
    _mixed(
        "neighbours_kept", "Float64", "neighbours_kept", "share of images whose next one was their neighbour before"
    ),
    _memory("limit_asked_bytes", "limit_asked", "memory limit that was asked of the engine"),
    _memory("limit_effective_bytes", "limit_effective", "memory limit read back from inside"),
    Column("limit_enforced_by", "string", "cgroup-v1 or cgroup-v2", lambda entry: entry.record.memory.enforced_by),
    _memory("peak_anon_bytes", "peak_anon", "highest anonymous memory: what the program needs"),
    Column(
        "last_anon_bytes",
        "Int64",
        "anonymous memory at the end of the last epoch, of the program and its children",
        lambda entry: entry.record.epochs[-1].anon_bytes if entry.record.epochs else None,
    ),
    Column(
        "anon_growth_bytes_per_epoch",
        "Float64",
        "by how much it grew an epoch: the slope over the ends of epochs 2 to the last; empty below three epochs",
        lambda entry: growth.bytes_per_epoch if (growth := find_growth(entry.record.epochs)) else None,
    ),
    _memory("peak_total_bytes", "peak_total", "highest memory of the cgroup, page cache included"),
    _memory("oom_kills", "oom_kills", "OOM kills that the cgroup counted"),
    _memory("swap_used_bytes", "swap_used", "swap used"),
    _cache("cache_bytes", "bytes", "Int64", "bytes that the cache held, measured"),
    _cache(
        "cache_build_s",
        "build_s",
        "Float64",
        "seconds to write the cache before it was first read, where it is written first or was reused",
    ),
    _cache(
        "cache_predicted_bytes",
        "predicted_bytes",
        "Int64",
        "bytes by the formula: images × height × width × channels × bytes a value",
    ),
    _predicted(
        "predicted_fit", "string", "before it ran: fits, may not fit, does not fit or unknown", lambda it: it.fit
    ),
    _predicted("prediction_basis", "string", "rehearsal, or formula", lambda it: it.basis),
    _predicted_memory("predicted_peak_low_bytes", "low", "least memory that it was predicted to need"),
    _predicted_memory("predicted_peak_bytes", "expected", "memory that it was predicted to need"),
    _predicted_memory("predicted_peak_high_bytes", "high", "most memory that it was predicted to need"),
    _predicted(
        "predicted_images_until_oom",
        "Int64",
        "images of the first epoch after which its limit was predicted to end it; empty where it was not",
        lambda it: None if it.images_until_oom is None else it.images_until_oom.expected,
    ),
    Column(
        "images_until_oom",
        "Int64",
        "images of the first epoch before its limit ended it; all, if in a later epoch; empty where it lived",
        lambda entry: check.died_after if (check := check_prediction(entry.record)) else None,
    ),
    Column(
        "image_cpu_ms",
        "Float64",
        "CPU milliseconds of a whole image in a later epoch, as the run that tells the stages apart found it; of the "
        "first epoch where a case has one: so are the stages",
        lambda entry: None if (costs := _costs_of_pass(entry)) is None else 1e3 * costs.cpu_s,
    ),
    _stage("read", "reading; empty, as all of these, where it is no stage of it or the stages are not told apart"),
    _stage("decode", "decoding"),
    _stage("resize", "resizing"),
    _stage("scale", "casting and scaling"),
    _stage("cache", "reading from the cache; keeping in it in the first epoch"),
    _stage("augment", "augmenting"),
    _stage("batch", "batching and handing over"),
    _stage(OTHER, "what is in no stage, where that is more than a tenth of the whole"),
    Column(
        "fill_image_cpu_ms",
        "Float64",
        "CPU milliseconds of a whole image in the epoch that fills the cache; empty without one",
        lambda entry: None if (costs := _costs_of_fill(entry)) is None else 1e3 * costs.cpu_s,
    ),
    Column(
        "fill_stage_cache_cpu_ms",
        "Float64",
        "of them keeping in the cache",
        lambda entry: _milliseconds(_costs_of_fill(entry), "cache"),
    ),
    Column(
        "gpu_names",
        "string",
        "GPUs that the benchmark saw, separated by semicolons",
        lambda entry: "; ".join(gpu.name for gpu in entry.record.gpu) or None,
    ),
    Column(
        "gpu_utilisation",
        "string",
        "mean share of time in which each of them was busy, in percent, separated by semicolons",
        lambda entry: _say_utilisation(entry.record),
    ),
    _record("image_digest", "string", "identity of the image, or of the environment for engine process"),
    _record("payload_digest", "string", "digest of the benchmark's code that measures"),
    _record("data_fingerprint", "string", "fingerprint of the data set"),
    _record("log", "string", "log file inside the session folder"),
    _record("started_at", "string", "UTC, ISO 8601"),
    _record("finished_at", "string", "UTC, ISO 8601"),
)


def tabulate_rows(records: Iterable[Record]) -> list[dict[str, Value]]:
    """One dictionary a record, in the order of ``COLUMNS``; None for what was not measured.

    Text is one line without control characters: it may come from a host, and no format can hold all of it.
    """
    rows = []
    for entry in _make_entries(list(records)):
        values = {column.name: column.pick(entry) for column in COLUMNS}
        rows.append({name: one_line(one) or None if isinstance(one, str) else one for name, one in values.items()})
    return rows


def _say_utilisation(record: Record) -> str | None:
    """Return how busy each GPU was, in the order of ``io.gpu``: – for one that did not tell; None without any."""
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
    """The same as a table with nullable types, so that an absent integer stays an absent integer."""
    import pandas

    rows = tabulate_rows(records)
    columns = {c.name: pandas.array([row[c.name] for row in rows], dtype=c.kind) for c in COLUMNS}  # type: ignore[call-overload]
    return pandas.DataFrame(columns)
