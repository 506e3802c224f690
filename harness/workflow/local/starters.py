"""``harness init`` and ``harness schema``: files to start from, and their JSON Schemas."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from harness.values.errors import ConfigurationError


def schema_text(name: str) -> str:
    """Return the JSON Schema of ``inventory``, ``experiment``, ``session`` or ``record``, from its models."""
    return json.dumps(_schemas()[name](), indent=2, sort_keys=True) + "\n"


def _schemas() -> dict[str, Callable[[], Mapping[str, object]]]:
    from harness.experiment import experiment_schema
    from harness.inventory import inventory_schema
    from harness.records.content import session_schema
    from harness.values.record import record_schema

    return {
        "inventory": inventory_schema,
        "experiment": experiment_schema,
        "session": session_schema,
        "record": record_schema,
    }


def write_starters(folder: Path, *, force: bool) -> list[Path]:
    """Write a commented inventory and experiment with their schemas. Returns the paths.

    Raises ConfigurationError if a file exists (unless ``force``) or cannot be written.
    """
    from harness.experiment import init_experiment_text
    from harness.inventory import init_inventory_text

    texts = {
        "inventory.yaml": init_inventory_text(),
        "experiment.yaml": init_experiment_text(),
        "inventory.schema.json": schema_text("inventory"),
        "experiment.schema.json": schema_text("experiment"),
    }
    there = [str(folder / name) for name in texts if (folder / name).exists()]
    if there and not force:
        hint = "choose another folder, or overwrite them with --force"
        raise ConfigurationError(f"these files exist already: {', '.join(there)}", hint=hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        hint = "choose a folder to which you can write"
        raise ConfigurationError(f"cannot write: {error.strerror}", where=str(folder), hint=hint) from error
    return [folder / name for name in texts]
