"""From a folder to code that runs, with one command, under a limit that a float32 cache exceeds."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from user import User

from harness.bench.data.generate import make

pytestmark = [
    pytest.mark.whole,
    pytest.mark.cgroup,
    pytest.mark.tensorflow,
    pytest.mark.skipif(os.geteuid() != 0, reason="limited cases need to make cgroups"),
]

IMAGES = 400
COUNT = """
import collections, json, runpy
dataset = runpy.run_path("pipeline.py")["dataset"]
batches = (dataset[n] for n in range(len(dataset))) if hasattr(dataset, "__getitem__") else dataset
print(json.dumps(sorted(collections.Counter(int(n) for _, labels in batches for n in labels).items())))
"""


def test_a_folder_becomes_an_answer_that_fits_and_runs(tmp_path: Path) -> None:
    """400 images are 398 MB in float32 and 100 MB in uint8; of 580 MB the program leaves some 200."""
    make("dogs-and-cats", IMAGES, 1, tmp_path / "my photos")
    user = User(tmp_path, tmp_path / "scratch", is_real=True)
    words = shlex.split("advise 'my photos' --size 288 --memory 580MB --engine process --allow-busy --json")
    done = user.give(*words, "--time", "2min", "--write", "pipeline.py")
    assert done.returncode == 0, done.stderr
    assert f"{IMAGES} images" in done.stderr and "as uint8" in done.stderr
    said = json.loads(done.stdout)
    (answer,) = said["answers"]
    assert (answer["case"]["cache"], answer["case"]["element"]) != ("memory", "float32"), said
    assert answer["memory_bytes"] < 580_000_000
    assert [one["pipeline"] for one in said["does_not_fit"]] == ["tfdata with memory cache"]
    assert answer["does_not_fit"][0].startswith("tfdata with memory cache does not fit")

    (session,) = user.sessions()
    assert Path(said["session"]).name == session.name
    measured = [one for one in user.records() if one["status"] == "ok"]
    assert {epoch["images"] for one in measured for epoch in one["epochs"]} == {IMAGES}
    ran = subprocess.run([sys.executable, "pipeline.py"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout.startswith(f"{IMAGES} images in ")
    counted = subprocess.run([sys.executable, "-c", COUNT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(counted.stdout.splitlines()[-1]) == [[0, IMAGES // 2], [1, IMAGES // 2]]

    again = user.give(*words, "--time", "1s")
    assert json.loads(again.stdout)["session"] == said["session"]
    assert user.sessions() == [session]
    files = [str(session / name) for name in ("inventory.yaml", "experiment.yaml")]
    plan = user.give("plan", files[0], "--experiment", files[1], "--name", session.name, "--json")
    assert json.loads(plan.stdout)["session_folder"].endswith(session.name)
