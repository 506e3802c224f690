"""What is odd about a set's images is said where it is checked, with what each loader does with them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from harness.bench.data import inspection
from harness.bench.data.inspection import ODD
from harness.bench.loaders import jpeg
from harness.bench.protocol.unusual_files import OUTCOMES
from harness.console import Console
from harness.values.event import DataReady
from harness.workflow.local.datasets import describe_data

SAID = {
    "greyscale": "reads them as RGB",
    "cmyk": "reads them as RGB",
    "exif_rotated": "without rotating them",
    "tiny": "reads them like any other",
}


def test_describe_says_what_becomes_of_odd_images(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    Image.new("L", (50, 50), 120).save(tmp_path / "a" / "grey.jpg")
    Image.new("CMYK", (50, 50)).save(tmp_path / "a" / "cmyk.jpg")
    turned = Image.new("RGB", (50, 40))
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "a" / "turned.jpg", exif=exif)
    Image.new("RGB", (8, 8)).save(tmp_path / "a" / "tiny.png")
    assert describe_data(Console(), tmp_path, None, as_json=False) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert all(f"{name.replace('_', ' ')} images" in told and words in told for name, words in SAID.items())
    assert "palette images" not in told


def test_describe_names_files_with_bytes_before_their_end(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("simplejpeg")
    (tmp_path / "a").mkdir()
    for number in range(3):
        Image.new("RGB", (50, 50), (9, 40 * number, 120)).save(tmp_path / "a" / f"{number}.jpg")
    content = (tmp_path / "a" / "1.jpg").read_bytes()
    (tmp_path / "a" / "1.jpg").write_bytes(content[:-2] + bytes(240) + content[-2:])
    assert describe_data(Console(), tmp_path, None, as_json=False) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "bytes_before_end: 1" in told
    assert (
        "bytes before the end marker: every loader reads them, `decoder` (the yardstick) with Pillow (a/1.jpg)" in told
    )


def test_describe_says_what_it_could_not_look_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jpeg, "can_look", lambda: False)
    monkeypatch.setattr(inspection, "_CAN_LOOK", False)
    (tmp_path / "a").mkdir()
    Image.new("RGB", (50, 50), (9, 40, 120)).save(tmp_path / "a" / "1.jpg")
    assert describe_data(Console(), tmp_path, None, as_json=False) == 0
    told = " ".join(capsys.readouterr().out.split())
    assert "bytes before end images" in told and "not checked: this needs simplejpeg" in told


def test_a_session_says_it_when_a_host_has_checked_its_data(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()
    odd = {"cmyk": 2, "without_annotations": 7}
    console.handle(DataReady("ws1", "photos", "0123456789abcdef", 90, 10**6, "found", odd))
    console.close()
    told = " ".join(capsys.readouterr().err.split())
    assert f"ws1: data set photos: 2 cmyk: {OUTCOMES['cmyk']}" in told
    assert "without_annotations" not in told and "greyscale" not in told


def test_every_note_has_its_outcome() -> None:
    assert set(ODD) == set(OUTCOMES)
