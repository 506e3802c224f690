"""The wheel in an empty environment, run from an empty folder, can do everything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = """
all:
  hosts:
    here:
      ansible_connection: local
      harness:
        engine: process
        allow_busy: true
        scratch: {scratch}
        data:
          mini: {{generate: {{profile: dogs-and-cats, images: 24, seed: 1}}}}
"""
EXPERIMENT = """
name: wheel
parameters: {data: mini, loader: tfdata, image_size: 32, batch_size: 8, epochs: 1, memory_limit: 1500MB}
rounds: 1
"""

pytestmark = [
    pytest.mark.whole,
    pytest.mark.timeout(1500),
    pytest.mark.skipif(os.geteuid() != 0, reason="limited cases need to make cgroups"),
]


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``harness`` installed from a wheel, with nothing of the source tree in reach."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), str(ROOT)]
    subprocess.run(build, check=True, timeout=300)
    (wheel,) = folder.glob("input_pipeline_harness-*.whl")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
    subprocess.run([*install, f"{wheel}[process-cpu]"], check=True, timeout=1200)
    return folder / "venv" / "bin" / "harness"


def run(program: Path, folder: Path, *arguments: str, lock: Path | None = None) -> subprocess.CompletedProcess[str]:
    """The installed program, or, where it is to hold a ``lock``, its Python with that lock instead of the user's."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    own_lock = [str(program.with_name("python")), str(Path(__file__).with_name("user.py")), str(lock), "-"]
    return subprocess.run(
        [*([str(program)] if lock is None else own_lock), *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def test_carries_images_presets_schemas_and_starters(program: Path, tmp_path: Path) -> None:
    images = json.loads(run(program, tmp_path, "image", "list", "--json").stdout)
    assert {image["image"] for image in images} == {"cpu", "gpu"}
    assert run(program, tmp_path, "init", "lab").returncode == 0
    plan = run(program, tmp_path, "plan", "lab/inventory.yaml", "--experiment", "quick", "--offline", "--json")
    assert plan.returncode == 0, plan.stderr
    assert json.loads(plan.stdout)["experiment"]["name"] == "quick"
    assert "properties" in json.loads(run(program, tmp_path, "schema", "record").stdout)
    code = run(program, tmp_path, "loaders", "--show", "tfdata", "--cache", "file").stdout
    assert "dataset = dataset.cache(CACHE)\n" in code
    from harness.ship.definition import image_definitions, image_reference

    here = {kind: image_reference(one) for kind, one in image_definitions().items()}
    assert {image["image"]: image["reference"] for image in images} == here


def test_measures_and_reports(program: Path, tmp_path: Path) -> None:
    (tmp_path / "inventory.yaml").write_text(INVENTORY.format(scratch=tmp_path / "scratch"))
    (tmp_path / "experiment.yaml").write_text(EXPERIMENT)
    done = run(program, tmp_path, "run", "inventory.yaml", "--experiment", "experiment.yaml", lock=tmp_path / "lock")
    assert done.returncode == 0, done.stderr
    page = Path(done.stdout.strip().splitlines()[-1].removeprefix("file://"))
    assert "<html" in page.read_text()
    records = [json.loads(line) for line in (page.parent / "records.jsonl").read_text().splitlines()]
    # The one case and its A/A twin; a busy machine may have had each of them repeated.
    assert sorted(str(record["alias"]) for record in records if record["attempt"] == 1) == ["None", "b"]
    for record in records:
        assert record["status"] == "ok"
        assert record["epochs"][0]["images"] == 24
        assert record["memory"]["limit_effective"] == 1_500_000_000 // 4096 * 4096
