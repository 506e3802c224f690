"""The glossary: at most twelve terms, each linked where it is first used, and no word that readers do not know."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, build_lab, make_case, make_facts, make_finding, make_oom, make_record

from harness.report.glossary import GLOSSARY, link_terms
from harness.report.page import render_page
from harness.report.source import read_source

VOID = {"meta", "link", "br", "hr", "img", "input"}
NO_WORDS = {"script", "style", "pre", "code"}
NO_LINKS = NO_WORDS | {
    "a", "button", "dt", "figcaption", "h1", "h2", "h3", "option", "select", "summary", "svg", "title"
}  # fmt: skip

STRANGE = (
    r"invocations?", "steady", "twins?", "stall rounds", "ceilings?", "perhaps", "what limits belief", "degraded",
    "tagged so", "two different claims", "not averaged", "folded out", "no limit of its own", "elements?",
    "key [0-9a-f]{6}", r"rehears\w*",
)  # fmt: skip


class Words(HTMLParser):
    """The texts of a page in their order, with the elements around each and the place that it links to."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, set[str], bool, str]] = []
        self.labels: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.labels += [values["aria-label"] or ""] if "aria-label" in values else []
        if tag not in VOID:
            self.open.append((tag, values))

    def handle_endtag(self, tag: str) -> None:
        while self.open.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        tags = {tag for tag, _ in self.open}
        is_unlinked = any("unlinked" in (values.get("class") or "").split() for _, values in self.open)
        link = next((values.get("href") or "" for tag, values in self.open if tag == "a"), "")
        self.texts.append((data, tags, is_unlinked, link))


def build_mixed() -> SessionBuilder:
    """A session with everything that a page has words for: disturbed, invalid and dead runs, repeats, a model limit."""
    facts = make_facts("Test Four")
    builder = SessionBuilder("mixed-1", rounds=4).add_host("ws01", facts)
    busy: dict[str, Any] = {"validity": "degraded", "findings": (make_finding("host-busy", "warning"),)}
    other: dict[str, Any] = {"validity": "invalid", "findings": (make_finding("work-differs", "error"),)}
    for number in (1, 2, 3, 4):
        at: dict[str, Any] = {"host": "ws01", "facts": facts, "round": number, "whole": 4000}
        part = {"max_images": 400, "page_cache": "cold"}
        builder.add(make_record(make_case(loader="keras-idg", **part), rate=30, **at, **(busy if number == 4 else {})))
        builder.add(make_record(make_case(loader="keras-idg", **part), rate=31, alias="b", **at))
        builder.add(
            make_record(
                make_case(cache="file", element="uint8", **part), rate=140, **at, **(other if number == 2 else {})
            )
        )
        builder.add(make_record(make_case(loader="tfdata-tuned", **part), rate=138, **at))
        builder.add(make_record(make_case(loader="ceiling", **part), rate=150, **at))
        builder.add(make_oom(make_case(cache="memory", **part), host="ws01", facts=facts, round=number))
    return builder


@pytest.fixture(scope="module", params=["lab", "mixed"])
def page(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    builder = {"lab": build_lab, "mixed": build_mixed}[request.param]()
    folder: Path = builder.write(tmp_path_factory.mktemp("glossary") / builder.name)
    return render_page(read_source(folder))


def test_it_has_at_most_twelve_terms_of_one_sentence(page: str) -> None:
    section = re.search(r'<h2 id="glossary">Glossary</h2>\s*<dl[^>]*>(.*?)</dl>', page, re.DOTALL)
    assert section is not None
    found = re.findall(r'<dt id="term-([\w-]+)">([^<]+)</dt><dd>([^<]+)</dd>', section[1])
    assert [name for name, _, _ in found] == [term.key for term in GLOSSARY] and len(found) <= 12
    for _, _, sentence in found:
        assert re.fullmatch(r"[A-Z].*[^.]\.", sentence) and not re.search(r"\. [A-Z]", sentence), sentence
    assert "Loaders in this report" in page[section.end() :]


def test_each_term_is_linked_where_it_is_first_used(page: str) -> None:
    texts = Words(page).texts
    for term in GLOSSARY:
        uses = [
            (text, link)
            for text, tags, is_unlinked, link in texts
            if (link == f"#term-{term.key}" or not tags & NO_LINKS) and not is_unlinked and term.find(text)
        ]
        if not uses:
            assert "mixed-1" not in page, f"{term.name} is not used"
            continue
        assert uses[0][1] == f"#term-{term.key}", (term.name, uses[0])
        assert sum(link == f"#term-{term.key}" for _, _, _, link in texts) == 1, term.name


def test_no_strange_word_is_left(page: str) -> None:
    words = Words(page)
    said = [text.replace("test degraded", "") for text, tags, _, _ in words.texts if not tags & NO_WORDS]  # an id
    for word in STRANGE:
        found = [text for text in (*said, *words.labels) if re.search(rf"\b(?:{word})\b", text, re.IGNORECASE)]
        assert found == [], word


def test_links_are_put_into_text_alone() -> None:
    page = '<p title="a run">A <code>run</code> <b class="unlinked">run <b>run</b> run</b>, re-run &amp; runs, run.</p>'
    linked = link_terms(page)
    assert linked == page.replace("&amp; runs", '&amp; <a class="term" href="#term-run">runs</a>')
    assert link_terms("<script>a run</script><h2>Rounds</h2>") == "<script>a run</script><h2>Rounds</h2>"
