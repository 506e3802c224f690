"""A browser for tests: Debian's Chromium driven by Node, whose packages are installed once per content."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).with_name("browser")
CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")


def find_chromium() -> str:
    """Return the path of a Chromium; the test is skipped where there is none."""
    named = os.environ.get("CHROMIUM")
    found = named or next((path for name in CHROMIUM_NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium (`make test` installs it where root may; or set CHROMIUM)")
    return found


def install_packages() -> Path:
    """The folder with ``node_modules``, outside the tree and named by what is in the lock file."""
    if not (shutil.which("node") and shutil.which("npm")):
        pytest.skip("no Node.js with npm: the page cannot be looked at by a browser's driver")
    content = b"".join((HERE / name).read_bytes() for name in ("package.json", "package-lock.json"))
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "test-tools"
    folder = cache / hashlib.sha256(content).hexdigest()[:16]
    if (folder / "complete").exists():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / name, folder)
    words = ["npm", "ci", "--no-audit", "--no-fund"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm cannot install the test tools: {done.stderr.strip()[-300:]}")
    (folder / "complete").touch()
    return folder


def look(folder: Path, pages: dict[str, Path]) -> Any:
    """What ``browser/look.mjs`` saw; screenshots and downloads lie in ``folder``."""
    chromium, packages = find_chromium(), install_packages()
    words = [f"{name}={path}" for name, path in pages.items()]
    done = subprocess.run(
        ["node", str(HERE / "look.mjs"), chromium, str(folder), *words],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
        env={**os.environ, "HARNESS_NODE_FOLDER": str(packages)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)
