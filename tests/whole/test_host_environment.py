"""TensorFlow itself in an environment that a host without a network gets: the real lock, the real wheels."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from harness.engine.kinds.process import ProcessEngine
from harness.hosts.connection import Completed
from harness.hosts.local import LocalConnection
from harness.ship.environment import EnvironmentShip, choose_environment

pytestmark = [pytest.mark.whole, pytest.mark.timeout(1200)]
ALONE = ("unshare", "-n")
_USE = "import tensorflow as tf, grain, simplejpeg, PIL; print(tf.__version__, int(tf.reduce_sum(tf.range(5))))"


class Alone(LocalConnection):
    """This machine without any network."""

    def run(self, argv: Sequence[str], **options: Any) -> Completed:
        return super().run([*ALONE, *argv], **options)


def test_a_host_without_a_network_gets_tensorflow(tmp_path: Path) -> None:
    host = Alone("ws01")
    if shutil.which("unshare") is None or host.run(["true"]).returncode != 0:
        pytest.skip("the network cannot be taken away here: needs root and unshare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "bare"], check=True)
    engine = ProcessEngine(host, scratch=str(tmp_path / "scratch"), python=f"{tmp_path}/bare/bin/python")
    environment = choose_environment(engine.describe_python(), "ws01", has_gpus=False)
    python, shipped = EnvironmentShip(host, str(tmp_path / "scratch"), engine, environment).run()
    engine.use(python)
    facts = engine.probe("")
    assert (facts.version, facts.image_digest, facts.lacks) == (environment.tensorflow, shipped.image_digest, ())
    used = host.run([python, "-c", _USE], timeout_s=300)
    assert used.returncode == 0, used.stderr.decode(errors="replace")[-2000:]
    assert used.text.split()[-2:] == [environment.tensorflow, "10"]
