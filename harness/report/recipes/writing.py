"""Writing: kept statements as text that reads well: few names, short lines, double quotes, comments where they were."""

from __future__ import annotations

import ast
import copy
import io
import re
import tokenize
from collections.abc import Iterator, Sequence

from harness.report.recipes.scope import Line

WIDTH = 124
_SHORT = 90
_STEP = "    "
_NUMBERED = re.compile(r"_\d+$")


def write_lines(lines: Sequence[Line]) -> str:
    """The statements (tidied before) as source text."""
    return _double_quotes("\n".join(_write_body(lines, "")) + "\n")


def tidy(lines: Sequence[Line]) -> list[Line]:
    """Fewer names: what the next statement alone reads goes into it, a name with a number gets its plain form."""
    found = _merge(list(lines))
    for place, line in enumerate(found):
        target = line.node.targets[0] if isinstance(line.node, ast.Assign) else None
        if isinstance(target, ast.Name) and _NUMBERED.search(target.id):
            plain, numbered = _NUMBERED.sub("", target.id), target.id
            in_functions = {n for other in found if _is_block(other.node) for n in _names(other.node)}
            if plain not in in_functions and not any(plain in _names(other.node) for other in found[place + 1 :]):
                target.id = plain
                for other in found[place + 1 :]:
                    _rename(other.node, numbered, plain)
    for line in found:
        if isinstance(line.node, ast.FunctionDef | ast.ClassDef | ast.With | ast.For):
            line.node.body = tidy(line.node.body)  # type: ignore[arg-type, assignment]
    return [line for line in found if not _says_nothing(line.node)]


def _merge(lines: list[Line]) -> list[Line]:
    """Put what one statement makes for the next alone into it, where that still is one short line."""
    place = 0
    while place + 1 < len(lines):
        made, user = lines[place], lines[place + 1]
        assignment = made.node if isinstance(made.node, ast.Assign) else None
        target = assignment.targets[0] if assignment is not None else None
        if assignment is not None and isinstance(target, ast.Name) and not made.comment and not _is_block(user.node):
            uses = sum(isinstance(n, ast.Name) and n.id == target.id for one in lines for n in _walk(one)) - 1
            merged = _replace(user.node, target.id, assignment.value)
            if uses == 1 and merged is not None and len(ast.unparse(ast.fix_missing_locations(merged))) <= _SHORT:
                lines[place : place + 2] = [Line(merged, user.comment)]
                place = max(place - 1, 0)
                continue
        place += 1
    return lines


def _replace(node: ast.stmt, wanted: str, value: ast.expr) -> ast.stmt | None:
    """A simple statement with an expression in place of a name; None for others, and where the name is not read."""

    class Replace(ast.NodeTransformer):
        is_done = False

        def visit_Name(self, one: ast.Name) -> ast.expr:
            if one.id != wanted:
                return one
            self.is_done = True
            return value

    if not isinstance(node, ast.Assign | ast.Expr | ast.Return):
        return None
    replacing = Replace()
    made = replacing.visit(copy.deepcopy(node))
    return made if replacing.is_done else None


def _says_nothing(node: ast.stmt) -> bool:
    """``dataset = dataset``."""
    return isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == ast.unparse(node.value)


def names_in(lines: Sequence[Line]) -> set[str]:
    """All names that statements read or set."""
    return {found for line in lines for found in _names(line.node)}


def _is_block(node: ast.AST) -> bool:
    return isinstance(node, ast.FunctionDef | ast.ClassDef)


def _walk(node: object) -> Iterator[ast.AST]:
    """``ast.walk`` that goes into lines, too."""
    if isinstance(node, Line):
        yield from _walk(node.node)
    elif isinstance(node, ast.AST):
        yield node
        for _, child in ast.iter_fields(node):
            for one in child if isinstance(child, list) else [child]:
                yield from _walk(one)


def _names(node: object) -> set[str]:
    """Names that a node reads or sets outside itself: a function's own parameters are not among them."""
    if isinstance(node, Line):
        return _names(node.node)
    if not isinstance(node, ast.AST):
        return set()
    found = {node.id} if isinstance(node, ast.Name) else set()
    for _, child in ast.iter_fields(node):
        for one in child if isinstance(child, list) else [child]:
            found |= _names(one)
    own = {one.arg for one in node.args.args} if isinstance(node, ast.FunctionDef | ast.Lambda) else set()
    return found - own


def _rename(node: ast.AST, old: str, new: str) -> None:
    for one in _walk(node):
        if isinstance(one, ast.Name) and one.id == old:
            one.id = new


def _write_body(lines: Sequence[Line], indent: str) -> Iterator[str]:
    for place, line in enumerate(lines):
        if place > 0 and (_is_block(line.node) or _is_block(lines[place - 1].node)):
            yield ""
        yield from _write_line(line, indent)


def _write_line(line: Line, indent: str) -> Iterator[str]:
    node = line.node
    match node:
        case ast.FunctionDef():
            yield f"{indent}def {node.name}({ast.unparse(node.args)}):"
            yield from _write_body(node.body, indent + _STEP)  # type: ignore[arg-type]
        case ast.ClassDef():
            yield f"{indent}class {node.name}({', '.join(map(ast.unparse, node.bases))}):"
            yield from _write_body(node.body, indent + _STEP)  # type: ignore[arg-type]
        case ast.With() | ast.For() | ast.If():
            yield from _write_compound(node, indent)
        case _:
            yield from _write_simple(line, indent)


def _write_compound(node: ast.With | ast.For | ast.If, indent: str) -> Iterator[str]:
    if isinstance(node, ast.With):
        yield f"{indent}with {', '.join(map(ast.unparse, node.items))}:"
    elif isinstance(node, ast.For):
        yield f"{indent}for {_bare(node.target)} in {ast.unparse(node.iter)}:"
    else:
        yield f"{indent}if {ast.unparse(node.test)}:"
    yield from _write_body(node.body, indent + _STEP)  # type: ignore[arg-type]
    if isinstance(node, ast.If) and node.orelse:
        yield f"{indent}else:"
        yield from _write_body(node.orelse, indent + _STEP)  # type: ignore[arg-type]


def _write_simple(line: Line, indent: str) -> Iterator[str]:
    node = line.node
    value: ast.expr | None
    match node:
        case ast.Return() if node.value is not None:
            head, value = "return ", node.value
        case ast.Assign():
            head, value = f"{_bare(node.targets[0])} = ", node.value
        case ast.Expr():
            head, value = "", node.value
        case _:
            head, value = ast.unparse(node), None
    written = [indent + head] if value is None else _break(value, indent, indent + head, "")
    if line.comment and len(written) == 1 and len(written[0]) + len(line.comment) + 4 <= WIDTH:
        written[0] += f"  # {line.comment}"
    elif line.comment:
        yield f"{indent}# {line.comment}"
    yield from written


def _bare(node: ast.expr) -> str:
    return ", ".join(map(ast.unparse, node.elts)) if isinstance(node, ast.Tuple) else ast.unparse(node)


def _break(node: ast.expr, indent: str, head: str, tail: str) -> list[str]:
    """An expression behind ``head`` in one line, or where that is too long an argument a line."""
    plain = _bare(node) if isinstance(node, ast.Tuple) and not tail and node.elts else ast.unparse(node)
    if len(head) + len(plain) + len(tail) <= WIDTH:
        return [head + plain + tail]
    inner = indent + _STEP
    if isinstance(node, ast.Call) and (node.args or node.keywords):
        begun = _break_function(node.func, indent, head)
        together = ast.unparse(ast.Call(ast.Name("f"), node.args, node.keywords))[2:-1]
        if len(inner) + len(together) <= WIDTH:
            return [*begun[:-1], begun[-1] + "(", inner + together, f"{indent}){tail}"]
        lines = [*begun[:-1], begun[-1] + "("]
        for one in node.args:
            lines += _break(one, inner, inner, ",")
        for keyword in node.keywords:
            lines += _break(keyword.value, inner, inner + (f"{keyword.arg}=" if keyword.arg else "**"), ",")
        return [*lines, f"{indent}){tail}"]
    if isinstance(node, ast.Dict):
        lines = [head + "{"]
        for key, entry in zip(node.keys, node.values, strict=True):
            lines += _break(entry, inner, f"{inner}{ast.unparse(key) if key else ''}: ", ",")
        return [*lines, f"{indent}}}{tail}"]
    if isinstance(node, ast.Tuple | ast.List):
        left, right = "()" if isinstance(node, ast.Tuple) else "[]"
        lines = [head + left]
        for one in node.elts:
            lines += _break(one, inner, inner, ",")
        return [*lines, f"{indent}{right}{tail}"]
    return [head + plain + tail]


def _break_function(node: ast.expr, indent: str, head: str) -> list[str]:
    """What is called; a call inside it is broken where it is what makes the line long."""
    plain = ast.unparse(node)
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Call) and len(head) + len(plain) > WIDTH // 2:
        begun = _break(node.value, indent, head, "")
        if len(begun) == 1 and len(begun[0]) > WIDTH:
            return [head + plain]
        return [*begun[:-1], f"{begun[-1]}.{node.attr}"]
    return [head + plain]


def _double_quotes(text: str) -> str:
    lines = text.splitlines(keepends=True)
    for token in reversed(list(tokenize.generate_tokens(io.StringIO(text).readline))):
        body = token.string[1:-1]
        if token.type == tokenize.STRING and token.string.startswith("'") and '"' not in body and "\\" not in body:
            row, (start, end) = token.start[0] - 1, (token.start[1], token.end[1])
            if token.start[0] == token.end[0] and not token.string.startswith("'''"):
                lines[row] = f'{lines[row][:start]}"{body}"{lines[row][end:]}'
    return "".join(lines)
