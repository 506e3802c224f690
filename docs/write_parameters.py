"""Write the table of parameters into ``docs/experiment.md`` from their descriptions (``make parameters``)."""

from __future__ import annotations

from pathlib import Path

from harness.experiment import describe_parameters

PAGE = Path(__file__).resolve().parent / "experiment.md"
BEGIN, END = "<!-- parameters: begin (make parameters) -->", "<!-- parameters: end -->"


def update(page: str) -> str:
    """Return the page with its table written afresh."""
    rows = [f"| `{name}` | {text.replace('|', chr(92) + '|')} |" for name, text in describe_parameters().items()]
    table = "\n".join(["| parameter | what it is |", "|---|---|", *rows])
    return f"{page.partition(BEGIN)[0]}{BEGIN}\n{table}\n{END}{page.partition(END)[2]}"


if __name__ == "__main__":
    PAGE.write_text(update(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
