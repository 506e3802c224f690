"""A real session on part of a set: its advice is about the whole set."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from user import User

pytestmark = [
    pytest.mark.whole,
    pytest.mark.cgroup,
    pytest.mark.tensorflow,
    pytest.mark.skipif(os.geteuid() != 0, reason="limited cases need to make cgroups"),
]


def test_a_memory_cache_that_holds_the_part_and_not_the_set_is_not_advised(tmp_path: Path) -> None:
    """300 images are 531 MB in float32; of 600 MB the program leaves some 300, and 36 images are 64."""
    images = "{generate: {profile: dogs-and-cats, images: 300, seed: 1}}"
    setting: dict[str, Any] = {
        "cache": ["none", "memory"],
        "image_size": 384,
        "epochs": 2,
        "memory_limit": "600MB",
        "max_images": 36,
    }
    user = User(tmp_path, tmp_path / "scratch", is_real=True).write(data=images, **setting)
    done = user.run()
    assert done.returncode == 0, done.stderr
    assert {record["status"] for record in user.records()} == {"ok"}
    assert {record["set_size"]["images"] for record in user.records()} == {300}
    said = user.give("report", str(user.sessions()[0])).stdout
    answer = next(line for line in said.splitlines() if "With 600 MB for the container:" in line)
    assert re.search(r"container: tfdata, [\d.,]+ images/s, .* measured on 36 of 300 images", answer), answer
    held = re.search(r"; tfdata with memory cache holds only up to about (\d+) of 300 images under 600 MB", answer)
    assert held is not None, answer
    assert 90 < int(held[1]) < 300
    page = (user.sessions()[0] / "report.html").read_text()
    assert "36 of 300 images" in page and "whole set: does not fit" in page
