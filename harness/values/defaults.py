"""Defaults shared by the command line and the workflows. Imports nothing, because ``--help`` needs it."""

from __future__ import annotations

DEFAULT_FORKS = 10
"""Hosts that are worked on at once."""

DEFAULT_TRANSFERS = 4
"""Transfers of images and data sets at once."""
