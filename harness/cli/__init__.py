"""The commands: what a user types. The only place that exits."""

from harness.cli.app import main

__all__ = ["main"]
