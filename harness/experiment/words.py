"""Readers of values in experiment files: each takes what YAML gave and returns a parameter's value.

A reader raises ValueError("what is wrong\\nwhat to do").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Literal

from harness.bench.protocol.loader_registry import CACHES, LOADERS
from harness.values.case import APPLICATIONS, EMULATED, ModelSetting
from harness.values.devices import DEVICES
from harness.values.document import near_miss
from harness.values.text import clean_text
from harness.values.units import format_bytes, parse_bytes, parse_whole

LEAST_MEMORY_LIMIT = 40 * 10**6
"""Bytes. Python with NumPy takes 25 MB and the supervisor 9 MB: with less, nothing starts."""
MOST_COUNT = 10**9
"""Images, batches, epochs or CPUs at most: more than anybody measures, and products of two stay in bounds."""
MOST_WORKERS = 1_024
"""Threads or processes at most; more than any machine has CPUs."""
MOST_PIXELS = 65_535
"""Pixels of an image's side at most; JPEG has no larger ones."""
MOST_ALPHA = 100.0

IMAGENET_ALPHAS = {
    "mobilenet": (0.25, 0.5, 0.75, 1.0),
    "mobilenetv2": (0.35, 0.5, 0.75, 1.0, 1.3, 1.4),
    "mobilenetv3large": (0.75, 1.0),
    "mobilenetv3small": (0.75, 1.0),
}
"""The widths for which ImageNet weights are published (keras.applications); other models have no ``alpha``."""

ARTICLE_CACHE_SUFFIX = ".tfcache"


def _suggestion(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = near_miss(word, names)
    return f"did you mean {near}?" if near else "known: " + ", ".join(names)


def known_word(kind: str, names: Iterable[str]) -> Callable[[str], str]:
    """Return a reader that accepts these names and suggests the one that was probably meant."""
    known = tuple(names)

    def check(word: str) -> str:
        if word not in known:
            raise ValueError(f"unknown {kind} {_shown(word)}\n{_suggestion(word, known)}")
        return word

    return check


def read_cache(word: object) -> str:
    """Read a cache's name, or the article's notation: ``false``, ``true`` or ``some_path.tfcache``."""
    if isinstance(word, bool):
        return "memory" if word else "none"
    if not isinstance(word, str):
        raise ValueError(
            f"a cache is one of {', '.join(CACHES)} (or false, true, some_path.tfcache), not {_shown(word)}"
        )
    if word.endswith(ARTICLE_CACHE_SUFFIX):
        return "file"
    return known_word("cache", CACHES)(word)


def read_memory_limit(word: object) -> int | Literal["none", "search"]:
    """Read a memory limit: ``16GB`` or ``1.5GiB`` (returned in bytes), ``none`` or ``search``."""
    if word == "none":
        return "none"
    if word == "search":
        return "search"
    if isinstance(word, bool) or not isinstance(word, int | str):
        raise ValueError(f"a memory limit is a size like 16GB or 1.5GiB, or none, not {_shown(word)}")
    try:
        size = parse_bytes(word)
    except ValueError as error:
        raise ValueError(f"{error}\nor write none for all that the host has available") from None
    if size < LEAST_MEMORY_LIMIT:
        least = format_bytes(LEAST_MEMORY_LIMIT)
        unit = "" if size == 0 or not str(word).strip().isdecimal() else f"is a unit missing, as in {word}MB? "
        raise ValueError(
            f"a memory limit of {format_bytes(size)} is too small: Python alone needs {least}\n"
            f"{unit}write a size like 16GB, or none for all that the host has available"
        )
    return size


def read_image_size(value: object) -> tuple[int, int]:
    """Read an image size: ``256``, ``"256x320"`` or, inside a list, ``[256, 320]``. Returns (height, width)."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*([0-9]+)\s*[x×]\s*([0-9]+)\s*", value)):
        value = [parse_whole(side, MOST_PIXELS) or 0 for side in match.groups()]
    pair = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, list | tuple) else ()
    if len(pair) != 2 or any(isinstance(side, bool) or not isinstance(side, int) for side in pair):
        raise ValueError(f"an image size is a number of pixels, or HEIGHTxWIDTH like 256x320, not {_shown(value)}")
    if not 1 <= min(pair) <= max(pair) <= MOST_PIXELS:
        bounds = f"at least 1, at most {MOST_PIXELS}"
        raise ValueError(f"an image size is a number of pixels, {bounds}\nwrite it like 256 or 256x320")
    return pair[0], pair[1]


def count_or(
    words: tuple[object, ...], meaning: object, *, least: int, what: str, most: int = MOST_COUNT
) -> Callable[[object], object]:
    """Return a reader of whole numbers from ``least`` to ``most``, or of ``words``, which stand for ``meaning``."""
    spoken = next(word for word in words if isinstance(word, str))

    def read(value: object) -> object:
        if value is None or isinstance(value, str):
            if value in words:
                return meaning
        elif isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        bounds = f"at most {most}" if isinstance(value, int) and value > most else f"at least {least}"
        raise ValueError(f"{what} is a whole number, {bounds}, or {spoken}, not {_shown(value)}")

    return read


def read_buffer(value: object) -> int | str:
    """Read the size of a shuffle buffer in images; ``full`` for all, ``auto`` for the loader's own way."""
    if value in ("auto", "full"):
        return str(value)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MOST_COUNT:
        return value
    bounds = f"at least 1 and at most {MOST_COUNT}"
    raise ValueError(f"shuffle_buffer is a number of images, {bounds}, or full, or auto, not {_shown(value)}")


def read_model(value: object) -> object:
    """Read a model: a name alone stands for that model with its defaults."""
    return {"name": value} if isinstance(value, str) else value


def read_loader(word: str) -> str:
    """Read a loader: a name, ``path/to/my_loader.py:make``, or an entry point of an installed package."""
    if word in LOADERS:
        return word
    try:
        LOADERS[word]  # a user's own loader
    except KeyError:
        cure = f"{_suggestion(word, LOADERS)} (or a file of your own like path/to/my_loader.py:make)"
        raise ValueError(f"unknown loader {_shown(word)}\n{cure}") from None
    return word


def check_model(model: ModelSetting) -> ModelSetting:
    """Refuse models that the payload cannot build. Returns the model with a normalised name and its device's speed."""
    name = "".join(letter for letter in model.name.lower() if letter.isalnum())
    known_word("model", (*map(str.lower, APPLICATIONS), EMULATED))(name)
    if name == EMULATED:
        return _check_emulated(model)
    paces = [field for field in _PACES if getattr(model, field) is not None]
    if paces:
        raise ValueError(f"{paces[0]} is only for the model emulated, not for {model.name}\nleave it out")
    if not 0 < model.alpha <= MOST_ALPHA:
        raise ValueError(
            f"alpha is the width of the model, above 0 and at most {MOST_ALPHA:g}, not {model.alpha:g}\n"
            "write it like 0.5"
        )
    widths = IMAGENET_ALPHAS.get(name)
    if widths is None and model.alpha != 1:
        raise ValueError(f"{model.name} has no alpha\nleave it out; models with alpha: {', '.join(IMAGENET_ALPHAS)}")
    if model.weights == "imagenet" and widths is not None and model.alpha not in widths:
        alphas = ", ".join(f"{alpha:g}" for alpha in widths)
        raise ValueError(f"ImageNet weights exist for alpha {alphas}, not {model.alpha:g}")
    return model if name == model.name else model.model_copy(update={"name": name})


_PACES = ("images_per_second", "step_seconds", "device", "like")


def _check_emulated(model: ModelSetting) -> ModelSetting:
    given = [field for field in _PACES if getattr(model, field) is not None]
    if model.device is not None and given == ["images_per_second", "device"]:
        given.remove("images_per_second")  # a resolved experiment that is read again
    if model.like is not None and "images_per_second" in given:
        given.remove("images_per_second")
    if len(given) != 1:
        raise ValueError(
            f"an emulated accelerator needs exactly one of {', '.join(_PACES)}, not {' and '.join(given) or 'none'}\n"
            "write it like {name: emulated, images_per_second: 1000}"
        )
    if model.device is not None:
        device = known_word("device", DEVICES)(model.device.lower())
        return model.model_copy(update={"device": device, "images_per_second": DEVICES[device].images_per_second})
    for field in ("images_per_second", "step_seconds"):
        value = getattr(model, field)
        if value is not None and not 1e-9 <= value <= MOST_COUNT:
            raise ValueError(
                f"{field} is above 0 and at most {MOST_COUNT}, not {value:g}\n"
                f"write it like `{field}: {_EXAMPLES[field]}`"
            )
    return model


_EXAMPLES = {"images_per_second": "1000", "step_seconds": "0.05"}


def _shown(value: object) -> str:
    """Return what the user wrote, shortened for a message."""
    return clean_text(repr(value), 80)
