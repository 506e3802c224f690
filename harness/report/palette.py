"""Colours: one name for each, with a light and a dark value; the page and its charts use only the names."""

from __future__ import annotations

from collections.abc import Mapping

LIGHT: Mapping[str, str] = {
    "paper": "#ffffff",
    "panel": "#f6f7f9",
    "ink": "#1a2027",
    "soft": "#55606c",
    "line": "#d9dee4",
    "link": "#0b57a4",
    "good": "#e3f3e8",
    "good-ink": "#14532d",
    "bad": "#fbe6e3",
    "bad-ink": "#8a1c10",
    "open": "#fcf1d4",
    "open-ink": "#6b4700",
    "quiet": "#eceff3",
    "quiet-ink": "#3d4752",
    "c1": "#0072b2",
    "c2": "#b64b00",
    "c3": "#00795a",
    "c4": "#a8437f",
    "c5": "#6b5b00",
    "c6": "#2b7ba8",
    "c7": "#5b3fa0",
    "c8": "#55606c",
}

DARK: Mapping[str, str] = {
    "paper": "#14181d",
    "panel": "#1c2228",
    "ink": "#e4e8ec",
    "soft": "#a3aeb9",
    "line": "#333c45",
    "link": "#8cc2ff",
    "good": "#17361f",
    "good-ink": "#a6e6b7",
    "bad": "#461c17",
    "bad-ink": "#ffbdb3",
    "open": "#3d3010",
    "open-ink": "#f6d98a",
    "quiet": "#283038",
    "quiet-ink": "#cdd5dd",
    "c1": "#56b4e9",
    "c2": "#f0954a",
    "c3": "#35c09a",
    "c4": "#dd8fc0",
    "c5": "#e0cf4a",
    "c6": "#8ecdf0",
    "c7": "#b7a1ee",
    "c8": "#a3aeb9",
}

SERIES = tuple(f"var(--c{number})" for number in range(1, 9))
"""Colours of a chart's rows, after Okabe and Ito ("Color Universal Design", 2008), darkened for the light theme and
lightened for the dark one until they contrast with the background; each row also has its own shape."""


def write_colours() -> str:
    """Write the CSS rules that give the names their values: by the system's preference, or by the page's switch."""
    light, dark = _declare("light", LIGHT), _declare("dark", DARK)
    return (
        f":root {{ {light} }}\n"
        f"@media (prefers-color-scheme: dark) {{ :root {{ {dark} }} }}\n"
        f':root[data-theme="light"] {{ {light} }}\n'
        f':root[data-theme="dark"] {{ {dark} }}\n'
        f"@media print {{ :root, :root[data-theme] {{ {light} }} }}\n"
    )


def _declare(scheme: str, colours: Mapping[str, str]) -> str:
    return f"color-scheme: {scheme}; " + " ".join(f"--{name}: {value};" for name, value in colours.items())
