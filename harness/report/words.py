"""Numbers and names as the page says them: three significant digits, a unit beside each, one word for one thing."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from harness.analysis.outcomes import name_reason
from harness.analysis.payback import NeverPays, Payback, PaybackUnknown, PaysFrom
from harness.analysis.selection import Disturbance
from harness.analysis.statistics import Estimate
from harness.experiment.names import case_label, case_labels, limit_text, name_alias
from harness.values.case import Case, ModelSetting
from harness.values.units import format_bytes, format_duration

NOTHING = "–"
"""What was not measured."""

_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def format_number(value: float | None) -> str:
    """``33.7``, ``1,230``, ``0.0123``: three significant digits."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    decimals = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    decimals = max(2 - math.floor(math.log10(abs(rounded))), 0)
    return f"{rounded:,.{decimals}f}"


def format_seconds(seconds: float | None) -> str:
    """``0.612 s``, ``12.1 s``, ``3 min 20 s``."""
    if seconds is None or seconds >= 99.95:
        return format_duration(seconds)
    return f"{format_number(seconds)} s"


def format_ratio(value: float | None) -> str:
    """``3.90×``; never fewer digits than two after the point below 10."""
    if value is None:
        return NOTHING
    return f"{value:.2f}×" if value < 9.995 else f"{format_number(value)}×"


def format_range(estimate: Estimate | None, *, is_ratio: bool = False) -> str:
    """``134–145``: the 95 % interval, empty where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    if not is_ratio:
        return f"{format_number(estimate.low)}–{format_number(estimate.high)}"
    return f"{_bare_ratio(estimate.low)}–{_bare_ratio(estimate.high)}"


def _bare_ratio(value: float) -> str:
    return "over 1,000" if value > 1000 else format_ratio(value).rstrip("×")


def say_rate(estimate: Estimate) -> str:
    """``139 (134–145)``: a number with its interval, where it has one."""
    interval = format_range(estimate)
    return format_number(estimate.value) + (f" ({interval})" if interval else "")


def say_ratio(ratio: Estimate | None) -> str:
    """``3.90× (3.70–4.10)``: a ratio with its interval, where it has one."""
    interval = format_range(ratio, is_ratio=True)
    return format_ratio(ratio.value if ratio else None) + (f" ({interval})" if interval else "")


def one_line(text: str) -> str:
    """One line of somebody else's text, no control or direction marks (shown as �)."""
    return _INVISIBLE.sub("�", " ".join(text.split()))


def clean_text(text: object, most: int = 300) -> str:
    """``one_line``, cut in the middle when long. Escaping is the template's work."""
    line = one_line(str(text)[: most * 20])
    return line if len(line) <= most else f"{line[: most // 2]} … {line[-most // 2 :]}"


def clean_log(text: str, most: int = 2000) -> str:
    """The last ``most`` characters of a log, lines kept and no line longer than 300 characters."""
    lines = (clean_text(line) for line in text[-most * 10 :].splitlines())
    tail = "\n".join(lines)
    return tail if len(tail) <= most else "…" + tail[-most:]


def clean_lines(text: str, most: int) -> str:
    """The first ``most`` characters of a text, lines kept, no control or direction marks."""
    kept = _INVISIBLE.sub("�", text.replace("\r\n", "\n"))
    return kept if len(kept) <= most else kept[:most] + "\n… cut"


def plural(count: int, noun: str) -> str:
    """``1 round``, ``3 rounds``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def join_words(words: Iterable[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    listed = list(words)
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1] if listed else ""


def cap_list(words: Sequence[str], most: int = 12) -> str:
    """Names in one line; of many, the first ones and how many more."""
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def split_hardware(hardware: str) -> tuple[str, str]:
    """A hardware key as words and its digest: ``A CPU, 8 CPUs, … #abc123``."""
    label, mark, digest = hardware.rpartition(" #")
    return (clean_text(label), digest) if mark else (clean_text(hardware), "")


def shorten_hardware(hardware: str) -> str:
    """The first part of a hardware's name, its CPU, in at most 28 characters."""
    return clean_text(split_hardware(hardware)[0].partition(", ")[0], 28)


def name_value(value: object) -> str:
    """A parameter's value in one line."""
    if value is None:
        return "all"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return clean_text(f"{value:,}" if isinstance(value, int) else value, 80)


def say_value(name: str, value: object) -> str:
    """The value of a parameter in words: ``training``, ``256 × 256 px``, ``16 GiB``, ``all``."""
    match name, value:
        case "image_size", (height, width):
            return f"{height} × {width} px"
        case "mode", str():
            return {"train": "training", "load": "loading"}.get(value, value)
        case "model", ModelSetting() | None:
            return clean_text(name_model(value), 80)
        case "memory_limit", int() | str():
            return limit_text(value)
    return name_value(value)


def name_limit(limit: int | str) -> str:
    """``1.5 GB`` or ``no limit``."""
    return "no limit" if isinstance(limit, str) else format_bytes(limit)


def name_row(case: Case) -> tuple[str, str]:
    """Loader and cache of a case, with what else tells its row from others: element, disk, reuse."""
    extras: list[str] = []
    if case.cache != "none" and case.element != "float32":
        extras.append(case.element)
    if case.cache != "none" and case.cache_disk != "scratch":
        extras.append(f"on {case.cache_disk}")
    if case.cache != "none" and case.cache_compression != "none":
        extras.append(case.cache_compression)
    if case.cache_reuse != "fresh":
        extras.append("dump reused")
    if case.decoding != "exact":
        extras.append(f"decoding {case.decoding}")
    return Path(case.loader).name, ", ".join(["no cache" if case.cache == "none" else f"{case.cache} cache", *extras])


def name_pipeline(case: Case) -> str:
    """``tfdata``, ``tfdata with uint8 file cache``: what stands in a sentence."""
    loader, cache = Path(case.loader).name, case.cache
    if case.decoding != "exact":
        loader += f" (decoding {case.decoding})"
    if cache == "none":
        return clean_text(loader, 80)
    element = f"{case.element} " if case.element != "float32" else ""
    element += f"{case.cache_compression} " if case.cache_compression != "none" else ""
    disk = f" on {case.cache_disk}" if case.cache_disk != "scratch" else ""
    reuse = " made before" if case.cache_reuse == "reused" else ""
    return clean_text(f"{loader} with {element}{cache} cache{disk}{reuse}", 120)


def say_disturbance(disturbance: Disturbance, total: int) -> str:
    """``on a busy host``, ``2 of 3 on a busy host``: what disturbed measurements that count; empty for nothing."""
    if not disturbance.count:
        return ""
    causes = cap_list([clean_text(name_reason(one), 40) for one in disturbance.findings], 4)
    what = "on a busy host" if disturbance.is_busy else f"disturbed ({causes})"
    return what if disturbance.count >= total else f"{disturbance.count} of {total} {what}"


def say_payback(payback: Payback, name: str) -> str:
    """``The file cache pays for itself from epoch 4``: never and not known say why."""
    match payback:
        case PaysFrom(epoch):
            return f"{name} pays for itself from epoch {epoch}"
        case NeverPays(cached_s, uncached_s):
            with_it, without = format_seconds(cached_s), format_seconds(uncached_s)
            return f"{name} does not pay for itself: a later epoch takes {with_it} with it and {without} without"
        case PaybackUnknown(reason):
            return f"from which epoch {name} pays for itself is not known: {clean_text(reason)}"


def name_ordinal(number: int) -> str:
    """``second``, ``12th``."""
    words = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    if number <= len(words):
        return words[number - 1]
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


class CaseNames:
    """The names of a page's cases in its lists: those of the console, told apart among all of them."""

    def __init__(self, cases: Iterable[Case]) -> None:
        self._labels = case_labels(cases)

    def name(self, case: Case, alias: str | None = None) -> str:
        """``tfdata, file cache, limit 1.5 GB``, and what else tells it from the page's other cases."""
        return clean_text(name_alias(self._labels.get(case) or case_label(case), alias), 200)


def name_size(case: Case) -> str:
    """``256 × 256 px``: height, then width."""
    return say_value("image_size", case.image_size)


def name_model(model: ModelSetting | None) -> str:
    """``mobilenet α = 0.25, base frozen, weights none``."""
    if model is None:
        return "no model"
    if model.is_emulated:
        speed = f", {model.images_per_second:g} images/s" if model.images_per_second else ""
        return clean_text(f"emulated accelerator{speed}{', ' + model.device if model.device else ''}", 100)
    base = "trained whole" if model.trainable else "base frozen"
    return f"{model.name} α = {model.alpha:g}, {base}, weights {clean_text(model.weights, 60)}"
