"""Keep wheels on this machine, downloaded once by pip from its configured index, for all hosts that need them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from harness.hosts.connection import last_line
from harness.ship.datasource import OnProgress
from harness.values.errors import HarnessError
from harness.values.units import format_bytes
from harness.values.wheels import Platform, Wheel, platform_tags

_TIMEOUT_S = 7200.0


def wheels_folder() -> Path:
    """Return this user's folder for wheels."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()) / "harness" / "wheels"


def fetch_wheels(
    wheels: Sequence[Wheel], platform: Platform, on_progress: OnProgress, folder: Path | None = None
) -> dict[str, Path]:
    """Return the paths of wheels on this machine by name, after downloading missing ones.

    A file whose hash is wrong counts as missing. Raises HarnessError.
    """
    store = folder or wheels_folder()
    store.mkdir(parents=True, exist_ok=True)
    with (store / ".lock").open("w") as lock:  # hosts side by side want the same files
        fcntl.flock(lock, fcntl.LOCK_EX)
        missing = [wheel for wheel in wheels if not _is_whole(store / wheel.file, wheel)]
        if missing:
            size = format_bytes(sum(wheel.size for wheel in missing))
            on_progress(f"downloading {len(missing)} wheels ({size}), once for all hosts", None)
            _download(missing, platform, store)
    return {wheel.file: store / wheel.file for wheel in wheels}


def _is_whole(path: Path, wheel: Wheel) -> bool:
    try:
        if path.stat().st_size != wheel.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == wheel.sha256
    except FileNotFoundError:
        return False


def _download(wheels: Sequence[Wheel], platform: Platform, store: Path) -> None:
    """Download wheels and verify their hashes; complete ones are kept when others fail. Raises HarnessError."""
    with tempfile.TemporaryDirectory(dir=store, prefix=".download-") as scratch:
        requirements = Path(scratch) / "requirements.txt"
        requirements.write_text("".join(f"{wheel.requirement}\n" for wheel in wheels), encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"]
        command += ["--no-deps", "--require-hashes", "--only-binary", ":all:", "--dest", scratch]
        command += ["--implementation", "cp", "--python-version", ".".join(map(str, platform.python))]
        command += [word for tag in platform_tags(wheels) for word in ("--platform", tag)]
        try:
            done = subprocess.run(
                [*command, "-r", str(requirements)], stdin=subprocess.DEVNULL, capture_output=True, check=False,
                timeout=_TIMEOUT_S,
            )  # fmt: skip
            said = "" if done.returncode == 0 else last_line(done.stderr, f"exit code {done.returncode}")
        except subprocess.TimeoutExpired:
            said = f"it took more than {_TIMEOUT_S:.0f} s"
        for wheel in wheels:
            if _is_whole(Path(scratch) / wheel.file, wheel):
                (Path(scratch) / wheel.file).replace(store / wheel.file)
    lacking = [wheel.file for wheel in wheels if not (store / wheel.file).exists()]
    if lacking:
        message = f"{len(lacking)} wheels could not be downloaded, first {lacking[0]}"
        hint = f"check that `{sys.executable} -m pip download` reaches a package index, or copy the files to {store}"
        raise HarnessError(f"{message}: {said}" if said else message, hint=hint)
