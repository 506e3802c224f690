"""Write the findings into ``docs/findings.md`` from their catalogue (``make findings``)."""

from __future__ import annotations

import textwrap
from pathlib import Path

from harness.analysis.findings import load_families

PAGE = Path(__file__).resolve().parent / "findings.md"
BEGIN = "<!-- findings: begin (make findings) -->"
WIDTH = 120


def write() -> str:
    """Return the part of the page that the catalogue makes: a section a family, a heading a finding."""
    lines = []
    for family in load_families():
        lines += [f"## {family.title}", ""]
        for name, entry in family.entries.items():
            lines.append(f"### `{name}` ({entry.grades or entry.severity})")
            for what, text in (("Cause", entry.cause), ("Cure", entry.cure)):
                said = f"**{what}**: {text}"
                lines += textwrap.wrap(said, WIDTH, break_long_words=False, break_on_hyphens=False)
            lines.append("")
    return "\n".join(lines)


def update(page: str) -> str:
    """Return the page with its findings written afresh."""
    return f"{page.partition(BEGIN)[0]}{BEGIN}\n\n{write()}"


if __name__ == "__main__":
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
