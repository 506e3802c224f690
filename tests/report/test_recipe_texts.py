"""What stands in code to paste, without running it: paths, comments, what is not known, and that it reads well."""

# mypy: disable-error-code="operator"

from __future__ import annotations

import contextlib
import itertools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_facts, make_record

from harness.bench.protocol.loader_registry import CACHES, LOADERS, is_on_disk
from harness.report.anonymous import anonymise
from harness.report.page import render_page
from harness.report.recipes.measured import describe_measured
from harness.report.recipes.recipe import Measured, NoRecipeError, write_recipe
from harness.report.source import read_source
from harness.values.data import DataPlace, RecordFeatures

FOLDER = DataPlace(
    form="folder", folder="/data/cats", suffixes=(".JPG", ".jpg", ".png"), images=1399, classes=2, bytes=1399 * 10**5
)
COCO = DataPlace(form="coco", folder="/data/train", annotations="/data/instances.json", suffixes=(".jpg",))
TABLE = DataPlace(form="list", folder="/data/train", annotations="/data/labels.csv", suffixes=(".png",))
NUMBERS = RecordFeatures(image="image/encoded", label="image/class/label", labels=tuple(range(5)))
RECORDS = DataPlace(form="tfrecord", folder="/data/flowers", images=90, classes=5, features=NUMBERS)
WORDS = RECORDS.model_copy(
    update={"pattern": "train*", "features": RecordFeatures(image="jpeg", label="who", labels=("Ann", "Bob"))}
)
FLAT = FOLDER.model_copy(update={"is_labelled": False, "is_plain": False})
MIXED = FOLDER.model_copy(
    update={"suffixes": (".bmp", ".jpg"), "is_plain": False, "left_out": ("a/1.jpg",), "skipped_count": 1}
)
TRAINING = {"mode": "train", "model": {"name": "mobilenet", "alpha": 0.25}}


def write(case: Any, place: Any, **known: Any) -> Any:
    return write_recipe(case, Measured(place, **known))


def constants(code: Any) -> dict[str, Any]:
    """The constants at the top of a script, by name."""
    lines = [line for line in code.splitlines() if line.split(" ")[0].isupper() and " = " in line]
    names: dict[str, object] = {}
    exec("\n".join(line for line in lines if not line.startswith("IMAGE,")), names)
    return {name: value for name, value in names.items() if name.isupper()}


def comments(code: Any) -> str:
    """What the comments say, in one line."""
    return " ".join(line[2:] for line in code.splitlines() if line.startswith("# "))


def every_script() -> Iterator[Any]:
    """One script for each template, cache, element and kind of data, with and without shuffling and training."""
    places = (FOLDER, FLAT, MIXED, COCO, TABLE, RECORDS, WORDS, None)
    for place, (name, spec) in itertools.product(places, LOADERS.items()):
        for cache in ("none",) if place in (FLAT, MIXED) else spec.caches:
            for element in CACHES[cache].elements if cache != "none" else ("float32",):
                for shuffle, training, augment in itertools.product((True, False), ({}, TRAINING), spec.augments):
                    interpolation = "nearest" if shuffle else spec.interpolations[1]
                    wish = {"loader": name, "cache": cache, "element": element, "shuffle": shuffle, "augment": augment}
                    case = make_case(
                        **{"mode": "load", "model": None, **wish, "interpolation": interpolation, **training}
                    )
                    for spare in (None, 0, 10**10) if is_on_disk(cache) else (None,):
                        with contextlib.suppress(NoRecipeError):
                            yield write(case, place, spare_bytes=spare, versions="TensorFlow 2.21.0")


def test_every_script_is_tidy(tmp_path: Path) -> None:
    """No name that is not there, no import too many, no long line: what ruff finds in code that people write."""
    scripts = dict.fromkeys(every_script())
    for number, code in enumerate(scripts):
        (tmp_path / f"recipe_{number}.py").write_text(code)
    assert len(scripts) > 1000
    ruff = [sys.executable, "-m", "ruff"]
    for command in (["check", "--select", "E,F,I,W,UP,C4,SIM"], ["format", "--check"]):
        run = [*ruff, *command, "--isolated", "--line-length", "120", "--no-cache", str(tmp_path)]
        done = subprocess.run(run, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[:3000]


def test_the_user_s_own_paths_and_suffixes_stand_in_it() -> None:
    found = constants(write(make_case(loader="tfdata", image_size=(224, 160), batch_size=16), FOLDER))
    assert found["IMAGES"] == "/data/cats" and found["SUFFIXES"] == (".jpg", ".png")
    assert (found["SIZE"], found["BATCH"]) == ((224, 160), 16)
    found = constants(write(make_case(loader="tfdata"), COCO))
    assert (found["IMAGES"], found["ANNOTATIONS"]) == ("/data/train", "/data/instances.json")
    found = constants(write(make_case(loader="tfdata"), WORDS))
    assert (found["RECORDS"], found["PATTERN"], found["LABELS"]) == ("/data/flowers", "train*", ["Ann", "Bob"])


@pytest.mark.parametrize(
    "path", ['/a "b"', "/it's", "/a\\n\tb", "/x\u202egpj.exe", "/größe 🐈", "/a'\"b", "/{{ 1 }}{% x %}"]
)
def test_any_path_is_a_harmless_literal(path: str) -> None:
    code = write(make_case(loader="tfdata"), FOLDER.model_copy(update={"folder": path}))
    assert constants(code)["IMAGES"] == path
    assert code.replace("größe 🐈", "").isascii()


def test_labels_that_are_not_simply_numbers_are_translated() -> None:
    def labels_of(*labels: Any) -> Any:
        features = RecordFeatures(image="image", label="label", labels=labels)
        place = RECORDS.model_copy(update={"features": features, "classes": len(labels)})
        assert RecordFeatures.model_validate(features.model_dump(mode="json")) == features
        return write(make_case(loader="tfdata"), place)

    assert "LABELS" not in labels_of(0, 1, 2) and "found[LABEL], tf.int32" in labels_of(0, 1, 2)
    assert "LABELS = list(range(1, 1 + 1000))" in labels_of(*range(1, 1001))
    assert "LABELS = [2, 5, 9]" in labels_of(2, 5, 9) and "StaticHashTable" in labels_of(2, 5, 9)
    many = labels_of(*(f"class number {n}" for n in range(200)))
    assert max(map(len, many.splitlines())) <= 120 and '"class number 199"' in many


@pytest.mark.parametrize(
    "element, spare, expected",
    [
        ("float32", 10**9, "shuffle(635,"),  # half of what is left: 786,432 bytes each
        ("float32", 10**10, "shuffle(1271,"),  # at most 1 GB
        ("uint8", 10**10, "shuffle(len(files),"),
        ("uint8", None, "shuffle(8 * BATCH,"),
        ("float32", 10**8, None),  # eight batches would take 201 MB
        ("encoded", 10**9, "shuffle(len(files),"),  # 100 kB each
    ],
)  # fmt: skip
def test_the_buffer_behind_a_cache_on_disk_fits_the_memory_that_is_left(
    element: str, spare: Any, expected: str | None
) -> None:
    case = make_case(loader="tfdata", cache="file", element=element, image_size=(256, 256), batch_size=32)
    code = write(case, FOLDER, spare_bytes=spare)
    after = code.partition(".cache(CACHE)")[2]
    assert ("shuffle(" in after) is (expected is not None) and (expected is None or expected in after)
    assert ("which was not measured" in after) is (expected is not None)
    assert ("The order of the images is the same in every epoch" in after) is (expected is None)


def test_a_memory_cache_is_shuffled_whole_and_says_what_that_costs() -> None:
    code = write(make_case(loader="tfdata", cache="memory"), FOLDER, spare_bytes=0)
    after = code.partition(".cache()")[2]
    assert "dataset.shuffle(len(files), seed=SEED)" in after
    assert "needs no memory; but the first epoch fills it" in comments(after)
    code = write(make_case(loader="tfdata", cache="memory", shuffle=False), FOLDER)
    assert "shuffle" not in code and "SEED" not in code


def test_what_has_no_recipe_says_why_and_where_its_source_stands() -> None:
    for loader, place, said in (
        ("decoder", FOLDER, "harness/bench/loaders/decoder.py"),
        ("ceiling", FOLDER, "harness/bench/loaders/ceiling.py"),
        ("grain", RECORDS, "harness/bench/loaders/grain_dataset.py"),
        ("keras-pydataset", RECORDS, "harness/bench/loaders/tfrecords.py"),
        ("my/own.py:make", FOLDER, "my/own.py:make is a loader of your own"),
    ):
        with pytest.raises(NoRecipeError, match=said):
            write(make_case(loader=loader), place)
    with pytest.raises(NoRecipeError, match="run it again"):
        write_recipe(make_case(loader="tfdata"), Measured(kind="tfrecord"))
    refused = {name for name in LOADERS if not _has_recipe(name)}
    own = {name for name, spec in LOADERS.items() if spec.maker.startswith("loader_specs.")}
    assert refused == {"decoder", "ceiling", "grain-processes"} | own


def _has_recipe(name: str) -> bool:
    try:
        return bool(write(make_case(loader=name), FOLDER))
    except NoRecipeError:
        return False


def test_the_differences_from_what_was_measured_are_said() -> None:
    code = write(make_case(loader="tfdata", max_images=300), FOLDER, versions="TensorFlow 2.21.0 and Keras 3.15.1")
    head = comments(code)
    assert "Measured with TensorFlow 2.21.0 and Keras 3.15.1." in head
    assert "Measured on 300 images of the set; this uses all of them." in head and "RAM budget" in head
    code = write(make_case(loader="tfdata"), FOLDER, host="ws01", others=("ws02",))
    assert "The path is that of ws01; the data are elsewhere on ws02." in code


def test_an_emulated_accelerator_leaves_the_model_to_the_user() -> None:
    model = {"name": "emulated", "images_per_second": 1000.0}
    code = write(make_case(loader="tfdata", mode="train", model=model), FOLDER)
    assert "keras" not in code.lower() and "give `dataset` to the fit of your own model" in code


def make_session(tmp_path: Path, *, hosts: Any = ("ws01",), with_places: bool = True) -> Any:
    builder = SessionBuilder(rounds=3)
    builder.description["hosts"] = {}
    for name in hosts:
        facts = make_facts(boot=name)
        builder.add_host(name, facts)
        place = WORDS.model_copy(update={"folder": f"/srv/{name}/flowers"}).model_dump(mode="json")
        builder.description["hosts"][name] = {"data": {"coco-test": place}} if with_places else {}
        for number in (1, 2, 3):
            for loader, rate in (("keras-idg", 30), ("tfdata", 90)):
                builder.add(make_record(make_case(loader=loader), host=name, facts=facts, round=number, rate=rate))
    builder.description["data"]["coco-test"] |= {"kind": "tfrecord" if with_places else "folder"}
    return builder.write(tmp_path / builder.name)


def test_a_session_s_places_are_read_host_by_host(tmp_path: Path) -> None:
    sessions = read_source(make_session(tmp_path, hosts=("ws01", "ws02")))
    records = [record for record in sessions[0].records if record.case.loader == "tfdata"]
    known = describe_measured(records, sessions)
    assert known.place is not None and known.place.folder == "/srv/ws01/flowers"
    assert (known.host, known.others) == ("ws01", ("ws02",))
    assert known.versions == "TensorFlow 2.21.0"
    limits = [record.memory.limit_effective - record.memory.peak_anon for record in records]
    assert known.spare_bytes == min(limits) > 0


def test_the_page_shows_the_paths_and_an_anonymous_one_none(tmp_path: Path) -> None:
    sessions = read_source(make_session(tmp_path))
    page = render_page(sessions)
    assert "RECORDS = &#34;/srv/ws01/flowers&#34;" in page and "&#34;Ann&#34;, &#34;Bob&#34;" in page
    hidden = anonymise(sessions)
    place = hidden[0].place_of("host-1", "data-1")
    assert place is not None and place.form == "tfrecord" and place.images == 90
    page = render_page(hidden)
    assert "RECORDS = &#34;/path/to/your/images&#34;" in page
    for name in ("/srv/ws01", "flowers", "Ann", "Bob", "&#34;who&#34;", "train*"):
        assert name not in page and name not in json.dumps(hidden[0].content.plain())


def test_an_old_session_gets_a_placeholder_and_one_line_that_says_so(tmp_path: Path) -> None:
    sessions = read_source(make_session(tmp_path, with_places=False))
    known = describe_measured(sessions[0].records, sessions)
    assert (known.place, known.kind) == (None, "folder")
    code = write_recipe(make_case(loader="tfdata"), known)
    assert constants(code)["IMAGES"] == "/path/to/your/images"
    assert constants(code)["SUFFIXES"] == (".jpeg", ".jpg", ".png")
    said = "This session did not record where its data are. This is for one folder of images per class: fill in"
    assert f"{said} the first constants." in comments(code)


def test_what_a_few_lines_cannot_read_has_the_way_round() -> None:
    for place, words in (
        (TABLE.model_copy(update={"is_plain": False}), "/data/train --annotations /data/labels.csv"),
        (
            TABLE.model_copy(update={"is_plain": False, "folder": "/my photos", "split": "val"}),
            "'/my photos' --annotations /data/labels.csv --split val",
        ),
        (COCO.model_copy(update={"is_plain": False}), "/data/train --annotations /data/instances.json"),
        (COCO.model_copy(update={"is_plain": False}).without_names(), "…"),
        (FOLDER.model_copy(update={"skipped_count": 60, "is_plain": False}), "/data/cats --skip-unreadable"),
    ):
        with pytest.raises(NoRecipeError, match=re.escape(f"`harness data describe {words} --write-list labels.csv`")):
            write(make_case(mode="load", model=None), place)
