"""Generated data sets: the same bytes everywhere, like photographs in size and cost, never half made."""

# mypy: disable-error-code="index"

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from harness.bench.data import generate
from harness.bench.data.dataset import describe, list_path
from harness.bench.data.generate import describe_made, make, set_name
from harness.bench.data.picture import encode_picture, encoder, encoder_key, plan_picture
from harness.bench.data.profiles import GENERATOR, PROFILES, Control
from harness.bench.data.synthesis import Draws, Scene, draw, random_bytes
from harness.bench.protocol.dataset_errors import DatasetError
from harness.bench.protocol.protocol import read_json

REPOSITORY = Path(__file__).parents[2]

PIXELS_DIGEST = "cc0401a58cb82fc4858a04d726832fec6769be1785d38b450daeef25fb6e6e30"
"""Of the pictures below; it changes with GENERATOR and with nothing else: no CPU, NumPy or libjpeg."""

DIGEST_SCRIPT = """
import hashlib, sys
from harness.bench.data.picture import encode_picture, plan_picture
from harness.bench.data.profiles import PROFILES
from harness.bench.data.synthesis import draw
pixels, files = hashlib.sha256(), hashlib.sha256()
for profile in PROFILES.values():
    for index in range(6):
        plan = plan_picture(profile, 11, index)
        for plane in draw(plan.scene, plan.key):
            pixels.update(plane.tobytes() if plane is not None else b"")
        files.update(encode_picture(plan, profile.subsampling))
print(pixels.hexdigest(), files.hexdigest())
"""


def digests(**environment: str) -> list[str]:
    """SHA-256 of pixels and of files of a few pictures, in a fresh Python."""
    variables = {**os.environ, "PYTHONPATH": str(REPOSITORY), **environment}
    command = [sys.executable, "-c", DIGEST_SCRIPT]
    done = subprocess.run(command, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def found_features() -> list[str]:
    """What NumPy was built to use on this CPU beyond its baseline."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # type: ignore[import-not-found]

    return [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]


def test_pixels_are_what_they_always_were() -> None:
    assert digests()[0] == PIXELS_DIGEST


def test_masked_cpu_features_change_no_byte() -> None:
    """The whole of NumPy's dispatch switched off, and libjpeg-turbo's SIMD code too."""
    features = found_features()
    plain = digests()
    assert digests(NPY_DISABLE_CPU_FEATURES=" ".join(features), JSIMD_FORCENONE="1") == plain
    if not features:
        pytest.skip("this CPU offers NumPy nothing beyond its baseline: only libjpeg's code was masked")


def test_random_bytes_are_splitmix64() -> None:
    """Against the reference sequence of splitmix64 for seed 1234567 (Vigna's splitmix64.c)."""
    golden = 0x9E3779B97F4A7C15
    found = random_bytes((1234567 + golden) % 2**64, 24).tobytes()
    words = [int.from_bytes(found[start : start + 8], "little") for start in (0, 8, 16)]
    assert words == [6457827717110365317, 3203168211198807973, 9817491932198370423]


def test_draws_cover_their_range() -> None:
    draws = Draws(7)
    counts = Counter(draws.below(6) for _ in range(6000))
    assert set(counts) == set(range(6))
    assert min(counts.values()) > 800


@pytest.mark.parametrize("size", [(1, 1), (1, 640), (333, 500), (640, 427), (129, 128), (2, 3)])
def test_every_size_can_be_drawn(size: tuple[int, int]) -> None:
    for texture in (0, 127):
        scene = Scene(height=size[0], width=size[1], texture=texture, grain=127, smoothness=4)
        planes = draw(scene, 5)
        assert [plane.shape for plane in planes if plane is not None] == [size] * 3


def test_numbers_stay_within_their_type() -> None:
    """The same picture drawn in 64 bits: no sum or product of the 16-bit code wraps around."""
    source = (REPOSITORY / "harness/bench/data/synthesis.py").read_text()
    wider = source.replace("np.int16", "np.int64")
    module = type(sys)("harness.bench.wide")
    sys.modules["harness.bench.wide"] = module
    exec(compile(wider, "wide", "exec"), module.__dict__)  # the module itself, with other numbers
    for texture, smoothness in ((127, 4), (68, 6), (17, 5)):
        scene = Scene(height=200, width=300, texture=texture, grain=100, smoothness=smoothness)
        for narrow, broad in zip(draw(scene, 3), module.draw(scene, 3), strict=True):
            assert narrow is not None
            assert np.array_equal(narrow, broad)


def test_pictures_have_the_sizes_bytes_and_settings_of_coco() -> None:
    """162,836 bytes and 279,894 pixels a file over 600 of them; 120 here, so the margins are wide."""
    profile = PROFILES["coco"]
    plans = [plan_picture(profile, 1, index) for index in range(600)]
    pixels = [plan.scene.width * plan.scene.height for plan in plans]
    assert 265_000 < np.mean(pixels) < 295_000
    assert max(max(plan.scene.width, plan.scene.height) for plan in plans) == 640
    assert Counter((plan.scene.width, plan.scene.height) for plan in plans).most_common(1)[0][0] == (640, 480)
    sizes = [len(encode_picture(plan, profile.subsampling)) for plan in plans[:120]]
    assert 145_000 < np.mean(sizes) < 180_000
    assert np.percentile(sizes, 90) > 2 * np.percentile(sizes, 10)
    labels = Counter(plan.label for plan in plans)
    assert len(labels) > 60
    assert labels.most_common(1)[0][0] == 0
    assert sum(plan_picture(profile, 1, index).scene.is_grey for index in range(3000)) in range(1, 15)


def test_a_grey_picture_has_one_channel() -> None:
    profile = PROFILES["coco"]
    plan = next(plan for index in range(5000) if (plan := plan_picture(profile, 1, index)).scene.is_grey)
    with Image.open(io.BytesIO(encode_picture(plan, 0))) as image:
        assert image.mode == "L"


def test_coco_pair_is_made_whole_and_labelled_as_planned(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    calls: list[tuple[int, int]] = []
    assert make("coco", 50, 3, folder, cpus=2, on_progress=lambda done, total: calls.append((done, total)))
    assert calls[-1] == (50, 50)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["set"]
    assert sorted(path.name for path in folder.iterdir()) == ["annotations.json", "generated.json", "images"]
    listing = list_path(folder)
    plans = [plan_picture(PROFILES["coco"], 3, index) for index in range(50)]
    assert listing.labels == tuple(plan.label for plan in plans)
    assert len(listing.classes) == 80
    found = describe_made(folder)
    assert (found.images, found.unreadable_count, found.encoder) == (50, 0, encoder())
    entries = json.loads((folder / "annotations.json").read_text())
    first = Image.open(folder / "images" / entries["images"][0]["file_name"])
    assert first.size == (entries["images"][0]["width"], entries["images"][0]["height"])
    assert JpegImagePlugin.get_sampling(first) == 0
    assert all(one["area"] > 0 and one["bbox"][0] + one["bbox"][2] <= 640 for one in entries["annotations"])
    assert not make("coco", 50, 3, folder)


def test_dogs_and_cats_lie_in_class_folders(tmp_path: Path) -> None:
    make("dogs-and-cats", 41, 1, tmp_path / "set", cpus=1)
    found = describe(tmp_path / "set")
    assert (found.kind, found.class_names, found.images) == ("folder", ("cat", "dog"), 41)
    assert found.odd.get("other_files") is None
    assert 15_000 < found.bytes / 41 < 30_000


def tree_digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def test_same_seed_same_bytes_however_many_processes(tmp_path: Path) -> None:
    make("coco", 40, 5, tmp_path / "one", cpus=1)
    make("coco", 40, 5, tmp_path / "two", cpus=2)
    make("coco", 8, 5, tmp_path / "fewer", cpus=1)
    make("coco", 8, 6, tmp_path / "other", cpus=1)
    one, fewer, other = (tree_digest(tmp_path / name) for name in ("one", "fewer", "other"))
    assert one == tree_digest(tmp_path / "two")
    pictures = {name for name in fewer if name.startswith("images/")}
    assert all(one[name] == fewer[name] for name in pictures)
    assert all(other[name] != fewer[name] for name in pictures)


def test_name_holds_what_the_bytes_depend_on() -> None:
    assert set_name("coco", 400, 1) == f"coco-400-1-{encoder_key()}"
    assert encoder().split()[-1] in encoder_key()
    assert encoder_key().endswith(f"-g{GENERATOR}")


def test_killed_making_leaves_nothing_that_looks_finished(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    script = (
        "import sys; from pathlib import Path; from harness.bench.data.generate import make\n"
        "if __name__ == '__main__': make('coco', 3000, 1, Path(sys.argv[1]), cpus=2)"
    )
    (tmp_path / "script.py").write_text(script)
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    maker = subprocess.Popen([sys.executable, str(tmp_path / "script.py"), str(folder)], env=environment)
    try:
        parts: list[Path] = []
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not any(part.rglob("*.jpg") for part in parts):
            parts = list(tmp_path.glob("set.part-*"))
            time.sleep(0.05)
        with pytest.raises(DatasetError, match="being made by another process"):
            make("coco", 3, 1, folder)
    finally:
        maker.send_signal(signal.SIGKILL)
        maker.wait()
    assert not folder.exists()
    assert list(tmp_path.glob("set.part-*"))
    assert make("coco", 3, 1, folder)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["script.py", "set"]
    assert describe(folder).images == 3


def test_failed_making_removes_what_it_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> list[int]:
        raise KeyboardInterrupt

    monkeypatch.setattr(generate, "_write_pictures", stop)
    with pytest.raises(KeyboardInterrupt):
        make("coco", 3, 1, tmp_path / "set")
    assert list(tmp_path.iterdir()) == []


def test_bad_requests(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no profile 'birds'") as caught:
        make("birds", 3, 1, tmp_path / "set")
    assert "dogs-and-cats" in caught.value.hint
    with pytest.raises(DatasetError, match="0 images"):
        make("coco", 0, 1, tmp_path / "set")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/thesis.tex").write_text("do not lose")
    with pytest.raises(DatasetError, match="exists and is not this data set"):
        make("coco", 3, 1, tmp_path / "mine")
    assert (tmp_path / "mine/thesis.tex").exists()
    make("coco", 2, 1, tmp_path / "set")
    with pytest.raises(DatasetError, match="exists and is not this data set"):
        make("coco", 3, 1, tmp_path / "set")


def test_too_little_space_is_said_with_numbers_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"are free: \d+ are missing") as caught:
        make("coco", 10**12, 1, tmp_path / "set")
    assert caught.value.kind == "disk_full"
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small_disk(make_disk: Callable[[str], Path]) -> Path:
    return make_disk("3m")


def test_a_disk_that_fills_up_is_left_clean(small_disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(generate, "_require_space", lambda *_: None)
    with pytest.raises(DatasetError, match="is full") as caught:
        make("coco", 60, 1, small_disk / "set", cpus=2)
    assert caught.value.kind == "disk_full"
    assert list(small_disk.iterdir()) == []


def test_a_folder_held_by_nobody_may_be_removed(tmp_path: Path) -> None:
    stale = tmp_path / "set.part-1"
    stale.mkdir()
    handle = os.open(stale, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    with pytest.raises(DatasetError, match="another process"):
        make("coco", 1, 1, tmp_path / "set")
    os.close(handle)
    assert make("coco", 1, 1, tmp_path / "set")
    assert not stale.exists()


def test_task_in_a_job_folder(tmp_path: Path) -> None:
    job, scratch = tmp_path / "job", tmp_path / "scratch"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(REPOSITORY / "harness/bench", job / "payload/bench", ignore=ignored)
    wanted = {"profile": "coco", "images": 4, "seed": 2}
    request = {"task": "generate", "generate": wanted, "paths": {"data": str(scratch)}}
    (job / "request.json").write_text(json.dumps(request))
    command = [sys.executable, "-m", "bench.data.generate", str(job)]
    for is_new in (True, False):
        assert subprocess.run(command, cwd=job / "payload", check=False).returncode == 0
        made = read_json(job / "results/dataset.json")
        assert made["made"] is is_new
    assert made["folder"] == set_name("coco", 4, 2)
    assert made["layout"] == {"images": "images", "annotations": "annotations.json"}
    assert (scratch / made["folder"] / "images/000000000004.jpg").is_file()


def test_a_controlled_set_has_one_size_one_quality_and_the_same_scenes(tmp_path: Path) -> None:
    files = {}
    for control in (Control(96, 50), Control(96, 95), Control(96, 95, progressive=True)):
        folder = tmp_path / control.key
        assert make("coco", 3, 1, folder, control=control, cpus=1)
        assert not make("coco", 3, 1, folder, control=control, cpus=1)
        files[control] = sorted((folder / "images").iterdir())
        images = [Image.open(path) for path in files[control]]
        assert {image.size for image in images} == {(96, 96)}
        assert {bool(image.info.get("progressive")) for image in images} == {control.progressive}
        assert describe_made(folder).images == 3
    low, high, progressive = ([np.asarray(Image.open(path), int) for path in paths] for paths in files.values())
    assert all(np.array_equal(one, other) for one, other in zip(high, progressive, strict=True))
    assert all(0 < np.abs(one - other).mean() < 12 for one, other in zip(low, high, strict=True))
    assert sum(path.stat().st_size for path in files[Control(96, 50)]) < sum(
        path.stat().st_size for path in files[Control(96, 95)]
    )
    assert set_name("coco", 3, 1, Control(96, 95, progressive=True)) != set_name("coco", 3, 1, Control(96, 95))
    with pytest.raises(DatasetError, match="exists and is not this data set"):
        make("coco", 3, 1, tmp_path / "96px-q50", control=Control(96, 51))


@pytest.mark.parametrize(("control", "reason"), [(Control(9000), "size of 9000"), (Control(96, 0), "quality of 0")])
def test_what_cannot_be_controlled_is_refused(control: Control, reason: str, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=reason):
        make("coco", 3, 1, tmp_path / "set", control=control)
