"""``docs/contributing/loader.md``, followed: its file, put into a copy of the program, is a loader that is proven."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from following import read_page

import harness


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with a copy of the program that has the page's loader."""
    shutil.copytree(Path(harness.__file__).parent, tmp_path / "harness")
    name, code = read_page("loader.md")
    (tmp_path / "harness" / "bench" / "loader_specs" / name).write_text(code, encoding="utf-8")
    return tmp_path


def say(tree: Path, *words: str) -> str:
    command = [sys.executable, "-c", "from harness.cli import main; main()", *words]
    return subprocess.run(command, cwd=tree, capture_output=True, text=True, check=True).stdout


def test_its_file_is_all_that_the_program_needs(tree: Path) -> None:
    names = [one["name"] for one in json.loads(say(tree, "loaders", "--json"))["loaders"]]
    assert names[names.index("keras-pydataset") + 1] == "generator" and len(names) == len(set(names))
    listed = json.loads(say(tree, "schema", "experiment"))["$defs"]
    assert '"generator"' in json.dumps(listed)
    inventory, experiment = tree / "inventory.yaml", tree / "experiment.yaml"
    generated = "{data: {d: {generate: {profile: dogs-and-cats, images: 24, seed: 1}}}}"
    inventory.write_text(f"all: {{hosts: {{here: {{ansible_connection: local, harness: {generated}}}}}}}")
    experiment.write_text("{name: e, parameters: {data: d, loader: [tfdata, generator], image_size: 32}}")
    planned = say(tree, "plan", str(inventory), "--experiment", str(experiment), "--offline")
    assert "generator" in planned


@pytest.mark.tensorflow
def test_it_does_the_same_work_as_the_others(tree: Path) -> None:
    job = tree / "job"
    job.mkdir()
    case = {"data": "d", "interpolation": "nearest", "loader": "generator"}
    variants = [{"key": kind, "kind": kind, "case": case} for kind in ("folder", "coco")]
    (job / "request.json").write_text(json.dumps({"task": "samework", "variants": variants, "seed": 3, "paths": {}}))
    command = [sys.executable, "-m", "harness.bench.proof.same_work", str(job)]
    done = subprocess.run(command, cwd=tree, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads((job / "results" / "dataset.json").read_text())["variants"]
    assert {kind: (one["is_proven"], one["problems"]) for kind, one in found.items()} == {
        "folder": (True, []),
        "coco": (True, []),
    }
