"""Text for people: plurals, lists, and sanitising text from outside."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

NOTHING = "–"
"""Shown for what was not measured or is not known."""

_NUMBER = re.compile(r"(?<![\w.,:/-])(\d+(?:,\d{3})*(?:\.\d+)?)(?![\w:/]|[.,-]\d)")
_INVISIBLE = re.compile(
    "[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff]"
)


def one_line(text: str) -> str:
    """Return text as one line, with � for characters that cannot be printed (also control and direction marks)."""
    line = " ".join(text.split())
    return line if line.isprintable() else "".join(each if each.isprintable() else "�" for each in line)


def without_codes(text: str, most: int) -> str:
    """Return text of at most ``most`` characters without control or direction marks; white space stays."""
    return _INVISIBLE.sub("�", text[:most])


def clean_text(text: object, most: int = 300) -> str:
    """Return a value as one line, shortened in the middle if long. It is not escaped for HTML."""
    line = one_line(str(text)[: most * 20])
    return line if len(line) <= most else f"{line[: most // 2]} … {line[-most // 2 :]}"


def clean_log(text: str, most: int = 2000) -> str:
    """Return the last ``most`` characters of a log, lines kept and no line longer than 300 characters."""
    lines = (clean_text(line) for line in text[-most * 10 :].splitlines())
    tail = "\n".join(lines)
    return tail if len(tail) <= most else "…" + tail[-most:]


def cut_text(text: str, most: int) -> str:
    """Return text of at most ``most`` characters: the beginning and the end of a longer one."""
    return text if len(text) <= most else f"{text[: most - most // 4]} … {text[-(most // 4) :]}"


def clean_lines(text: str, most: int) -> str:
    """Return the first ``most`` characters of a text, with its lines, without control or direction marks."""
    kept = _INVISIBLE.sub("�", text[: 2 * most].replace("\r\n", "\n"))
    return kept if len(kept) <= most else kept[:most] + "\n… cut"


def plural(count: int, noun: str) -> str:
    """Return ``1 round``, ``3 rounds``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def join_words(words: Iterable[str]) -> str:
    """Return ``a``, ``a and b``, ``a, b and c``."""
    listed = list(words)
    return listed[0] if len(listed) == 1 else ", ".join(listed[:-1]) + " and " + listed[-1] if listed else ""


def cap_list(words: Sequence[str], most: int = 12) -> str:
    """Return names in one line: at most ``most``, and how many more there are."""
    shown = ", ".join(words[:most])
    return shown if len(words) <= most else f"{shown} and {len(words) - most} more"


def merge_texts(texts: Iterable[str]) -> str:
    """Return one text for many: numbers that differ become ranges (``2.6 to 3.1 s``).

    For texts that differ otherwise, return the first one and how many others there are.
    """
    different = list(dict.fromkeys(texts))
    cut = [_NUMBER.split(text) for text in different]  # words and numbers in turn
    alike = [parts for parts in cut if parts[::2] == cut[0][::2]]
    merged = "".join(words + _say_range(numbers) for words, *numbers in _turn(alike))
    others = len(different) - len(alike)
    return f"{merged} (and {others} more like it)" if others else merged


def _turn(alike: Sequence[Sequence[str]]) -> Iterable[tuple[str, ...]]:
    """Yield the words of texts that differ only in numbers, each with the numbers that follow it in each text."""
    for index in range(0, len(alike[0]) if alike else 0, 2):
        yield (alike[0][index], *(parts[index + 1] for parts in alike if index + 1 < len(parts)))


def _say_range(numbers: Sequence[str]) -> str:
    ordered = sorted(set(numbers), key=lambda number: float(number.replace(",", "")))
    return " to ".join(dict.fromkeys((ordered[0], ordered[-1]))) if ordered else ""


def name_inventory(text: str, path: Path | None) -> str:
    """Return a text with the word ``INVENTORY`` replaced by the inventory's path, if known."""
    return text if path is None else re.sub(r"\bINVENTORY\b", lambda _: shlex.quote(str(path)), text)
