"""A loader of a user's own that keeps what it delivers, in a whole session: its growth is measured and said."""

from __future__ import annotations

import os
import re
from itertools import pairwise
from pathlib import Path

import pytest
from user import User

pytestmark = [
    pytest.mark.whole,
    pytest.mark.tensorflow,
    pytest.mark.cgroup,
    pytest.mark.skipif(os.geteuid() != 0, reason="limited cases need to make cgroups"),
]

EPOCHS = 7
KEPT_MB = 4
"""Of each batch; an epoch has three."""
LOADER = f"""
import tensorflow as tf

kept = []


def keep(images):
    kept.append(b"x" * {KEPT_MB * 10**6})
    return images


def make(context):
    def load(path, label):
        image = tf.io.decode_jpeg(tf.io.read_file(path), channels=3, dct_method="INTEGER_ACCURATE")
        return tf.cast(tf.image.resize(image, context.image_size, method="nearest"), tf.float32) / 255, label

    def leak(images, labels):
        return tf.ensure_shape(tf.numpy_function(keep, [images], tf.float32), (None, *context.image_size, 3)), labels

    files = tf.data.Dataset.from_tensor_slices((context.files, list(context.labels)))
    return files.map(load).batch(context.batch_size).map(leak)
"""


def test_memory_that_grows_with_each_epoch_is_said_with_its_pace_and_its_end(tmp_path: Path) -> None:
    user = User(tmp_path, tmp_path / "scratch", is_real=True)
    user.write(loader=["tfdata", "mine.py:make"], interpolation="nearest", epochs=EPOCHS)
    (tmp_path / "mine.py").write_text(LOADER)
    done = user.run()
    assert done.returncode == 0, done.stderr
    found = {record["case"]["loader"]: record for record in user.records()}
    assert {name: record["status"] for name, record in found.items()} == {"tfdata": "ok", "mine.py:make": "ok"}
    held = [epoch["anon_bytes"] for epoch in found["mine.py:make"]["epochs"]]
    assert all(later - sooner > 2 * KEPT_MB * 10**6 for sooner, later in pairwise(held)), held
    said = {
        name: [one["message"] for one in record["findings"] if one["id"] == "memory-grows"]
        for name, record in found.items()
    }
    assert said["tfdata"] == []
    (message,) = said["mine.py:make"]
    pace, left = re.fullmatch(
        r"memory grows by ([\d.]+) MB per epoch \(over 6 epochs, to [\d.]+ MB\): "
        r"at this rate the limit of 700 MB is reached after (\d+) more epochs",
        message,
    ).groups()  # type: ignore[union-attr] # where it does not match, the test has failed
    assert 3 * KEPT_MB - 2 < float(pace) < 3 * KEPT_MB + 4
    assert abs(int(left) - (700e6 - held[-1]) / (float(pace) * 1e6)) < 2
    assert message in (user.sessions()[0] / "report.html").read_text()
