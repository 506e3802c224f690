"""Recognise what is wrong with a picture of the indexed set, and still identify the picture.

If a loader mirrors, crops or recolours its pictures, every pixel is wrong, and its user needs to know which of these it
does. So a wrong picture is compared with the results of likely faults, the simple ones first, and the first one that
explains it within the tolerance is named. Range, type and shape are checked for whole batches, labels and missing
pictures for whole epochs.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ..data.indexed import FILTERS, Pixels, central_square, decode, read_index, resize

TOLERANCES = {"nearest": 2.5, "bilinear": 2.0, "bilinear-antialias": 2.0}
"""Mean difference over a picture (0 to 255): TensorFlow's default DCT differs from PIL's by 1.2 to 1.4 here, a wrong
filter by 8 and more."""
HALVED_TOLERANCE = 6.0
"""Larger, since libraries differ in how they halve and enlarge a picture."""
CROPPED_TOLERANCE = 12.0
"""For means over blocks of a picture, whose crop window is found on a grid only."""
_COARSE = (8, 12)
_SHARES = (0.5, 0.6, 2 / 3, 0.7, 0.75, 0.8, 0.85, 0.875, 0.9, 0.95)
"""Shares of height and width that common crops keep."""
_LEVELS = 255.0

_VIEWS: dict[str, tuple[slice, slice]] = {
    "": (slice(None), slice(None)),
    "mirrored left to right": (slice(None), slice(None, None, -1)),
    "upside down": (slice(None, None, -1), slice(None)),
    "turned by 180 degrees": (slice(None, None, -1), slice(None, None, -1)),
}
"""Views of a picture, with the index that undoes each of them."""
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


class Match(NamedTuple):
    """The ``picture`` that an image shows (None: none of the set, or ambiguous), and what is wrong with the image.

    ``difference`` is the mean difference to the expected picture (0 to 255); None if the index cannot be read.
    ``detail`` describes the last fault more closely.
    """

    picture: int | None
    faults: tuple[str, ...] = ()
    difference: float | None = None
    detail: str = ""


class Reference:
    """The pictures of a set (JPEGs by index) as they must be delivered, in one size and with one filter.

    ``is_cropped``: the central square of each must be delivered.
    """

    def __init__(
        self,
        pictures: Mapping[int, bytes],
        size: tuple[int, int],
        interpolation: str,
        *,
        tolerance: float | None = None,
        is_cropped: bool = False,
    ) -> None:
        self.size = size
        self._encoded = pictures
        self._asked = interpolation
        self._is_cropped = is_cropped
        self.tolerance = TOLERANCES[interpolation] if tolerance is None else tolerance
        self._likely_halving = 0
        self._decoded: dict[int, Pixels] = {}
        self._resized: dict[tuple[int, str], Pixels] = {}

    def match(self, image: Pixels) -> Match:
        """Find the picture that an image (values from 0 to 1) shows, and the faults of the image."""
        index = self.identify(image)
        difference = None if index is None else _difference(image, self._picture(index, self._asked))
        if difference is not None and difference <= self.tolerance:
            return Match(index, (), difference)
        for find in (self._find_view, self._find_tones, self._find_halved, self._find_cropped):
            found = find(image, index)
            if found is not None:
                return found._replace(difference=difference)
        if difference is None:
            return Match(None, ("its pictures are not those of the test set",))
        return Match(index, (f"its pixels are not those of {self._asked}",), difference)

    def identify(self, image: Pixels) -> int | None:
        """Return the index of an image, or None; a central square has lost bits and is compared with all pictures."""
        if not self._is_cropped:
            index = read_index(image)
            return index if index in self._encoded else None
        known, stack = self._stack
        distances = np.abs(stack - image[None]).mean(axis=(1, 2, 3))
        nearest = int(distances.argmin())
        return known[nearest] if _LEVELS * distances[nearest] <= CROPPED_TOLERANCE else None

    @functools.cached_property
    def _stack(self) -> tuple[list[int], Pixels]:
        known = sorted(self._encoded)
        return known, np.stack([self._picture(index, self._asked) for index in known])

    def _source(self, index: int) -> Pixels:
        if index not in self._decoded:
            pixels = decode(self._encoded[index])
            self._decoded[index] = central_square(pixels) if self._is_cropped else pixels
        return self._decoded[index]

    def _picture(self, index: int, interpolation: str) -> Pixels:
        key = index, interpolation
        if key not in self._resized:
            self._resized[key] = resize(self._source(index), self.size, interpolation)
        return self._resized[key]

    def _find_view(self, image: Pixels, _index: int | None) -> Match | None:
        """Match images that are mirrored, turned, with swapped or no colours, or resized with another filter."""
        best: tuple[float, Match] | None = None
        for view, undo in _VIEWS.items():
            seen = image[undo]
            index = self.identify(seen)
            if index is None:
                continue
            for name in FILTERS:
                allowed = max(self.tolerance, TOLERANCES[name]) if name == self._asked else TOLERANCES[name]
                for colours, wanted, given in _colourings(seen, self._picture(index, name)):
                    difference = _difference(given, wanted)
                    if difference <= allowed and (best is None or difference < best[0]):
                        faults = tuple(_say_view(view, colours, name if name != self._asked else "", self._asked))
                        best = difference, Match(index, faults)
        return None if best is None else best[1]

    def _find_halved(self, image: Pixels, index: int | None) -> Match | None:
        """Match images that were halved and enlarged again."""
        if index is None:
            return None
        allowed = min(HALVED_TOLERANCE, _difference(image, self._picture(index, self._asked)) / 2)
        likely = self._likely_halving
        for number, candidate in enumerate(self._halved(index, likely)):
            if _difference(image, candidate) <= allowed:
                self._likely_halving = likely if number == 0 else number - 1
                return Match(index, ("its pictures have half the resolution (made smaller and enlarged again)",))
        return None

    def _halved(self, index: int, likely: int) -> Iterator[Pixels]:
        """Yield a picture halved and enlarged in several ways, the likely one first and once more in its place."""
        source = self._source(index)
        even = np.pad(source, ((0, source.shape[0] % 2), (0, source.shape[1] % 2), (0, 0)), mode="edge")
        height, width = even.shape[0] // 2, even.shape[1] // 2
        half = self.size[0] // 2, self.size[1] // 2
        smaller = [even.reshape(height, 2, width, 2, 3).mean(axis=(1, 3)), source[::2, ::2]]
        smaller += [_LEVELS * resize(source, half, name) for name in FILTERS]
        made = _LEVELS * self._picture(index, self._asked)
        smaller += [_LEVELS * resize(made, half, name) for name in FILTERS]
        ways = [(pixels.astype(np.float32), name) for pixels in smaller for name in FILTERS]
        for pixels, name in (ways[likely], *ways):
            yield resize(pixels, self.size, name)

    def _find_tones(self, image: Pixels, index: int | None) -> Match | None:
        """Match inverted images, and those with other brightness or contrast, by a linear function."""
        seen, fault = image, "its brightness or contrast is changed"
        if index is None:
            seen, fault = 1 - image, "its pictures are inverted (dark is bright)"
            index = self.identify(seen)
        if index is None:
            return None
        wanted = self._picture(index, self._asked)
        middle, mean = float(wanted.mean()), float(seen.mean())
        slope = float(((wanted - middle) * (seen - mean)).mean() / ((wanted - middle) ** 2).mean())
        is_line = slope > 0 and _difference(seen, slope * (wanted - middle) + mean) <= self.tolerance
        return Match(index, (fault,)) if is_line else None

    def _find_cropped(self, image: Pixels, index: int | None) -> Match | None:
        """Match images that are a part of a picture, or a picture with borders."""
        inner = _without_borders(image)
        if inner is not None and not self._is_cropped and (found := self.identify(inner)) is not None:
            return Match(found, ("its pictures have borders (padded to the size instead of resized)",))
        known, places, coarse = self._windows
        distances = np.abs(coarse - _coarsen(image)[None]).mean(axis=1)
        nearest = int(distances.argmin())
        best = distances[nearest]
        if _LEVELS * best > CROPPED_TOLERANCE or not places[nearest]:
            return None
        if index is not None and best > 0.5 * distances[places.index("", known.index(index))]:
            return None  # the whole picture with that index fits about as well
        return Match(None, ("its pictures are cropped",), detail=f"about {places[nearest]}")

    @functools.cached_property
    def _windows(self) -> tuple[list[int], list[str], Pixels]:
        """Means over a few blocks of likely crops of all pictures: (picture, crop in words ("": the whole), means)."""
        known, places, coarse = [], [], []
        for index in sorted(self._encoded):
            source = self._source(index)
            sums = np.pad(source.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0), (0, 0)))
            whole = ("", (0.0, 0.0, float(source.shape[0]), float(source.shape[1])))
            for words, window in (whole, *_crops(source.shape[0], source.shape[1], self.size)):
                known.append(index)
                places.append(words)
                coarse.append(_block_means(sums, window).ravel() / _LEVELS)
        return known, places, np.stack(coarse).astype(np.float32)


def _difference(one: NDArray[Any], other: NDArray[Any]) -> float:
    """Return the mean difference on the scale 0 to 255."""
    return _LEVELS * float(np.abs(one - other).mean())


def _colourings(image: Pixels, wanted: Pixels) -> Iterator[tuple[str, Pixels, Pixels]]:
    """Yield (fault, expected image, given image) for each way of changing colours."""
    yield "", wanted, image
    yield "exchanged", wanted, image[..., ::-1]
    if _LEVELS * float(np.ptp(image, axis=-1).max()) < 1.5:
        grey = image.mean(axis=-1)
        yield "grey", wanted @ _LUMA, grey
        yield "grey", wanted.mean(axis=-1), grey


def _say_view(view: str, colours: str, made: str, asked: str) -> Iterator[str]:
    if view:
        yield f"its pictures are {view}"
    if colours:
        yield "red and blue are exchanged" if colours == "exchanged" else "its pictures are grey (no colours)"
    if made:
        yield f"its pixels are not those of {asked} but of {made} (another filter)"


def _without_borders(image: Pixels) -> Pixels | None:
    """Return the part between borders of one colour; None if there are no borders."""
    rows, columns = (np.ptp(image, axis=(axis, 2)) > 1 / _LEVELS for axis in (1, 0))
    inner = image[np.ix_(rows, columns)]
    return inner if inner.shape != image.shape and min(inner.shape[:2]) >= 16 else None


def _coarsen(image: Pixels) -> Pixels:
    sums = np.pad(image.astype(np.float64).cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0), (0, 0)))
    return _block_means(sums, (0.0, 0.0, float(image.shape[0]), float(image.shape[1]))).ravel().astype(np.float32)


def _block_means(sums: NDArray[Any], window: tuple[float, float, float, float]) -> NDArray[Any]:
    """Return means over blocks of a window (top, left, bottom, right), from an integral image."""
    top, left, bottom, right = window
    rows = np.linspace(top, bottom, _COARSE[0] + 1).round().astype(int)
    columns = np.linspace(left, right, _COARSE[1] + 1).round().astype(int)
    corners = sums[rows][:, columns]
    totals = corners[1:, 1:] - corners[:-1, 1:] - corners[1:, :-1] + corners[:-1, :-1]
    areas = np.diff(rows)[:, None] * np.diff(columns)[None]
    means: NDArray[Any] = totals / areas[..., None]
    return means


def _crops(height: int, width: int, size: tuple[int, int]) -> Iterator[tuple[str, tuple[float, float, float, float]]]:
    """Yield likely crop windows of a picture, as (words, (top, left, bottom, right))."""
    sides = [(f"the {{}} {100 * share:.0f} % of height and width", share * height, share * width) for share in _SHARES]
    sides.append(("the {} square", float(min(height, width)), float(min(height, width))))
    sides.append(("the {} part of the target's size", float(size[0]), float(size[1])))
    scale = min(height / size[0], width / size[1])
    sides.append(("the {} part of the target's proportions", scale * size[0], scale * size[1]))
    for words, high, wide in sides:
        if high > height or wide > width:
            continue
        for (vertical, down), (horizontal, along) in _CORNERS:
            where = f"{vertical} {horizontal}".strip() or "central"
            top, left = down * (height - high), along * (width - wide)
            yield words.format(where), (top, left, top + high, left + wide)


_CORNERS = tuple(
    (row, column)
    for row in (("", 0.5), ("upper", 0.0), ("lower", 1.0))
    for column in (("", 0.5), ("left", 0.0), ("right", 1.0))
)


class Batch(NamedTuple):
    """A batch as values from 0 to 1 (None if it has another shape), and its faults by kind.

    ``is_comparable``: its pixels can be compared with the set's.
    """

    images: Pixels | None
    faults: dict[str, str]
    is_comparable: bool = True


def read_batch(images: NDArray[Any], size: tuple[int, int], most: int) -> Batch:
    """Check type, shape and range of a batch, and correct a wrong range."""
    if images.ndim != 4 or images.shape[1:] != (*size, 3):
        return Batch(None, {"shape": _say_shape(images.shape, size)})
    faults = {}
    if images.dtype != np.float32:
        faults["type"] = f"its images are {images.dtype}, not float32"
    if images.shape[0] > most:
        faults["batch"] = f"its batches hold {images.shape[0]} images, not {most}"
    values = images.astype(np.float32)
    if not values.size:
        return Batch(values, faults)
    if not np.isfinite(values).all():
        return Batch(
            np.nan_to_num(values, posinf=1, neginf=0), {**faults, "range": "some values are not numbers"}, False
        )
    fault, slope, shift, is_comparable = _judge_range(float(values.min()), float(values.max()))
    if fault is not None:
        faults["range"] = fault
        values = values * np.float32(slope) + np.float32(shift)
    return Batch(values, faults, is_comparable)


def _judge_range(bottom: float, top: float) -> tuple[str | None, float, float, bool]:
    """Return what is wrong with a range, the factor and summand that correct it, and whether they do.

    Each picture of the set has dark and bright parts: values of at most 40 and at least 215 (of 255).
    """
    if bottom >= -0.01 and 0.5 <= top <= 1.01:
        return None, 1.0, 0.0, True
    if bottom >= -1 and top > 2:
        return "its values go from 0 to 255, not from 0 to 1", 1 / 255, 0.0, True
    if bottom >= -0.01 and top <= 0.02:
        return "its values are divided by 255 twice: they go from 0 to 0.004, not to 1", 255.0, 0.0, True
    if -1.05 <= bottom < -0.5 < 0.5 < top <= 1.05:
        return "its values go from -1 to 1, not from 0 to 1", 0.5, 0.5, True
    if -0.55 <= bottom < -0.2 < 0.2 < top <= 0.55:
        return "its values go from -0.5 to 0.5, not from 0 to 1", 1.0, 0.5, True
    width = max(top - bottom, 1e-6)
    return f"its values go from about {bottom:.2g} to {top:.2g}, not from 0 to 1", 1 / width, -bottom / width, False


def _say_shape(shape: tuple[int, ...], size: tuple[int, int]) -> str:
    """Return what is wrong with the shape of a batch."""
    height, width = size
    found, wanted = tuple(shape[1:]), (height, width, 3)
    said = f"its images have the shape {_times(found)}, not {_times(wanted)}"
    guesses = {
        (width, height, 3): "height and width are exchanged",
        (3, height, width): "the channels come first",
        (height // 2, width // 2, 3): "half the resolution",
        (height, width, 1): "grey: one channel",
        (height, width): "grey: no channels",
        (height, width, 4): "four channels: transparency is kept",
    }
    if len(shape) == 3 and tuple(shape) == wanted:
        return f"{said}: single images instead of batches"
    return f"{said}: {guesses[found]}" if found in guesses else said


def _times(shape: Sequence[int]) -> str:
    return " × ".join(map(str, shape)) or "of a number"


def explain_labels(wanted: Sequence[int], given: Sequence[int], classes: Sequence[str]) -> str | None:
    """Return what is wrong with the labels of an epoch, in the order of delivery; None if nothing is."""
    pairs = list(zip(wanted, given, strict=True))
    wrong = [(right, label) for right, label in pairs if right != label]
    if not wrong:
        return None
    total = len(pairs)
    if len(set(given)) == 1 and len(set(wanted)) > 1:
        return f"its labels are wrong: all of them are {_class(given[0], classes)}"
    if all(label == right + 1 for right, label in pairs):
        return "its labels are wrong: they count from 1, not from 0"
    for offset in (1, -1, 2, -2):
        if _agree(wanted, given, offset) >= 0.8:
            return (
                f"its labels are shifted against the images by {abs(offset)}: wrong labels for {len(wrong)} of {total}"
            )
    mapping = dict(pairs)
    if all(mapping[right] == label for right, label in pairs) and len(set(mapping.values())) == len(mapping):
        few = sorted(set(wrong))[:3]
        named = ", ".join(f"{_class(label, classes)} for {_class(right, classes)}" for right, label in few)
        return f"its classes are numbered differently from the data set's, so labels are wrong: {named}"
    named = "; ".join(f"{_class(label, classes)} instead of {_class(right, classes)}" for right, label in wrong[:3])
    return f"it delivers wrong labels for {len(wrong)} of {total} images: {named}{' …' if len(wrong) > 3 else ''}"


def _agree(wanted: Sequence[int], given: Sequence[int], offset: int) -> float:
    """Return the share of labels that equal the wanted label ``offset`` places before."""
    pairs = [(wanted[i - offset], label) for i, label in enumerate(given) if 0 <= i - offset < len(wanted)]
    return sum(right == label for right, label in pairs) / max(1, len(pairs))


def _class(label: int, classes: Sequence[str]) -> str:
    return f"{label} ({classes[label]})" if 0 <= label < len(classes) else str(label)


def explain_counts(places: int, seen: Mapping[int, int], batch: int) -> dict[str, str]:
    """Return what is wrong with how often each place of the set came in an epoch, by kind; empty if each came once."""
    missing = [place for place in range(places) if not seen.get(place)]
    repeated = [place for place in range(places) if seen.get(place, 0) > 1]
    if missing and len(missing) == places % batch and not repeated:
        return {"missing": f"it drops the last, incomplete batch: {len(missing)} of {places} images are left out"}
    if min(len(missing), len(repeated)) >= places // 3 and len(missing) + len(repeated) >= 0.8 * places:
        part = "one half" if len(missing) <= 0.6 * places else "a part"
        return {
            "missing": f"it delivers {part} of the images twice and leaves the rest out ({len(missing)} of {places})"
        }
    faults = {}
    if missing:
        faults["missing"] = f"it leaves out {len(missing)} of {places} images ({_name(missing)})"
    if repeated:
        extra = sum(seen.values()) - (places - len(missing))
        faults["repeated"] = f"it delivers images more than once: {extra} too many ({_name(repeated)})"
    return faults


def _name(places: Sequence[int]) -> str:
    return "picture " + ", ".join(map(str, places[:4])) + (" …" if len(places) > 4 else "")
