"""``harness data``: make a generated set, describe any."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.values.units import format_bytes

if TYPE_CHECKING:
    from harness.console import Console


def make_data(console: Console, folder: Path, profile: str, images: int, seed: int, *, as_json: bool) -> None:
    """Generate a data set into a new folder and say what it is."""
    from harness.ship.dataset import make_locally

    made = make_locally(
        profile, images, seed, folder, on_progress=lambda text, share: console.live(f"{text} {share:.0%}")
    )
    console.close()
    _show(console, asdict(made), as_json=as_json)


def describe_data(console: Console, path: Path, annotations: Path | None, *, as_json: bool) -> int:
    """Say what a data set is; 2 where it holds files that cannot be read."""
    from harness.ship.dataset import describe_locally

    found = describe_locally(path, annotations, on_progress=lambda text, share: console.live(f"{text} {share:.0%}"))
    console.close()
    _show(console, asdict(found), as_json=as_json)
    return 2 if found.unreadable else 0


def _show(console: Console, description: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        console.result_json(description)
        return
    rows = [[key.replace("_", " "), _words(key, value)] for key, value in description.items()]
    console.table(["", ""], rows)


def _words(key: str, value: Any) -> str:
    if key == "bytes":
        return f"{value} ({format_bytes(value)})"
    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items()) or "none"
    if isinstance(value, list | tuple):
        return (
            "; ".join(" ".join(map(str, item)) if isinstance(item, list | tuple) else str(item) for item in value)
            or "none"
        )
    return "–" if value is None else str(value)
