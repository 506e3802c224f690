"""Terminal output: progress, tables and results. The only package that prints."""

from harness.console.console import Console

__all__ = ["Console"]
