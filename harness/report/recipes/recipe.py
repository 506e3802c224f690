"""The recipe of a case: which parts its script needs, with which values; the texts are in ``templates``."""

from __future__ import annotations

import re
import shlex
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from harness.bench.data.survey import JUNK_FOLDERS
from harness.bench.loaders.tfrecords import RECORD_FILE
from harness.bench.protocol.image_formats import SOME_READ, TAKEN
from harness.bench.protocol.loader_registry import LOADERS, is_on_disk, is_own, keeps_order, native_interpolation
from harness.report.recipes.reshuffling import choose_reshuffling, first_buffer
from harness.values.case import APPLICATIONS, Case, ModelSetting
from harness.values.data import DataPlace, RecordFeatures
from harness.values.names import name_pipeline
from harness.values.text import clean_text
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from jinja2 import Environment

Values = Mapping[str, object]

PLACEHOLDERS = ("/path/to/your/images", "/path/to/your/annotations", "/path/to/your/weights")

_TAKEN_OUT = "‹"
"""The first character of what replaces a path in an anonymised report."""
_WIDTH = 112


class NoRecipeError(Exception):
    """Raised where there is no short script for a case; the text states why, and where the source is."""


@dataclass(frozen=True)
class Measured:
    """What is known about a case's data and runs; all of it may be unknown.

    ``kind`` is the kind of data in an old session that did not record its ``place``. ``spare_bytes`` is the memory that
    the limit left, ``cache_bytes`` what the cache held, ``others`` hosts that keep the data elsewhere than ``host``.
    """

    place: DataPlace | None = None
    kind: str = ""
    versions: str = ""
    spare_bytes: int | None = None
    cache_bytes: int | None = None
    host: str = ""
    others: Sequence[str] = ()


def write_recipe(case: Case, measured: Measured | None = None) -> str:
    """Write a script that makes ``dataset`` (and trains, where the case does). Raises NoRecipeError.

    It delivers the same images, labels, pixels and order as the loader, except as its comments note.
    """
    known = measured or Measured()
    _refuse(case, known)
    place = known.place or DataPlace(form="coco" if known.kind == "coco" else "folder")
    spec = LOADERS[case.loader]
    template, is_sequential, is_tuned = spec.recipe, spec.variant == "sequential", spec.variant == "tuned"
    form = _form_of(place)
    needs_files = form != "tfrecord" and (template in ("tfdata", "grain", "keras_pydataset") or form != "folder")
    values: dict[str, object] = {"is_sequential": is_sequential, "is_tuned": is_tuned, "workers": spec.variant}
    values |= _values_of_workers(case)
    values |= {"needs_files": needs_files, "is_sequence": template in ("keras_idg", "keras_pydataset")}
    values |= _values_of_data(place) | _values_of_case(case) | _values_of_cache(case, place, known)
    values |= _values_of_pipeline(case, is_tuned=is_tuned, is_sequential=is_sequential)
    has_model = case.model is not None and not case.model.is_emulated
    parts = ["constants"]
    if needs_files or (form == "folder" and (template == "keras_idg" or has_model)):
        parts.append("files")
    parts.append(template)
    if case.model is not None:
        parts.append("model" if has_model else "emulated")
    said = [f"# {line}" for sentence in _say(case, known) for line in textwrap.wrap(sentence, 118)]
    return _tidy("\n".join([*said, *(_environment().get_template(f"{part}.py.j2").render(values) for part in parts)]))


def add_main(code: str) -> str:
    """Return a script that can be run: one that only makes `dataset` also reads it once and prints the rate."""
    if "model.fit(" in code:
        return code
    return code + _MAIN


_MAIN = """

if __name__ == "__main__":
    import time

    begun, count = time.perf_counter(), 0
    for number in range(len(dataset)) if hasattr(dataset, "__getitem__") else [None]:
        for images, labels in dataset if number is None else [dataset[number]]:
            count += len(labels)
    seconds = time.perf_counter() - begun
    print(f"{count} images in {seconds:.1f} s, {count / seconds:.0f} images/s")
"""


def _form_of(place: DataPlace) -> str:
    """Return the form of a data set for the templates: a folder may have no classes, or contain other files."""
    if place.form != "folder" or (place.is_labelled and place.is_plain):
        return place.form
    return "mixed" if place.is_labelled else "flat"


def _refuse_odd(place: DataPlace) -> None:
    """Raise NoRecipeError where a few lines of code would read other images or labels than were measured."""
    write = f"`{_write_list_command(place)}` writes lines of path and label: measure with that list."
    if place.form in ("coco", "list") and not place.is_plain:
        raise NoRecipeError(f"A few lines of code cannot read the labels of this file. {write}")
    if place.skipped_count > len(place.left_out):
        raise NoRecipeError(f"{place.skipped_count} images were left out, too many to name in code. {write}")


def _write_list_command(place: DataPlace) -> str:
    """Return the command that writes a set as a plain list, ready to paste where its paths are known."""
    given = {"--annotations": place.annotations, "--split": place.split}
    words = [shlex.quote(place.folder or _TAKEN_OUT)]
    words += [f"{flag} {shlex.quote(value)}" for flag, value in given.items() if value]
    if any(_TAKEN_OUT in word for word in words):
        words = ["…"]
    words += ["--skip-unreadable"] if place.skipped_count else []
    return " ".join(["harness data describe", *words, "--write-list labels.csv"])


def _refuse(case: Case, known: Measured) -> None:
    if known.place is not None:
        _refuse_odd(known.place)
    if is_own(case.loader):
        raise NoRecipeError(f"{case.loader} is a loader of your own: its source is the code to paste.")
    spec = LOADERS[case.loader]
    module = spec.maker.partition(":")[0].replace(".", "/")
    source = f"Its source is harness/bench/{module}.py"
    if spec.workers == "processes" and not spec.recipe:
        raise NoRecipeError(
            f"{case.loader} starts processes that import the script: that needs a separate module, and the start of "
            f"the program behind `if __name__ == '__main__'`. {source}."
        )
    if not spec.recipe:
        raise NoRecipeError(f"{case.loader} is made for measuring and is not a pipeline to paste. {source}.")
    if (known.place.form if known.place is not None else known.kind) != "tfrecord":
        return
    if spec.recipe != "tfdata" or case.cache == "array":
        which = (
            "the cache array numbers the images of"
            if spec.recipe == "tfdata"
            else f"{case.loader} reads each image at its place in"
        )
        raise NoRecipeError(
            f"{which} the TFRecord files by a list that the harness makes, which is not short code. "
            f"{source}, with harness/bench/loaders/tfrecords.py."
        )
    if known.place is None or known.place.features is None:
        raise NoRecipeError(f"This session did not record how to read its TFRecord files: run it again. {source}.")


def _values_of_data(place: DataPlace) -> dict[str, object]:
    images, annotations, _ = PLACEHOLDERS
    suffixes = sorted({suffix.lower() for suffix in place.suffixes}) or sorted(TAKEN)
    classes = place.classes or 2
    labels = None if place.features is None else _write_labels(place.features, classes)
    is_listed = place.form != "tfrecord" or labels is not None
    return {
        "form": _form_of(place),
        "left_out": write_list(list(map(quote, place.left_out))) if place.left_out else "",
        "has_others": any(suffix in SOME_READ.values() for suffix in suffixes) and bool(place.suffixes),
        "junk_folders": list(map(quote, JUNK_FOLDERS)),
        "folder": quote(place.folder, images),
        "annotations": quote(place.annotations, annotations),
        "pattern": quote(place.pattern, "") if place.pattern else "",
        "features": place.features and [quote(place.features.image, "image"), quote(place.features.label, "label")],
        "labels": labels,
        "has_text_labels": place.features is not None and place.features.is_text,
        "record_file": RECORD_FILE.pattern,
        "suffixes": f"({', '.join(quote(suffix) for suffix in suffixes)}{',' if len(suffixes) == 1 else ''})",
        "suffixes_note": "those of this data set" if place.suffixes else "all that the harness reads",
        "classes": classes,
        "class_count": ("len(classes)" if place.form != "tfrecord" else "len(LABELS)") if is_listed else "CLASSES",
    }


def _write_labels(features: RecordFeatures, count: int) -> str | None:
    """Return the labels of the records for each class, as code; None where they are the numbers of the classes."""
    if features.first is None:
        labels = [str(one) if isinstance(one, int) else quote(one) for one in features.labels]
        return write_list(labels) if labels else '["first class", "second class"]'
    return f"list(range({features.first}, {features.first} + {count}))" if features.first else None


def _values_of_case(case: Case) -> dict[str, object]:
    is_native = case.interpolation == "native"
    interpolation = native_interpolation(case.loader) if is_native else case.interpolation
    return {
        "size": case.image_size,
        "batch": case.batch_size,
        "epochs": case.epochs,
        "is_shuffled": case.shuffle,
        "is_scaled": case.deliver == "float32",
        "needs_seed": case.shuffle or case.augment != "none",
        "decoding": case.decoding,
        "dct": "INTEGER_FAST" if case.decoding == "fast-dct" else "" if is_native else "INTEGER_ACCURATE",
        "method": "nearest" if interpolation == "nearest" else "bilinear",
        "is_antialiased": interpolation == "bilinear-antialias",
        "augment": case.augment,
        "precision": case.precision,
        "is_training": case.model is not None,
        "model": None if case.model is None else _values_of_model(case.model),
    }


def _values_of_workers(case: Case) -> dict[str, object]:
    """Return the number of workers as code: the number of the case, else one for each CPU."""
    by_cpus, count = "len(os.sched_getaffinity(0))", case.workers
    return {"counts_cpus": count is None, "worker_count": by_cpus if count is None else str(count)}


def _values_of_model(model: ModelSetting) -> dict[str, object]:
    names = {name.lower(): name for name in APPLICATIONS}
    return {
        "application": names.get(re.sub(r"[^a-z0-9]", "", model.name.lower()), clean_text(model.name, 40)),
        "weights": "None" if model.weights == "none" else quote(model.weights, PLACEHOLDERS[2]),
        "alpha": model.alpha,
        "trainable": model.trainable,
        "xla": model.xla,
    }


def _values_of_cache(case: Case, place: DataPlace, known: Measured) -> dict[str, object]:
    reshuffling = choose_reshuffling(case, place, known.spare_bytes)
    return {
        "cache": case.cache,
        "element": case.element,
        "compression": "" if case.cache_compression == "none" else case.cache_compression.upper(),
        "is_frozen": case.shuffle and keeps_order(case.cache),
        "is_on_disk": is_on_disk(case.cache),
        "cache_size": f"{format_bytes(known.cache_bytes)}; " if known.cache_bytes else "",
        "reshuffling": textwrap.wrap(reshuffling.comment, 116),
        "buffer": reshuffling.buffer,
        "first_buffer": first_buffer(case, place),
    }


def _values_of_pipeline(case: Case, *, is_tuned: bool, is_sequential: bool) -> dict[str, object]:
    """Return what a tf.data pipeline makes before and after its cache, and where it scales, as ``tfdata.py`` does.

    ``float`` is the finished image, ``levels`` the decoded one, ``uint8`` the same rounded, empty the file itself.
    """
    keeps_files = case.cache == "tfrecord" or (
        case.element == "encoded" and case.cache not in ("none", "tfrecord-resized")
    )
    is_whole_early = case.cache != "none" and case.element == "float32"
    finished = "levels" if is_tuned and not is_whole_early else "float"
    if case.deliver == "uint8":
        early, late = ("", "uint8") if keeps_files else ("uint8", "")
    elif keeps_files:
        early, late = "", finished
    else:
        early, late = finished if case.cache == "none" else "float" if is_whole_early else "uint8", ""
    is_array, is_augmented = case.cache == "array", case.augment != "none"
    wanted = {
        "deterministic = False": not case.deterministic,
        "autotune.enabled = False": is_sequential or is_array,
        "threading.max_intra_op_parallelism = 1": is_tuned,
        f"threading.private_threadpool_size = {max(1, case.workers or 0)}": case.workers is not None,
        "experimental_optimization.map_and_batch_fusion = True": is_tuned and not is_array,
        "experimental_optimization.apply_default_optimizations = False": is_array,
    }
    calls = "tf.data.AUTOTUNE" if case.workers is None else case.workers
    is_scaled_in_array = is_array and (case.element, case.deliver) == ("uint8", "float32") and not is_augmented
    is_scaled = case.deliver == "uint8" or "float" in (early, late) or is_scaled_in_array
    return {
        "early": early,
        "late": late,
        "scaling": "" if is_scaled else "batch" if is_tuned or is_array else "image",
        "is_scaled_in_array": is_scaled_in_array,
        "is_batched_late": not is_array or is_augmented,
        "parallel": "" if is_sequential or calls == 0 else f", num_parallel_calls={calls}",
        "options": [option for option, is_wanted in wanted.items() if is_wanted],
    }


def _say(case: Case, known: Measured) -> Iterable[str]:
    """Yield the comment at the top: what the script is, and how it differs from what was measured."""
    yield f"{clean_text(name_pipeline(case))}: makes `dataset`, ready for model.fit."
    if known.versions:
        yield f"Measured with {known.versions}."
    if known.place is None:
        kind = "a COCO pair" if known.kind == "coco" else "one folder of images per class"
        unknown = "" if known == Measured() else "This session did not record where its data are. "
        assumed = "" if known.kind or known == Measured() else ", which is a guess"
        yield f"{unknown}This is for {kind}{assumed}: fill in the first constants."
    elif known.others:
        yield f"The path is that of {known.host}; the data are elsewhere on {', '.join(known.others)}."
    if case.max_images is not None:
        yield f"Measured on {case.max_images:,} images of the set; this uses all of them."
    if case.budgets == "container" and LOADERS[case.loader].recipe in ("tfdata", "keras_directory"):
        yield "TensorFlow chooses threads and tf.data's RAM budget; the harness set them from the container's limits."


@cache
def _environment() -> Environment:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=False,  # noqa: S701 - it is Python; the page's own template escapes it
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _tidy(text: str) -> str:
    """Move all imports below the comment at the top, and put two blank lines around each definition."""
    lines = [line.rstrip() for line in text.splitlines()]
    imports = {line for line in lines if line.startswith(("import ", "from "))}
    rest = [line for line in lines if line not in imports]
    head = next(place for place, line in enumerate(rest) if not line.startswith("#"))
    ordered = sorted(imports, key=lambda line: (line.startswith("from "), line))
    standard = [line for line in ordered if line.split()[1] in sys.stdlib_module_names]
    found = [*rest[:head], *standard, "", *(line for line in ordered if line not in standard), ""]
    in_definition, is_apart = False, True
    for line in rest[head:]:
        if not line:
            is_apart = True
            continue
        begins = line.startswith(("def ", "class "))
        if begins or is_apart or (in_definition and not line.startswith(" ")):
            while not found[-1]:
                found.pop()
            found += ["", ""] if begins or (in_definition and not line.startswith(" ")) else [""]
        found.append(line)
        is_apart, in_definition = False, begins or (in_definition and line.startswith(" "))
    return "\n".join(found).strip() + "\n"


def quote(text: str | None, placeholder: str = "") -> str:
    """Write a text as a Python literal; an unknown or removed text becomes the placeholder."""
    said = repr(placeholder if not text or _TAKEN_OUT in text else text)  # repr escapes what cannot be printed
    return f'"{said[1:-1]}"' if said[0] == "'" and '"' not in said and "\\'" not in said else said


def write_list(items: Sequence[str]) -> str:
    """Write a list of literals, in several lines where it is long."""
    rows = [""]
    for item in items:
        if rows[-1] and len(rows[-1]) + len(item) > _WIDTH:
            rows.append("")
        rows[-1] += f"{item}, "
    if len(rows) == 1:
        return f"[{rows[0].removesuffix(', ')}]"
    return "[\n" + "".join(f"    {row.rstrip()}\n" for row in rows) + "]"
