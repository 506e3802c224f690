"""Tests of names of class folders and of the links in them."""

from __future__ import annotations

import os

from harness.bench.loaders.class_folders import class_folder, link_name


def test_long_names_become_names_that_a_file_can_have(tmp_path: object) -> None:
    names = [
        class_folder("ä" * 300),
        class_folder("ä" * 301),
        link_name("a/" * 400 + "1.jpg"),
        link_name("b/" * 400 + "1.jpg"),
    ]
    assert len(set(names)) == 4
    for name in names:
        os.mkdir(os.path.join(str(tmp_path), name))
    assert names[2].endswith(".jpg")
    assert class_folder("cat") == "cat"
