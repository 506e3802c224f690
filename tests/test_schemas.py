"""The committed JSON Schemas are those of the models that check the files."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from harness.experiment import load_experiment, preset_names
from harness.workflow.local.starters import schema_text, write_starters

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.parametrize("name", ["inventory", "experiment", "session", "record"])
def test_the_committed_copy_is_fresh(name: str) -> None:
    committed = (ROOT / "docs" / "schema" / f"{name}.json").read_text()
    assert committed == schema_text(name), "run `make schema`"
    jsonschema.Draft202012Validator.check_schema(json.loads(committed))


def test_starters_fit_their_schemas_and_load(tmp_path: Path) -> None:
    import yaml

    from harness.inventory import load_inventory

    written = {path.name: path for path in write_starters(tmp_path, force=False)}
    for name in ("inventory", "experiment"):
        text = written[f"{name}.yaml"].read_text()
        assert f"$schema={name}.schema.json" in text
        schema = json.loads(written[f"{name}.schema.json"].read_text())
        jsonschema.validate(yaml.safe_load(text), schema)
    assert load_inventory(written["inventory.yaml"]).hosts
    assert load_experiment(str(written["experiment.yaml"])).name


def test_presets_are_there() -> None:
    assert {"quick", "article", "article-short", "loading"} <= set(preset_names())
