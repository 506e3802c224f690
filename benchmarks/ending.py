"""A benchmark that is stopped takes down what it brought up."""

from __future__ import annotations

import signal
import sys


def clean_up_when_stopped() -> None:
    """Let SIGTERM, and SIGINT in the background too, end the program through its ``finally`` blocks."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
