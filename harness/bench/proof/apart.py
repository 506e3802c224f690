"""Run each setting of a request in its own process, forked from one that has imported TensorFlow."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.task import Job
from ..measure.process_environment import leave_out_pandas, prepare_process
from ..protocol.failure import explain
from ..protocol.loader_registry import LOADERS
from ..protocol.protocol import REQUEST, Request, as_count, as_list, as_object, write_json

ANSWER = "answer.json"
_TIMEOUT_S = 300.0


@dataclass(frozen=True)
class Setting:
    """A case that represents others, and the request for its process; ``said`` are the request's fields about it."""

    key: str
    said: Mapping[str, object]
    request: Request
    folder: Path

    def count(self, name: str) -> int:
        """Return an integer field of the setting."""
        return as_count(self.said[name]) or 0

    @property
    def needs_pandas(self) -> bool:
        """Whether its data is read through a pandas data frame."""
        case, data = as_object(self.request.said.get("case")), as_object(self.request.said.get("data"))
        try:
            return LOADERS[str(case["loader"])].needs_pandas(str(data["kind"]))
        except (KeyError, ValueError):
            return False  # a missing or unreadable loader: its own process reports it


def run_settings(job: Job, run: Callable[[Setting], Mapping[str, object] | str]) -> Mapping[str, object]:
    """Run each of the request's ``settings``; return the results by key, for a text ``{"reason": …}``.

    Processes are forked from one that has imported TensorFlow, which takes longer than most settings, but has not used
    it. A setting that needs pandas is forked before that import and imports everything itself; so are all settings on
    GPUs, since CUDA does not survive a fork.
    """
    job.enter("run")
    results: dict[str, Mapping[str, object]] = {}
    settings = [_read_setting(job, number, said) for number, said in enumerate(as_list(job.request.said["settings"]))]
    has_gpus, is_imported = bool(job.request.limits.gpus), False
    for setting in sorted(settings, key=lambda one: not one.needs_pandas):
        _make_folders(setting)
        if not (is_imported or has_gpus or setting.needs_pandas):
            import_tensorflow(setting.folder)
            is_imported = True
        found = run(setting)
        results[setting.key] = {"reason": found} if isinstance(found, str) else found
        job.progress(len(results), len(settings), "settings")
    return results


def _read_setting(job: Job, number: int, value: object) -> Setting:
    """Read one of the request's ``settings``; its process gets its own folder and cache."""
    task = job.request.task
    said, folder = as_object(value), job.results.parent / "scratch" / f"{task}-{number}"
    cache = Path(job.paths.get("cache", str(folder))) / f"{task}-{number}"
    own = {"case": said.get("case"), "data": said.get("data")}
    request = job.request._replace(said=own, paths={**job.paths, "cache": str(cache)})
    return Setting(str(said["key"]), said, request, folder)


def _make_folders(setting: Setting) -> None:
    setting.folder.mkdir(parents=True)
    Path(setting.request.paths["cache"]).mkdir(parents=True, exist_ok=True)
    write_json(setting.folder / REQUEST, setting.request.as_fields())


def import_tensorflow(folder: Path) -> None:
    """Import TensorFlow and Keras without starting anything."""
    prepare_process(str(folder / "keras"))
    leave_out_pandas()
    import keras
    import tensorflow

    del keras, tensorflow


def run_apart(setting: Setting, work: Callable[[], Mapping[str, object]]) -> dict[str, Any] | str:
    """Fork a process for one setting and wait for its answer; return a text that says why there is none."""
    answer = setting.folder / ANSWER
    answer.unlink(missing_ok=True)
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        _answer(answer, work)
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        pid, status = os.waitpid(child, os.WNOHANG)
        if pid:
            break
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return f"it took more than {_TIMEOUT_S:.0f} s"
        time.sleep(0.02)
    if answer.exists():
        value: dict[str, Any] = json.loads(answer.read_text(encoding="utf-8"))
        return str(value["reason"]) if "reason" in value else value
    code = os.waitstatus_to_exitcode(status)
    said = f"it was killed by signal {-code}" if code < 0 else f"it ended with exit code {code}"
    return f"{said}, without an error message"


def _answer(answer: Path, work: Callable[[], Mapping[str, object]]) -> None:
    """Write the answer and exit, whatever happens; runs in the forked process, without the parent's cleanup."""
    try:
        write_json(answer, work())
    except BaseException as error:
        write_json(answer, {"reason": explain(error)[:300]})
    finally:
        # Skip the interpreter's shutdown: TensorFlow's threads have been seen to crash in it.
        os._exit(0)
