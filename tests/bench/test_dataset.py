"""Checking a data set: every file read once, odd ones counted, bad ones named, the fingerprint the same everywhere."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.bench.data import dataset
from harness.bench.data.dataset import describe, list_path, prepare
from harness.bench.data.inspection import Inspection, inspect_file
from harness.bench.data.parallel import Pace
from harness.bench.loaders import jpeg
from harness.bench.loaders.manifest import read_manifest
from harness.bench.protocol import image_formats
from harness.bench.protocol.dataset_errors import DatasetError
from harness.bench.supervisor.supervisor import MODULES

REPOSITORY = Path(__file__).parents[2]


def picture(mode: str = "RGB", size: tuple[int, int] = (96, 64), seed: int = 0) -> Image.Image:
    """Blobs of colour: enough for a JPEG of a few kB."""
    noise = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), dtype=np.uint8)
    return Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC).convert(mode)


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def fill(folder: Path, **classes: dict[str, bytes]) -> Path:
    for name, files in classes.items():
        for file, content in files.items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return folder


def animals(folder: Path, each: int = 3) -> Path:
    files = {f"{number}.jpg": encode(picture(seed=number)) for number in range(2 * each)}
    names = list(files)
    return fill(
        folder, dog={name: files[name] for name in names[:each]}, cat={name: files[name] for name in names[each:]}
    )


def pair(folder: Path, names: dict[str, bytes], label: int = 1) -> tuple[Path, Path]:
    fill(folder, images=names)
    ids = {name: number for number, name in enumerate(names, start=1)}
    annotations = folder / "labels.json"
    annotations.write_text(
        json.dumps(
            {
                "images": [{"id": one, "file_name": name} for name, one in ids.items()],
                "annotations": [{"id": one, "image_id": one, "category_id": label, "area": 2} for one in ids.values()],
                "categories": [{"id": 1, "name": "a/b"}, {"id": 2, "name": ".c"}],
            }
        )
    )
    return folder / "images", annotations


def test_folder_per_class(tmp_path: Path) -> None:
    where = animals(tmp_path / "set")
    fill(where, cat={"deep/er/x.JPEG": encode(picture(seed=9, size=(40, 50))), "notes.txt": b"x", ".DS_Store": b"x"})
    fill(where, **{".hidden": {"y.jpg": b"not looked at"}})
    (where / "empty").mkdir()
    (where / "readme.md").write_text("at the top")
    found = prepare(list_path(where), tmp_path / "out")
    written = read_manifest(tmp_path / "out")
    assert written.classes == ("cat", "dog", "empty")
    assert written.paths == (
        "cat/3.jpg",
        "cat/4.jpg",
        "cat/5.jpg",
        "cat/deep/er/x.JPEG",
        "dog/0.jpg",
        "dog/1.jpg",
        "dog/2.jpg",
    )
    assert written.labels == (0, 0, 0, 0, 1, 1, 1)
    assert (written.widths[3], written.heights[3]) == (40, 50)
    assert written.sizes[4] == (where / "dog/0.jpg").stat().st_size
    assert found.images == 7
    assert found.bytes == sum(written.sizes)
    assert found.mean_pixels == (6 * 96 * 64 + 40 * 50) / 7
    assert found.odd == {"empty_classes": 1, "junk_files": 1, "other_files": 1}
    assert json.loads((tmp_path / "out/dataset.json").read_text())["fingerprint"] == found.fingerprint


def test_what_keras_takes_is_what_the_check_looks_at() -> None:
    """A suffix that a Keras loader takes is either taken by all of ours or refused: none is passed over in silence."""
    keras_folder = {".bmp", ".gif", ".jpeg", ".jpg", ".png"}  # keras.src.utils.image_dataset_utils.ALLOWLIST_FORMATS
    keras_idg = {".png", ".jpg", ".jpeg", ".bmp", ".ppm", ".tif", ".tiff"}  # legacy Iterator.white_list_formats
    assert set(image_formats.TAKEN) <= keras_folder & keras_idg
    assert keras_folder | keras_idg <= {*image_formats.TAKEN, *image_formats.REFUSED}


def cmyk_without_marker() -> bytes:
    content = encode(picture("CMYK"))
    start = content.index(b"\xff\xee")
    return content[:start] + content[start + 2 + int.from_bytes(content[start + 2 : start + 4]) :]


def wide_png() -> bytes:
    return encode(Image.fromarray(np.arange(64 * 64, dtype=np.uint16).reshape(64, 64) * 16), "PNG")


def rotated() -> bytes:
    exif = Image.Exif()
    exif[274] = 6
    return encode(picture(), exif=exif)


def before_its_end(junk: bytes) -> bytes:
    content = encode(picture())
    return content[:-2] + junk + content[-2:]


SOUND: dict[str, tuple[str, Callable[[], bytes], set[str]]] = {
    "rgb": ("a.jpg", lambda: encode(picture()), set()),
    "progressive": ("a.jpg", lambda: encode(picture(), progressive=True), set()),
    "greyscale": ("a.jpg", lambda: encode(picture("L")), {"greyscale"}),
    "cmyk": ("a.jpg", lambda: encode(picture("CMYK")), {"cmyk"}),
    "rotated": ("a.jpg", rotated, {"exif_rotated"}),
    "tiny": ("a.jpg", lambda: encode(picture(size=(1, 1))), {"tiny"}),
    "png": ("a.png", lambda: encode(picture(), "PNG"), set()),
    "palette": ("a.png", lambda: encode(picture("P"), "PNG", transparency=3), {"palette", "alpha"}),
    "alpha": ("a.png", lambda: encode(picture("RGBA"), "PNG"), {"alpha"}),
    "one bit": ("a.png", lambda: encode(picture("1"), "PNG"), {"greyscale"}),
    "misnamed": ("a.jpg", lambda: encode(picture(), "PNG"), {"wrong_suffix"}),
    "trailing bytes": ("a.jpg", lambda: encode(picture()) + b"junk" * 100, set()),
    "bytes before its end": ("a.jpg", lambda: before_its_end(bytes(240)), {"bytes_before_end"}),
    "another marker before its end": ("a.jpg", lambda: before_its_end(bytes(240) + b"\xff\xd0"), {"jpeg_faults"}),
}
BAD: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "empty": ("a.jpg", lambda: b"", "zero_bytes"),
    "text": ("a.jpg", lambda: b"hello, world" * 9, "not_an_image"),
    "cut in half": ("a.jpg", lambda: encode(picture())[:700], "truncated"),
    "without its last byte": ("a.jpg", lambda: encode(picture())[:-1], "truncated"),
    "png cut": ("a.png", lambda: encode(picture(), "PNG")[:-900], "truncated"),
    "png without its end": ("a.png", lambda: encode(picture(), "PNG")[:-12], "truncated"),
    "png damaged": ("a.png", lambda: encode(picture(), "PNG").replace(b"IDAT", b"IDAT\x55", 1), "truncated"),
    "bmp": ("a.jpg", lambda: encode(picture(), "BMP"), "other_format"),
    "webp": ("a.png", lambda: encode(picture(), "WEBP"), "other_format"),
    "gif by name": ("a.gif", lambda: encode(picture("P"), "GIF"), "other_format"),
    "cmyk without marker": ("a.jpg", cmyk_without_marker, "differs"),
    "16 bits": ("a.png", wide_png, "differs"),
    "bitmap with a palette": ("a.png", lambda: encode(picture("P"), "BMP"), "differs"),
}


@pytest.mark.parametrize("name", SOUND)
def test_odd_files_are_counted(tmp_path: Path, name: str) -> None:
    file, content, notes = SOUND[name]
    if notes & set(jpeg.NOTES):
        pytest.importorskip("simplejpeg")
    found = prepare(list_path(fill(tmp_path / "set", only={file: content()})), tmp_path / "out")
    assert set(found.odd) == notes
    assert found.odd_examples == dict.fromkeys(notes, (f"only/{file}",))
    again = prepare(list_path(tmp_path / "set"), tmp_path / "out")
    assert (again.reused_hashes, again.odd, again.odd_examples) == (1, found.odd, found.odd_examples)
    assert found.unreadable_count == 0


@pytest.mark.parametrize("name", BAD)
def test_files_that_not_every_loader_reads_fail_the_check_by_name(tmp_path: Path, name: str) -> None:
    file, content, cause = BAD[name]
    where = animals(tmp_path / "set")
    prepare(list_path(where), tmp_path / "out")
    fill(where, dog={file: content()})
    with pytest.raises(DatasetError, match=f"1 of 7 files in .*\n  dog/{file}: ") as caught:
        prepare(list_path(where), tmp_path / "out")
    assert caught.value.hint
    assert not (tmp_path / "out/manifest.tsv").exists()
    assert not (tmp_path / "out/dataset.json").exists()
    assert describe(where).odd[cause] == 1


@pytest.mark.tensorflow
@pytest.mark.slow
def test_tensorflow_and_pillow_agree_on_what_is_sound(tmp_path: Path) -> None:
    """What the check accepts has equal pixels in both decoders; what it refuses fails in one, or differs."""
    tf = pytest.importorskip("tensorflow")

    def has_equal_pixels(content: bytes) -> bool:
        try:
            decoded = tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE").numpy()
            with Image.open(io.BytesIO(content)) as image:
                return bool(np.array_equal(decoded, np.asarray(image.convert("RGB"))))
        except (tf.errors.InvalidArgumentError, OSError, SyntaxError):
            return False

    assert [name for name, (_, content, _) in SOUND.items() if not has_equal_pixels(content())] == []

    def has_equal_pixels_otherwise(content: bytes) -> bool:
        try:
            decoded = tf.io.decode_image(content, channels=3, expand_animations=False).numpy()
            with Image.open(io.BytesIO(content)) as image:
                return bool(np.array_equal(decoded, np.asarray(image.convert("RGB"))))
        except tf.errors.InvalidArgumentError:
            return False

    pictures = {kind: encode(picture("P" if kind == "GIF" else "RGB"), kind) for kind in image_formats.SOME_READ}
    assert all(map(has_equal_pixels_otherwise, pictures.values())), "formats that some loaders read beside"
    assert not has_equal_pixels_otherwise(encode(picture("P"), "BMP"))
    readable = [name for name, (_, content, _) in BAD.items() if has_equal_pixels(content())]
    assert set(readable) <= {
        "gif by name",
        "webp",
    }  # refused: not every loader takes such names


def test_a_set_with_faults_is_described_all_the_same(tmp_path: Path) -> None:
    where = fill(animals(tmp_path / "set"), dog={"0.jpg": b"", "bad.tif": b"x"})
    found = describe(where)
    assert found.images == 6
    assert found.unreadable_count == 2
    assert [path for path, _ in found.unreadable] == ["dog/0.jpg", "dog/bad.tif"]
    assert found.size_quantiles["0"] == 0
    assert json.loads(json.dumps(found.to_json()))["unreadable"][0][1].startswith("it is empty")


def test_many_bad_files_are_counted_and_fifty_named(tmp_path: Path) -> None:
    where = fill(tmp_path / "set", a={f"{number:03d}.jpg": b"" for number in range(60)})
    with pytest.raises(DatasetError) as caught:
        prepare(list_path(where), tmp_path / "out")
    assert caught.value.message.count("zero bytes") == 50
    assert "and 10 more" in caught.value.message


def test_folders_that_are_no_data_sets(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no folder"):
        describe(tmp_path / "nowhere")
    (tmp_path / "file").write_text("x")
    with pytest.raises(DatasetError, match="not a folder"):
        describe(tmp_path / "file")
    (tmp_path / "none/cat").mkdir(parents=True)
    with pytest.raises(DatasetError, match="has no images"):
        prepare(list_path(tmp_path / "none"), tmp_path / "out")


def test_one_image_of_one_class_is_a_data_set(tmp_path: Path) -> None:
    found = prepare(list_path(fill(tmp_path / "set", only={"a.jpg": encode(picture())})), tmp_path / "out")
    assert (found.images, found.classes) == (1, 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user")
def test_an_unreadable_folder_and_file_are_said(tmp_path: Path) -> None:
    where = animals(tmp_path / "set")
    script = (
        "import os; from pathlib import Path; from harness.bench.data.dataset import describe\n"
        "os.setgid(65534); os.setuid(65534)\n"
        "try: print(describe(Path()).unreadable)\n"
        "except Exception as error: print(error, error.hint)"
    )

    def run() -> str:
        environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
        command = [sys.executable, "-c", script]
        return subprocess.run(command, cwd=where, env=environment, capture_output=True, text=True, check=False).stdout

    where.chmod(0o755)
    (where / "dog").chmod(0o000)
    said = run()
    assert "cannot read the folder ./dog: Permission denied" in said
    assert "uid 65534" in said
    (where / "dog").chmod(0o755)
    (where / "cat").chmod(0o755)
    (where / "dog/1.jpg").chmod(0o000)
    assert "('dog/1.jpg', 'Permission denied')" in run()


def test_fingerprint_follows_content_names_and_nothing_else(tmp_path: Path) -> None:
    where = animals(tmp_path / "set")
    first = describe(where).fingerprint
    moved = shutil.copytree(where, tmp_path / "elsewhere/other")
    os.utime(moved / "dog/0.jpg", (1, 1))
    (moved / "dog/notes.txt").write_text("no image")
    assert describe(moved).fingerprint == first
    (moved / "dog/0.jpg").rename(moved / "dog/9.jpg")
    assert describe(moved).fingerprint != first
    (moved / "dog/9.jpg").rename(moved / "dog/0.jpg")
    content = bytearray((moved / "dog/0.jpg").read_bytes())
    content[-3] ^= 1
    (moved / "dog/0.jpg").write_bytes(content)
    assert describe(moved).fingerprint != first


def test_fingerprint_of_a_pair_holds_its_labels(tmp_path: Path) -> None:
    files = {"b.jpg": encode(picture()), "a.jpg": encode(picture(seed=1))}
    one = describe(*pair(tmp_path / "one", files, label=1))
    again = describe(*pair(tmp_path / "again", dict(reversed(files.items())), label=1))
    other = describe(*pair(tmp_path / "other", files, label=2))
    assert one.kind == "coco"
    assert one.fingerprint != other.fingerprint
    assert again.fingerprint != one.fingerprint  # the instances JSON is another file, though it says the same
    images, annotations = pair(tmp_path / "renamed", files, label=1)
    assert (
        describe(images.rename(tmp_path / "pictures"), annotations.rename(tmp_path / "l")).fingerprint
        == one.fingerprint
    )


def test_pair_with_missing_files(tmp_path: Path) -> None:
    images, annotations = pair(tmp_path, {"a.jpg": encode(picture()), "b.jpg": encode(picture(seed=1))})
    (images / "a.jpg").unlink()
    with pytest.raises(DatasetError, match=r"a\.jpg: there is no such file"):
        prepare(list_path(images, annotations), tmp_path / "out")


def test_links_one_folder_a_class(tmp_path: Path) -> None:
    images, annotations = pair(tmp_path, {"a.jpg": encode(picture()), "in/b%2F.jpg": encode(picture(seed=1))})
    listing = list_path(images, annotations)
    for _ in range(2):
        prepare(listing, tmp_path / "out", links=True)
    tree = tmp_path / "out/links"
    assert sorted(folder.name for folder in tree.iterdir()) == ["%2Ec", "a%2Fb"]
    links = sorted((tree / "a%2Fb").iterdir())
    assert [link.readlink() for link in links] == [images / "a.jpg", images / "in/b%2F.jpg"]
    assert links[1].name == "in%2Fb%252F.jpg"
    assert links[1].read_bytes() == (images / "in/b%2F.jpg").read_bytes()


def test_hashes_are_reused_until_a_file_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, out = animals(tmp_path / "set"), tmp_path / "out"
    first = prepare(list_path(where), out)
    assert first.reused_hashes == 0
    read: list[str] = []

    def note(path: str) -> Inspection:
        read.append(Path(path).name)
        return inspect_file(path)

    monkeypatch.setattr(dataset, "inspect_file", note)
    assert prepare(list_path(where), out).reused_hashes == 6
    assert read == []
    os.utime(where / "dog/1.jpg", ns=(1, 1))
    (where / "cat/3.jpg").unlink()
    second = prepare(list_path(where), out)
    assert (read, second.reused_hashes, second.images) == (["1.jpg"], 4, 5)
    assert "cat/3.jpg" not in (out / "hashes.tsv").read_text()
    with (out / "hashes.tsv").open("a") as stream:
        stream.write("dog/2.jpg\tcut")
    assert prepare(list_path(where), out).reused_hashes == 5


def test_an_interrupted_check_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    where, out = animals(tmp_path / "set", each=20), tmp_path / "out"

    def stop(done: int, total: int) -> None:
        if done >= 16:
            raise KeyboardInterrupt

    monkeypatch.setattr(dataset, "spread", lambda work, items, cpus=None: _one_by_one(work, items))
    with pytest.raises(KeyboardInterrupt):
        prepare(list_path(where), out, on_progress=_at_once(stop, monkeypatch))
    assert not (out / "manifest.tsv").exists()
    assert prepare(list_path(where), out).reused_hashes == 16


def _one_by_one(work: Any, items: Any) -> Any:
    for index in range(len(items)):
        yield index, work(items[index : index + 1])


def _at_once(report: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    class Eager(Pace):
        def __init__(self, call: Any, total: int) -> None:
            super().__init__(call, total, seconds=0.0)

    monkeypatch.setattr(dataset, "Pace", Eager)
    return report


def test_processes_find_the_same_as_one(tmp_path: Path) -> None:
    where = animals(tmp_path / "set", each=30)
    calls: list[tuple[int, int]] = []
    alone = describe(where, cpus=1)
    together = describe(where, cpus=2, on_progress=lambda done, total: calls.append((done, total)))
    assert together.fingerprint == alone.fingerprint
    assert calls[-1] == (60, 60)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    where = animals(tmp_path / "set")
    (where / "dog" / os.fsdecode(b"caf\xe9.jpg")).write_bytes(encode(picture()))
    with pytest.raises(DatasetError, match=r"caf\\xe9\.jpg'?: its name is not UTF-8"):
        prepare(list_path(where), tmp_path / "out")


def run_job(folder: Path, request: dict[str, Any]) -> tuple[int, Path]:
    """Run a task as the supervisor does: from a copy of the payload that is called ``bench``."""
    shutil.copytree(
        REPOSITORY / "harness/bench", folder / "payload/bench", ignore=shutil.ignore_patterns("__pycache__")
    )
    (folder / "request.json").write_text(json.dumps({"format": 1, "task": "dataset", **request}))
    module = MODULES[request.get("task", "dataset")]
    done = subprocess.run([sys.executable, "-m", module, str(folder)], cwd=folder / "payload", check=False)
    return done.returncode, folder / "results"


def test_task_in_a_job_folder(tmp_path: Path) -> None:
    images, annotations = pair(tmp_path / "set", {f"{n}.jpg": encode(picture(seed=n)) for n in range(40)})
    paths = {"data": str(images), "annotations": str(annotations), "dataset": str(tmp_path / "out")}
    limits = {"cpus": [0, 1]}
    (tmp_path / "job").mkdir()
    code, results = run_job(
        tmp_path / "job", {"data": {"kind": "coco", "name": "x"}, "links": True, "paths": paths, "limits": limits}
    )
    assert code == 0
    left = json.loads((results / "dataset.json").read_text())
    assert (left["images"], left["kind"], left["classes"]) == (40, "coco", 2)
    assert left["fingerprint"] == describe(images, annotations).fingerprint
    events = [json.loads(line) for line in (results / "events.jsonl").read_text().splitlines()]
    assert [event["name"] for event in events if event["event"] == "phase"] == ["list", "check"]
    assert events[-2]["images"] == events[-2]["total"] == 40
    assert events[-1]["event"] == "done"
    assert (tmp_path / "out/links").is_dir()


def test_task_that_fails_leaves_why(tmp_path: Path) -> None:
    where = fill(animals(tmp_path / "set"), dog={"bad.jpg": b"x"})
    (tmp_path / "job").mkdir()
    shown = {"data": "/home/me/animals"}
    paths = {"data": str(where), "dataset": str(tmp_path / "out")}
    code, results = run_job(tmp_path / "job", {"data": {"kind": "folder"}, "paths": paths, "shown": shown})
    assert code == 1
    failure = json.loads((results / "failure.json").read_text())
    assert (failure["kind"], failure["phase"]) == ("data", "check")
    assert "1 of 7 files in /home/me/animals cannot" in failure["message"]
    assert "dog/bad.jpg: it is not an image" in failure["message"]
    assert "--skip-unreadable" in failure["hint"]
    fill(where, dog={"more.tif": b"x"})
    (tmp_path / "other").mkdir()
    code, results = run_job(tmp_path / "other", {"data": {"kind": "folder"}, "paths": paths, "shown": shown})
    assert "`find /home/me/animals -type f " in json.loads((results / "failure.json").read_text())["hint"]
    assert not (results / "dataset.json").exists()
