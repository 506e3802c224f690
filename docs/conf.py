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
LINK = re.compile(r"\]\(([^)#\s]+\.md)(?:#[^)]*)?\)")


def read_sections(text: str) -> dict[str, list[str]]:
    """Return the pages that each section of the index links to, each page once, as paths from the repository's root."""
    sections: dict[str, list[str]] = {}
    seen: set[str] = set()
    for section in text.split("\n## ")[1:]:
        title, _, body = section.partition("\n")
        pages = [posixpath.normpath(posixpath.join("docs", link)) for link in LINK.findall(body)]
        sections[title] = [page for page in dict.fromkeys(pages) if page not in seen]
        seen.update(pages)
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

html_theme = "furo"
html_title = f"harness {release}"
html_copy_source = False


def adapt_page(_: Any, name: str, source: list[str]) -> None:
    """Show drawings of Mermaid as text, and add a hidden table of contents to the index for each of its sections."""
    source[0] = source[0].replace("```mermaid\n", "```text\n")  # drawing it needs a script from the network
    if name == root_doc:
        for title, pages in SECTIONS.items():
            entries = "\n".join("/" + page.removesuffix(".md") for page in pages)
            source[0] += f"\n```{{toctree}}\n:hidden:\n:caption: {title}\n\n{entries}\n```\n"


def write_front_page(app: Any, _: Exception | None) -> None:
    """Lead from the site's root to the index."""
    text = f'<!doctype html><meta http-equiv="refresh" content="0; url={root_doc}.html"><title>{html_title}</title>\n'
    Path(app.outdir, "index.html").write_text(text, encoding="utf-8")


def setup(app: Any) -> None:
    """Register what this site adds to Sphinx."""
    app.connect("source-read", adapt_page)
    app.connect("build-finished", write_front_page)
