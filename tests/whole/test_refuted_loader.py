"""A loader of a user's own with a hidden cache, in a whole session: not measured and said so, measured when mended."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from user import User, assert_plain

pytestmark = [
    pytest.mark.whole,
    pytest.mark.tensorflow,
    pytest.mark.cgroup,
    pytest.mark.skipif(os.geteuid() != 0, reason="limited cases need to make cgroups"),
]

LOADER = """
import tensorflow as tf


def make(context):
    def load(path, label):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
        return tf.cast(tf.image.resize(image, context.image_size, method="nearest"), tf.float32) / 255, label

    files = tf.data.Dataset.from_tensor_slices((context.files, list(context.labels)))
    return files.map(load)HIDDEN.batch(context.batch_size)
"""
WORDS = "serves pictures from a cache that it does not declare: 27 of 27 images were still the old ones"


def test_a_hidden_cache_is_not_measured_until_it_is_taken_out(tmp_path: Path) -> None:
    user = User(tmp_path, tmp_path / "scratch", is_real=True)
    user.write(loader=["keras-pydataset", "mine.py:make"], interpolation="nearest", epochs=2)
    mine = tmp_path / "mine.py"
    mine.write_text(LOADER.replace("HIDDEN", ".cache()"))
    done = user.run()
    assert done.returncode == 1, done.stderr
    assert_plain(done, [WORDS, "✗ invalid: does other work"])
    records = user.records()
    odd = [one for one in records if one["case"]["loader"] == "mine.py:make"]
    assert [(one["status"], one["validity"], one["round"], one["epochs"]) for one in odd] == [
        ("skipped", "invalid", 1, [])
    ]
    assert WORDS in odd[0]["cause"] and [one["id"] for one in odd[0]["findings"]] == ["work-differs"]
    others = [one for one in records if one["case"]["loader"] == "keras-pydataset"]
    assert [one["status"] for one in others] == ["ok", "ok"]  # and its twin
    report = (user.sessions()[0] / "report.html").read_text()
    sentence = report.partition('class="sentence">')[2].partition("</p>")[0]
    assert "keras-pydataset" in sentence and "mine.py" not in sentence

    mine.write_text(LOADER.replace("HIDDEN", ""))
    done = user.run()
    assert done.returncode == 0, done.stderr
    fresh = user.records()[len(records) :]
    assert [(one["case"]["loader"], one["status"], one["attempt"]) for one in fresh] == [("mine.py:make", "ok", 2)]

    mine.write_text(LOADER.replace("HIDDEN", "") + "\n# faster?\n")
    done = user.run()
    assert done.returncode == 2
    assert_plain(done, ["mine.py has changed since this session measured it", "--fresh"])
    assert len(user.records()) == len(records) + 1
    assert user.left() == []
