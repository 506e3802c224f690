"""Generate pictures from integers that cost as much to store and decode as photographs of their size.

Only integer additions, products and shifts are used, so that a seed gives the same pixels on every CPU (floating point
gave other pixels without AVX-512). The pictures imitate statistics of natural images (D. L. Ruderman, "The statistics
of natural images", 1994; A. B. Lee, D. Mumford, J. Huang, "Occlusion models for natural images", 2001): power that
falls with the square of the frequency (octaves of value noise), regions with sharp edges, texture that differs by
region, and colours that correlate with brightness.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Field = NDArray[np.int16]
Plane = NDArray[np.uint8]

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_COARSEST = 7
"""The coarsest octave has a value every 2^7 pixels."""


def mix(*words: int) -> int:
    """Return 64 bits that depend on all ``words`` (splitmix64's finaliser: G. L. Steele and others, 2014)."""
    state = 0
    for word in words:
        state = (state + _GOLDEN + word) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state


def random_bytes(key: int, count: int) -> Plane:
    """Return ``count`` bytes that depend on ``key`` alone: splitmix64 over a counter."""
    words = np.arange((count + 7) // 8, dtype=np.uint64)
    words *= np.uint64(_GOLDEN)
    words += np.uint64(key)
    words ^= words >> np.uint64(30)
    words *= np.uint64(0xBF58476D1CE4E5B9)
    words ^= words >> np.uint64(27)
    words *= np.uint64(0x94D049BB133111EB)
    words ^= words >> np.uint64(31)
    return words.astype("<u8", copy=False).view(np.uint8)[:count]


class Draws:
    """A reproducible sequence of numbers for one picture."""

    def __init__(self, key: int) -> None:
        self._key = key
        self._count = 0

    def below(self, limit: int) -> int:
        """Draw a number from 0 to ``limit`` - 1."""
        self._count += 1
        return (mix(self._key, self._count) * limit) >> 64

    def bell(self, limit: int) -> int:
        """Draw the mean of four such numbers: middle values are more likely."""
        return sum(self.below(limit) for _ in range(4)) // 4


@dataclass(frozen=True)
class Scene:
    """What one picture looks like.

    ``texture`` and ``grain`` are strengths of detail; each step of ``smoothness`` (4 to 7) halves the regions' number.
    """

    height: int
    width: int
    texture: int
    grain: int
    smoothness: int
    is_grey: bool = False


def draw(scene: Scene, key: int) -> tuple[Plane, Plane | None, Plane | None]:
    """Draw one picture: luma and, unless grey, two chroma planes, all uint8 at full size."""
    draws = Draws(mix(key, 1))
    form = _octaves(mix(key, 2), scene.height, scene.width, finest=2, stop=1)  # at half size
    regions = ((form + np.int16(1024)) >> np.int16(scene.smoothness)).astype(np.uint8) & np.uint8(63)
    light = _table(mix(key, 3), 64, 70)
    rough = np.abs(_table(mix(key, 4), 64, 256))
    half = light[regions] + (form >> 2)
    luma = _soften(_double(half, scene.height, scene.width))
    luma += _texture(scene, key, rough[regions])
    luma += np.int16(96 + draws.below(64))
    if scene.is_grey:
        return _plane(luma), None, None
    blue, red = (_chroma(scene, mix(key, 5 + number), regions, half) for number in range(2))
    return _plane(luma), blue, red


def _texture(scene: Scene, key: int, rough: Field) -> Field:
    """Return fine octaves, scaled by their region's roughness (0 to 255), plus a little grain everywhere."""
    middle = _centred(mix(key, 10), rough.shape) * np.int16(scene.texture) >> np.int16(4)
    coarse = _double(_centred(mix(key, 11), (-(-rough.shape[0] // 2), -(-rough.shape[1] // 2))), *rough.shape)
    middle += coarse * np.int16(scene.texture) >> np.int16(4)
    middle = (middle >> np.int16(2)) * (rough >> np.int16(2)) >> np.int16(5)
    detail = _double(middle, scene.height, scene.width)
    fine = _centred(mix(key, 12), detail.shape)
    strength = np.int16(scene.grain) + (_double(rough, *detail.shape) * np.int16(scene.texture) >> np.int16(9))
    detail += (fine >> np.int16(1)) * strength >> np.int16(6)
    return detail


def _chroma(scene: Scene, key: int, regions: Plane, half: Field) -> Plane:
    """Return one chroma plane: a colour per region, a slow drift, a share of the brightness, and a little noise."""
    colour = _table(key, 64, 24)[regions] + (half >> np.int16(4))
    colour += _octaves(mix(key, 1), scene.height, scene.width, finest=5, stop=1) >> np.int16(4)
    colour += _centred(mix(key, 2), colour.shape) * np.int16(scene.texture) >> np.int16(9)
    return _plane(_double(_soften(colour), scene.height, scene.width) + np.int16(128))


def _table(key: int, entries: int, spread: int) -> Field:
    """Return ``entries`` numbers from -spread to spread."""
    values = random_bytes(key, entries).astype(np.int16) - np.int16(128)
    return values * np.int16(spread) >> np.int16(7) if spread < 256 else values * np.int16(2)


def _centred(key: int, shape: tuple[int, ...]) -> Field:
    """Return white noise from -128 to 127."""
    count = shape[0] * shape[1]
    return random_bytes(key, count).view(np.int8).astype(np.int16).reshape(shape)


def _octaves(key: int, height: int, width: int, *, finest: int, stop: int) -> Field:
    """Return value noise of cells of 2^7 … 2^``finest`` pixels, at a scale of 2^``stop`` pixels; about -500 to 500."""
    field = np.zeros((2, 2), np.int16)
    for level in range(_COARSEST, stop - 1, -1):
        rows, columns = ((height - 1) >> level) + 2, ((width - 1) >> level) + 2
        if level == _COARSEST:
            field = _centred(mix(key, level), (rows, columns))
            continue
        field = _double(field, rows, columns)
        if level >= finest:
            field += _centred(mix(key, level), (rows, columns)) >> np.int16(_COARSEST - level)
    return field[: (height + (1 << stop) - 1) >> stop, : (width + (1 << stop) - 1) >> stop]


def _double(field: Field, rows: int, columns: int) -> Field:
    """Return ``field`` at twice its size by linear interpolation, cut to ``rows`` × ``columns``."""
    wide = np.empty((field.shape[0], 2 * field.shape[1]), np.int16)
    wide[:, 0::2] = field
    wide[:, 1:-1:2] = (field[:, :-1] + field[:, 1:]) >> np.int16(1)
    wide[:, -1] = field[:, -1]
    tall = np.empty((2 * wide.shape[0], wide.shape[1]), np.int16)
    tall[0::2] = wide
    tall[1:-1:2] = (wide[:-1] + wide[1:]) >> np.int16(1)
    tall[-1] = wide[-1]
    return tall[:rows, :columns]


def _soften(field: Field) -> Field:
    """Blur edges as a lens does: average each point with its neighbours to the right and below."""
    soft = field.copy()
    soft[:, :-1] = (field[:, :-1] + field[:, 1:]) >> np.int16(1)
    soft[:-1] = (soft[:-1] + soft[1:]) >> np.int16(1)
    return soft


def _plane(field: Field) -> Plane:
    return np.clip(field, 0, 255).astype(np.uint8)
