"""The source of the payload's modules: parsed, with the comments that stand at the end of its lines."""

from __future__ import annotations

import ast
import io
import tokenize
from dataclasses import dataclass
from functools import cache
from importlib import resources

_PACKAGE = "harness.bench"
_FOR_TOOLS = ("type:", "noqa", "fmt:")


@dataclass(frozen=True)
class Module:
    """One module: ``members`` are what its top level defines, ``comments`` by the number of their line."""

    name: str
    members: dict[str, ast.stmt]
    comments: dict[int, str]


@dataclass(frozen=True)
class Import:
    """A name that a module imports: ``module`` of the payload where ``is_own``, ``text`` the statement elsewhere."""

    module: str
    member: str
    is_own: bool
    text: str


@cache
def read_module(name: str) -> Module:
    """A module of the payload by its name inside it: ``loaders.tfdata``."""
    path = resources.files(_PACKAGE).joinpath(*name.split("."))
    file = path.joinpath("__init__.py") if path.is_dir() else path.parent.joinpath(f"{path.name}.py")  # type: ignore[attr-defined]
    return parse_module(name, file.read_text(encoding="utf-8"))


def parse_module(name: str, source: str) -> Module:
    """A module's text, read."""
    members: dict[str, ast.stmt] = {}
    for statement in ast.parse(source).body:
        for member in _names_of(statement):
            members[member] = statement
    return Module(name, members, _read_comments(source))


def find_import(module: Module, statement: ast.Import | ast.ImportFrom, member: str) -> Import:
    """What ``member``, which this statement of the module brings in, is."""
    for alias in statement.names:
        if member == (alias.asname or alias.name.partition(".")[0]):
            break
    else:
        raise KeyError(member)
    said = f" as {alias.asname}" if alias.asname else ""
    if isinstance(statement, ast.Import):
        return Import(alias.name, "", False, f"import {alias.name}{said}")
    if not statement.level:
        return Import(statement.module or "", alias.name, False, f"from {statement.module} import {alias.name}{said}")
    parts = module.name.split(".")[: -statement.level]
    return Import(".".join([*parts, statement.module or ""]).strip("."), alias.name, True, "")


def _names_of(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.FunctionDef | ast.ClassDef):
        return [statement.name]
    if isinstance(statement, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.partition(".")[0] for alias in statement.names]
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return [statement.target.id]
    return []


def _read_comments(source: str) -> dict[int, str]:
    """Comments behind code; what is said to tools only is left out."""
    found = {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        text = token.string.lstrip("# ").strip()
        is_behind_code = bool(token.line[: token.start[1]].strip())
        if token.type == tokenize.COMMENT and is_behind_code and not text.startswith(_FOR_TOOLS):
            found[token.start[0]] = text
    return found
