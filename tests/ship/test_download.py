"""Downloads: continued where they stopped, held to size and checksum, unpacked where they belong."""

from __future__ import annotations

import hashlib
import http.server
import io
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from harness.ship import download as downloads
from harness.ship.download import check_disk, download, remove_damaged_jpegs, unpack
from harness.ship.public_sets import PUBLIC_SETS, PublicFile
from harness.values.errors import DataError

BODY = bytes(range(256)) * 4000


class _Server(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str | None]] = []
    body = BODY
    cut: int | None = None

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        type(self).asked.append(wanted)
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        rest = self.body[start:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(rest)))
        self.end_headers()
        self.wfile.write(rest[: type(self).cut])

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def url() -> Iterator[str]:
    _Server.asked, _Server.cut = [], None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Server)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/set.bin"
    server.shutdown()
    server.server_close()


def _file(url: str, body: bytes = BODY) -> PublicFile:
    return PublicFile(url, len(body), hashlib.sha256(body).hexdigest())


def _nothing(done: int, total: int | None) -> None:
    pass


def test_a_cut_download_goes_on_where_it_stopped(url: str, tmp_path: Path) -> None:
    _Server.cut = 300_000
    with pytest.raises(DataError, match="300 kB are kept"):
        download(_file(url), tmp_path, _nothing)
    _Server.cut = None
    seen: list[int] = []
    found = download(_file(url), tmp_path, lambda done, total: seen.append(done))
    assert found.read_bytes() == BODY
    assert _Server.asked == [None, "bytes=300000-"]
    assert seen[-1] == len(BODY)
    download(_file(url), tmp_path, _nothing)
    assert len(_Server.asked) == 2  # it is there


def test_a_wrong_file_is_put_aside(url: str, tmp_path: Path) -> None:
    wrong = PublicFile(url, len(BODY), "0" * 64)
    with pytest.raises(DataError, match="has the SHA-256"):
        download(wrong, tmp_path, _nothing)
    assert [path.name for path in tmp_path.iterdir()] == ["set.bin.part.wrong"]


def test_a_file_without_a_published_checksum_is_pinned(url: str, tmp_path: Path) -> None:
    free = PublicFile(url)
    download(free, tmp_path, _nothing)
    pin = tmp_path / "set.bin.sha256"
    assert pin.read_text().strip() == hashlib.sha256(BODY).hexdigest()
    (tmp_path / "set.bin").write_bytes(b"other")
    with pytest.raises(DataError, match="has the SHA-256"):
        download(free, tmp_path, _nothing)


def test_no_more_is_kept_than_a_file_can_have(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "MOST_UNKNOWN_BYTES", len(BODY) - 1)
    for file in (PublicFile(url), PublicFile(url, len(BODY) - 1, "0" * 64)):
        with pytest.raises(DataError, match=r"sends more than 1\.02 MB"):
            download(file, tmp_path, _nothing)
        assert [*tmp_path.iterdir()] == []


def test_no_network_and_no_disk_are_clear_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="cannot be read") as caught:
        download(PublicFile("http://127.0.0.1:9/x"), tmp_path, _nothing)
    assert "without a network" in str(caught.value.hint)
    with pytest.raises(DataError, match="missing"):
        check_disk(tmp_path / "not" / "yet", 2**60)


def test_only_wanted_members_are_unpacked_and_only_once(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in ("PetImages/Cat/1.jpg", "PetImages/Dog/2.jpg", "readme.txt", "../evil"):
            archive.writestr(name, b"\xff\xd8\xff\xe0\0\x10JFIF" if "1" in name else b"broken")
    (tmp_path / "x.zip").write_bytes(stream.getvalue())
    file = PublicFile("http://x/x.zip", members=("PetImages/",))
    assert unpack(file, tmp_path / "x.zip", tmp_path / "out", _nothing) == 2
    before = (tmp_path / "out/PetImages/Cat/1.jpg").stat().st_mtime_ns
    assert unpack(file, tmp_path / "x.zip", tmp_path / "out", _nothing) == 2
    assert (tmp_path / "out/PetImages/Cat/1.jpg").stat().st_mtime_ns == before
    assert remove_damaged_jpegs(tmp_path / "out") == 1
    assert sorted(path.name for path in (tmp_path / "out").rglob("*.*")) == ["1.jpg"]


def test_the_public_sets_are_whole() -> None:
    for each in PUBLIC_SETS.values():
        for file in each.files:
            assert (file.bytes is None) == (file.sha256 is None)
            assert file.sha256 is None or len(file.sha256) == 64
    assert sum(file.bytes or 0 for file in PUBLIC_SETS["coco2017"].files) == 19336861798 + 252907541
    assert downloads.CHUNK_BYTES
