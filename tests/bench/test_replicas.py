"""Several GPUs train as one: each batch is shared, each image counted once. Two logical CPU devices stand for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.tensorflow
RUN = Path(__file__).with_name("replicas_run.py")


def test_two_devices_share_each_batch_of_one_pipeline(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    done = subprocess.run(
        [sys.executable, str(RUN), str(tmp_path)], capture_output=True, text=True, env=environment, timeout=800,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(done.stdout.splitlines()[-1])
    alone, together = found["even"]
    assert [one["replicas"] for one in found["even"]] == [1, 2]
    for name, one in found["odd"].items():
        assert one["replicas"] == 2, name
        # Thirteen images in batches of four: of the last one a single image is left, and one device gets none.
        assert (one["images"], one["steps"]) == ([13, 13], [4, 4]), name
        assert one["is_put_back"] and one["traced_again"] == 0 and one["is_finite"], (name, one)
    assert (together["images"], together["steps"]) == (alone["images"], alone["steps"]) == ([12, 12], [3, 3])
    assert together["weights"] == pytest.approx(alone["weights"], rel=1e-3), "the batch is that of all together"
