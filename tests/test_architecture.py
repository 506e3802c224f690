"""The drawing in docs/architecture.md is that of today's imports."""

from __future__ import annotations

import draw_imports  # a script beside the page, not a package


def test_drawing_is_that_of_todays_imports() -> None:
    text = draw_imports.PAGE.read_text(encoding="utf-8")
    assert draw_imports.update(text) == text, "run `make architecture`"


def test_every_layer_is_drawn() -> None:
    drawn = draw_imports.draw()
    packages = [name for layer in draw_imports.read_layers() for name in layer]
    assert len(packages) >= 13
    assert all(f"| `{name}` |" in drawn for name in packages)


def test_arrows_that_follow_from_others_are_left_out() -> None:
    pairs = {("a", "b"), ("b", "c"), ("a", "c")}
    assert draw_imports.reduce_arrows(pairs) == {("a", "b"), ("b", "c")}
