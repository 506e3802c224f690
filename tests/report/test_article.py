"""The article, replayed: only where it was replayed, cited, and scaled from how many images is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from builder import SessionBuilder, make_case, make_facts, make_record

from harness.report.article import ARTICLE
from harness.report.composition import build_view
from harness.report.page import render_page
from harness.report.source import read_source


def write(
    folder: Path,
    *,
    experiment: Any,
    data: Any,
    images: int = 1_399,
    how: str = "a folder",
    name: str = "one-1",
    hardware: str = "Test CPU",
) -> Any:
    builder = SessionBuilder(name).add_host("ws01", make_facts(hardware))
    builder.add_event("DataReady", host="ws01", data=data, fingerprint="3", images=images, bytes=9, how=how, odd={})
    for number in (1, 2, 3):
        for loader, rate in (("keras-idg", 30), ("tfdata", 80)):
            case = make_case(loader=loader, data=data)
            at = {"round": number, "facts": builder.facts["ws01"], "experiment": experiment}
            builder.add(make_record(case, rate=rate, images=images, **at))
    return builder.write(folder / name)


def article_of(*folders: Any) -> Any:
    return build_view([session for folder in folders for session in read_source(folder)]).article


@pytest.mark.parametrize(
    ("experiment", "data", "how", "is_shown"),
    [
        ("mine", "cats", "a folder", False),
        ("quick", "coco-mini", "generated: coco, 240 images, seed 1, libjpeg-turbo 3.2.0", False),
        ("mine", "coconut", "a folder", False),
        ("mine", "coco", "a COCO pair", True),
        ("mine", "COCO2017", "a COCO pair", True),
        ("mine", "my_coco_2017", "a folder", True),
        ("article", "photos", "a folder", True),
        ("article+", "coco", "a COCO pair", True),
        ("article-short", "coco", "a COCO pair", True),
        ("loading", "dogs-and-cats", "generated: dogs-and-cats, 10000 images, seed 1, libjpeg-turbo 3.2.0", True),
    ],
)
def test_it_stands_only_where_it_was_replayed(
    tmp_path: Path, experiment: str, data: str, how: str, is_shown: bool
) -> None:
    article = article_of(write(tmp_path, experiment=experiment, data=data, how=how))
    assert (article is not None) == is_shown


def test_it_is_cited_and_says_from_how_many_images_it_is_scaled(tmp_path: Path) -> None:
    page = render_page(read_source(write(tmp_path, experiment="article-short", data="coco", images=40_000)))
    assert "The article, replayed" in page
    for words in ("Sunny Chugh", "Dump Keras-ImageDataGenerator. Start Using TensorFlow-tf.data (Part 2)", "2020"):
        assert words in ARTICLE and words in page
    assert "(scaled from 40,000 images)" in page
    assert "scaled" in page and "117,266 images" in page


def test_a_whole_replay_is_not_scaled(tmp_path: Path) -> None:
    article = article_of(write(tmp_path, experiment="article", data="coco", images=117_266))
    lines = [line for row in article.rows for lines in row.ours for line in lines]
    assert lines and not any("scaled" in line for line in lines)


def test_rows_of_other_sessions_on_the_page_stay_out(tmp_path: Path) -> None:
    article = article_of(
        write(tmp_path, experiment="mine", data="cats", name="cats-1", hardware="Other CPU"),
        write(tmp_path, experiment="article", data="coco", name="coco-1", images=1_000),
    )
    (column,) = article.columns
    assert column.startswith("2. Test CPU")
    lines = [line for row in article.rows for lines in row.ours for line in lines]
    assert lines and not any("1,399" in line for line in lines)


def test_a_rate_that_does_not_hold_on_the_whole_set_is_not_scaled_to_minutes(tmp_path: Path) -> None:
    builder = SessionBuilder().add_host("ws01", make_facts("Test CPU"))
    whole: dict[str, Any] = {"images": 40_000, "whole": 117_266, "experiment": "article-short"}
    for number in (1, 2, 3):
        for loader, cache, served in (("keras-idg", "none", 0.0), ("tfdata", "none", 1.0), ("tfdata", "memory", 0.0)):
            case = make_case(loader=loader, cache=cache, data="coco", max_images=40_000, memory_limit=12 * 10**9)
            builder.add(make_record(case, rate=80, round=number, served=served, **whole))
    lines = [line for row in article_of(builder.write(tmp_path / "s")).rows for lines in row.ours for line in lines]
    assert any("(scaled from 40,000 images)" in line for line in lines)  # keras-idg read from storage
    withdrawn = [line for line in lines if "no minutes of the whole set: measured with the files in memory" in line]
    assert withdrawn and all("exceeds the limit of 12 GB" in line for line in withdrawn)
    assert any("no minutes of the whole set: it holds only up to about" in line for line in lines)
