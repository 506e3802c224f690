"""Lists of paths and labels."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from harness.bench.data.dataset import describe
from harness.bench.data.table import is_json, read_table
from harness.bench.protocol.dataset_errors import DatasetError


@pytest.mark.parametrize(
    "text", ["path,label\nb/2.jpg,10\na.png,9\n", "b/2.jpg\t10\na.png\t9", '"b/2.jpg",10\n\n"a.png","9"']
)
def test_lists_are_read_however_they_separate(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels"
    path.write_text(text)
    assert not is_json(path)
    found = read_table(path)
    assert found.paths == ("a.png", "b/2.jpg")
    assert found.classes == ("9", "10")  # as numbers
    assert found.labels == (0, 1)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a.jpg,x\na.jpg,y\n", r":2: a.jpg is listed twice, first in line 1"),
        ("a.jpg,x\nb.jpg\n", ":2: not a path and a label"),
        ("a.jpg,x\n../b.jpg,y\n", "not below the folder"),
        ("a.jpg,x\n/etc/b.jpg,y\n", "not below the folder"),
    ],
)
def test_wrong_lines_are_named(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "labels.csv"
    path.write_text(text)
    with pytest.raises(DatasetError, match=part):
        read_table(path)


def test_a_list_is_a_data_set(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for name in ("a.jpg", "b.png"):
        Image.new("RGB", (40, 40), "red").save(tmp_path / "images" / name)
    (tmp_path / "labels.tsv").write_text("a.jpg\tcat\nb.png\tdog\nc.jpg\tdog\n")
    found = describe(tmp_path / "images", tmp_path / "labels.tsv")
    assert (found.images, found.class_names) == (3, ("cat", "dog"))
    assert found.unreadable == (("c.jpg", "there is no such file"),)
