"""``make sample``: a real session on the lab's four hosts, kept as the page in ``reports/sample`` and its screenshot.

python sample.py [EXPERIMENT [FOLDER_OF_THE_PAGE [SCREENSHOT]]]
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import outer_engine
from host_images import cache_folder
from lab_inventory import inventory_text
from play import usual_megabytes
from workstations import Lab, down, usual_hosts

ROOT = Path(__file__).parents[2]
NAME = "sample"
IMAGES = 480
WINDOW = "1200,1240"
_BROWSERS = ("chromium", "chromium-browser", "google-chrome")


def main(experiment: Path, folder: Path, screenshot: Path) -> None:
    """Bring the lab up, measure, write the page without names, take its picture; the lab goes away in any case."""
    if reason := outer_engine.why_not():
        sys.exit(f"the sample cannot be made here: {reason}")
    outer_engine.start(cache_folder())
    work = cache_folder() / NAME
    clear(work)
    try:
        measure(work, experiment)
        page = folder / "report.html"
        harness(work, "report", f"session/{NAME}", "--output", "session", "--anonymise", "--to", str(page.resolve()))
        photograph(page, screenshot)
    finally:
        clear(work)
    print(page.resolve().as_uri())


def measure(work: Path, experiment: Path) -> None:
    """One session on all hosts, one host after the other; paths are relative, so that none tells of this machine."""
    big = usual_megabytes()
    lab = Lab.up(usual_hosts(big, big * 3 // 4), name=NAME, folder=work / "lab")
    shared = {
        "memory_reserve": "1GiB",
        "disk_reserve": "2GB",
        "data": {"photos": {"generate": {"profile": "coco", "images": IMAGES, "seed": 1}}},
    }
    (work / "inventory.yaml").write_text(inventory_text(lab, shared=shared))
    shutil.copy(experiment, work / "experiment.yaml")
    words = ("run", "inventory.yaml", "--experiment", "experiment.yaml", "--output", "session", "--name", NAME)
    harness(work, *words, "--forks", "1")


def harness(work: Path, *words: str) -> None:
    """One command of harness; 0 is the only end that a sample is made of."""
    code = "from harness.cli import main; main()"
    done = subprocess.run([sys.executable, "-c", code, *words], cwd=work, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"harness {words[0]} ended with {done.returncode}; no sample was written")


def photograph(page: Path, screenshot: Path) -> None:
    """The top of the page as a picture, where there is a Chromium."""
    browser = next((found for name in _BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        print(f"no Chromium here: {screenshot} stays as it is", file=sys.stderr)
        return
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", f"--window-size={WINDOW}"]
    words = [browser, *options, f"--screenshot={screenshot.resolve()}", page.resolve().as_uri()]
    subprocess.run(words, check=True, capture_output=True, timeout=120)


def clear(work: Path) -> None:
    """Away with the lab and with what was measured."""
    down(NAME)
    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)


if __name__ == "__main__":
    given = [Path(word) for word in sys.argv[1:]]
    usual = [Path(__file__).with_name("sample.yaml"), ROOT / "reports" / "sample", ROOT / "docs" / "report.png"]
    if len(given) > len(usual):
        sys.exit(__doc__)
    main(*given, *usual[len(given) :])
