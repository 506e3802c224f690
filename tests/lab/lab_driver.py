"""``harness`` with a benchmark that needs no TensorFlow, and a controller that can be made to die or be impatient.

python lab_driver.py [OPTION VALUE …] WORDS OF HARNESS …
    --die BOUNDARY[:COUNT]  --wait BOUNDARY[:COUNT]=FILE  --set MODULE:NAME=NUMBER  --hurry SECONDS
    --images FOLDER=BASE  --image REFERENCE  --lock PATH

A boundary is ``before-`` or ``after-`` one of the steps that change something, see ``STEPS``.
"""

from __future__ import annotations

import functools
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness.engine.interface import Payload
from harness.ship import payload_archive
from harness.values.payload_digest import list_payload

HERE = Path(__file__).parent
STUBS = {
    "bench/measure/benchmark.py": "stub_benchmark.py",
    "bench/data/dataset.py": "stub_dataset.py",
    "bench/proof/same_work.py": "stub_samework.py",
}
"""Files of the payload, and what stands in for them."""
STEPS = {
    "connect": ("harness.workflow.run.hostwork", "reach"),
    "lock": ("harness.workflow.run.hostwork", "acquire"),
    "prepare": ("harness.workflow.run.hostwork", "prepare"),
    "submit": ("harness.engine.kinds.docker", "DockerEngine.submit"),
    "fetch": ("harness.engine.kinds.docker", "DockerEngine.fetch"),
    "record": ("harness.records.journal", "Journal.write_record"),
    "remove": ("harness.engine.kinds.docker", "DockerEngine.cancel"),
    "report": ("harness.workflow.run.hostwork", "Shared.write_report"),
    "release": ("harness.hosts.lock", "Lock.release"),
}


def stub_payload(extra: Mapping[str, bytes] | None = None) -> Payload:
    """The real payload with stand-ins for what needs TensorFlow and Pillow."""
    assert STUBS.keys() <= dict(list_payload()).keys(), "the payload's files have other names now"
    stubs = {path: (HERE / name).read_bytes() for path, name in STUBS.items()}
    return payload_archive.build_payload({**(extra or {}), **stubs})


def hook(boundary: str, act: Callable[[], None]) -> None:
    """Act at a boundary, when it is crossed for the COUNTth time; of jobs only those that measure count."""
    name, _, count = boundary.partition(":")
    when, _, step = name.partition("-")
    left = [int(count or 1)]
    module_name, dotted = STEPS[step]
    owner: object = importlib.import_module(module_name)
    *path, attribute = dotted.split(".")
    for part in path:
        owner = getattr(owner, part)
    inner = getattr(owner, attribute)

    def cross(at: str) -> None:
        if at == when:
            left[0] -= 1
            if left[0] == 0:
                act()

    @functools.wraps(inner)
    def wrapped(*arguments: Any, **named: Any) -> object:
        if not is_measuring(arguments):
            return inner(*arguments, **named)
        cross("before")
        value = inner(*arguments, **named)
        cross("after")
        return value

    setattr(owner, attribute, wrapped)


def is_measuring(arguments: Sequence[Any]) -> bool:
    """Whether a step is none of a job's, or of a job that measures: what prepares a host comes and goes."""
    jobs = [job for one in arguments for job in (one if isinstance(one, list) else [one]) if hasattr(job, "labels")]
    return not jobs or any(job.labels.get("harness.task") == "measure" for job in jobs)


def die() -> None:
    """End this process without a word."""
    os.kill(os.getpid(), signal.SIGKILL)


def wait_at(file: Path) -> None:
    """Say that the boundary is reached, and stay there until the file is gone."""
    file.touch()
    while file.exists():
        time.sleep(0.05)


def change(setting: str) -> None:
    """``MODULE:NAME=NUMBER``, so that tests need not wait as long as users would want to."""
    module, _, rest = setting.partition(":")
    name, _, number = rest.partition("=")
    target = importlib.import_module(module)
    assert hasattr(target, name), setting
    setattr(target, name, int(number) if number.isdigit() else float(number))


def use_image(reference: str) -> None:
    """Take this image for every host, whatever its inventory says."""
    from harness.ship import engine_choice, transfers
    from harness.ship.transfer.image_sources import WantedImage

    for module in (engine_choice, transfers):
        module.wanted_image = lambda _reached: WantedImage("cpu", reference, None)  # type: ignore[attr-defined]


def hurry(seconds: float) -> None:
    """Give a silent peer less time before it is asked, and to answer."""
    from harness.hosts.ssh.transport import Patience

    Patience.__init__.__defaults__ = (seconds, seconds)


def build_from(folder: Path, base: str) -> None:
    """Build images from the definitions in a folder, on a base that this machine has."""
    from harness.ship import definition, image

    definition._root = lambda: folder  # noqa: SLF001 - the product has one place for them
    image.PULLED_BASE = base


def main(words: list[str]) -> None:
    """Patch as told, then be harness."""
    import harness.workflow.run.run

    harness.workflow.found_session.build_payload = stub_payload  # type: ignore[attr-defined, assignment]
    while words[0].startswith("--"):
        option, value, *words = words
        match option:
            case "--die":
                hook(value, die)
            case "--wait":
                boundary, _, file = value.partition("=")
                hook(boundary, functools.partial(wait_at, Path(file)))
            case "--set":
                change(value)
            case "--images":
                folder, _, base = value.partition("=")
                build_from(Path(folder), base)
            case "--lock":
                sys.path.append(str(HERE.parent))
                from own_lock import use_lock

                use_lock(value)
            case "--hurry":
                hurry(float(value))
            case "--image":
                use_image(value)
            case _:
                sys.exit(__doc__)
    from harness.cli import main as harness_main

    sys.argv = ["harness", *words]
    harness_main()


if __name__ == "__main__":
    main(sys.argv[1:])
