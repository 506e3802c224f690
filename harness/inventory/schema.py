"""Build the JSON Schema of inventory files from the models that validate them."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise

from pydantic import BaseModel

from harness.inventory import variables
from harness.inventory.access import ADDRESS, ARGUMENTS, PRIVATE_KEY, USER
from harness.inventory.layers import OWN

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT = {"type": ["string", "null"]}


def inventory_schema() -> dict[str, object]:
    """Return the schema of an inventory file: Ansible's groups, a typed ``harness:``, and any other variables."""
    own = variables.HostVariables.model_json_schema(ref_template="#/$defs/{model}")
    definitions = own.pop("$defs", {})
    definitions["HostVariables"] = own
    for name, definition in definitions.items():
        _describe(definition["properties"], getattr(variables, name))
    definitions["Variables"] = _variables()
    definitions["Group"] = _group()
    group = {"$ref": "#/$defs/Group"}
    return {
        "$schema": _DIALECT,
        "title": "harness inventory",
        "description": "Hosts, groups and their variables, in Ansible's YAML shape.",
        "type": "object",
        "minProperties": 1,
        "properties": {"all": group},
        "additionalProperties": group,
        "$defs": dict(sorted(definitions.items())),
    }


def _describe(properties: dict[str, dict[str, object]], model: type[BaseModel]) -> None:
    """Add the docstring of each field of a model as its description.

    Pydantic could do this, but it would read the source at every import of the model.
    """
    (body,) = ast.parse(inspect.getsource(model)).body
    assert isinstance(body, ast.ClassDef)
    for field, text in pairwise(body.body):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(told))):
                properties[name]["description"] = inspect.cleandoc(told)


def _group() -> dict[str, object]:
    group, variables = {"$ref": "#/$defs/Group"}, {"$ref": "#/$defs/Variables"}
    return {
        "type": ["object", "null"],
        "additionalProperties": False,
        "properties": {
            "hosts": {
                "description": "Host names, or ranges: ws01, ws[01:12], ws[a:f], ws[01:12:2].",
                "type": ["object", "string", "null"],
                "additionalProperties": variables,
            },
            "children": {
                "description": "Groups below this one.",
                "type": ["object", "string", "null"],
                "additionalProperties": group,
            },
            "vars": {"description": "Variables of all hosts of this group.", **variables},
        },
    }


def _variables() -> dict[str, object]:
    port = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string"}, {"type": "null"}]}
    named: dict[str, object] = dict.fromkeys((*ADDRESS, *USER, *PRIVATE_KEY), _TEXT)
    arguments = "Only ProxyJump, ProxyCommand, Port and IdentityFile are supported here; see docs/inventory.md."
    named |= {name: {"description": arguments, **_TEXT} for name in ARGUMENTS}
    return {
        "type": ["object", "null"],
        "properties": {
            OWN: {"anyOf": [{"$ref": "#/$defs/HostVariables"}, {"type": "null"}]},
            "ansible_connection": {"description": "`local`: this machine; else `ssh`.", **_TEXT},
            "ansible_port": port,
            "ansible_ssh_port": port,
            **named,
        },
        "patternProperties": {"^ansible_((?!become|su_|sudo)\\w+_)?(pass|password|passphrase)$": False},
        "additionalProperties": True,
    }
