"""From a session to code that runs: copied from the page into an empty file, it reads all of the user's images."""

from __future__ import annotations

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image
from user import User

pytestmark = [
    pytest.mark.whole,
    pytest.mark.cgroup,
    pytest.mark.tensorflow,
    pytest.mark.skipif(os.geteuid() != 0, reason="limited cases need to make cgroups"),
]

COUNT = (
    "import collections\nprint(sorted(collections.Counter(int(n) for _, labels in dataset for n in labels).items()))\n"
)


def test_the_page_s_code_reads_the_users_images_of_all_suffixes(tmp_path: Path) -> None:
    """40 images in a folder of mixed suffixes: none is left out."""
    data = tmp_path / "my photos"
    for number in range(40):
        suffix = (".jpg", ".JPG", ".png", ".jpeg")[number % 4]
        path = data / ("cat", "dog", "emu")[number % 3] / f"{number}{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + number, 30), (6 * number, 90, 9)).save(path, "PNG" if suffix == ".png" else "JPEG")
    user = User(tmp_path, tmp_path / "scratch").write(data=f"{{folder: '{data}'}}", memory_limit="none")
    done = user.run()
    assert done.returncode == 0, done.stderr
    (session,) = user.sessions()
    place = json.loads((session / "session.json").read_text())["hosts"]["here"]["data"]["mini"]
    assert place["folder"] == str(data)
    assert place["suffixes"] == [".JPG", ".jpeg", ".jpg", ".png"]
    assert (place["form"], place["images"], place["classes"]) == ("folder", 40, 3)
    page = (session / "report.html").read_text()
    (code,) = re.findall(r"as code to paste</summary>.*?<pre tabindex=\"0\">(.*?)</pre>", page, re.DOTALL)
    script = tmp_path / "pasted" / "script.py"
    script.parent.mkdir()
    script.write_text(html.unescape(code) + COUNT)
    ran = subprocess.run([sys.executable, str(script)], cwd=script.parent, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[(0, 14), (1, 13), (2, 13)]"
