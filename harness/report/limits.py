"""What searches for memory limits found, in sentences."""

from __future__ import annotations

from collections.abc import Iterable

from harness.analysis.limits_found import Answer, find_limits
from harness.analysis.matrix import Setting
from harness.report.words import clean_text, name_pipeline
from harness.values.units import format_bytes


def say_limits(setting: Setting) -> Iterable[str]:
    """A sentence a searched pipeline and host; nothing where nothing was searched."""
    answers = find_limits(setting)
    has_hosts = len({answer.host for answer in answers}) > 1
    for answer in answers:
        yield _say(answer, f" on {clean_text(answer.host, 60)}" if has_hosts else "")


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
