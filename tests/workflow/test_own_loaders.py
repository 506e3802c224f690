"""A user's loader travels with the payload and is found there, wherever its path pointed."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness.bench.protocol.own_loader import find_own_loader, read_constants
from harness.experiment.words import read_loader
from harness.ship.payload_archive import build_payload
from harness.values.case import Case
from harness.values.errors import ConfigurationError
from harness.workflow.found_session import gather_own_loaders

DOC = Path(__file__).parents[2] / "docs" / "loaders.md"


def read_example() -> str:
    """The example of docs/loaders.md."""
    return next(
        str(text) for text in re.findall(r"```python\n(.*?)```", DOC.read_text(), re.DOTALL) if "def make" in text
    )


def test_the_documented_example_is_found_inside_the_payload(tmp_path: Path) -> None:
    example = read_example()
    assert len(example.splitlines()) <= 12
    path = tmp_path / "my_loader.py"
    path.write_text('CACHES = ("none", "memory")\n' + example)
    name = f"{path}:make"
    assert read_loader(name) == name
    extra = gather_own_loaders([Case(data="d", loader=name), Case(data="d", loader="tfdata")])
    assert set(extra) == {"own/my_loader.py"}
    payload = build_payload(extra)
    assert payload.digest == build_payload().digest  # of the benchmark alone: other cases are what they were
    assert payload.key != build_payload().key
    assert set(payload.own) == {"own/my_loader.py"}
    with tarfile.open(fileobj=io.BytesIO(payload.archive)) as archive:
        archive.extractall(tmp_path / "payload", filter="data")
    path.unlink()  # on another host it never was
    code = f"from bench.protocol.loader_registry import LOADERS; print(LOADERS[{name!r}].caches)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path / "payload", check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "('none', 'memory')"


def test_an_installed_package_offers_a_loader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As pip leaves it: a module, and beside it the metadata with its entry point."""
    (tmp_path / "fast_images.py").write_text("def build(context):\n    return context\n")
    metadata = tmp_path / "fast_images-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: fast-images\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[harness.loaders]\nfast = fast_images:build\n")
    with pytest.raises(ValueError, match="unknown loader 'fast'"):
        read_loader("fast")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert read_loader("fast") == "fast"
    spec = find_own_loader("fast")
    assert (spec.maker, spec.caches) == ("entry:fast", ("none",))
    assert "fast-images" in spec.summary
    code = (
        "from harness.bench.protocol.loader_registry import LOADERS, is_own;print(LOADERS['fast'].name, is_own('fast'))"
    )
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, env=environment)
    assert done.stdout.split() == ["fast", "True"]


def test_what_is_wrong_with_a_loader_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be read: No such file"):
        read_loader(f"{tmp_path}/none.py:make")
    (tmp_path / "a.py").write_text("def other(context): ...\nCACHES = make()\n")
    with pytest.raises(ValueError, match="has no function 'make'; it has: other"):
        find_own_loader(f"{tmp_path}/a.py:make")
    with pytest.raises(ValueError, match=r"a.py:2: CACHES must be a literal"):
        read_constants(f"{tmp_path}/a.py", "other")
    (tmp_path / "b.py").write_text("def make(:\n")
    with pytest.raises(ValueError, match="is not valid Python"):
        find_own_loader(f"{tmp_path}/b.py:make")
    with pytest.raises(ValueError, match="did you mean tfdata"):
        read_loader("tfdat")


def test_two_files_of_one_name_are_refused(tmp_path: Path) -> None:
    for name in ("x", "y"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "mine.py").write_text("def make(context): ...\n")
    cases = [Case(data="d", loader=f"{tmp_path}/{name}/mine.py:make") for name in ("x", "y")]
    with pytest.raises(ConfigurationError, match="have the same name"):
        gather_own_loaders(cases)
