"""How a data set's images are coded, and how many were left out, stands on the page."""

from __future__ import annotations

from pathlib import Path

from builder import SessionBuilder

from harness.report.page import render_page
from harness.report.source import read_source


def test_the_page_says_how_images_are_coded_and_how_many_were_left_out(tmp_path: Path) -> None:
    coding = {
        "formats": {"JPEG": 1200},
        "size_quantiles": {"5": 10_000, "50": 20_000, "95": 90_000},
        "pixel_quantiles": {"5": 90_000, "50": 180_000, "95": 360_000},
        "jpeg_quality": {"5": 75, "50": 92, "95": 96},
        "subsampling": {"4:2:0": 900, "4:4:4": 300},
        "progressive": 40,
        "bytes_per_pixel": 0.1234,
    }
    session = SessionBuilder()
    found = {"fingerprint": "f" * 64, "images": 1200, "bytes": 10**7, "skipped": 3, "coding": coding}
    session.description["data"] = {"pets": found}
    page = render_page(read_source(session.write(tmp_path / "session")))
    assert "data set pets, left out</dt><dd>3 images that not every loader reads" in page
    assert (
        "1,200 JPEG; file size 20 kB (median; 5 % below 10 kB, 5 % above 90 kB); pixels per image 180,000 (median; 5 % "
        "below 90,000, 5 % above 360,000); JPEG quality about 92 (5 % below 75, 5 % above 96); chroma 4:2:0 75 %, "
        "4:4:4 25 %; 40 progressive; 0.123 bytes per pixel"
    ) in page
