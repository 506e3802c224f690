"""Following: statements, functions and classes of a loader's source, one after the other."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from harness.report.recipes.folding import Folder
from harness.report.recipes.modules import read_module
from harness.report.recipes.scope import Line, Scope
from harness.report.recipes.values import (
    ClassOf,
    Closure,
    Code,
    Frame,
    Instance,
    Items,
    Known,
    Record,
    Table,
    UnfoldableError,
    Value,
    is_true,
    name,
)


@dataclass(eq=False)
class _Returned:
    """A ``return`` was met."""

    value: Value


class Follower(Folder):
    """Follows a function to its end and collects the statements that are left.

    ``made`` is told of each object of one of the source's data classes, by the class's name.
    """

    made: Mapping[str, Callable[[Record], None]] = {}

    def enter(self, function: Value, values: list[Value], named: dict[str, Value]) -> Value:
        """A call: the function's statements are taken in here where they can stand here, else it is written out."""
        if isinstance(function, ClassOf):
            return self._construct(function, values, named)
        if not isinstance(function, Closure):
            raise UnfoldableError(f"a call of a {type(function).__name__}")
        given = self._match(function, values, named)
        node = function.node
        if isinstance(node, ast.Lambda):
            return self.value(node.body, function.frame.inner(given))
        body = _without_docstring(node.body)
        if not self.scope.can_state and not (len(body) == 1 and isinstance(body[0], ast.Return)):
            written = {key: one for key, one in given.items() if isinstance(one, Code | Known | Items)}
            made = self.write_function(function, {key: one for key, one in given.items() if key not in written})
            return Code(ast.Call(made, [self.code(one) for one in written.values()], []))
        frame = function.frame.inner()
        for key, one in given.items():
            frame.names[key] = one
            uses = sum(isinstance(part, ast.Name) and part.id == key for part in ast.walk(node))
            if uses > 1 and isinstance(one, Code) and not one.is_simple and self.scope.can_state:
                self._set_name(key, one, frame)
        ended = self._run(body, frame, is_written=False)
        return ended.value if ended is not None else Known(None)

    def _match(self, function: Closure, values: Sequence[Value], named: dict[str, Value]) -> dict[str, Value]:
        arguments = function.node.args
        names = [one.arg for one in arguments.args]
        given = dict(zip(names, values, strict=False)) | named
        for one, default in zip(reversed(names), reversed(arguments.defaults), strict=False):
            if one not in given:
                given[one] = self.value(default, function.frame)
        if set(given) != set(names):
            raise UnfoldableError(f"arguments {sorted(given)} for parameters {names}")
        return {one: given[one] for one in names}

    def write_function(self, closure: Closure, fixed: dict[str, Value] | None = None) -> ast.expr:
        """A function written out, once a scope; parameters in ``fixed`` have values and are gone."""
        node, fixed = closure.node, fixed or {}
        kept = [one for one in node.args.args if one.arg not in fixed]
        if isinstance(node, ast.Lambda):
            inner = closure.frame.inner()
            for one in kept:
                inner.names[one.arg] = name(one.arg)
            defaults = [self.code(self.value(default, closure.frame)) for default in node.args.defaults]
            return ast.Lambda(_parameters([one.arg for one in kept], defaults), self.within(node.body, inner))
        is_of_module = closure.frame.outer is None and not closure.frame.names
        key = (id(node), id(closure.frame), *(id(value) for value in fixed.values()))
        found = self.scope.find_function(key)
        if found is None:
            found = self._define(closure, [one.arg for one in kept], fixed, key, self.top if is_of_module else None)
        return name(found).node

    def _define(
        self, closure: Closure, kept: Sequence[str], fixed: dict[str, Value], key: object, place: Scope | None
    ) -> str:
        target = place or self.scope
        while not target.can_state:
            assert target.outer is not None
            target = target.outer
        node = closure.node
        assert isinstance(node, ast.FunctionDef)
        chosen = target.pick(node.name)
        target.functions[key] = chosen
        before, self.scope = self.scope, Scope(outer=target, taken=set(kept))
        frame = closure.frame.inner({**fixed, **{one: name(one) for one in kept}})
        self._run_written(_without_docstring(node.body), frame)
        lines, self.scope = self.scope.lines, before
        made = ast.FunctionDef(chosen, _parameters(kept), lines, [], None)  # type: ignore[arg-type]
        target.state(made)
        return chosen

    def _run_written(self, body: Sequence[ast.stmt], frame: Frame) -> None:
        ended = self._run(body, frame, is_written=True)
        if ended is not None:
            self.scope.state(ast.Return(self.code(ended.value)))

    def _run(self, body: Sequence[ast.stmt], frame: Frame, *, is_written: bool) -> _Returned | None:
        for statement in body:
            ended = self._follow(statement, frame, is_written=is_written)
            if ended is not None:
                return ended
        return None

    def _follow(self, node: ast.stmt, frame: Frame, *, is_written: bool) -> _Returned | None:
        self.scope.comment = self._comment_of(node, frame)
        match node:
            case ast.Return():
                return _Returned(self.value(node.value, frame) if node.value is not None else Known(None))
            case ast.If():
                return self._branch(node, frame, is_written=is_written)
            case ast.FunctionDef():
                frame.names[node.name] = Closure(node, frame)
            case ast.Assign():
                found = self.value(node.value, frame)
                for target in node.targets:
                    self._assign(target, found, frame)
            case ast.AnnAssign() if node.value is not None:
                self._assign(node.target, self.value(node.value, frame), frame)
            case ast.Expr():
                found = self.value(node.value, frame)
                if isinstance(found, Code):
                    self._state(ast.Expr(found.node))
            case ast.For() | ast.With():
                self._follow_block(node, frame, is_written=is_written)
            case _:
                raise UnfoldableError(f"a statement {type(node).__name__}: {ast.unparse(node)}")
        return None

    def _comment_of(self, node: ast.stmt, frame: Frame) -> str:
        if not isinstance(node, ast.Assign | ast.Expr | ast.Return | ast.AnnAssign):
            return ""
        return read_module(frame.module).comments.get(node.end_lineno or 0, "")

    def _state(self, node: ast.stmt) -> None:
        if not self.scope.can_state:
            raise UnfoldableError(f"a statement inside an expression: {ast.unparse(node)}")
        self.scope.state(node)

    def _branch(self, node: ast.If, frame: Frame, *, is_written: bool) -> _Returned | None:
        test = self.value(node.test, frame)
        known = is_true(test)
        if known is not None:
            return self._run(node.body if known else node.orelse, frame, is_written=is_written)
        if not is_written and any(isinstance(part, ast.Return) for part in ast.walk(node)):
            raise UnfoldableError(f"a return that only a run can decide: {ast.unparse(node.test)}")
        bodies = [self._block(body, frame) for body in (node.body, node.orelse)]
        self._state(ast.If(self.code(test), *bodies))  # type: ignore[arg-type]
        return None

    def _block(self, body: Sequence[ast.stmt], frame: Frame) -> list[Line]:
        return self.collect(lambda: self._run_written(body, frame))

    def collect(self, follow: Callable[[], object]) -> list[Line]:
        """The statements that come of following something, in a scope of their own."""
        before, self.scope = self.scope, Scope(outer=self.scope)
        try:
            follow()
            return self.scope.lines
        finally:
            self.scope = before

    def _follow_block(self, node: ast.For | ast.With, frame: Frame, *, is_written: bool) -> None:
        made: ast.stmt
        if not is_written and any(isinstance(part, ast.Return) for part in ast.walk(node)):
            raise UnfoldableError("a return inside a block")
        if isinstance(node, ast.For):
            source = self.code(self.value(node.iter, frame))
            target = self.bind(node.target, frame)
            made = ast.For(target, source, self._block(node.body, frame), [])  # type: ignore[arg-type]
        else:
            items = []
            for item in node.items:
                opened = self.code(self.value(item.context_expr, frame))
                items.append(ast.withitem(opened, item.optional_vars and self.bind(item.optional_vars, frame)))
            made = ast.With(items, self._block(node.body, frame))  # type: ignore[arg-type]
        self._state(made)

    def _assign(self, target: ast.expr, value: Value, frame: Frame) -> None:
        match target:
            case ast.Name():
                self._set_name(target.id, value, frame)
            case ast.Tuple() if isinstance(value, Items):
                for one, item in zip(target.elts, value.items, strict=True):
                    self._assign(one, item, frame)
            case ast.Tuple():
                names = [one.id for one in target.elts if isinstance(one, ast.Name)]
                chosen = [self.scope.pick(one) for one in names]
                self._state(ast.Assign([ast.Tuple([name(one).node for one in chosen], ast.Store())], self.code(value)))
                frame.names |= {one: name(other) for one, other in zip(names, chosen, strict=True)}
            case ast.Attribute():
                self._set_attribute(target, value, frame)
            case ast.Subscript():
                owner, place = self.value(target.value, frame), self.value(target.slice, frame)
                if not (isinstance(owner, Table) and isinstance(place, Known)):
                    raise UnfoldableError(f"an assignment to {ast.unparse(target)}")
                owner.entries[place.value] = value
            case _:
                raise UnfoldableError(f"an assignment to {ast.unparse(target)}")

    def _set_name(self, wanted: str, value: Value, frame: Frame) -> None:
        if isinstance(value, Code) and not isinstance(value.node, ast.Name) and self.scope.can_state:
            chosen = self.scope.pick(wanted)
            self.scope.state(ast.Assign([ast.Name(chosen, ast.Store())], value.node))
            value = name(chosen)
        frame.names[wanted] = value

    def _set_attribute(self, target: ast.Attribute, value: Value, frame: Frame) -> None:
        owner = self.value(target.value, frame)
        if isinstance(owner, Record):
            if isinstance(value, Code) and not isinstance(value.node, ast.Name):
                self._set_name(target.attr, value, holder := frame.inner())
                value = holder.names[target.attr]
            owner.fields[target.attr] = value
        elif isinstance(owner, Instance) and not isinstance(value, Code | Items):
            owner.known[target.attr] = value
        else:
            made = ast.Attribute(name("self").node if isinstance(owner, Instance) else self.code(owner), target.attr)
            self._state(ast.Assign([made], self.code(value)))

    def _construct(self, made: ClassOf, values: list[Value], named: dict[str, Value]) -> Value:
        fields = self._fields(made)
        if fields is None:
            return self._write_class(made, values, named)
        given = {**dict(zip(fields, values, strict=False)), **named}
        for key, default in fields.items():
            if key not in given and default is not None:
                given[key] = self.value(default, made.frame)
        record = Record(made.node.name, given)
        if made.node.name in self.made:
            self.made[made.node.name](record)
        return record

    def _fields(self, made: ClassOf) -> dict[str, ast.expr | None] | None:
        """Fields of a data class and of those that it extends, with their defaults; None for any other class."""
        if not any("dataclass" in ast.unparse(one) for one in made.node.decorator_list):
            return None
        found: dict[str, ast.expr | None] = {}
        for base in made.node.bases:
            known = self.value(base, made.frame)
            found |= (self._fields(known) or {}) if isinstance(known, ClassOf) else {}
        for one in made.node.body:
            if isinstance(one, ast.AnnAssign) and isinstance(one.target, ast.Name):
                found[one.target.id] = one.value
        return found

    def _write_class(self, made: ClassOf, values: list[Value], named: dict[str, Value]) -> Value:
        """The class written out, its constructor's values in their places."""
        instance = Instance()
        before, self.scope = self.scope, Scope(outer=self.scope)
        for one in made.node.body:
            if isinstance(one, ast.FunctionDef):
                given = (
                    self._match(Closure(one, made.frame), [instance, *values], named) if one.name == "__init__" else {}
                )
                kept = ["self", *([] if given else [arg.arg for arg in one.args.args[1:]])]
                known: dict[str, Value] = given or {"self": instance}
                method = Scope(outer=self.scope, taken=set(kept))
                outer, self.scope = self.scope, method
                frame = made.frame.inner({**{arg: name(arg) for arg in kept[1:]}, **known})
                self._run_written(_without_docstring(one.body), frame)
                self.scope = outer
                self.scope.state(ast.FunctionDef(one.name, _parameters(kept), method.lines, [], None))  # type: ignore[arg-type]
        lines, self.scope = self.scope.lines, before
        chosen = self.scope.pick(made.node.name)
        bases = [self.code(self.value(base, made.frame)) for base in made.node.bases]
        self._state(ast.ClassDef(chosen, bases, [], lines, []))  # type: ignore[arg-type]
        return Code(ast.Call(name(chosen).node, [], []))


def _parameters(names: Sequence[str], defaults: Sequence[ast.expr] = ()) -> ast.arguments:
    return ast.arguments([], [ast.arg(one) for one in names], None, [], [], None, list(defaults))


def _without_docstring(body: Sequence[ast.stmt]) -> Sequence[ast.stmt]:
    first = body[0]
    is_text = (
        isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    )
    return body[1:] if is_text and len(body) > 1 else body
