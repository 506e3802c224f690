"""``harness data make`` of controlled sets: every combination, and lists that are none."""

from __future__ import annotations

import pytest

from harness.bench.data.profiles import Control
from harness.values.errors import ConfigurationError
from harness.workflow.local.controlled_sets import choose_images, list_controls


def test_there_is_a_set_for_each_combination() -> None:
    found = list_controls(("50,75", "256, 1024", True))
    assert [control.key for control in found] == [
        "256px-q50", "256px-q50-progressive", "256px-q75", "256px-q75-progressive",
        "1024px-q50", "1024px-q50-progressive", "1024px-q75", "1024px-q75-progressive",
    ]  # fmt: skip
    assert list_controls((None, "64,64", False)) == [Control(64)]


def test_sets_of_every_size_are_about_as_much_to_decode() -> None:
    sizes = (16, 256, 1024, 4096, None)
    assert [choose_images(Control(size)) for size in sizes] == [4096, 4096, 256, 32, 400]


@pytest.mark.parametrize(
    ("controls", "reason"),
    [
        (("50,x", None, False), r"--quality '50,x' is not a list of whole numbers from 1 to 100"),
        (("0", None, False), "--quality '0'"),
        ((None, "1024,9000", False), "--size '1024,9000' is not a list of whole numbers from 16 to 8192"),
        ((None, "", True), "--size ''"),
    ],
)
def test_what_is_no_list_is_refused(controls: tuple[str | None, str | None, bool], reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        list_controls(controls)
