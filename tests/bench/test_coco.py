"""A COCO pair, read as it is."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from harness.bench.data.coco import read_coco
from harness.bench.protocol.dataset_errors import DatasetError

CATEGORIES = [{"id": 44, "name": "bottle"}, {"id": 1, "name": "person"}, {"id": 17, "name": "cat"}]


def image(number: int, name: str | None = None) -> dict[str, Any]:
    return {"id": number, "file_name": name or f"{number}.jpg", "width": 4, "height": 4}


def annotation(number: int, image_id: int, category: int, area: float | None = 1.0, **more: Any) -> dict[str, Any]:
    fields = {"id": number, "image_id": image_id, "category_id": category, "bbox": [0, 0, 2, 3], **more}
    return fields if area is None else {**fields, "area": area}


def write(folder: Path, **sections: Any) -> Path:
    path = folder / "instances.json"
    path.write_text(json.dumps({"info": {"year": 2017, "nested": [1, [2]]}, "licenses": [], **sections}))
    return path


def read(folder: Path, annotations: list[dict[str, Any]], images: list[dict[str, Any]] | None = None) -> Any:
    images = images or [image(1), image(2)]
    return read_coco(write(folder, images=images, annotations=annotations, categories=CATEGORIES))


def test_label_is_the_category_of_the_largest_annotation(tmp_path: Path) -> None:
    found = read(tmp_path, [annotation(1, 1, 1, 5.0), annotation(2, 1, 44, 5.5), annotation(3, 1, 17, 0.1)])
    assert found.paths == ("1.jpg",)
    assert found.classes == ("person", "cat", "bottle")
    assert found.labels == (2,)
    assert found.left_out == 1


def test_equal_areas_are_settled_by_the_lowest_annotation_id_not_by_order(tmp_path: Path) -> None:
    assert read(tmp_path, [annotation(9, 1, 1), annotation(3, 1, 17), annotation(5, 1, 44)]).labels == (1,)


def test_crowds_count_and_a_box_stands_in_for_a_missing_area(tmp_path: Path) -> None:
    found = read(tmp_path, [annotation(1, 1, 1, None), annotation(2, 1, 17, 6.1, iscrowd=1), annotation(3, 2, 44)])
    assert found.labels == (1, 2)  # 2 × 3 = 6 < 6.1


def test_paths_are_sorted_and_orphans_counted(tmp_path: Path) -> None:
    images = [image(1, "b/z.jpg"), image(2, "a.jpg")]
    found = read(tmp_path, [annotation(1, 1, 1), annotation(2, 2, 17), annotation(3, 99, 17)], images)
    assert found.paths == ("a.jpg", "b/z.jpg")
    assert found.labels == (1, 0)
    assert found.orphans == 1


def test_sections_may_come_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "instances.json"
    path.write_text(
        json.dumps({"annotations": [annotation(1, 1, 1)], "categories": CATEGORIES, "images": [image(1)]}, indent=3)
    )
    assert read_coco(path).labels == (0,)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "ends in the middle"),
        ("[]", "'{' is missing"),
        ('{"images": [{"id": 1}', "no 'file_name'|ends in the middle"),
        ('{"images": [{"id": 1, "file_name": "a.jpg"', "cannot be read as an instances JSON"),
        ('{"images": [{"id": 1, "file_name": "a.jpg"} {"id": 2}]}', "a comma is missing"),
        ('{"images": [], "annotations": []}', "no categories"),
        ('{"categories": [{"id": 1, "name": "a"}, {"id": 2, "name": "a"}]}', "two categories with the same name"),
        ("\x00\x01\x02", "cannot be read as an instances JSON"),
    ],
)
def test_what_is_no_instances_file_is_one_clear_error(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "instances.json"
    path.write_text(text)
    with pytest.raises(DatasetError, match=message) as caught:
        read_coco(path)
    assert str(path) in caught.value.message
    assert caught.value.hint


def test_missing_file_and_unknown_category(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="No such file"):
        read_coco(tmp_path / "nowhere.json")
    with pytest.raises(DatasetError, match="category 99"):
        read(tmp_path, [annotation(1, 1, 99)])


@pytest.mark.parametrize("name", ["../secret.jpg", "/etc/passwd.jpg", "a/../../b.jpg", "", "a//b.jpg"])
def test_paths_outside_the_image_folder_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(DatasetError, match="not a plain path"):
        read_coco(
            write(
                tmp_path,
                images=[{"id": 1, "file_name": name}],
                annotations=[annotation(1, 1, 1)],
                categories=CATEGORIES,
            )
        )


def test_one_file_under_two_ids_is_refused(tmp_path: Path) -> None:
    images = [image(1, "a.jpg"), image(2, "a.jpg")]
    with pytest.raises(DatasetError, match="under two ids"):
        read(tmp_path, [annotation(1, 1, 1), annotation(2, 2, 1)], images)


def test_outlines_take_no_memory(tmp_path: Path) -> None:
    """35 MB of outlines under an address space that the parsed file would burst several times over."""
    outline = json.dumps([[round(index * 0.37, 2) for index in range(400)]])
    path = tmp_path / "instances.json"
    with path.open("w") as stream:
        stream.write(json.dumps({"images": [image(number) for number in range(500)]})[:-1] + ', "annotations": [\n')
        for number in range(12_000):
            entry = json.dumps(annotation(number, number % 500, 1, float(number)))
            stream.write(entry[:-1] + f', "segmentation": {outline}}}' + (",\n" if number < 11_999 else "\n"))
        stream.write(f'], "categories": {json.dumps(CATEGORIES)}}}')
    assert path.stat().st_size > 30e6
    code = (
        "import sys; from pathlib import Path; from harness.bench.data.coco import read_coco\n"
        "print(len(read_coco(Path(sys.argv[1])).paths))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (120 << 20, 120 << 20)),
    )
    assert done.stdout == "500\n", done.stderr


def test_what_labelling_tools_write_is_read_and_said(tmp_path: Path) -> None:
    """Text ids, annotations without an id, NaN and no area (then the box's), ``./``, a BOM, categories unused."""
    images = [{"id": "a", "file_name": "./1.jpg"}, {"id": "b", "file_name": "in\\2.jpg"}]
    annotations = [
        {"image_id": "a", "category_id": "x", "bbox": [0, 0, 2, 3], "area": float("nan")},
        {"image_id": "a", "category_id": "y", "bbox": [0, 0, 9, 9]},
        {"image_id": "b", "category_id": "x", "bbox": [0, 0, 1, 1], "area": 1},
    ]
    categories = [{"id": name, "name": f"class {name}"} for name in ("x", "y", "z")]
    said = json.dumps({"images": images, "annotations": annotations, "categories": categories})
    path = tmp_path / "labels.json"
    path.write_text(said, encoding="utf-8-sig")
    found = read_coco(path)
    assert (found.paths, found.labels) == (("1.jpg", "in/2.jpg"), (1, 0))
    assert (found.classes, found.is_plain) == (("class x", "class y", "class z"), False)
    assert found.said == (
        "labels.json: 5 ids are strings: used as they are",
        "labels.json: 3 annotations have no id: among equal areas the first in the file is used",
        "labels.json: 2 annotations have no usable area: the area of the box is used",
        "labels.json: 2 file names begin with ./ or have backslashes: read as plain paths",
        "labels.json: 1 category has no image: kept as a class",
    )
