from __future__ import annotations

import functools
import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.engine.job_archive import extract_results
from harness.values.errors import EngineError, ResultsRefused

extract = functools.partial(extract_results, host="ws01", job="harness-job-1")


def _tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for member, content in members:
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def _link(name: str, target: str, kind: bytes = tarfile.SYMTYPE) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    return member


def _names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())


@given(size=st.integers(min_value=1, max_value=5000))
@settings(max_examples=20, deadline=None)
def test_any_cut_into_chunks_gives_the_same_files(tmp_path_factory: pytest.TempPathFactory, size: int) -> None:
    data = _tar((tarfile.TarInfo("results/a.json"), b"x" * 3000), (tarfile.TarInfo("results/sub/b"), b"y"))
    target = tmp_path_factory.mktemp("out")
    extract((data[start : start + size] for start in range(0, len(data), size)), target)
    assert _names(target) == ["a.json", "sub/b"]
    assert (target / "a.json").read_bytes() == b"x" * 3000


def test_nothing_leaves_the_folder(tmp_path: Path) -> None:
    device = tarfile.TarInfo("results/device")
    device.type = tarfile.CHRTYPE
    members = [
        (tarfile.TarInfo("results/../../escape"), b"1"),
        (tarfile.TarInfo("/etc/escape"), b"1"),
        (tarfile.TarInfo("results"), b""),
        (_link("results/link", "/etc/passwd"), b""),
        (_link("results/hard", "results/../../x", tarfile.LNKTYPE), b""),
        (_link("results/folder", ".."), b""),
        (tarfile.TarInfo("results/folder/escape"), b"1"),
        (device, b""),
        (tarfile.TarInfo("results/request.json.part"), b"half"),
        (tarfile.TarInfo("results/good"), b"1"),
    ]
    out = tmp_path / "deep" / "out"
    extract([_tar(*members)], out)
    assert _names(tmp_path) == ["deep/out/folder/escape", "deep/out/good"]


def test_a_link_that_is_already_there_is_not_followed(tmp_path: Path) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (tmp_path / "elsewhere").mkdir()
    (out / "sub").symlink_to(tmp_path / "elsewhere")
    (out / "file").symlink_to(tmp_path / "target")
    extract([_tar((tarfile.TarInfo("r/sub/x"), b"1"), (tarfile.TarInfo("r/file"), b"1"))], out)
    assert list((tmp_path / "elsewhere").iterdir()) == []
    assert not (tmp_path / "target").exists()
    assert (out / "file").read_bytes() == b"1"


def test_too_much_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsRefused, match="larger than 10 bytes"):
        extract([_tar((tarfile.TarInfo("r/x"), b"1" * 11))], tmp_path, limit_bytes=10)


@pytest.mark.parametrize("cut", [700, 1100])
def test_a_cut_stream_is_an_error_and_leaves_no_half_file(tmp_path: Path, cut: int) -> None:
    data = _tar((tarfile.TarInfo("r/x"), b"1" * 2000))
    with pytest.raises(EngineError, match="broken"):
        extract([data[:cut]], tmp_path)
    assert _names(tmp_path) == []


def test_no_archive_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(EngineError):
        extract([b"<html>a proxy's own page</html>" * 40], tmp_path)
