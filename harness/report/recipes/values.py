"""What is known of an expression while a loader's source is folded: its value, or the code that will make it."""

from __future__ import annotations

import ast
from collections.abc import Callable
from dataclasses import dataclass, field


class UnfoldableError(Exception):
    """The source says something that folding does not know; the loader then has no recipe."""


@dataclass(frozen=True)
class Known:
    """A plain value: text, a number, a truth value, None."""

    value: object


@dataclass(eq=False)
class Items:
    """A tuple or a list whose items are values."""

    items: list[Value]
    is_list: bool = False


@dataclass(eq=False)
class Table:
    """A dictionary with plain keys."""

    entries: dict[object, Value]


@dataclass(eq=False)
class Code:
    """What only a run can know: the expression that makes it."""

    node: ast.expr

    @property
    def is_simple(self) -> bool:
        """Whether it costs nothing to write it twice: a name, or an attribute of one."""
        node = self.node
        while isinstance(node, ast.Attribute):
            node = node.value
        return isinstance(node, ast.Name | ast.Constant)


@dataclass(eq=False)
class Closure:
    """A function of the source, with the names that it sees."""

    node: ast.FunctionDef | ast.Lambda
    frame: Frame


@dataclass(eq=False)
class Record:
    """An object of one of the source's data classes, or of what a loader is given."""

    kind: str
    fields: dict[str, Value]


@dataclass(eq=False)
class Instance:
    """``self`` inside a class that is written out: ``known`` are attributes that need no code."""

    known: dict[str, Value] = field(default_factory=dict)


@dataclass(eq=False)
class ClassOf:
    """A class of the source."""

    node: ast.ClassDef
    frame: Frame


@dataclass(eq=False)
class Leaf:
    """A function of the source that folding answers itself."""

    answer: Callable[[list[Value]], Value]


Value = Known | Items | Table | Code | Closure | Record | Instance | ClassOf | Leaf


@dataclass(eq=False)
class Frame:
    """Names and what they stand for; ``outer`` is asked for what is not here, and last of all ``module``."""

    names: dict[str, Value]
    outer: Frame | None
    module: str
    ask: Callable[[str], Value]

    def find(self, name: str) -> Value:
        """What a name stands for."""
        frame: Frame | None = self
        while frame is not None:
            if name in frame.names:
                return frame.names[name]
            frame = frame.outer
        return self.ask(name)

    def inner(self, names: dict[str, Value] | None = None) -> Frame:
        """A frame inside this one."""
        return Frame(names or {}, self, self.module, self.ask)


def is_true(value: Value) -> bool | None:
    """Whether a value is true; None where only a run can tell."""
    if isinstance(value, Known):
        return bool(value.value)
    if isinstance(value, Items):
        return bool(value.items)
    if isinstance(value, Table):
        return bool(value.entries)
    return None if isinstance(value, Code) else True


def call(function: str, *arguments: ast.expr) -> Code:
    """Code that calls a function named as ``os.cpu_count``."""
    return Code(ast.Call(ast.parse(function, mode="eval").body, list(arguments), []))


def name(text: str) -> Code:
    """Code that is a name."""
    return Code(ast.Name(text, ast.Load()))
