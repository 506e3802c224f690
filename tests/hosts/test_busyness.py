"""How busy a host is now."""

from __future__ import annotations

import multiprocessing
import os
import time

import pytest

from harness.hosts.facts.facts_script import parse_busy_ticks, read_busy_cpus
from harness.hosts.local import LocalConnection

# proc(5): user nice system idle iowait irq softirq steal guest guest_nice
STAT = "cpu  100 10 50 1000 40 3 7 5 0 0\ncpu0 100 10 50 1000 40 3 7 5 0 0\nintr 1\n"


def test_idle_and_waiting_for_a_disk_are_not_busy() -> None:
    assert parse_busy_ticks(STAT) == 100 + 10 + 50 + 3 + 7 + 5
    assert parse_busy_ticks("nothing") is None


def spin(until: float) -> None:
    while time.monotonic() < until:
        pass


@pytest.mark.skipif(not os.path.exists("/proc/stat"), reason="needs /proc")
def test_a_spinning_process_is_seen() -> None:
    spinner = multiprocessing.get_context("spawn").Process(target=spin, args=(time.monotonic() + 20,))
    spinner.start()
    try:
        time.sleep(1.0)
        busy = read_busy_cpus(LocalConnection(), watch_s=1.0)
    finally:
        spinner.kill()
        spinner.join()
    assert busy is not None
    assert busy > 0.3
