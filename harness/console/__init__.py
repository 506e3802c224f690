"""Progress and tables in the terminal: the only place that prints."""

from harness.console.console import Console

__all__ = ["Console"]
