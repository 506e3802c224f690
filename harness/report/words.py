"""Numbers and names in words: three significant digits, a unit beside each number, one word for one thing."""

from __future__ import annotations

import math

from harness.analysis.outcomes import name_reason
from harness.analysis.payback import NeverPays, Payback, PaybackUnknown, PaysFrom
from harness.analysis.selection import Disturbance
from harness.analysis.statistics import Estimate
from harness.values.text import NOTHING, cap_list, clean_text
from harness.values.units import format_duration


def format_number(value: float | None) -> str:
    """Format a number with three significant digits: ``33.7``, ``1,230``, ``0.0123``."""
    if value is None or not math.isfinite(value):
        return NOTHING
    if value == 0:
        return "0"
    decimals = 2 - math.floor(math.log10(abs(value)))
    rounded = round(value, decimals)
    decimals = max(2 - math.floor(math.log10(abs(rounded))), 0)
    return f"{rounded:,.{decimals}f}"


def format_seconds(seconds: float | None) -> str:
    """Format a duration: ``0.612 s``, ``12.1 s``, ``3 min 20 s``."""
    if seconds is None or seconds >= 99.95:
        return format_duration(seconds)
    return f"{format_number(seconds)} s"


def format_ratio(value: float | None) -> str:
    """Format a ratio: ``3.90×``; below 10 with at least two digits after the point."""
    if value is None:
        return NOTHING
    return f"{value:.2f}×" if value < 9.995 else f"{format_number(value)}×"


def format_percent(share: float) -> str:
    """Format a bound in percent, rounded up: ``8 %``."""
    return f"{math.ceil(100 * share - 1e-9):.0f} %"


def format_range(estimate: Estimate | None, *, is_ratio: bool = False) -> str:
    """Format the 95 % interval, ``134–145``; empty where there is none."""
    if estimate is None or estimate.low is None or estimate.high is None:
        return ""
    if not is_ratio:
        return f"{format_number(estimate.low)}–{format_number(estimate.high)}"
    return f"{_bare_ratio(estimate.low)}–{_bare_ratio(estimate.high)}"


def _bare_ratio(value: float) -> str:
    return "over 1,000" if value > 1000 else format_ratio(value).rstrip("×")


def say_rate(estimate: Estimate) -> str:
    """Format a rate with its interval, where it has one: ``139 (134–145)``."""
    interval = format_range(estimate)
    return format_number(estimate.value) + (f" ({interval})" if interval else "")


def say_ratio(ratio: Estimate | None) -> str:
    """Format a ratio with its interval, where it has one: ``3.90× (3.70–4.10)``."""
    interval = format_range(ratio, is_ratio=True)
    return format_ratio(ratio.value if ratio else None) + (f" ({interval})" if interval else "")


def split_hardware(hardware: str) -> tuple[str, str]:
    """Split a hardware key, ``A CPU, 8 CPUs, … #abc123``, into its words and its digest."""
    label, mark, digest = hardware.rpartition(" #")
    return (clean_text(label), digest) if mark else (clean_text(hardware), "")


def shorten_hardware(hardware: str) -> str:
    """Return the first part of a hardware's name, its CPU, in at most 28 characters."""
    return clean_text(split_hardware(hardware)[0].partition(", ")[0], 28)


def say_disturbance(disturbance: Disturbance, total: int) -> str:
    """Return what disturbed measurements, ``on a busy host`` or ``2 of 3 on a busy host``; empty for nothing."""
    if not disturbance.count:
        return ""
    causes = cap_list([clean_text(name_reason(one), 40) for one in disturbance.findings], 4)
    what = "on a busy host" if disturbance.is_busy else f"disturbed ({causes})"
    return what if disturbance.count >= total else f"{disturbance.count} of {total} {what}"


def say_payback(payback: Payback, name: str) -> str:
    """Return ``NAME pays for itself from epoch 4``, or that it does not or that this is not known, with the reason."""
    match payback:
        case PaysFrom(epoch):
            return f"{name} pays for itself from epoch {epoch}"
        case NeverPays(cached_s, uncached_s):
            with_it, without = format_seconds(cached_s), format_seconds(uncached_s)
            return f"{name} does not pay for itself: a later epoch takes {with_it} with it and {without} without"
        case PaybackUnknown(reason):
            return f"whether {name} pays for itself is not known: {clean_text(reason)}"


def name_ordinal(number: int) -> str:
    """Return an ordinal: ``second``, ``12th``."""
    words = ("first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
    if number <= len(words):
        return words[number - 1]
    ending = "th" if 10 < number % 100 < 14 else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
