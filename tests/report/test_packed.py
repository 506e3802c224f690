"""What a page carries, unpacked within bounds: old pages of any size, damaged ones, and such as are made to harm."""

from __future__ import annotations

import base64
import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.records.json_text import JsonText
from harness.report import embed
from harness.report.embed import BLOCK_ID, read_sessions
from harness.report.source import read_source
from harness.values.errors import SessionError

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


def text_of(value: object) -> JsonText:
    return JsonText(io.BytesIO(json.dumps(value, indent=1).encode()), 10**6)


@pytest.mark.slow
@given(values=st.lists(VALUES), fields=st.dictionaries(st.text(), VALUES))
@settings(deadline=None, max_examples=100)
def test_each_part_is_taken_as_it_stands(values: Any, fields: Any) -> None:
    text = text_of(values)
    assert [json.loads(text.take()) for _ in text.walk_list()] == values
    text = text_of(fields)
    assert {key: json.loads(text.take()) for key in text.walk_object()} == fields


def test_long_texts_over_many_pieces_are_taken_whole() -> None:
    long = ['\\" {[' * 300_000, "é" * 700_000, [["x"] * 100_000]]
    text = JsonText(io.BytesIO(json.dumps(long).encode()), 10**8)
    assert [json.loads(text.take()) for _ in text.walk_list()] == long


def page_of(text: bytes) -> str:
    packed = base64.b64encode(gzip.compress(text)).decode()
    return f'<html><script type="application/json" id="{BLOCK_ID}">"{packed}"</script></html>'


HARMFUL = {
    "no JSON": b"x",
    "cut": b'{"format":1,"sessions":[{"origin":"a","records":[{"format":1',
    "another format": b'{"format":2,"sessions":[]}',
    "no object": b"[1]",
    "deep": b'{"format":1,"sessions":[{"session":' + b"[" * 500_000,
    "a long text": b'{"format":1,"sessions":[{"origin":"' + b"x" * (70 * 2**20),
    "many values": b'{"format":1,"sessions":[{"facts":[' + b"[]," * (20 * 2**20) + b"1]}]}",
}


@pytest.mark.parametrize("name", HARMFUL)
def test_what_is_made_to_harm_is_refused(name: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(page_of(HARMFUL[name]))
    with pytest.raises(SessionError, match="no records in this page") as raised:
        read_source(page)
    assert raised.value.hint and len(str(raised.value)) < 800


def test_a_page_that_unpacks_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embed, "MOST_UNPACKED_BYTES", 10**6)
    bomb = gzip.compress(b'{"format":1,"sessions":[{"records":[' + b'{"a":1},' * 10**6)
    with pytest.raises(ValueError, match="larger than the limit"):
        read_sessions(io.BytesIO(bomb))


@pytest.mark.parametrize(
    "block", [f'id="{BLOCK_ID}"' * 100_000, f'<script type="application/json" id="{BLOCK_ID}">"' * 30_000]
)
def test_a_page_of_many_blocks_that_do_not_end_is_refused_at_once(block: str, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    page.write_text(block)
    with pytest.raises(SessionError, match="no block of records"):
        read_source(page)
