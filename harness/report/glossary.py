"""The glossary of the page: twelve terms, a sentence each, and a link to it where a term is first used."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.analysis.selection import LEAST_UNDISTURBED


@dataclass(frozen=True)
class Term:
    """A term of the page: ``key`` names its place in links, ``pattern`` finds it in a text in all its forms."""

    key: str
    name: str
    sentence: str
    pattern: str

    def find(self, text: str) -> re.Match[str] | None:
        """Return the first use of the term in a text, as a whole word; None where there is none."""
        return re.search(rf"(?<![\w&#/-])(?:{self.pattern})(?![\w/-])", text, re.IGNORECASE)


GLOSSARY = (
    Term(
        "case",
        "Case",
        "One loader with all its parameters: data, cache, memory limit, image size, model and the others.",
        "cases?",
    ),
    Term(
        "run",
        "Run",
        "One start of the benchmark in a fresh container or process, with the memory limit of its case enforced.",
        "runs?",
    ),
    Term("round", "Round", "One run of each case on a host, in random order.", "rounds?"),
    Term(
        "later-epochs",
        "Later epochs",
        "Epochs 2 to the last; their rate is never averaged with that of the first epoch, which fills a cache.",
        "later epochs?|after the first epoch",
    ),
    Term(
        "baseline",
        "Baseline",
        "The case with which all others are compared, at the same memory limit.",
        "baselines?",
    ),
    Term(
        "ratio",
        "Ratio",
        "Images/s of a case ÷ those of the baseline in the same round on the same host (geometric mean); its 95 % "
        "interval holds after each round, so that a session may stop as soon as an answer is settled.",
        "ratios?",
    ),
    Term(
        "verdict",
        "Verdict",
        "Faster where the whole interval of the ratio is above 1.05, slower where it is below 1/1.05, about the same "
        "where it is between the two, and can’t tell in all other cases.",
        "verdicts?",
    ),
    Term(
        "confidence",
        "Confidence",
        "High where nothing speaks against an answer, medium with one or two doubts, and low with more doubts or where "
        "more rounds may change the answer.",
        "confidence",
    ),
    Term(
        "model-limit",
        "Model limit",
        "The images/s of a training that is fed from one batch in memory: no loader can be faster than the model.",
        "model limits?",
    ),
    Term(
        "payback",
        "Pays for itself",
        "A cache pays for itself from the epoch in which a training with it, filling included, has taken no longer "
        "than the same training without it.",
        "pays? for itself",
    ),
    Term(
        "disturbed",
        "Disturbed",
        "A run is disturbed if a warning is about it, such as a busy, throttled or swapping host; it then counts only "
        f"where its host has fewer than {LEAST_UNDISTURBED} undisturbed runs of the case.",
        "disturbed",
    ),
    Term(
        "invalid",
        "Invalid",
        "A run is invalid, and never averaged, if its loader does not deliver the same images, labels and pixels as "
        "the others, its limit was not enforced, or its host was paused.",
        "invalid",
    ),
)

_UNLINKED_TAGS = frozenset(
    {"a", "button", "code", "dt", "figcaption", "h1", "h2", "h3", "option", "pre", "select", "summary", "svg", "title"}
)
_UNLINKED = re.compile(r'\bclass="[^"]*\bunlinked\b')
_TOKENS = re.compile(r"<(?:script|style)\b.*?</(?:script|style)>|<[^>]*>|[^<]+", re.DOTALL)
_TAG = re.compile(r"<(/?)([a-z0-9]+)")


def link_terms(page: str) -> str:
    """Return the page with the first use of each term as a link to the glossary.

    Text in headings, links, code, charts and elements of class ``unlinked`` is left as it is.
    """
    left = list(GLOSSARY)
    skipped, depth = "", 0  # the tag of the element that is being skipped, and how many of this tag are open
    parts: list[str] = []
    for match in _TOKENS.finditer(page):
        token = match[0]
        if token[0] == "<":
            tag = _TAG.match(token)
            if tag is not None and tag[2] not in ("script", "style"):
                if not skipped and not tag[1] and (tag[2] in _UNLINKED_TAGS or _UNLINKED.search(token)):
                    skipped, depth = tag[2], 1
                elif tag[2] == skipped:
                    depth += -1 if tag[1] else 1
                    skipped = skipped if depth else ""
        elif left and not skipped:
            token = _link_text(token, left)
        parts.append(token)
    return "".join(parts)


def _link_text(text: str, left: list[Term]) -> str:
    """Return a text with the first use of each of these terms linked; linked terms are taken out of the list."""
    found = sorted(((use.span(), term) for term in left if (use := term.find(text))), key=lambda one: one[0])
    parts, end = [], 0
    for (start, stop), term in found:
        if start < end:
            continue  # a word inside of another term, as in "ratio" of "model ratio"
        parts += [text[end:start], f'<a class="term" href="#term-{term.key}">{text[start:stop]}</a>']
        end = stop
        left.remove(term)
    return "".join([*parts, text[end:]])
