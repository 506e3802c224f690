"""``harness init`` and ``harness schema``: files to start from, and what checks them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from harness.values.errors import ConfigurationError


def schema_text(name: str) -> str:
    """The JSON Schema of ``inventory``, ``experiment`` or ``record``, from the models that check them."""
    return json.dumps(_schemas()[name](), indent=2, sort_keys=True) + "\n"


def _schemas() -> dict[str, Callable[[], dict[str, Any]]]:
    from harness.experiment import experiment_schema
    from harness.inventory import inventory_schema

    return {"inventory": inventory_schema, "experiment": experiment_schema, "record": _record_schema}


def _record_schema() -> dict[str, Any]:
    from harness.values.record import Record

    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **Record.model_json_schema(mode="serialization")}


def write_starters(folder: Path, *, force: bool) -> list[Path]:
    """Write a commented inventory and experiment with their schemas; none of them where one would be overwritten."""
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
        hint = "choose another folder, or overwrite with --force"
        raise ConfigurationError(f"already there: {', '.join(there)}", hint=hint)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        hint = "choose a folder that you may write to"
        raise ConfigurationError(f"cannot write: {error.strerror}", where=str(folder), hint=hint) from error
    return [folder / name for name in texts]
