"""The recipe of a case: which parts a script needs for it, and with what values; the text stands in ``templates``."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.inspection import TAKEN
from harness.bench.registry import LOADERS, is_on_disk, is_own, native_interpolation
from harness.bench.tfrecords import RECORD_FILE
from harness.report.recipes.reshuffling import Reshuffling, choose_reshuffling
from harness.report.words import clean_text, name_pipeline
from harness.values.case import Case, ModelSetting
from harness.values.data import DataPlace, RecordFeatures
from harness.values.units import format_bytes

if TYPE_CHECKING:
    from jinja2 import Environment

PLACEHOLDER = "/path/to/your/images"
_UNKNOWN = "‹"
"""What an anonymised report has in place of a path begins so."""

_TEMPLATES: Mapping[str, tuple[str, Mapping[str, object]]] = {
    "keras-idg": ("keras_idg", {"workers": ""}),
    "keras-idg-threads": ("keras_idg", {"workers": "threads"}),
    "keras-idg-processes": ("keras_idg", {"workers": "processes"}),
    "keras-directory": ("keras_directory", {}),
    "keras-pydataset": ("keras_pydataset", {}),
    "tfdata-sequential": ("tfdata", {"is_sequential": True}),
    "tfdata": ("tfdata", {}),
    "tfdata-tuned": ("tfdata", {"is_tuned": True}),
    "grain": ("grain", {}),
}
"""The template of each loader and what is its own there."""

_COMPRESSION = {"none": "", "gzip": "GZIP", "snappy": "SNAPPY"}

APPLICATIONS = (
    "ConvNeXtBase", "ConvNeXtLarge", "ConvNeXtSmall", "ConvNeXtTiny", "ConvNeXtXLarge", "DenseNet121",
    "DenseNet169", "DenseNet201", "EfficientNetB0", "EfficientNetB1", "EfficientNetB2", "EfficientNetB3",
    "EfficientNetB4", "EfficientNetB5", "EfficientNetB6", "EfficientNetB7", "EfficientNetV2B0",
    "EfficientNetV2B1", "EfficientNetV2B2", "EfficientNetV2B3", "EfficientNetV2L", "EfficientNetV2M",
    "EfficientNetV2S", "InceptionResNetV2", "InceptionV3", "MobileNet", "MobileNetV2", "MobileNetV3Large",
    "MobileNetV3Small", "NASNetLarge", "NASNetMobile", "ResNet101", "ResNet101V2", "ResNet152", "ResNet152V2",
    "ResNet50", "ResNet50V2", "VGG16", "VGG19", "Xception",
)  # fmt: skip
"""The models of ``keras.applications``: a case names one in any spelling, and nothing here imports Keras."""


class NoRecipeError(Exception):
    """There is no short script for a case; the text says why, and where its source stands."""


@dataclass(frozen=True)
class Measured:
    """What is known of a case's data and of its runs; all of it may be unknown.

    ``kind`` is what an old session says of data whose ``place`` it did not record. ``spare_bytes`` is the memory that
    the limit left, ``cache_bytes`` what the cache held, ``others`` hosts that keep the data elsewhere.
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

    It delivers what the loader delivers: the same images, labels, pixels and order, but for what its comments say.
    """
    known = measured or Measured()
    _refuse(case, known)
    place = known.place or DataPlace(form="coco" if known.kind == "coco" else "folder")
    values = _values(case, known, place)
    parts = [f"# {line}" for said in _say(case, known) for line in textwrap.wrap(said, 118)]
    text = "\n".join([*parts, *(_render(name, values) for name in _parts(values))])
    return _tidy(text)


def _refuse(case: Case, known: Measured) -> None:
    if is_own(case.loader):
        raise NoRecipeError(f"{case.loader} is a loader of your own: its source is the code to paste.")
    maker = LOADERS[case.loader].maker.partition(":")[0].replace(".", "/")
    source = f"Its source is harness/bench/{maker}.py"
    if case.loader not in _TEMPLATES or case.cache not in LOADERS[case.loader].caches:
        raise NoRecipeError(f"{case.loader} is made for measuring and no pipeline to paste. {source}.")
    form = known.place.form if known.place is not None else known.kind
    if form != "tfrecord":
        return
    if _TEMPLATES[case.loader][0] != "tfdata":
        raise NoRecipeError(
            f"{case.loader} reads each image at its place in the TFRecord files, of which the harness makes a list: "
            f"that is no short code. {source}, with harness/bench/tfrecords.py."
        )
    if known.place is None or known.place.features is None:
        raise NoRecipeError(f"This session did not record how its TFRecord files are read: run it again. {source}.")


def _values(case: Case, known: Measured, place: DataPlace) -> dict[str, Any]:
    """All that the templates read."""
    template, own = _TEMPLATES[case.loader]
    interpolation = native_interpolation(case.loader) if case.interpolation == "native" else case.interpolation
    is_cached = case.cache != "none"
    is_files_list = template in ("tfdata", "grain", "keras_pydataset") or place.form != "folder"
    reshuffling = choose_reshuffling(case, place, known.spare_bytes) if is_cached else Reshuffling()
    values = {
        "template": template,
        "is_sequential": False,
        "is_tuned": False,
        **own,
        "form": place.form,
        "folder": _quote(place.folder, PLACEHOLDER),
        "annotations": _quote(place.annotations, "/path/to/your/annotations"),
        "pattern": _quote(place.pattern, "") if place.pattern else "",
        "features": _features(place.features),
        "record_file": RECORD_FILE.pattern,
        "suffixes": _suffixes(place),
        "suffixes_note": "those that are there" if place.suffixes else "all that the harness takes",
        "needs_suffixes": place.form == "list" or (place.form == "folder" and is_files_list),
        "needs_files": place.form != "tfrecord" and is_files_list,
        "needs_seed": case.shuffle or case.augment != "none",
        "size": case.image_size,
        "batch": case.batch_size,
        "epochs": case.epochs,
        "classes": place.classes or 2,
        "is_shuffled": case.shuffle,
        "is_frozen": case.shuffle and is_cached,
        "cache": case.cache,
        "cache_on_disk": is_on_disk(case.cache),
        "cache_size": f"{format_bytes(known.cache_bytes)}; " if known.cache_bytes else "",
        "element": case.element,
        "compression": _COMPRESSION[case.cache_compression],
        "decoding": case.decoding,
        "dct": {"fast-dct": "INTEGER_FAST"}.get(
            case.decoding, "" if case.interpolation == "native" else "INTEGER_ACCURATE"
        ),
        "method": "nearest" if interpolation == "nearest" else "bilinear",
        "pil": "nearest" if interpolation == "nearest" else "bilinear",
        "is_antialiased": interpolation == "bilinear-antialias",
        "augment": case.augment,
        "reshuffling": textwrap.wrap(reshuffling.comment, 116),
        "buffer": reshuffling.buffer,
        "is_training": case.mode == "train" and case.model is not None,
        "precision": case.precision,
        "model": None if case.model is None or case.model.is_emulated else _model(case.model),
        "class_count": _count_classes(place),
        "is_sequence": template in ("keras_idg", "keras_pydataset"),
    }
    values |= _pipeline(case, values)
    return values


def _pipeline(case: Case, values: Mapping[str, Any]) -> dict[str, Any]:
    """What a pipeline of tf.data makes before its cache, after it, and where it scales: ``build`` of ``tfdata.py``."""
    is_tuned, is_sequential = values["is_tuned"], values["is_sequential"]
    keeps_files = case.cache == "tfrecord" or (
        case.element == "encoded" and case.cache not in ("none", "tfrecord-resized")
    )
    is_whole_early = case.cache != "none" and case.element == "float32"
    finished = "levels" if is_tuned and not is_whole_early else "float"
    if keeps_files:
        early, late = "", finished
    elif case.cache == "none":
        early, late = finished, ""
    else:
        early, late = "float" if is_whole_early else "uint8", ""
    options = ["deterministic = False"] if not case.deterministic else []
    options += ["autotune.enabled = False"] if is_sequential else []
    options += ["threading.max_intra_op_parallelism = 1"] if is_tuned else []
    return {
        "early": early,
        "late": late,
        "scaling": "" if "float" in (early, late) else "batch" if is_tuned else "image",
        "is_interleaved": is_tuned and case.cache != "snapshot",
        "parallel": "" if is_sequential else ", num_parallel_calls=tf.data.AUTOTUNE",
        "options": options,
    }


def _parts(values: Mapping[str, Any]) -> Iterable[str]:
    yield "constants"
    if values["form"] != "tfrecord" and (values["needs_files"] or values["template"] == "keras_idg" or values["model"]):
        yield "files"
    yield str(values["template"])
    if values["is_training"]:
        yield "model" if values["model"] else "emulated"


def _say(case: Case, known: Measured) -> Iterable[str]:
    """The comment at the top: what this is, and in what it differs from what was measured."""
    yield f"{clean_text(name_pipeline(case))}: makes `dataset`, ready for model.fit."
    if known.versions:
        yield f"Measured with {known.versions}."
    if known.place is None:
        kind = {"coco": "a COCO pair", "folder": "one folder of images per class"}.get(known.kind)
        assumed = "" if kind else "; one folder of images per class is assumed"
        yield (
            f"Where the data lie is not known here{assumed}: fill in the first constant."
            if known.versions
            else ("For one folder of images per class: fill in the first constant.")
        )
    elif known.others:
        yield f"The path is that of {known.host}; the data lie elsewhere on {', '.join(known.others)}."
    if case.max_images is not None:
        yield f"Measured on {case.max_images:,} images of the set; this takes all of them."
    if case.budgets == "container" and _TEMPLATES[case.loader][0] in ("tfdata", "keras_directory"):
        yield "Left to TensorFlow: threads and tf.data's RAM budget; the harness set them from the container's limits."


def _quote(text: str | None, placeholder: str) -> str:
    """A text as a Python literal; what is unknown or was taken out becomes the placeholder."""
    said = repr(placeholder if not text or _UNKNOWN in text else text)  # repr escapes what cannot be printed
    return f'"{said[1:-1]}"' if said[0] == "'" and '"' not in said and "\\'" not in said else said


def _suffixes(place: DataPlace) -> str:
    found = sorted({suffix.lower() for suffix in place.suffixes}) or sorted(TAKEN)
    return f"({', '.join(_quote(suffix, '') for suffix in found)}{',' if len(found) == 1 else ''})"


def _features(features: RecordFeatures | None) -> dict[str, Any] | None:
    """The names of the features, and the labels where they are not simply the numbers of the classes."""
    if features is None:
        return None
    labels = features.labels
    is_text = not labels or isinstance(labels[0], str)
    text: str | None = _list([_quote(one, "") if isinstance(one, str) else str(one) for one in labels])
    if not labels:
        text = '["first class", "second class"]'
    elif labels == tuple(range(len(labels))):
        text = None
    elif not is_text and labels == tuple(range(int(labels[0]), int(labels[0]) + len(labels))):
        text = f"list(range({labels[0]}, {int(labels[-1]) + 1}))"
    return {
        "image": _quote(features.image, "image"),
        "label": _quote(features.label, "label"),
        "labels": text,
        "is_text": is_text,
    }


def _list(items: Sequence[str]) -> str:
    """A list as code, in several lines where it is long."""
    rows = [""]
    for item in items:
        if rows[-1] and len(rows[-1]) + len(item) > 110:
            rows.append("")
        rows[-1] += f"{item}, "
    if len(rows) == 1:
        return f"[{rows[0].removesuffix(', ')}]"
    return "[\n" + "".join(f"    {row.rstrip()}\n" for row in rows) + "]"


def _count_classes(place: DataPlace) -> str:
    """How many classes there are, as code; the template gives ``CLASSES`` where no list of them is made."""
    if place.form != "tfrecord":
        return "len(classes)"
    return "CLASSES" if place.features is None or _features(place.features)["labels"] is None else "len(LABELS)"


def _model(model: ModelSetting) -> dict[str, Any]:
    plain = {name.lower(): name for name in APPLICATIONS}
    weights = "None" if model.weights == "none" else _quote(model.weights, "/path/to/weights.h5")
    name = re.sub(r"[^a-z0-9]", "", model.name.lower())
    return {
        "application": plain.get(name, clean_text(model.name, 40)),
        "weights": weights,
        "alpha": model.alpha,
        "trainable": model.trainable,
        "xla": model.xla,
    }


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


def _render(name: str, values: Mapping[str, Any]) -> str:
    return _environment().get_template(f"{name}.py.j2").render(values)


def _tidy(text: str) -> str:
    """Put the parts' imports together behind the comment at the top, and two blank lines around each definition."""
    lines = [line.rstrip() for line in text.splitlines()]
    imports = {line for line in lines if line.startswith(("import ", "from "))}
    rest = [line for line in lines if line not in imports]
    head = next(place for place, line in enumerate(rest) if not line.startswith("#"))
    ordered = sorted(imports, key=lambda line: (line.startswith("from "), line))
    standard = [line for line in ordered if line.split()[1] in sys.stdlib_module_names]
    others = [line for line in ordered if line not in standard]
    found = [*rest[:head], *standard, "", *others, ""]
    was_definition, is_apart = False, True
    for line in rest[head:]:
        if not line:
            is_apart = True
            continue
        begins = line.startswith(("def ", "class "))
        if begins or (was_definition and not line.startswith(" ")):
            found = [*_without_blanks(found), "", ""]
        elif is_apart:
            found = [*_without_blanks(found), ""]
        found.append(line)
        is_apart, was_definition = False, begins or (was_definition and line.startswith(" "))
    return "\n".join(found).strip() + "\n"


def _without_blanks(lines: list[str]) -> list[str]:
    """The same without blank lines at the end."""
    while lines and not lines[-1]:
        lines.pop()
    return lines
