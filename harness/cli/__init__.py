"""The command line interface. The only package that exits the process."""

from harness.cli.app import main

__all__ = ["main"]
