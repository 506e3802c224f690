"""Lists of images as people write them: their columns are told by headings, else by what stands in them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from harness.bench.data.dataset import examine, refusal_of, summarise
from harness.bench.data.listing import Listing, list_coco
from harness.bench.protocol.dataset_errors import DatasetError


def read(root: Path, text: str | bytes, *names: str, split: str | None = None, roots: tuple[str, ...] = ()) -> Listing:
    """Make images of these names and a list beside them, and read it."""
    images = root / "images"
    for name in names or ("cat/1.jpg", "dog/2.jpg"):
        path = images / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 40)).save(path, format="JPEG")
    labels = root / "labels.csv"
    labels.write_bytes(text if isinstance(text, bytes) else text.replace("IMAGES", str(images)).encode())
    return list_coco(images, labels, split=split, roots=roots)


FORMS = {
    "commas": "cat/1.jpg,cat\ndog/2.jpg,dog\n",
    "a heading": "file_name,class\ncat/1.jpg,cat\ndog/2.jpg,dog\n",
    "label before path": "label,path\ncat,cat/1.jpg\ndog,dog/2.jpg\n",
    "label before path, no heading": "cat,cat/1.jpg\ndog,dog/2.jpg\n",
    "an index": ",path,label\n0,cat/1.jpg,cat\n1,dog/2.jpg,dog\n",
    "an index without heading": "0,cat/1.jpg,cat\n1,dog/2.jpg,dog\n2,dog/3.jpg,dog\n",
    "semicolons": "path;label\ncat/1.jpg;cat\ndog/2.jpg;dog\n",
    "tabs": "path\tlabel\ncat/1.jpg\tcat\ndog/2.jpg\tdog\n",
    "CRLF and BOM": "\ufeffpath,label\r\ncat/1.jpg,cat\r\ndog/2.jpg,dog\r\n",
    "backslashes": "path,label\ncat\\1.jpg,cat\ndog\\2.jpg,dog\n",
    "a dot": "path,label\n./cat/1.jpg,cat\n./dog/2.jpg,dog\n",
    "absolute paths": "path,label\nIMAGES/cat/1.jpg,cat\nIMAGES/dog/2.jpg,dog\n",
    "quotes": '"path","label"\n"cat/1.jpg","cat"\n"dog/2.jpg","dog"\n',
    "a column more": "path,width,label\ncat/1.jpg,40,cat\ndog/2.jpg,41,dog\n",
    "JSON Lines": '{"file_name": "cat/1.jpg", "label": "cat"}\n{"file_name": "dog/2.jpg", "label": "dog"}\n',
}
SAID = {
    "label before path": "labels.csv: column 2 holds the paths and column 1 the labels",
    "label before path, no heading": "labels.csv: column 2 holds the paths and column 1 the labels",
    "an index": "labels.csv: these columns are ignored: column 1",
    "an index without heading": "labels.csv: these columns are ignored: column 1",
    "a column more": "labels.csv: these columns are ignored: width",
    "absolute paths": "2 absolute paths in labels.csv read as paths below the folder of images",
}


@pytest.mark.parametrize("form", FORMS)
def test_a_list_is_read_however_it_is_written(form: str, tmp_path: Path) -> None:
    more = ("dog/3.jpg",) if "without heading" in form else ()
    found = read(tmp_path, FORMS[form], "cat/1.jpg", "dog/2.jpg", *more)
    assert found.paths == ("cat/1.jpg", "dog/2.jpg", *more)
    assert [found.classes[label] for label in found.labels[:2]] == ["cat", "dog"]
    assert SAID.get(form, "") in "\n".join(found.said)
    assert found.is_plain is (form in ("commas", "a heading", "tabs", "CRLF and BOM", "a dot", "quotes"))


def test_names_without_suffix_are_found_by_the_stem(tmp_path: Path) -> None:
    found = read(tmp_path, "image,level\n10_left,0\n10_right,2\n", "10_left.jpeg", "train/10_right.jpg")
    assert (found.paths, found.classes) == (("10_left.jpeg", "train/10_right.jpg"), ("0", "2"))
    assert "2 names in labels.csv without a suffix: each matched to the image with that name" in found.said


def test_a_name_without_suffix_that_may_be_two_files_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r":3: '2' is ambiguous: (2\.jpg or 2\.jpeg|2\.jpeg or 2\.jpg)") as caught:
        read(tmp_path, "id,label\n1,cat\n2,dog\n", "1.jpg", "2.jpg", "2.jpeg")
    assert caught.value.hint == "write the names with their suffix"


def test_a_column_of_parts_is_ignored_and_said_or_chosen_by(tmp_path: Path) -> None:
    text = "path,label,split\ncat/1.jpg,cat,train\ndog/2.jpg,dog,val\n"
    found = read(tmp_path, text)
    assert len(found.paths) == 2
    assert (
        "labels.csv: the column of parts (train: 1, val: 1) is ignored, so all rows are read; `--split train` (in an "
        "inventory `split: train`) reads the rows of one part"
    ) in found.said
    assert read(tmp_path, text, split="val").paths == ("dog/2.jpg",)
    with pytest.raises(DatasetError, match=r"no rows of the part 'test' \(it has train, val\)"):
        read(tmp_path, text, split="test")


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("path,label\nimages/cat/1.jpg,cat\nimages/dog/2.jpg,dog\n", ("cat/1.jpg", "dog/2.jpg")),
        ("path,label\n./images/cat/1.jpg,cat\nimages\\dog\\2.jpg,dog\n", ("cat/1.jpg", "dog/2.jpg")),
        ("image,level\nimages/10_left,cat\nimages/10_right,dog\n", ("10_left.jpg", "10_right.jpg")),
        ("images/10_left,cat\nimages/10_right,dog\n", ("10_left.jpg", "10_right.jpg")),
    ],
)
def test_paths_relative_to_the_folder_of_the_list_are_read_and_said(
    tmp_path: Path, text: str, names: tuple[str, ...]
) -> None:
    found = read(tmp_path, text, *names)
    assert (found.paths, [found.classes[label] for label in found.labels]) == (names, ["cat", "dog"])
    assert found.said[-1].startswith(
        "the paths in labels.csv are read from its own folder, for none is found in the fold"
    )
    assert not found.is_plain and not found.is_movable


def test_a_list_below_the_images_may_name_them_from_where_it_lies(tmp_path: Path) -> None:
    read(tmp_path, FORMS["commas"])
    labels = tmp_path / "images" / "cat" / "labels.csv"
    labels.write_text("path,label\n1.jpg,cat\n../dog/2.jpg,dog\n")
    assert list_coco(tmp_path / "images", labels).paths == ("cat/1.jpg", "dog/2.jpg")


def test_paths_that_are_there_in_the_folder_of_images_are_relative_to_it(tmp_path: Path) -> None:
    names = ("images/1.jpg", "1.jpg")
    found = read(tmp_path, "path,label\nimages/1.jpg,cat\nimages/2.jpg,dog\n", *names)
    assert found.paths == ("images/1.jpg", "images/2.jpg") and found.is_plain


def test_a_list_of_more_than_the_folder_of_images_says_which_folder_it_is_of(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r":3: 'test/2\.jpg' is not below the folder of images") as caught:
        read(tmp_path, "path,label\nimages/cat/1.jpg,cat\ntest/2.jpg,dog\n")
    assert caught.value.hint == f"give {tmp_path} as the folder of images: the paths of this list are relative to it"


def test_a_list_is_read_where_it_is_mounted_as_where_it_lies_on_the_host(tmp_path: Path) -> None:
    read(tmp_path, FORMS["commas"])
    labels = tmp_path / "elsewhere.csv"
    labels.write_text("path,label\nphotos/cat/1.jpg,cat\nphotos/dog/2.jpg,dog\n")
    found = list_coco(tmp_path / "images", labels, roots=["/srv/set/photos"], list_folder="/srv/set")
    assert found.paths == ("cat/1.jpg", "dog/2.jpg")


def test_paths_as_they_are_on_the_host_are_read_where_the_images_are_mounted(tmp_path: Path) -> None:
    found = read(tmp_path, "path,label\n/srv/photos/cat/1.jpg,cat\n", roots=("/srv/photos",))
    assert found.paths == ("cat/1.jpg",)
    with pytest.raises(DatasetError, match=r":2: '/srv/photos/cat/1\.jpg' is not below the folder of images"):
        read(tmp_path, "path,label\n/srv/photos/cat/1.jpg,cat\n")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "path,healthy,rust\ncat/1.jpg,0,1\ndog/2.jpg,1,0\n",
            "cannot determine which column holds the labels: healthy",
        ),
        ("width,height\n3,4\n5,6\n", "no column holds names of images: the columns are width, height"),
        ("cat/1.jpg\ndog/2.jpg\n", "the list has only one column"),
        ("", "is empty: it lists no image"),
    ],
)
def test_what_cannot_be_known_is_one_clear_message(text: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError) as caught:
        read(tmp_path, text)
    assert words in caught.value.message and caught.value.hint


def test_a_name_without_a_file_is_a_fault_of_the_list(tmp_path: Path) -> None:
    listing = read(tmp_path, "path,label\ncat/1.jpg,cat\nbird/7.jpg,dog\n")
    fault = refusal_of(summarise(examine(listing, cpus=1)), listing)
    assert fault is not None and "bird/7.jpg: there is no such file" in fault.message
    assert (fault.hint or "").startswith("correct the names in the file of labels, or add these images; or leave them")
