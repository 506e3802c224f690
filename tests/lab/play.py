"""``make lab`` and ``make lab-down``: a lab to play with.

python play.py up [MEGABYTES_OF_THE_BIG_ONES]  |  python play.py down
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
from pathlib import Path

import outer_engine
from host_images import cache_folder
from lab_inventory import PLAY_EXPERIMENT, play_inventory
from workstations import Lab, down, usual_hosts

NAME = "play"


def folder() -> Path:
    """Where the keys, the inventory and the experiment lie while the lab is up."""
    return cache_folder() / NAME


def bring_up(big_mb: int) -> None:
    """Start the lab and say how to use it."""
    if reason := outer_engine.why_not():
        sys.exit(f"the lab cannot be brought up here: {reason}")
    take_down()
    daemon = outer_engine.start(cache_folder())
    lab = Lab.up(usual_hosts(big_mb, big_mb * 3 // 4), name=NAME, folder=folder())
    if daemon is not None:
        (folder() / "dockerd.pid").write_text(str(daemon))
    inventory = folder() / "inventory.yaml"
    command = f"harness run {inventory}"
    (folder() / "experiment.yaml").write_text(PLAY_EXPERIMENT)
    inventory.write_text(play_inventory(lab, command))
    print(inventory.read_text())
    for host in lab.hosts.values():
        print(f"# {host.name}: ssh -i {lab.key} -p {host.port} bench@127.0.0.1   ({host.fingerprint})")
    print(f"\n{command}")


def take_down() -> None:
    """Away with it: workstations, disks, keys, inventory, and the outer engine where it was started for it."""
    pid = folder() / "dockerd.pid"
    if outer_engine.answers():
        down(NAME)
        if pid.exists():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid.read_text()), signal.SIGTERM)
    shutil.rmtree(folder(), ignore_errors=True)


def usual_megabytes() -> int:
    """Five GiB for each big one where four of them fit, else what fits."""
    with Path("/proc/meminfo").open() as stream:
        available = next(int(line.split()[1]) for line in stream if line.startswith("MemAvailable"))
    return min(5120, available // 1024 // 4)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["up", *given]:
            bring_up(int(given[0]) if given else usual_megabytes())
        case ["down"]:
            take_down()
            print(f"the lab is down; what is slow to make is kept: {cache_folder()}, and the images harness-lab-*")
        case _:
            sys.exit(__doc__)
