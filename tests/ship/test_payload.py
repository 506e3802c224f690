from __future__ import annotations

import ast
import io
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import harness
from harness.bench.supervisor.supervisor import MODULES
from harness.ship.payload_archive import build_payload
from harness.values.payload_digest import BESIDE_MEASURING, list_payload


def _members(archive: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getmembers()


def test_payload_holds_only_the_benchmark_package() -> None:
    names = [member.name for member in _members(build_payload().archive)]
    assert "bench/protocol/protocol.py" in names
    assert "bench/__init__.py" in names
    assert names[0] == "bench"
    assert not [name for name in names if "__pycache__" in name or not (name.endswith(".py") or "." not in name)]
    assert all(name.split("/")[0] == "bench" for name in names)


def test_payload_is_deterministic_and_anonymous() -> None:
    first, second = build_payload(), build_payload()
    assert first == second
    for member in _members(first.archive):
        assert (member.mtime, member.uid, member.gid, member.uname, member.gname) == (0, 0, 0, "", "")
        assert member.mode == (0o755 if member.isdir() else 0o644)


def test_digest_follows_content_and_path() -> None:
    plain = build_payload()
    one = build_payload({"bench/extra.py": b"a"})
    other = build_payload({"bench/extra.py": b"b"})
    moved = build_payload({"bench/extrb.py": b"a"})
    assert len({plain.digest, one.digest, other.digest, moved.digest}) == 4


BENCH = Path(harness.__file__).parent / "bench"
MEASURING = (
    "supervisor.supervisor", "supervisor.gpusampler", "launcher.launch", "launcher.jobs", "measure.benchmark",
    "measure.pagecache",
)  # fmt: skip
"""What is started by its name, where something is measured; all loaders come on top."""


def imports_of(path: Path) -> set[Path]:
    """The files of the benchmark that a file of it imports when it runs, anywhere in it."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = []
    found: set[Path] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.level:
            folder = path.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            found |= {place / "__init__.py" for place in (folder, *folder.parents) if place.is_relative_to(BENCH)}
            found |= {folder.with_suffix(".py"), *(folder / f"{each.name}.py" for each in node.names)}
    return {place for place in found if place.is_file()}


def test_the_digest_covers_all_that_measures() -> None:
    todo = [BENCH / f"{name.replace('.', '/')}.py" for name in MEASURING]
    todo += [*BENCH.glob("loaders/*.py"), *BENCH.glob("loader_specs/*.py")]
    covered: set[Path] = set()
    while todo:
        path = todo.pop()
        if path not in covered:
            covered.add(path)
            todo += imports_of(path)
    names = {f"bench/{path.relative_to(BENCH).as_posix()}" for path in covered}
    assert not [name for name in names if name.startswith(BESIDE_MEASURING)], "what measures imports these"
    assert all(any(path.startswith(folder) for path, _ in list_payload()) for folder in BESIDE_MEASURING)


def test_all_that_the_supervisor_starts_by_its_name_is_known_here() -> None:
    started = set(re.findall(r'"bench\.([\w.]+)"', (BENCH / "supervisor/supervisor.py").read_text()))
    started |= set(re.findall(r'"bench\.([\w.]+)"', (BENCH / "launcher/launch.py").read_text()))
    beside = {name for name in started if f"bench/{name.replace('.', '/')}.py".startswith(BESIDE_MEASURING)}
    assert started - beside <= set(MEASURING)
    assert beside == {MODULES[task].removeprefix("bench.") for task in MODULES if task != "measure"}


def test_a_generator_or_a_proof_that_changes_keeps_the_digest_and_its_jobs_differ() -> None:
    plain = build_payload()
    for path in ("bench/data/generate.py", "bench/proof/rehearsal.py"):
        changed = build_payload({path: b'"""Another docstring."""'})
        assert (changed.digest, changed.key) == (plain.digest, plain.key)
        assert changed.archive_digest != plain.archive_digest


def test_payload_imports_as_bench_with_nothing_of_the_controller(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(build_payload().archive)) as tar:
        tar.extractall(tmp_path, filter="data")
    code = (
        "import bench.protocol.protocol, bench.protocol.loader_registry, sys;"
        "print(sorted(m for m in sys.modules if m.startswith('harness')))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_payload_is_the_same_out_of_a_zipped_install(tmp_path: Path) -> None:
    """Neither the place nor the kind of an installation is part of the payload."""
    root = Path(harness.__file__).parent.parent
    target = tmp_path / "wheel.zip"
    with zipfile.ZipFile(target, "w") as packed:
        for folder in ("harness", "harness/bench", "harness/ship", "harness/engine", "harness/values"):
            packed.writestr(f"{folder}/", "")
        for path in sorted((root / "harness").rglob("*.py")):
            packed.write(path, path.relative_to(root).as_posix())
    code = (
        f"import sys; sys.path.insert(0, {str(target)!r}); from harness.ship.payload_archive import build_payload;"
        "import harness; assert '.zip' in harness.__file__; print(build_payload().digest)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == build_payload().digest
