"""The program that the supervisor starts: ``python -m bench.measure.benchmark JOB_FOLDER``.

Nothing heavy is imported here. With ``cache_reuse: reused`` this process first runs a child (``--fill START``) that
fills the cache file, then drops the pages of data set and cache, and measures itself. So the memory of filling is never
part of a measurement.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ..protocol.failure import describe
from ..protocol.protocol import EVENTS, FAILURE, RESULTS, as_number, read_lines, write_json
from . import pagecache
from .event_log import Journal
from .measure_request import MeasureRequest, read_request

FILL = "--fill"


def main(arguments: list[str]) -> int:
    """Run a job; return 0 on success, 1 after writing ``failure.json``, 2 for wrong arguments."""
    if len(arguments) not in (1, 3) or (len(arguments) == 3 and arguments[1] != FILL):
        sys.stderr.write(f"usage: python -m bench.measure.benchmark JOB_FOLDER [{FILL} START]\n")
        return 2
    job = Path(arguments[0])
    results = job / RESULTS
    results.mkdir(exist_ok=True)
    start = float(arguments[2]) if len(arguments) == 3 else time.monotonic()
    journal = Journal(results / EVENTS, start)
    try:
        return run(job, results, journal, is_fill=len(arguments) == 3)
    except Exception as error:
        failure = describe(error, phase=journal.phase, epoch=journal.epoch, step=journal.step)
        write_json(results / FAILURE, failure)
        sys.stderr.write(f"benchmark: {failure['kind']} in phase {journal.phase}: {failure['message']}\n")
        return 1
    finally:
        journal.close()


def run(job: Path, results: Path, journal: Journal, *, is_fill: bool) -> int:
    """Fill the cache, or fill it in a child and measure, or measure; return the exit code."""
    request = read_request(job)
    build_s: float | None = None
    if request.is_reused and request.cache_prefix is not None and not is_fill:
        code = fill_in_child(job, journal)
        if code:
            return code
        build_s = read_build_seconds(results)
        drop_pages(request)
    from . import invocation  # only now: the child that fills needs the memory first

    if is_fill:
        invocation.fill(request, job, journal)
    else:
        invocation.measure(request, job, results, journal, build_s)
    return 0


def fill_in_child(job: Path, journal: Journal) -> int:
    """Run the child that fills the cache and return its exit code.

    If a signal ended the child, this process ends itself by the same signal, so that the supervisor sees it.
    """
    command = [sys.executable, "-m", f"{__package__}.benchmark", str(job), FILL, repr(journal.start)]
    journal.return_to_phase("fill")
    code = subprocess.run(command, check=False).returncode
    if code < 0:
        os.kill(os.getpid(), -code)
    return code


def read_build_seconds(results: Path) -> float | None:
    """Return the seconds that filling took, including its flush; None if the child did not report them."""
    build_s = None
    for line in read_lines(results / EVENTS):
        if line.get("event") == "phase" and line.get("name") == "filled":
            build_s = (as_number(line["seconds"]) or 0.0) + (as_number(line.get("flush_s")) or 0.0)
    return build_s


def drop_pages(request: MeasureRequest) -> None:
    """Drop the cache's pages, so that a later training does not find them; not with ``page_cache: warm``."""
    if request.page_cache != "warm":
        pagecache.drop([request.path("cache")], prove=False)


if __name__ == "__main__":
    status = main(sys.argv[1:])
    sys.stdout.flush()
    sys.stderr.flush()
    # All results are in files by now; TensorFlow's threads have been seen to crash while an interpreter ends.
    os._exit(status)
