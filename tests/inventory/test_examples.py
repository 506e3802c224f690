"""The examples that are shipped load, without a warning, and fit the schema that editors use."""

# mypy: disable-error-code="index"

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from harness.inventory import explain_host, init_inventory_text, inventory_schema, load_inventory, select_hosts

_FOLDER = Path(__file__).parents[2] / "inventory"
_EXAMPLES = sorted([*_FOLDER.glob("*.yaml"), *_FOLDER.glob("*/hosts.yaml")])


class _Loader(yaml.SafeLoader):
    pass


_Loader.add_multi_constructor("!", lambda loader, suffix, node: None)


def plain(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)


@pytest.mark.parametrize("path", _EXAMPLES, ids=lambda p: str(p.relative_to(_FOLDER)))
def test_an_example_loads_and_fits_the_schema(path: Path) -> None:
    inventory = load_inventory(path)
    assert inventory.hosts
    assert inventory.warnings == ()
    assert all(explain_host(host) for host in inventory.hosts)
    jsonschema.validate(plain(path.read_text()), inventory_schema())
    assert path.read_text().startswith("# yaml-language-server: $schema=")


def test_local_is_this_machine_with_the_data_of_the_preset_quick() -> None:
    (host,) = load_inventory(_FOLDER / "local.yaml").hosts
    assert host.connection == "local"
    generate = host.variables.data["coco-mini"].generate
    assert generate is not None
    assert (generate.profile, generate.images, generate.seed) == ("coco", 2000, 1)


def test_lab_is_ten_workstations_in_four_groups_behind_a_gate() -> None:
    inventory = load_inventory(_FOLDER / "lab.yaml")
    assert len(inventory.hosts) == 10
    kinds = [inventory.groups[name] for name in ("desktop", "tower", "shared", "small")]
    assert sorted(name for kind in kinds for name in kind) == sorted(host.name for host in inventory.hosts)
    assert {host.proxy_jump for host in inventory.hosts} == {"bench@gate.lab.example:2222", None}
    assert inventory.host("ws08.lab.example").variables.gpus == (1,)
    assert inventory.host("ws10.lab.example").variables.data["coco"].images == "/mnt/nas/coco/train2017"
    assert [h.name for h in select_hosts(inventory, "tower:!ws06*")] == ["ws05.lab.example", "ws07.lab.example"]


def test_files_beside_an_inventory_are_read() -> None:
    inventory = load_inventory(_FOLDER / "group-files" / "hosts.yaml")
    assert {host.name: host.variables.gpus for host in inventory.hosts} == {"rack1": 4, "rack2": 2, "rack3": 4}
    assert set(inventory.host("rack2").variables.data) == {"coco-mini", "flowers"}
    assert "6162" not in str(explain_host(inventory.host("rack2")))


def test_the_starter_loads_as_it_is(tmp_path: Path) -> None:
    text = init_inventory_text()
    assert text.startswith("# yaml-language-server: $schema=inventory.schema.json\n")
    (tmp_path / "inventory.yaml").write_text(text)
    inventory = load_inventory(tmp_path / "inventory.yaml")
    assert [host.connection for host in inventory.hosts] == ["local"]
    assert inventory.warnings == ()
    jsonschema.validate(plain(text), inventory_schema())


def test_what_the_starter_comments_out_is_right_too(tmp_path: Path) -> None:
    lines = []
    for line in init_inventory_text().splitlines()[7:]:
        body = line.lstrip()
        is_code = (
            body.startswith("# ") and (":" in body) and not body.rstrip().endswith((".", "class:", "as it is:", "SSH:"))
        )
        is_text = any(word in body for word in ("to compare disks", "What runs"))
        lines.append(line.replace("# ", "", 1) if is_code and not is_text else line)
    (tmp_path / "inventory.yaml").write_text("\n".join(lines) + "\n")
    inventory = load_inventory(tmp_path / "inventory.yaml")
    assert [host.name for host in inventory.hosts] == ["localhost", "ws01", "ws02", "ws03", "ws04"]
    host = inventory.host("ws01")
    assert host.address == "ws01.lab.example"
    assert host.proxy_jump == "gate.lab.example"
    assert set(host.variables.data) == {"coco-mini", "coco", "flowers"}
    assert host.variables.memory_reserve == 4 * 2**30


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("all: {vars: {harness: {engin: docker}}}", "all.vars.harness"),
        ("all: {vars: {harness: {memory_reserve: 16G}}}", "all.vars.harness"),
        ("all: {host: {}}", "all"),
        ("all: {hosts: {h: {ansible_password: x}}}", "all.hosts.h"),
    ],
)
def test_the_schema_refuses_what_loading_refuses(text: str, path: str) -> None:
    validator = jsonschema.Draft202012Validator(inventory_schema())
    errors = list(validator.iter_errors(plain(text)))
    assert [".".join(map(str, e.absolute_path))[: len(path)] for e in errors] == [path]


def test_the_schema_is_one_and_explains_each_variable() -> None:
    schema = inventory_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    for name, field in schema["$defs"]["HostVariables"]["properties"].items():
        assert field.get("description"), name
