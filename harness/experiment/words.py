"""The words of experiment files and what they mean: each reader takes what YAML gave and returns a parameter's value.

A reader raises ValueError("what is wrong\\nwhat to do").
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any, Literal

from harness.bench.registry import CACHES
from harness.values.case import ModelSetting
from harness.values.document import near_miss
from harness.values.units import parse_bytes

MODELS: tuple[str, ...] = ("mobilenet",)
"""The bases that the payload can train on."""

IMAGENET_ALPHAS = (0.25, 0.5, 0.75, 1.0)
"""The widths for which ImageNet weights of MobileNet are published (keras.applications.MobileNet)."""

ARTICLE_CACHE_SUFFIX = ".tfcache"


def _suggestion(word: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = near_miss(word, names)
    return f"did you mean {near}?" if near else "known: " + ", ".join(names)


def known_word(kind: str, names: Iterable[str]) -> Callable[[str], str]:
    """A reader that takes one of these names, and says which was meant otherwise."""
    known = tuple(names)

    def check(word: str) -> str:
        if word not in known:
            raise ValueError(f"unknown {kind} {word!r}\n{_suggestion(word, known)}")
        return word

    return check


def read_cache(word: Any) -> str:
    """A cache's name; also the article's spelling: ``false``, ``true`` or ``some_path.tfcache``."""
    if isinstance(word, bool):
        return "memory" if word else "none"
    if not isinstance(word, str):
        raise ValueError(f"a cache is one of {', '.join(CACHES)} (or false, true, some_path.tfcache), not {word!r}")
    if word.endswith(ARTICLE_CACHE_SUFFIX):
        return "file"
    return known_word("cache", CACHES)(word)


def read_memory_limit(word: Any) -> int | Literal["none"]:
    """Bytes of ``16GB`` or ``1.5GiB``, or ``none``."""
    if word == "none":
        return "none"
    if isinstance(word, bool) or not isinstance(word, int | str):
        raise ValueError(f"a memory limit is a size like 16GB or 1.5GiB, or none, not {word!r}")
    try:
        size = parse_bytes(word)
    except ValueError as error:
        raise ValueError(f"{error}\nor write none for all that the host can give") from None
    if size == 0:
        raise ValueError("a memory limit of 0 lets nothing run\nwrite none for all that the host can give")
    return size


def read_image_size(value: Any) -> tuple[int, int]:
    """(height, width) in pixels of ``256``, ``"256x320"`` or, inside a list, ``[256, 320]``."""
    if isinstance(value, str) and (match := re.fullmatch(r"\s*(\d+)\s*[x×]\s*(\d+)\s*", value)):
        value = [int(match[1]), int(match[2])]
    pair = (value, value) if isinstance(value, int) else tuple(value) if isinstance(value, list | tuple) else ()
    if len(pair) != 2 or any(isinstance(side, bool) or not isinstance(side, int) for side in pair):
        raise ValueError(f"an image size is a number of pixels, or HEIGHTxWIDTH like 256x320, not {value!r}")
    if min(pair) < 1:
        raise ValueError("an image size counts pixels: at least 1")
    return pair[0], pair[1]


def count_or(words: tuple[Any, ...], meaning: Any, *, least: int, what: str) -> Callable[[Any], Any]:
    """A reader of whole numbers from ``least`` on, or of one of ``words``, which stand for ``meaning``."""
    spoken = next(word for word in words if isinstance(word, str))

    def read(value: Any) -> Any:
        if value is None or isinstance(value, str):
            if value in words:
                return meaning
        elif isinstance(value, int) and not isinstance(value, bool) and value >= least:
            return value
        raise ValueError(f"{what} is a whole number, at least {least}, or {spoken}, not {value!r}")

    return read


def read_model(value: Any) -> Any:
    """A model's name alone stands for that model with its defaults."""
    return {"name": value} if isinstance(value, str) else value


def check_model(model: ModelSetting) -> ModelSetting:
    """Refuse what the payload cannot build."""
    known_word("model", MODELS)(model.name)
    if model.alpha <= 0:
        raise ValueError(f"alpha is the width of the model, above 0, not {model.alpha:g}")
    if model.weights == "imagenet" and model.alpha not in IMAGENET_ALPHAS:
        alphas = ", ".join(f"{alpha:g}" for alpha in IMAGENET_ALPHAS)
        raise ValueError(f"ImageNet weights exist for alpha {alphas}, not {model.alpha:g}")
    return model
