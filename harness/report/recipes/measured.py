"""The recipe of a row of the matrix: what its session recorded of data and runs, and the script for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.matrix import Row
from harness.records.session_data import SessionData
from harness.report.recipes.recipe import Measured, NoRecipeError, write_recipe
from harness.report.view import Recipe
from harness.values.data import DataPlace
from harness.values.names import name_pipeline
from harness.values.payload_digest import installed_digest
from harness.values.record import Record
from harness.values.text import clean_text, join_words

_VERSIONS = {"tensorflow": "TensorFlow", "keras": "Keras"}


def view_recipe(row: Row, sessions: Sequence[SessionData]) -> Recipe:
    """Write the code to paste for a row, or a sentence why there is none."""
    case, records = row.case, row.summary.records
    name = clean_text(name_pipeline(case))
    try:
        code = write_recipe(case, describe_measured(records, sessions))
    except NoRecipeError as reason:
        return Recipe(name, "", clean_text(reason, 500))
    note = "Paste it into an empty file and run it: it delivers what was measured here, except as its comments note."
    if {record.payload_digest for record in records} != {installed_digest()}:
        note += " The code is that of the version of harness that made this page; another version measured."
    return Recipe(name, code, note)


def describe_measured(records: Sequence[Record], sessions: Sequence[SessionData]) -> Measured:
    """Collect what is known about the data and the runs of one case on one hardware."""
    places = _find_places(records, sessions)
    host, place = places[0] if places else ("", None)
    here = None if place is None else (place.folder, place.annotations)
    others = [name for name, other in places if (other.folder, other.annotations) != here]
    kinds = {kind for session in sessions for kind in _find_kinds(session, {record.case.data for record in records})}
    left = [
        record.memory.limit_effective - record.memory.peak_anon
        for record in records
        if record.memory.limit_effective is not None and record.memory.peak_anon is not None
    ]
    held = [record.cache.bytes for record in records if record.cache is not None and record.cache.bytes]
    return Measured(
        place=place,
        kind=kinds.pop() if len(kinds) == 1 else "",
        versions=join_words(_find_versions(records)),
        spare_bytes=max(0, min(left)) if left else None,
        cache_bytes=max(held, default=None),
        host=clean_text(host, 80),
        others=tuple(clean_text(name, 80) for name in others[:4]),
    )


def _find_places(records: Sequence[Record], sessions: Sequence[SessionData]) -> list[tuple[str, DataPlace]]:
    """Return where each host keeps the data, in the order of the records."""
    found: dict[str, DataPlace] = {}
    for name, host, data in dict.fromkeys((record.session, record.host, record.case.data) for record in records):
        for session in (session for session in sessions if session.name == name):
            place = session.place_of(host, data)
            if place is not None:
                found.setdefault(host, place)
    return list(found.items())


def _find_kinds(session: SessionData, names: set[str]) -> Iterable[str]:
    """Yield the kinds of data of a session that did not record the places of its data."""
    for name, data in session.content.data.items():
        if name in names and data.kind in ("folder", "coco", "tfrecord"):
            yield data.kind


def _find_versions(records: Sequence[Record]) -> Iterable[str]:
    for key, word in _VERSIONS.items():
        for version in sorted({str(r.environment[key]) for r in records if r.environment.get(key) is not None})[:1]:
            yield f"{word} {clean_text(version, 40)}"
