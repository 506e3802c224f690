from __future__ import annotations

import io
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import harness
from harness.ship.payload import build_payload


def _members(archive: bytes) -> list[tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        return tar.getmembers()


def test_payload_holds_only_the_benchmark_package() -> None:
    names = [member.name for member in _members(build_payload().archive)]
    assert "bench/protocol.py" in names
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


def test_payload_imports_as_bench_with_nothing_of_the_controller(tmp_path: Path) -> None:
    with tarfile.open(fileobj=io.BytesIO(build_payload().archive)) as tar:
        tar.extractall(tmp_path, filter="data")
    code = (
        "import bench.protocol, bench.registry, sys; print(sorted(m for m in sys.modules if m.startswith('harness')))"
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
        f"import sys; sys.path.insert(0, {str(target)!r}); from harness.ship.payload import build_payload;"
        "import harness; assert '.zip' in harness.__file__; print(build_payload().digest)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == build_payload().digest
