"""A file is loaded where ``-m`` may select one of its tests, and is not where it cannot."""

from __future__ import annotations

import pytest
from marks import may_select

PLAIN = "def test_one() -> None: ...\n"
SSH = "import pytest\n\npytestmark = pytest.mark.ssh\nPORT = 22\n"
TWO = "pytestmark = [\n    pytest.mark.whole,\n    pytest.mark.skipif(False),\n]\n\n\n@pytest.mark.docker\n"


@pytest.mark.parametrize(
    ("expression", "text", "is_loaded"),
    [
        ("ssh", PLAIN, False),
        ("not ssh", PLAIN, True),
        ("ssh", SSH, True),
        ("not ssh", SSH, False),
        ("ssh and not slow", SSH, True),
        ("docker", TWO, True),
        ("whole and not docker", TWO, True),
        ("docker and not whole", TWO, False),
        ("not whole", TWO, False),
        ("slurm", "param(marks=getattr(pytest.mark, name))", True),
    ],
)
def test_a_file_is_loaded_where_a_test_of_it_may_be_selected(expression: str, text: str, is_loaded: bool) -> None:
    assert may_select(expression, text) is is_loaded
