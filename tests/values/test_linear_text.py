"""Text from outside costs time in proportion to its length: 1 MB of the worst at most 15 times 100 kB of it.

A regular expression runs under the lock of the interpreter: one that takes minutes stops every host's thread with it.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from harness.bench.protocol.failure import explain_text, is_short, plain_text
from harness.console import console
from harness.hosts.connection import last_line
from harness.hosts.facts.recording import Anonymizer
from harness.report import embed, index, sources
from harness.report.anonymous import _Cleaner
from harness.values.text import clean_lines, clean_log, clean_text, cut_text, one_line

SMALL, LARGE, MOST_RATIO = 100_000, 1_000_000, 15
TRIES = 4
QUICK_S = 0.02
"""Less is measured too badly to be compared, and harms nobody."""

NAMES = {f"host-{number}": f"host-{number}" for number in range(4)}
TAKERS: dict[str, Callable[[str], object]] = {
    "an exception": lambda text: explain_text("ValueError", text, "error"),
    "an exception about data": lambda text: explain_text("NotFoundError", text, "data"),
    "an exception's type": lambda text: explain_text(text, "no", "error"),
    "a plain message": plain_text,
    "an error's text": lambda text: is_short(ValueError(text)),
    "a message": clean_text,
    "one line": one_line,
    "some lines": lambda text: clean_lines(text, 2000),
    "a log": clean_log,
    "a message that is cut": lambda text: cut_text(text, 4000),
    "a command's last words": lambda text: last_line(text.encode()),
    "the console": console._plain,  # noqa: SLF001 - what every line goes through
    "--anonymise of a report": lambda text: _Cleaner(NAMES).text(text),
    "--anonymise of facts": lambda text: Anonymizer(NAMES).clean(text),
    "the name of a variable": sources._SECRET.search,  # noqa: SLF001 - of an inventory in a session
    "an old page": lambda text: _refused(lambda: embed.find_block(text)),
}
WORDS = (
    "[Op:", "{{", "[[", " for '", " for 'x' (op: ", "\\x1b[0", "1 root ", "(1) a", "; No such file", "ValueError: ",
    "No such file or directory: '", "had shape [1, ", "Cannot batch tensors with different shapes had shape [1] ",
    "Cannot add tensor to the batch [tensor]: [1], [batch]: [", "must be equal, but are  Shapes are [1] and [",
    "Shape of tensor a [1] is not compatible with expected shape [", "yielded an element of shape [1",
    "Error in user-defined function passed to a transformation with iterator: a", "expected to contain 1 elements ",
)  # fmt: skip
PIECES = (
    " ", "\n", "\r\n", "\t", "a", "1", "é", "�", "_", "a ", "a.", "1.", "-", "a-", "a@", "@", "/", "//", "a/", "~",
    "..", "./", "C:\\", "::", "a:", "ab:", "http://", "x://", "a.com.", ".com", "host-1", " host-1", "serial ",
    "serial:", "df [", "\ndf [", "ab" * 16, "1.2.3.4 ", "'", '"', "=", "\x1b[", "\x1b[0;", "\u202e", "<script>",
    f'id="{embed.BLOCK_ID}"', f'<script type="application/json" id="{embed.BLOCK_ID}"', *WORDS,
)  # fmt: skip


def _refused(call: Callable[[], object]) -> None:
    with pytest.raises(ValueError):
        call()


def cost(take: Callable[[str], object], piece: str, length: int) -> float:
    text = (piece * (length // len(piece) + 1))[:length]
    begun = time.process_time()
    take(text)
    return time.process_time() - begun


@pytest.mark.slow
@pytest.mark.parametrize("name", TAKERS)
def test_time_grows_with_length_and_not_with_its_square(name: str) -> None:
    take = TAKERS[name]
    for piece in PIECES:
        small = cost(take, piece, SMALL)
        assert small < 5, (piece, small)
        large = cost(take, piece, LARGE)
        for _ in range(TRIES):  # other processes share caches and clocks: what is quadratic stays at a hundred times
            if large <= QUICK_S or large / max(small, QUICK_S / 10) <= MOST_RATIO:
                break
            large, small = min(large, cost(take, piece, LARGE)), max(small, cost(take, piece, SMALL))
        else:
            raise AssertionError((piece, small, large))


def test_a_summary_is_looked_for_in_the_head_of_a_page_alone(tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(f'<script type="application/json" id="{embed.SUMMARY_ID}">' * 20_000)
    begun = time.process_time()
    assert index._read_summary(page) == {}  # noqa: SLF001 - the list of a folder's pages reads each
    assert time.process_time() - begun < 1


def test_a_pattern_that_is_quadratic_would_be_found() -> None:
    quadratic = re.compile(r"\b[\w.]+@")
    small, large = (cost(quadratic.search, "a.", length) for length in (2_000, 20_000))
    assert large / small > MOST_RATIO
