"""Files and presets: what they mean, and every mistake of a file at once, each with its line."""

# mypy: disable-error-code="union-attr, operator, index"

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import write_parameters  # a script beside the page, not a package
import yaml

from harness.bench.protocol.loader_registry import is_automatic
from harness.experiment import (
    describe_parameters,
    expand,
    experiment_digest,
    experiment_schema,
    init_experiment_text,
    load_experiment,
    parse_experiment,
    preset_names,
    preset_text,
)
from harness.values.errors import ConfigurationError

GOOD = """\
name: mine
parameters:
  data: coco
  loader: [keras-idg, tfdata]
"""


def mistakes_of(text: str) -> list[tuple[int | None, str]]:
    with pytest.raises(ConfigurationError) as caught:
        parse_experiment(text, "mine.yaml")
    assert caught.value.exit_code == 2
    assert all(mistake.file == "mine.yaml" for mistake in caught.value.mistakes)
    return [(mistake.line, f"{mistake.message} → {mistake.hint}") for mistake in caught.value.mistakes]


def test_all_mistakes_at_once_each_with_its_line() -> None:
    found = mistakes_of(
        """\
name: my experiment
parameters:
  data: coco
  loader:
    - tfdata
    - tfdat
  cach: memory
  memory_limit: [none, 16G]
  batch_size: "32"
  image_size: 0
exclude:
  - {loader: keras-igd}
  - {}
include:
  - epoch: 1
rounds: 0
timeout: soon
basline: {}
"""
    )
    wanted = [
        (1, "name"),
        (6, "unknown loader 'tfdat' → did you mean tfdata?"),
        (7, "unknown key → did you mean cache?"),
        (8, "'16G' is not a size"),
        (9, "batch_size: expected a whole number"),
        (10, "at least 1"),
        (12, "unknown loader 'keras-igd' → did you mean keras-idg?"),
        (13, "a rule must name a parameter"),
        (15, "unknown key → did you mean epochs?"),
        (16, "rounds"),
        (17, "'soon' is not a duration"),
        (18, "unknown key → did you mean baseline?"),
    ]
    assert [line for line, _ in found] == [line for line, _ in wanted]
    for (_, text), (line, part) in zip(found, wanted, strict=True):
        assert part in text, (line, text)


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("loader: ceiling", "added automatically to every training experiment"),
        ("cache: disk", "unknown cache 'disk'"),
        ("cache: 3", "a cache is one of"),
        ("cache: []", "empty matrix"),
        ("interpolation: bilinaer", "did you mean bilinear"),
        ("mode: training", "did you mean train"),
        ("model: mobilnet", "did you mean mobilenet"),
        ("model: {alpha: 0}", "alpha is the width of the model"),
        ("model: {weights: imagenet, alpha: 0.3}", "ImageNet weights exist for alpha 0.25, 0.5, 0.75, 1"),
        ("model: {weights: absent.h5}", "there is no weights file"),
        ("model: {alhpa: 1.0}", "did you mean alpha"),
        ("model: {other: 1.0}", "known keys: name, alpha, weights"),
        ("model: [mobilenet, {alhpa: 1.0}]", "did you mean alpha"),
        ("memory_limit: -1", "cannot be negative"),
        ("memory_limit: true", "a memory limit is a size"),
        ("memory_limit: 0", "is too small"),
        ("image_size: 256x", "an image size is a number of pixels"),
        ("image_size: [[1, 2, 3]]", "an image size is a number of pixels"),
        ("image_size: true", "an image size is a number of pixels"),
        ("cpus: 0", "cpus is a whole number, at least 1, or auto"),
        ("gpus: many", "gpus is a whole number, at least 0, or auto"),
        ("max_images: 0", "max_images is a whole number, at least 1, or all"),
        ("epochs: true", "expected a whole number"),
        ("shuffle: 1", "expected true or false"),
        ("page_cache: hot", "page_cache"),
    ],
)
def test_a_wrong_value_is_told_with_its_line_and_what_is_wanted(line: str, text: str) -> None:
    key = line.split(":", maxsplit=1)[0]
    source = GOOD.replace("  loader: [keras-idg, tfdata]", f"  {line}") if key == "loader" else f"{GOOD}  {line}\n"
    ((at, message),) = mistakes_of(source)
    assert at == (4 if key == "loader" else 5)
    assert text in message


@pytest.mark.parametrize(
    ("source", "line", "text"),
    [
        ("parameters: {loader: tfdata}", 1, "no data is named"),
        ("name: x\nparameters: {data: coco}", 2, "no loader is named"),
        ("name: x\n", 1, "parameters: this key is missing"),
        ("- a\n", 1, "a mapping"),
        (GOOD + "exclude: {cache: file}\n", 5, "a list"),
        (GOOD + "exclude:\n  - {}\n", 6, "a rule must name a parameter"),
        (GOOD + "include: [{loader: ceiling}]\n", 5, "added automatically to every training experiment"),
        (GOOD + "baseline: {loader: ceiling}\n", 5, "added automatically to every training experiment"),
        (GOOD + "budget: 0\n", 5, "above 0"),
        (GOOD + "rounds: 2.5\n", 5, "rounds is a whole number, at least 1, or auto, not 2.5"),
        (GOOD + "rounds: [1\n", None, "not valid YAML"),
        ("", None, "empty"),
    ],
)
def test_a_wrong_file_is_told_with_its_line(source: Any, line: int | None, text: str) -> None:
    found = mistakes_of(source)
    assert any(text in message and line in (None, at) for at, message in found), found


def test_a_preset_that_is_not_there() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load_experiment("artcle")
    assert "did you mean article?" in str(caught.value)
    assert all(name in str(caught.value) for name in preset_names())


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no such file"):
        load_experiment(str(tmp_path / "no.yaml"))
    with pytest.raises(ConfigurationError, match="this is a folder, not a file"):
        load_experiment(f"{tmp_path}/")


def test_the_name_of_a_file_is_the_name_of_its_experiment(tmp_path: Path) -> None:
    path = tmp_path / "night.yaml"
    path.write_text("parameters: {data: coco, loader: tfdata}\n")
    assert load_experiment(str(path)).name == "night"


def test_the_spelling_of_the_article_is_read_and_said() -> None:
    experiment = parse_experiment(GOOD + "  cache: [false, true, some_path.tfcache]\n", "mine.yaml")
    assert experiment.parameters.cache == ("none", "memory", "file")
    assert len(experiment.notes) == 3
    assert "some_path.tfcache is read as file" in experiment.notes[2]
    plain = parse_experiment(GOOD + "  cache: [none, memory, file]\n", "mine.yaml")
    assert plain.notes == ()
    assert experiment_digest(plain) == experiment_digest(experiment)


@pytest.mark.parametrize(
    ("written", "sizes"),
    [
        ("256", ((256, 256),)),
        ("256x320", ((256, 320),)),
        ("[[256, 320]]", ((256, 320),)),
        ("[128, 256]", ((128, 128), (256, 256))),
        ("[256, 256]", ((256, 256),)),
        ("[[96, 128], 64]", ((96, 128), (64, 64))),
    ],
)
def test_image_sizes(written: str, sizes: Any) -> None:
    experiment = parse_experiment(f"{GOOD}  image_size: {written}\n", "mine.yaml")
    assert experiment.parameters.image_size == sizes
    assert bool(experiment.notes) == (written == "[128, 256]")


def test_sizes_counts_and_names() -> None:
    text = "  memory_limit: [none, 1.5GiB, 16GB, 100000000]\n  cpus: [auto, 2]\n  gpus: [auto, 0]\n"
    text += "  max_images: [all, 5]\n"
    found = parse_experiment(GOOD + text + "  model: [mobilenet, {alpha: 0.5}]\n", "mine.yaml").parameters
    assert found.memory_limit == ("none", 3 * 2**29, 16 * 10**9, 10**8)
    assert found.cpus == (None, 2)
    assert found.gpus == ("auto", 0)
    assert found.max_images == (None, 5)
    assert [model.alpha for model in found.model] == [1.0, 0.5]


def test_session_settings() -> None:
    plain = parse_experiment(GOOD, "mine.yaml")
    assert (plain.rounds, plain.budget_s, plain.baseline.named()) == ("auto", None, {"loader": ("keras-idg",)})
    other = parse_experiment(GOOD + "rounds: 5\ntimeout: 90s\nbudget: 2h\nseed: 7\nbaseline: {cache: none}\n", "m.yaml")
    assert (other.rounds, other.timeout_s, other.budget_s, other.seed) == (5, 90.0, 7200.0, 7)
    assert other.baseline.named() == {"cache": ("none",)}


def test_weights_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "m.h5").write_bytes(b"x")
    path = tmp_path / "e.yaml"
    rules = "exclude: [{model: {weights: weights/m.h5}, cache: file}]\n"
    path.write_text(GOOD + "  mode: train\n  model: {weights: weights/m.h5}\n  cache: [none, file]\n" + rules)
    experiment = load_experiment(str(path))
    assert experiment.parameters.model[0].weights == str(tmp_path / "weights" / "m.h5")
    cases = expand(experiment).cases
    assert {case.cache for case in cases} == {"none"}
    assert all(case.model.weights == str(tmp_path / "weights" / "m.h5") for case in cases)


def presets_and_template() -> Any:
    return [(name, preset_text(name)) for name in preset_names()] + [("template", init_experiment_text())]


def test_the_presets_are_those_of_the_readme() -> None:
    assert preset_names() == ("article", "article+", "article-short", "caches", "ladder", "loading", "quick")


@pytest.mark.parametrize(("name", "text"), presets_and_template())
def test_presets_and_template_load_and_fit_their_schema(name: Any, text: Any) -> None:
    experiment = parse_experiment(text, name)
    assert expand(experiment).cases
    schema = experiment_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.validate(yaml.safe_load(text), schema)
    assert name in (experiment.name, "template")


def test_the_schema_refuses_what_the_models_refuse() -> None:
    validator = jsonschema.Draft202012Validator(experiment_schema())
    value = {"parameters": {"data": "coco", "loader": "tfdata"}}
    assert validator.is_valid(value)
    wrong: dict[str, Any]
    for wrong in ({"loader": "tfdat"}, {"cache": "disk"}, {"memory_limit": "16G?"}, {"cach": "none"}, {"epochs": 0},
                  {"cache": []}, {"image_size": 0}):  # fmt: skip
        assert not validator.is_valid({"parameters": {**value["parameters"], **wrong}}), wrong
    assert not validator.is_valid({**value, "rounds": 0})
    assert json.loads(json.dumps(validator.schema)) == validator.schema


def test_the_template_has_a_modeline_and_names_every_parameter() -> None:
    text = init_experiment_text()
    assert text.startswith("# yaml-language-server: $schema=")
    for name in experiment_schema()["$defs"]["Rule"]["properties"]:
        assert f"  {name}:" in text or f"# {name}:" in text, name


def test_template_schema_and_docs_say_the_same_of_a_parameter() -> None:
    said = " ".join(init_experiment_text().replace("  # ", " ").split())
    page = write_parameters.PAGE.read_text(encoding="utf-8")
    assert write_parameters.update(page) == page, "run `make parameters`"
    for name, meaning in describe_parameters().items():
        assert f"{meaning} {name}: " in said, name
        assert f"| `{name}` | {meaning} |" in page


def test_quick_has_the_four_rows_of_the_article_in_both_modes_under_one_limit() -> None:
    experiment = load_experiment("quick")
    cases = [case for case in expand(experiment).cases if not is_automatic(case.loader)]
    rows = {("keras-idg", "none"), ("tfdata", "none"), ("tfdata", "memory"), ("tfdata", "file")}
    for mode in ("load", "train"):
        assert {(c.loader, c.cache) for c in cases if c.mode == mode} == rows
    assert {c.image_size for c in cases if c.mode == "load"} == {(256, 256)}
    assert {(c.image_size, c.model.alpha) for c in cases if c.mode == "train"} == {((128, 128), 0.25)}
    assert len(cases) == 8
    assert len({c.memory_limit for c in cases}) == 1
    assert (experiment.rounds, experiment.budget_s) == ("auto", 780.0)


def test_article_plus_has_the_caches_of_ours_in_a_quarter_of_the_bytes() -> None:
    cases = expand(load_experiment("article+")).cases
    ours = {case.cache for case in cases if case.loader == "tfdata-tuned" and case.element == "uint8"}
    assert ours == {"file", "array", "save"}


def test_article_is_the_article() -> None:
    cases = expand(load_experiment("article")).cases
    pipelines = [case for case in cases if not is_automatic(case.loader)]
    assert {case.memory_limit for case in cases} == {"none", 16 * 10**9}
    assert {case.interpolation for case in pipelines} == {"native", "nearest"}
    assert {(c.image_size, c.element, c.mode, c.epochs, c.data) for c in cases} == {
        ((256, 256), "float32", "train", 2, "coco")
    }
    assert {case.model.weights for case in cases} == {"none"}
    assert len(pipelines) == 4 * 2 * 2
    short = expand(load_experiment("article-short")).cases
    assert {case.max_images for case in short} == {40000}
    loading = expand(load_experiment("loading")).cases
    assert {(case.mode, case.data, case.model) for case in loading} == {("load", "dogs-and-cats", None)}
