"""Where kept statements are collected, and which names are taken there."""

from __future__ import annotations

import ast
from dataclasses import dataclass, field

from harness.report.recipes.values import Code, Value

_LISTS = ("files", "labels", "classes")


@dataclass(eq=False)
class Line:
    """One statement with the comment that its source has."""

    node: ast.stmt
    comment: str = ""


@dataclass(eq=False)
class Scope:
    """The body of a module, function, class or branch. In one that cannot state, only expressions have a place."""

    outer: Scope | None = None
    can_state: bool = True
    taken: set[str] = field(default_factory=set)
    lines: list[Line] = field(default_factory=list)
    functions: dict[object, str] = field(default_factory=dict)
    comment: str = ""

    def pick(self, wanted: str) -> str:
        """A name that nothing here or further out has: the wanted one, or one with a number behind it."""
        plain = wanted.lstrip("_")
        number, found = 1, plain
        while self.has(found):
            number += 1
            found = f"{plain}_{number}"
        self.taken.add(found)
        return found

    def has(self, wanted: str) -> bool:
        """Whether a name is taken."""
        return wanted in self.taken or (self.outer is not None and self.outer.has(wanted))

    def find_function(self, key: object) -> str | None:
        """The name under which a function was written, where that can be seen from here."""
        if key in self.functions:
            return self.functions[key]
        return self.outer.find_function(key) if self.outer is not None else None

    def is_list(self, value: Value) -> bool:
        """Whether a value is one of the lists that every recipe begins with."""
        return (
            isinstance(value, Code)
            and isinstance(value.node, ast.Name)
            and value.node.id in ("files", "labels", "classes")
        )

    def state(self, node: ast.stmt) -> None:
        """Add a statement, with the comment of the source's statement that is being followed."""
        self.lines.append(Line(node, self.comment))
        self.comment = ""
