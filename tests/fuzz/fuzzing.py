"""What all targets of the fuzzer share: bounds of a case, hostile values, damage to good input, running a command.

The convention is told in README.md beside this file.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import io
import json
import math
import os
import re
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

CASES = int(os.environ.get("HARNESS_FUZZ_CASES") or os.environ.get("HARNESS_QUICK_CASES") or "500")
"""Cases of each target; `make fuzz` asks for 10,000, `make quick-test` for 100."""
MOST_SECONDS = 10
"""CPU time of one case: far more than any takes, far less than what a user would call a hang."""
MOST_BYTES = 2**30
"""Memory that one case may take at its peak."""
RUNAWAY_BYTES = 8 * MOST_BYTES
"""What one case may allocate: beyond it allocations fail, before the machine is out of memory. It is far above what any
needs: extension modules (pyarrow, V8) reserve a gigabyte at a time, and some crash where an allocation fails."""

fuzzed = settings(
    max_examples=CASES,
    deadline=None,  # `one_case` measures CPU time: a busy machine is no fault of what is tested
    derandomize="HARNESS_FUZZ_CASES" not in os.environ,  # `make test` answers the same on the same code
    database=None,
    phases=(Phase.explicit, Phase.generate, Phase.shrink),
    suppress_health_check=list(HealthCheck),
)
"""Decorates a target, above ``@given``."""

fuzzed_with_fewer = settings(fuzzed, max_examples=CASES if "HARNESS_FUZZ_CASES" in os.environ else CASES // 5)
"""In its place where a case takes a whole command or page: a fifth of the cases in `make test`, all in `make fuzz`."""


class TooSlow(BaseException):
    """One case took more than its CPU time. Not an Exception, so that nothing tested can swallow it."""


@dataclass
class Count:
    """What the cases of one target took."""

    cases: int = 0
    cpu_s: float = 0.0
    slowest_s: float = 0.0
    largest_bytes: int = 0


COUNTS: dict[str, Count] = {}
"""By target; printed at the end."""


@contextlib.contextmanager
def one_case() -> Iterator[Path]:
    """Bound the time and the memory of one case, count it, and give it an empty folder of its own."""
    target = os.environ.get("PYTEST_CURRENT_TEST", "?").partition(" ")[0].rpartition("::")[2]
    count = COUNTS.setdefault(target, Count())
    count.cases += 1
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    before = signal.signal(signal.SIGPROF, _stop)
    held = _begin_peak()
    begun = time.process_time()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        resource.setrlimit(resource.RLIMIT_DATA, (_read_memory("VmData") + RUNAWAY_BYTES, hard))
        signal.setitimer(signal.ITIMER_PROF, MOST_SECONDS)
        try:
            yield Path(folder)
        except TooSlow as error:
            raise AssertionError(str(error)) from error  # Hypothesis tells the input of an Exception alone
        finally:
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.signal(signal.SIGPROF, before)
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
            took_s, took_bytes = time.process_time() - begun, _read_memory("VmHWM") - held
            count.cpu_s += took_s
            count.slowest_s = max(count.slowest_s, took_s)
            count.largest_bytes = max(count.largest_bytes, took_bytes)
        assert took_bytes <= MOST_BYTES, f"one case took {took_bytes / 1e6:.0f} MB"


def _begin_peak() -> int:
    """Let the peak of this process's memory begin anew; return what it holds now."""
    Path("/proc/self/clear_refs").write_text("5")
    return _read_memory("VmRSS")


def _read_memory(name: str) -> int:
    """Return a figure of ``/proc/self/status`` in bytes."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition(f"\n{name}:")[2].split(maxsplit=1)[0]) * 1024


def _stop(*_: object) -> None:
    raise TooSlow(f"one case took more than {MOST_SECONDS} s of CPU time")


_SAYS_WHAT_IS_WANTED = re.compile("wanted|expected|write|at least| like | is one of |, not | above 0")


# -- a command, as a user types it ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str

    def assert_plain(self) -> None:
        """Refuse a trace of the program's inside, a control sequence, and an error without an exit code of errors."""
        said = self.out + self.err
        for bad in ("Traceback", "unexpected error", 'File "', "\x1b"):
            assert bad not in said, said
        assert self.code in {0, 1, 2, 3}, said
        if self.code == 2:
            assert "→" in self.err or _SAYS_WHAT_IS_WANTED.search(self.err), f"no word of what to do: {self.err}"


def run_command(*words: str) -> Said:
    """Run a command in this process."""
    from harness.cli.app import main

    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setattr(sys, "argv", ["harness", *words])
        patch.setattr("harness.cli.app.signal.signal", lambda *_: None)  # the tests' own process keeps its signals
        patch.setenv("COLUMNS", "100")
        with pytest.raises(SystemExit) as ended:
            main()
    return Said(int(ended.value.code or 0), out.getvalue(), err.getvalue())


def refusal_of(function: Callable[[], object]) -> str | None:
    """Call a function; the text of its HarnessError, which must say what to do next, or None where it returned."""
    from harness.values.errors import ConfigurationError, HarnessError

    try:
        function()
    except HarnessError as error:
        if isinstance(error, ConfigurationError) and error.mistakes:
            for mistake in error.mistakes:
                assert mistake.hint or _SAYS_WHAT_IS_WANTED.search(mistake.message), str(error)
                assert mistake.file
        else:
            assert error.hint, str(error)
        return str(error)
    return None


# -- hostile values -------------------------------------------------------------------------------------------------

HOSTILE_NUMBERS: tuple[int | float, ...] = (
    0, -1, 2**31, 2**63, -(2**63), 2**64, 10**22, 10**300, 10**400, -(10**400), 10**4299,
    math.nan, math.inf, -math.inf, -0.0, 1e-320, 5e-324, 1e308, 0.1,
)  # fmt: skip
HOSTILE_TEXTS: tuple[str, ...] = (
    "", " ", "\0", "a\0b", "²", "٣", "\ud800", "\udfff x", "\x1b[31mred", "[/x]", "[bold]", "{{ x }}", "{% x %}",
    "%s%n", "$(id)", "`id`", "; true", "../../../etc/passwd", "/", "~", "~/..", "-rf", "\u202egnp", "\ufeffx",
    "1e400", "inf", "nan", "9" * 5000, "a" * 300, "é" * 200, "\n", "a\r\nb", "<script>", "null", "true", "-0", "0x10",
)  # fmt: skip


def deep(kind: type, depth: int) -> Any:
    """Return a list in a list in …, or the same of mappings."""
    value: Any = 0
    for _ in range(depth):
        value = [value] if kind is list else {"a": value}
    return value


@functools.cache  # to build a strategy takes longer than to draw from it
def hostile_values() -> st.SearchStrategy[Any]:
    """Anything that JSON can hold, and some of what it should not."""
    return st.one_of(
        st.sampled_from(HOSTILE_NUMBERS),
        st.sampled_from(HOSTILE_TEXTS),
        st.sampled_from([None, True, False, [], {}, [None], [[]], {"": None}]).map(copy.deepcopy),
        st.text(max_size=20),
        st.integers(),
        st.floats(),
        st.builds(deep, st.sampled_from([list, dict]), st.integers(1, 900)),
        st.lists(st.integers(), max_size=3),
        st.dictionaries(st.sampled_from(HOSTILE_TEXTS), st.integers(), max_size=3),
    )


# -- damage to what is good -------------------------------------------------------------------------------------------

_KEYS = st.sampled_from(HOSTILE_TEXTS) | st.text(max_size=5)
_NOISE = st.sampled_from([t.encode(errors="surrogatepass") for t in HOSTILE_TEXTS]) | st.binary(max_size=9)
_ACTIONS = st.sampled_from(["replace", "replace", "replace", "remove", "add", "rename", "copy"])
_BYTE_ACTIONS = st.sampled_from(["cut", "end", "repeat", "insert", "replace"])


@st.composite
def damaged_values(draw: st.DrawFn, good: Any, *, most: int = 3) -> Any:
    """``good`` (mappings, lists, scalars), with up to ``most`` of its parts replaced, removed, added or renamed."""
    value = copy.deepcopy(good)
    for _ in range(draw(st.integers(0, most))):
        place = draw(st.sampled_from(list(_places(value))))
        if not place:
            if draw(st.integers(0, 9)) == 0:
                return draw(hostile_values())
            continue
        holder, key = _holder(value, place)
        action = draw(_ACTIONS)
        if action == "replace":
            holder[key] = draw(hostile_values())
        elif action == "remove":
            del holder[key]
        elif action == "copy":
            other_holder, other_key = _holder(value, draw(st.sampled_from([p for p in _places(value) if p])))
            holder[key] = copy.deepcopy(other_holder[other_key])
        elif isinstance(holder, list):
            holder.insert(int(key), draw(hostile_values()))
        elif action == "add":
            holder[draw(_KEYS)] = draw(hostile_values())
        else:
            holder[draw(st.sampled_from(HOSTILE_TEXTS) | st.just(str(key)[:-1]))] = holder.pop(key)
    return value


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if len(at) < 12:  # deep values are hostile already
        items = value.items() if isinstance(value, Mapping) else enumerate(value) if isinstance(value, list) else ()
        for key, item in items:
            yield from _places(item, (*at, key))


def _holder(value: Any, place: Sequence[Any]) -> tuple[Any, Any]:
    for key in place[:-1]:
        value = value[key]
    return value, place[-1]


@st.composite
def damaged_bytes(draw: st.DrawFn, good: bytes, *, most: int = 3) -> bytes:
    """``good`` with up to ``most`` cuts, repeats, flips and insertions."""
    value = good
    for _ in range(draw(st.integers(0, most))):
        begin, end = sorted((draw(st.integers(0, len(value))), draw(st.integers(0, len(value)))))
        end = min(end, begin + 2000)
        action, noise = draw(_BYTE_ACTIONS), draw(_NOISE)
        if action == "cut":
            value = value[:begin] + value[end:]
        elif action == "end":
            value = value[:end]
        elif action == "repeat":
            value = value[:end] + value[begin:end] + value[end:]
        elif action == "insert":
            value = value[:begin] + noise + value[begin:]
        else:
            value = value[:begin] + noise + value[begin + len(noise) :]
    return value


def dump_json(value: Any) -> bytes:
    """Return JSON as a hostile program would write it: integers of any length, NaN, lone surrogates."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        return json.dumps(value).encode("utf-8", errors="surrogatepass")
    finally:
        sys.set_int_max_str_digits(limit)


def damaged_json(good: Any, *, most: int = 3) -> st.SearchStrategy[bytes]:
    """``good`` as JSON: mostly with damaged values, at times with damaged bytes."""
    whole = damaged_values(good, most=most).map(dump_json)
    return st.one_of(whole, whole, whole, damaged_bytes(dump_json(good), most=most))
