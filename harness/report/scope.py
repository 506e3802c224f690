"""Settings in words: their names, on how much of a data set they were measured, and what does not hold on all of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.advice import Choice
from harness.analysis.coverage import Coverage, Withdrawal
from harness.analysis.matrix import Row, Setting
from harness.analysis.whole_set import Outlook
from harness.report.words import format_ratio
from harness.values.comparability import LIMIT, PIPELINE
from harness.values.names import name_model, name_pipeline, name_size, name_value
from harness.values.text import clean_text, join_words
from harness.values.units import format_bytes

_MOST_ASIDE = 4
_SAID = frozenset({"data", "mode", "image_size", "interpolation", "model", "max_images", "deliver"})


def name_coverage(coverage: Coverage) -> str:
    """Return ``300 of 1,399 images``, ``all 1,399 images`` or ``300 images of a set whose size is not known``."""
    if coverage.set_images is None:
        return f"{coverage.images:,} images of a set whose size is not known"
    if not coverage.is_part:
        return f"all {coverage.images:,} images"
    return f"{coverage.images:,} of {coverage.set_images:,} images"


def name_part(setting: Setting) -> str:
    """Name the part of its set on which a setting was measured; empty where it was the whole set or is not known."""
    parts = [coverage for coverage in setting.coverages if coverage.is_part]
    return " or ".join(dict.fromkeys(name_coverage(coverage) for coverage in parts))


def say_scope(choice: Choice, setting: Setting) -> str:
    """State that an answer was measured on part of the set or with different pixels; empty where it was not."""
    said, part = [], name_part(setting)
    if part and choice.kind != "set-aside":  # there the text of each row states it
        said.append(f"measured on {part}{_say_need(choice)}")
    said += _say_pixels(choice)
    return "".join(f", {each}" for each in said)


def _say_need(choice: Choice) -> str:
    """State how much memory the whole set needs, where the answer is a memory cache."""
    row = choice.row
    if row is None or row.outlook is None or not row.outlook.is_part or row.case.cache != "memory":
        return ""
    outlook = row.outlook
    if outlook.fit == "unknown":
        held = f": it holds up to about {outlook.held:,}" if outlook.held is not None else ""
        return f" (whether the memory cache holds all of them is not known{held})"
    if outlook.memory is None:
        return ""
    seen = "as measured there" if outlook.is_measured else "predicted"
    return f" (all of them need about {format_bytes(outlook.memory.expected)} of memory, {seen})"


def _say_pixels(choice: Choice) -> Iterable[str]:
    rows = choice.rows
    found = {
        name_pipeline(row.case): str(record.environment.get("interpolation") or "its own filter")
        for row in rows
        if row.case.interpolation == "native"
        for record in row.summary.records[:1]
    }
    if len(found) > 1 and (len(set(found.values())) > 1 or "its own filter" in found.values()):
        yield f"with different pixels ({', '.join(f'{name}: {clean_text(how, 40)}' for name, how in found.items())})"
    findings = {finding.id for row in rows for record in row.summary.used for finding in record.findings}
    if "approximate-pixels" in findings:
        yield "with approximate pixels"


def say_aside(choice: Choice) -> list[str]:
    """Return a clause for each row whose result does not hold on the whole set, the fastest first."""
    dying: list[str] = []
    withdrawn: dict[str, list[str]] = {}
    for row in choice.aside:
        outlook = row.outlook
        if outlook is not None and outlook.fit in ("does not fit", "may not fit"):
            dying.append(f"{_name_with_ratio(row)} {say_fit(outlook)}")
        elif outlook is not None and outlook.withdrawal is not None:
            withdrawn.setdefault(say_withdrawal(outlook.withdrawal, outlook), []).append(_name(row))
    said = [f"no rate is given for {join_words(names)}: {why}" for why, names in withdrawn.items()]
    left = len(dying) - _MOST_ASIDE
    more = [f"and {left} more that do not hold the whole set"] if left > 0 else []
    return [*dying[:_MOST_ASIDE], *more, *said]


def _name(row: Row) -> str:
    return name_pipeline(row.case)


def _name_with_ratio(row: Row) -> str:
    ratio = row.ratio
    return _name(row) + (f" ({format_ratio(ratio.value)} on the part that was measured)" if ratio is not None else "")


def say_beyond(outlook: Outlook) -> str:
    """State why a result does not hold on the whole set; "it" is the case."""
    if outlook.fit in ("does not fit", "may not fit") or outlook.withdrawal is None:
        return f"it {say_fit(outlook)}"
    return say_withdrawal(outlook.withdrawal, outlook)


def say_fit(outlook: Outlook) -> str:
    """Return ``holds only up to about 860 of 1,399 images`` for a case that does or may not hold its whole set."""
    whole = outlook.coverage.set_images if outlook.coverage is not None else None
    everything = "the whole set" if whole is None else f"all {whole:,} images"
    limit, is_sure = format_bytes(outlook.limit_bytes), outlook.fit == "does not fit"
    if outlook.lacks == "disk":
        verb = "needs" if is_sure else "may not fit on the disk: it needs"
        return f"{verb} {format_bytes(outlook.cache_bytes)} of disk for {everything}, more than is free there"
    if outlook.is_measured:
        after = f" after {outlook.held:,} of them" if outlook.held else ""
        return f"ran out of memory on {everything}{after}{'' if is_sure else ' in some rounds'} under {limit}"
    need = "" if outlook.memory is None else f", {everything} need about {format_bytes(outlook.memory.expected)}"
    if outlook.held is None:
        return f"{'does' if is_sure else 'may'} not hold {everything} under {limit}{need} (predicted)"
    held = f"{outlook.held:,} of {whole:,} images" if whole is not None else f"{outlook.held:,} images"
    if is_sure:
        return f"holds only up to about {held} under {limit}{need} (predicted)"
    return f"may not hold {everything} under {limit}: about {held} certainly fit{need} (predicted)"


def say_withdrawal(withdrawal: Withdrawal, outlook: Outlook) -> str:
    """Return ``measured with the files in memory; the whole set (230 MB) exceeds the limit of 200 MB``, and a hint."""
    files, whole = ("cache file", "whole cache") if withdrawal.is_cache else ("files", "whole set")
    coverage, limit = outlook.coverage, format_bytes(withdrawal.limit_bytes)
    seen = f"measured with the {files} in memory"
    if not withdrawal.is_counted:
        seen = f"whether it was measured with the {files} in memory is not known"
    if coverage is not None and coverage.is_part:
        seen += f", {name_coverage(coverage)}"
    cure = "measure with `page_cache: cold`"
    if withdrawal.set_bytes is None or withdrawal.limit_bytes is None or withdrawal.room_bytes is None:
        return f"{seen}; how much memory the {whole} would take is not known: {cure}"
    size = f"the {whole} ({format_bytes(withdrawal.set_bytes)})"
    if withdrawal.set_bytes > withdrawal.limit_bytes:
        return f"{seen}; {size} exceeds the limit of {limit}: {cure}"
    room = format_bytes(withdrawal.room_bytes)
    return f"{seen}; {size} exceeds the {room} that the limit of {limit} leaves beside the program: {cure}"


def tag_outlook(outlook: Outlook) -> Iterable[str]:
    """Return short labels of a row: on what part it was measured, and what does not hold on the whole set."""
    if outlook.is_part and outlook.coverage is not None:
        yield name_coverage(outlook.coverage)
        whole = outlook.coverage.set_images
        if outlook.fit in ("does not fit", "may not fit"):
            held = f", about {outlook.held:,} images fit" if outlook.held and outlook.fit == "does not fit" else ""
            seen = "measured" if outlook.is_measured else "predicted"
            yield f"whole set: {outlook.fit} ({seen}{held})"
        elif outlook.fit == "unknown" and whole is not None:
            yield "whether the whole set fits is not known"
    if outlook.withdrawal is not None:
        yield "the rate does not hold on the whole set: files were in memory"


def name_setting(setting: Setting, among: Sequence[Setting]) -> str:
    """Return ``Training coco · 256 × 256 px · equal pixels (nearest)``, with what else differs ``among`` settings.

    An emulated accelerator is always named.
    """
    case = setting.case
    parts = [f"{'Training' if case.mode == 'train' else 'Loading'} {case.data}", name_size(case)]
    parts.append("native pixels" if case.interpolation == "native" else f"equal pixels ({case.interpolation})")
    if any(other.case.deliver != "float32" for other in (setting, *among)):
        parts.append(f"{case.deliver} delivered")
    models = {other.case.model for other in among if other.case.model is not None}
    if case.model is not None and (len(models) > 1 or case.model.is_emulated):
        parts.append(name_model(case.model))
    part = name_part(setting)
    if part:
        parts.append(part)
    elif any(name_part(other) for other in among):
        parts += dict.fromkeys(name_coverage(coverage) for coverage in setting.coverages)
        alike = {other.case.max_images for other in among if other.coverages == setting.coverages}
        parts += [f"max images {case.max_images:,}"] if len(alike) > 1 and case.max_images is not None else []
    others = {other.files for other in among if other.case.data == case.data}
    parts += [f"files {setting.files[:12]}"] if len(others) > 1 else []
    parts += [f"{name.replace('_', ' ')} {name_value(name, getattr(case, name))}" for name in _varied(among)]
    return clean_text(" · ".join(parts))


def name_rate(setting: Setting) -> str:
    """Return what the rates of a setting are: images/s, with the epochs that they are of."""
    return f"images/s{say_epochs(setting)}"


def say_epochs(setting: Setting) -> str:
    """Return `` after the first epoch`` where a setting has more than one epoch; else empty."""
    return " after the first epoch" if setting.metric == "steady" else ""


def _varied(settings: Sequence[Setting]) -> list[str]:
    """Return the parameters that differ between settings of one mode, without those that are part of every name."""
    found: set[str] = set()
    for mode in ("train", "load"):
        dumps = [setting.case.model_dump(mode="json") for setting in settings if setting.case.mode == mode]
        names = set(dumps[0]) if dumps else set()
        found |= {name for name in names if len({str(dump[name]) for dump in dumps}) > 1}
    return sorted(found - {*PIPELINE, LIMIT} - _SAID)
