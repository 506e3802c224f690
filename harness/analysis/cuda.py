"""Which NVIDIA driver a CUDA version needs. Pure."""

from __future__ import annotations

import re

MINIMUM_DRIVERS: dict[int, str] = {11: "450.80.02", 12: "525.60.13", 13: "580.65.06"}
"""The oldest Linux driver for each major version of CUDA.

Within one major version any driver from this on will do ("minor version compatibility"): NVIDIA, CUDA
Compatibility, table 1 (https://docs.nvidia.com/deploy/cuda-compatibility/minor-version-compatibility.html: ≥ 450, 525,
580), in full as in table 3 of the CUDA Toolkit Release Notes (https://docs.nvidia.com/cuda/cuda-toolkit-release-notes/:
12.0 GA ≥ 525.60.13, 13.0 GA ≥ 580.65.06); 450.80.02 is the note to the first table.
"""


def minimum_driver(cuda: str) -> str | None:
    """The oldest driver for a CUDA version (``12.5``); None for one that this table does not know."""
    match = re.match(r"(\d+)(?:\.|\Z)", cuda.strip())
    return MINIMUM_DRIVERS.get(int(match[1])) if match else None


def is_driver_enough(driver: str, minimum: str) -> bool | None:
    """Whether a driver is as new as the minimum; None where its version cannot be read."""
    have, need = _parts(driver), _parts(minimum)
    return None if have is None or need is None else have >= need


def _parts(version: str) -> tuple[int, ...] | None:
    # The open kernel modules and some distributions append a word: 535.104.05-open.
    match = re.match(r"\d+(?:\.\d+)*", version.strip())
    if match is None:
        return None
    numbers = tuple(int(part) for part in match[0].split("."))
    return numbers + (0,) * (4 - len(numbers))
