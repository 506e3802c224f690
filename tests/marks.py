"""The marks of a file's tests, read from its text: what ``-m`` selects no test of need not be loaded."""

from __future__ import annotations

import itertools
import re
from collections import defaultdict

_MARK = re.compile(r"\bmark\.(\w+)")
_OF_ALL_TESTS = re.compile(r"^pytestmark = (.*?)^(?=[^\s\])])", re.DOTALL | re.MULTILINE)
_IS_COMPUTED = "getattr(pytest.mark"


def find_marks(expression: str) -> set[str]:
    """Return the marks that an expression of ``-m`` names."""
    return {*re.findall(r"\w+", expression)} - {"and", "or", "not"}


def named_marks(text: str, marks: set[str]) -> set[str]:
    """Return those of the marks that tests of a file may have: those that its text names."""
    return marks if _IS_COMPUTED in text else marks & {*_MARK.findall(text)}


def may_select(expression: str, text: str) -> bool:
    """Return whether an expression of ``-m`` selects any test that a file with this text may hold.

    Each test has the marks of ``pytestmark``, and perhaps any of the others that the file names.
    """
    named = named_marks(text, find_marks(expression))
    of_all = named & {mark for found in _OF_ALL_TESTS.findall(text) for mark in _MARK.findall(found)}
    code, others = compile(expression, "-m", "eval"), sorted(named - of_all)
    subsets = itertools.chain.from_iterable(itertools.combinations(others, size) for size in range(len(others) + 1))
    return any(eval(code, {}, defaultdict(bool, dict.fromkeys([*of_all, *more], True))) for more in subsets)
