"""Python literals of somebody else's texts. Pure."""

from __future__ import annotations

from collections.abc import Sequence

_TAKEN_OUT = "‹"
"""What an anonymised report has in place of a path begins so."""
_WIDTH = 112


def quote(text: str | None, placeholder: str = "") -> str:
    """Write a text as a Python literal; one that is unknown or was taken out becomes the placeholder."""
    said = repr(placeholder if not text or _TAKEN_OUT in text else text)  # repr escapes what cannot be printed
    return f'"{said[1:-1]}"' if said[0] == "'" and '"' not in said and "\\'" not in said else said


def write_list(items: Sequence[str]) -> str:
    """Write a list of literals, in several lines where one would be too long."""
    rows = [""]
    for item in items:
        if rows[-1] and len(rows[-1]) + len(item) > _WIDTH:
            rows.append("")
        rows[-1] += f"{item}, "
    if len(rows) == 1:
        return f"[{rows[0].removesuffix(', ')}]"
    return "[\n" + "".join(f"    {row.rstrip()}\n" for row in rows) + "]"
