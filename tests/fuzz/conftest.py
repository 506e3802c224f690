"""The counts of each target, told at the end of a run."""

from __future__ import annotations

import pytest
from fuzzing import COUNTS


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print how many cases each target saw, and what the most expensive one took."""
    for target, count in COUNTS.items():
        terminalreporter.write_line(
            f"{target}: {count.cases} cases in {count.cpu_s:.0f} s of CPU time, "
            f"the slowest {count.slowest_s:.2f} s, the largest {count.largest_bytes / 1e6:.0f} MB"
        )
