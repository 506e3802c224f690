"""Settings of Sphinx for the site of the documents (``make docs``).

The source folder is the repository, so that a relative link means the same file in the site and on a Git web host. The
site's pages are those that ``docs/index.md`` links to, and its sections are the site's navigation.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
INDEX = "docs/index.md"
LINK = re.compile(r"\[([^\]]+)\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")
DRAWING = re.compile(r"```mermaid\n(.*?)```", re.S)


def read_sections(text: str) -> dict[str, dict[str, str]]:
    """Return the pages that each section of the index is the first to link to, by path from the root, with the text."""
    sections: dict[str, dict[str, str]] = {}
    seen: set[str] = set()
    for section in text.split("\n## ")[1:]:
        heading, _, body = section.partition("\n")
        links = {posixpath.normpath(posixpath.join("docs", page)): title for title, page in LINK.findall(body)}
        sections[heading] = {page: title for page, title in links.items() if page not in seen}
        seen.update(links)
    return sections


SECTIONS = read_sections((ROOT / INDEX).read_text(encoding="utf-8"))

project = "harness"
author = "The harness authors"
release = re.findall(r'^__version__ = "(.+)"', (ROOT / "harness/__init__.py").read_text(encoding="utf-8"), re.M)[0]

extensions = ["myst_parser"]
root_doc = INDEX.removesuffix(".md")
include_patterns = [INDEX, *(page for pages in SECTIONS.values() for page in pages)]
exclude_patterns = [".*", "build", "node_modules", "reports"]  # not searched for pages
myst_heading_anchors = 4
myst_disable_syntax = ["myst_line_comment", "myst_block_break"]  # no part of Markdown: "%" may begin a line of text

highlight_language = "none"  # of blocks that name no language: commands with comments

html_theme = "furo"
html_title = f"harness {release}"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_use_index = False


def adapt_page(_: Any, name: str, source: list[str]) -> None:
    """Fold drawings of Mermaid, and add a hidden table of contents to the index for each of its sections."""
    # To draw them, a page would load a script from the network.
    folded = "<details><summary>The drawing as text of Mermaid</summary>\n\n```text\n\\1```\n\n</details>"
    source[0] = DRAWING.sub(folded, source[0])
    if name == root_doc:
        for heading, pages in SECTIONS.items():
            entries = [f"{title[0].upper()}{title[1:]} </{page.removesuffix('.md')}>" for page, title in pages.items()]
            source[0] += "\n".join(["", "```{toctree}", ":hidden:", f":caption: {heading}", "", *entries, "```", ""])


def write_front_page(app: Any, _: Exception | None) -> None:
    """Lead from the site's root to the index."""
    text = f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html"><title>{html_title}</title>\n'
    Path(app.outdir, "index.html").write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Register what this site adds to Sphinx."""
    app.connect("source-read", adapt_page)
    app.connect("build-finished", write_front_page)
