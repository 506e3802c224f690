"""What searches for memory limits found, in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.limits_found import Answer, find_limits
from harness.analysis.matrix import Setting
from harness.report.scope import name_part
from harness.values.names import name_pipeline
from harness.values.text import clean_text
from harness.values.units import format_bytes


def say_limits(setting: Setting) -> Iterable[str]:
    """A sentence a searched pipeline and host; nothing where nothing was searched."""
    answers = find_limits(setting)
    has_hosts = len({answer.host for answer in answers}) > 1
    for answer in answers:
        where = f" on {clean_text(answer.host, 60)}" if has_hosts else ""
        yield _say(answer, where + _say_part(answer, setting))


def _say_part(answer: Answer, setting: Setting) -> str:
    """On what part of its set a case was searched, and what the whole set needs where a memory cache grows with it."""
    part = name_part(setting)
    if not part:
        return ""
    outlooks = [row.outlook for row in setting.trials if row.case.cache == answer.case.cache == "memory"
                and row.case.loader == answer.case.loader and row.outlook is not None]  # fmt: skip
    need = next((outlook.memory.expected for outlook in outlooks if outlook.memory is not None), None)
    whole = f", all of them need about {format_bytes(need)}" if need is not None else ""
    return f" (with {part}{whole})"


def _say(answer: Answer, where: str) -> str:
    name, found = name_pipeline(answer.case), answer.found
    if found.lives_from is None:
        return f"{name} lived under no limit that was tried{where}."
    lives = f"{name} lives from a limit of {format_bytes(found.lives_from)} on{where}"
    if answer.is_open:
        return f"{lives}, as far as was tried: the search is not at its end."
    if found.full_speed_from is None:
        return f"{lives}; its speed cannot be judged: {found.doubt}."
    return f"{lives}, and is at full speed from {format_bytes(found.full_speed_from)} on (searched to 5 %)."
