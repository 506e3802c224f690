"""The file list: what is written is read, whatever the names; what is damaged is said with its line."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.bench.loaders.manifest import Manifest, escape, read_manifest, unescape, write_manifest


def manifest(paths: tuple[str, ...], classes: tuple[str, ...] = ("cat", "dog")) -> Manifest:
    count = len(paths)
    return Manifest(
        paths=paths,
        labels=tuple(index % len(classes) for index in range(count)),
        widths=(640,) * count,
        heights=(480,) * count,
        sizes=tuple(range(count)),
        hashes=("ab" * 32,) * count,
        classes=classes,
    )


def test_odd_names_come_back(tmp_path: Path) -> None:
    paths = ("a\tb.jpg", "c\nd.jpg", "back\\slash\\n.jpg", "ü/\u2028.jpg", "line\rend.jpg", "\x85\x0b.jpg")
    written = manifest(paths, classes=("a\tclass", "日本"))
    write_manifest(tmp_path, written)
    assert read_manifest(tmp_path) == written
    assert (tmp_path / "manifest.tsv").read_bytes().count(b"\n") == len(paths) + 1
    assert not list(tmp_path.glob("*.part"))


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_escape_is_undone(path: str) -> None:
    escaped = escape(path)
    assert not set(escaped) & set("\t\n\r")
    assert unescape(escaped) == path


def test_empty_list_is_a_list(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest(()))
    assert len(read_manifest(tmp_path)) == 0


def test_names_that_are_not_utf8_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        write_manifest(tmp_path, manifest(("bad\udcff.jpg",)))
    with pytest.raises(FileNotFoundError):
        read_manifest(tmp_path)


@pytest.mark.parametrize(
    ("damage", "place"),
    [
        (lambda text: text[:-10], r"tsv:1: not a complete"),
        (lambda text: text.replace("path", "file", 1), r"tsv:1: "),
        (lambda text: text.replace("b.jpg\t1", "b.jpg\tone"), r"tsv:3: not a line"),
        (lambda text: text.replace("b.jpg\t1", "b.jpg\t7"), r"tsv:3: label 7 has no class"),
        (lambda text: text.replace("a.jpg", "a\\q.jpg"), r"tsv:2: not a line"),
    ],
)
def test_damage_is_named_with_its_line(tmp_path: Path, damage: object, place: str) -> None:
    write_manifest(tmp_path, manifest(("a.jpg", "b.jpg")))
    target = tmp_path / "manifest.tsv"
    assert callable(damage)
    target.write_text(damage(target.read_text()))
    with pytest.raises(ValueError, match=place):
        read_manifest(tmp_path)


def test_columns_must_agree() -> None:
    with pytest.raises(ValueError, match="different lengths"):
        Manifest(("a",), (), (1,), (1,), (1,), ("h",), ("c",))


def test_head_takes_from_the_whole_list() -> None:
    whole = manifest(tuple(f"{index:03d}.jpg" for index in range(100)))
    part = whole.head(10)
    assert part.paths[0] == "000.jpg"
    assert part.paths[-1] == "090.jpg"
    assert len(set(part.paths)) == 10
    assert whole.head(None) is whole
    assert whole.head(1000) is whole
