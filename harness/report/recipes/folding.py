"""Folding: a loader's source is followed with the values of one case, and what only a run can know is kept as code.

Branches that the case does not take are gone, functions of the payload stand where they were called, parameters are
replaced by their values (partial evaluation: N. D. Jones, C. K. Gomard and P. Sestoft, "Partial Evaluation and
Automatic Program Generation", 1993). Only the constructs that loaders use are known; any other raises.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from harness.report.recipes.modules import find_import, read_module
from harness.report.recipes.scope import Scope
from harness.report.recipes.values import (
    ClassOf,
    Closure,
    Code,
    Frame,
    Instance,
    Items,
    Known,
    Leaf,
    Record,
    Table,
    UnfoldableError,
    Value,
    is_true,
    name,
)

_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.Is: lambda a, b: a is b,
    ast.IsNot: lambda a, b: a is not b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


class Folder:
    """Follows expressions; ``Follower`` adds statements, functions and classes.

    ``leaves`` are functions of the payload (``module.function``) that are answered without looking into them,
    ``facts`` tests, as the source writes them, that the case decides though only a run could tell.
    ``imports`` are the statements that the kept code needs, by the names that they bring.
    """

    def __init__(self, leaves: Mapping[str, Leaf], facts: Mapping[str, bool], taken: Sequence[str]) -> None:
        self.leaves, self.facts = leaves, facts
        self.imports: dict[str, str] = {}
        self.top = Scope(taken=set(taken))
        self.scope = self.top
        self._members: dict[tuple[str, str], Value] = {}

    def member(self, module_name: str, wanted: str) -> Value:
        """What a name at the top of a module stands for; a builtin where it defines none such."""
        key = (module_name, wanted)
        if key not in self._members:
            self._members[key] = self._find_member(module_name, wanted)
        return self._members[key]

    def _find_member(self, module_name: str, wanted: str) -> Value:
        leaf = self.leaves.get(f"{module_name}.{wanted}")
        if leaf is not None:
            return leaf
        module = read_module(module_name)
        frame = Frame({}, None, module_name, lambda other: self.member(module_name, other))
        statement = module.members.get(wanted)
        match statement:
            case None:
                return name(wanted)
            case ast.FunctionDef():
                return Closure(statement, frame)
            case ast.ClassDef():
                return ClassOf(statement, frame)
            case ast.Import() | ast.ImportFrom():
                found = find_import(module, statement, wanted)
                if found.is_own:
                    return self.member(found.module, found.member)
                self.imports[wanted] = found.text
                return name(wanted)
            case ast.Assign() | ast.AnnAssign():
                assert statement.value is not None
                return self.value(statement.value, frame)
        raise UnfoldableError(f"{module_name}.{wanted}: a {type(statement).__name__}")

    def value(self, node: ast.expr, frame: Frame) -> Value:
        """What an expression comes to."""
        follow = getattr(self, f"_follow_{type(node).__name__.lower()}", None)
        if follow is not None:
            return cast("Value", follow(node, frame))
        raise UnfoldableError(f"an expression {type(node).__name__}: {ast.unparse(node)}")

    def code(self, value: Value) -> ast.expr:
        """An expression that makes a value when it is run."""
        match value:
            case Known():
                return ast.Constant(value.value)  # type: ignore[arg-type]
            case Code():
                return value.node
            case Items():
                made = [self.code(item) for item in value.items]
                return ast.List(made, ast.Load()) if value.is_list else ast.Tuple(made, ast.Load())
            case Table():
                keys: list[ast.expr | None] = [ast.Constant(key) for key in value.entries]  # type: ignore[arg-type]
                return ast.Dict(keys, [self.code(entry) for entry in value.entries.values()])
            case Closure():
                return self.write_function(value)
        raise UnfoldableError(f"a {type(value).__name__} would have to be written out")

    def write_function(self, closure: Closure) -> ast.expr:
        """A function as code: a lambda, or the name of one that is defined before."""
        raise NotImplementedError

    def enter(self, function: Value, values: list[Value], named: dict[str, Value]) -> Value:
        """What a call of the source's own function or class comes to."""
        raise NotImplementedError

    def within(self, node: ast.expr, frame: Frame) -> ast.expr:
        """Code of an expression in whose place no statement can stand."""
        before, self.scope = self.scope, Scope(outer=self.scope, can_state=False)
        try:
            return self.code(self.value(node, frame))
        finally:
            self.scope = before

    def _follow_constant(self, node: ast.Constant, frame: Frame) -> Value:
        return Known(node.value)

    def _follow_name(self, node: ast.Name, frame: Frame) -> Value:
        return frame.find(node.id)

    def _follow_tuple(self, node: ast.Tuple | ast.List, frame: Frame) -> Value:
        return Items(self._spread(node.elts, frame), isinstance(node, ast.List))

    _follow_list = _follow_tuple

    def _spread(self, nodes: Sequence[ast.expr], frame: Frame) -> list[Value]:
        found: list[Value] = []
        for node in nodes:
            if isinstance(node, ast.Starred):
                inner = self.value(node.value, frame)
                found += inner.items if isinstance(inner, Items) else [Code(ast.Starred(self.code(inner), ast.Load()))]
            else:
                found.append(self.value(node, frame))
        return found

    def _follow_dict(self, node: ast.Dict, frame: Frame) -> Value:
        entries: dict[object, Value] = {}
        for key, entry in zip(node.keys, node.values, strict=True):
            known = self.value(key, frame) if key is not None else None
            if not isinstance(known, Known):
                raise UnfoldableError(f"a key that is not plain: {ast.unparse(node)}")
            entries[known.value] = self.value(entry, frame)
        return Table(entries)

    def _follow_attribute(self, node: ast.Attribute, frame: Frame) -> Value:
        owner = self.value(node.value, frame)
        if isinstance(owner, Record):
            if node.attr not in owner.fields:
                raise UnfoldableError(f"{owner.kind} has no {node.attr} that a recipe knows")
            return owner.fields[node.attr]
        if isinstance(owner, Instance):
            return owner.known.get(node.attr) or Code(ast.Attribute(name("self").node, node.attr, ast.Load()))
        return Code(ast.Attribute(self.code(owner), node.attr, ast.Load()))

    def _follow_subscript(self, node: ast.Subscript, frame: Frame) -> Value:
        owner, place = self.value(node.value, frame), self.value(node.slice, frame)
        if isinstance(owner, Table) and isinstance(place, Known):
            if place.value not in owner.entries:
                raise UnfoldableError(f"no entry {place.value!r} in {ast.unparse(node.value)}")
            return owner.entries[place.value]
        if isinstance(owner, Items) and isinstance(place, Known) and isinstance(place.value, int):
            return owner.items[place.value]
        return Code(ast.Subscript(self.code(owner), self.code(place), ast.Load()))

    def _follow_slice(self, node: ast.Slice, frame: Frame) -> Value:
        parts = [None if p is None else self.code(self.value(p, frame)) for p in (node.lower, node.upper, node.step)]
        return Code(ast.Slice(*parts))

    def _follow_boolop(self, node: ast.BoolOp, frame: Frame) -> Value:
        is_and = isinstance(node.op, ast.And)
        kept: list[Value] = []
        for place, part in enumerate(node.values):
            found = self.value(part, frame)
            known = is_true(found)
            if known is None or (place == len(node.values) - 1 and not kept) or known != is_and:
                kept.append(found)
            if known is not None and known != is_and:
                break
        return kept[0] if len(kept) == 1 else Code(ast.BoolOp(node.op, [self.code(one) for one in kept]))

    def _follow_unaryop(self, node: ast.UnaryOp, frame: Frame) -> Value:
        found = self.value(node.operand, frame)
        known = is_true(found) if isinstance(node.op, ast.Not) else None
        return Code(ast.UnaryOp(node.op, self.code(found))) if known is None else Known(not known)

    def _follow_binop(self, node: ast.BinOp, frame: Frame) -> Value:
        """Arithmetic stays as it is written: ``1.0 / 255.0`` says more than its result."""
        return Code(
            ast.BinOp(self.code(self.value(node.left, frame)), node.op, self.code(self.value(node.right, frame)))
        )

    def _follow_compare(self, node: ast.Compare, frame: Frame) -> Value:
        if (text := ast.unparse(node)) in self.facts:
            return Known(self.facts[text])
        values = [self.value(one, frame) for one in (node.left, *node.comparators)]
        if len(values) == 2:
            known = _compare(type(node.ops[0]), values[0], values[1])
            if known is not None:
                return Known(known)
        made = [self.code(one) for one in values]
        return Code(ast.Compare(made[0], node.ops, made[1:]))

    def _follow_ifexp(self, node: ast.IfExp, frame: Frame) -> Value:
        test = self.value(node.test, frame)
        known = is_true(test)
        if known is not None:
            return self.value(node.body if known else node.orelse, frame)
        return Code(ast.IfExp(self.code(test), self.within(node.body, frame), self.within(node.orelse, frame)))

    def _follow_joinedstr(self, node: ast.JoinedStr, frame: Frame) -> Value:
        parts: list[ast.expr] = []
        for part in node.values:
            if isinstance(part, ast.FormattedValue):
                found, wish = self.value(part.value, frame), part.format_spec
                if isinstance(found, Known) and part.conversion == -1:
                    parts.append(ast.Constant(format(found.value, _plain(wish))))
                else:
                    parts.append(ast.FormattedValue(self.code(found), part.conversion, wish))
            else:
                parts.append(part)
        return Code(ast.JoinedStr(parts))

    def _follow_lambda(self, node: ast.Lambda, frame: Frame) -> Value:
        return Closure(node, frame)

    def _follow_listcomp(self, node: ast.ListComp | ast.GeneratorExp, frame: Frame) -> Value:
        (loop,) = node.generators
        source = self.code(self.value(loop.iter, frame))
        inner = frame.inner()
        target = self.bind(loop.target, inner)
        tests = [self.within(test, inner) for test in loop.ifs]
        made = ast.comprehension(target, source, tests, loop.is_async)
        return Code(type(node)(self.within(node.elt, inner), [made]))

    _follow_generatorexp = _follow_listcomp

    def bind(self, target: ast.expr, frame: Frame) -> ast.expr:
        """Names that a loop or a parameter sets: they stand for themselves."""
        for node in ast.walk(target):
            if isinstance(node, ast.Name):
                frame.names[node.id] = name(node.id)
        return target

    def _follow_call(self, node: ast.Call, frame: Frame) -> Value:
        function = self.value(node.func, frame)
        values = self._spread(node.args, frame)
        named: dict[str, Value] = {}
        rest: list[ast.keyword] = []
        for keyword in node.keywords:
            found = self.value(keyword.value, frame)
            if keyword.arg is not None:
                named[keyword.arg] = found
            elif isinstance(found, Table):
                named |= {str(key): entry for key, entry in found.entries.items()}
            else:
                rest.append(ast.keyword(None, self.code(found)))
        if isinstance(function, Leaf):
            return function.answer(values)
        if not isinstance(function, Code):
            return self.enter(function, values, named)
        if ast.unparse(function.node) == "list" and len(values) == 1 and self.scope.is_list(values[0]):
            return values[0]
        keywords = [ast.keyword(key, self.code(entry)) for key, entry in named.items()]
        return Code(ast.Call(function.node, [self.code(one) for one in values], [*keywords, *rest]))


def _plain(wish: ast.expr | None) -> str:
    """A format's specification; one that is made at run time is not known here."""
    if wish is None:
        return ""
    parts = wish.values if isinstance(wish, ast.JoinedStr) else [wish]
    if not all(isinstance(part, ast.Constant) for part in parts):
        raise UnfoldableError(f"a format that is made: {ast.unparse(wish)}")
    return "".join(str(part.value) for part in parts if isinstance(part, ast.Constant))


def _compare(kind: type[ast.cmpop], left: Value, right: Value) -> bool | None:
    decide = _COMPARE.get(kind)
    if isinstance(right, Items) and all(isinstance(item, Known) for item in right.items):
        right = Known(tuple(cast("Known", item).value for item in right.items))
    if decide is not None and isinstance(left, Known) and isinstance(right, Known):
        return bool(decide(left.value, right.value))
    is_none = isinstance(right, Known) and right.value is None and not isinstance(left, Code)
    if is_none and kind in (ast.Is, ast.IsNot):
        return kind is ast.IsNot  # a function, a list or an object is not None
    return None
