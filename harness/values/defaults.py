"""Defaults that the command line and the workflows share. Nothing is imported: ``--help`` needs them, too."""

from __future__ import annotations

DEFAULT_FORKS = 10
"""Hosts that are asked at once."""

DEFAULT_TRANSFERS = 4
"""Images and data sets that are on their way at once."""
