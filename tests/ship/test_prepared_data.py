"""Data sets prepared on a host: what the session gets, what a user reads when it fails, and that no job is left."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from harness.bench.data.dataset import describe
from harness.bench.loaders.manifest import read_manifest
from harness.engine.interface import JobHandle, JobRequest, JobState, Mount, Payload
from harness.engine.jobs import JobHost
from harness.engine.kinds.process import ProcessEngine
from harness.hosts.connection import Completed
from harness.hosts.local import LocalConnection
from harness.inventory.variables import DataSet, Generate
from harness.ship import preparation_job
from harness.ship.dataset_check import PreparedData, dataset_folder, prepare_data, read_known
from harness.ship.payload_archive import build_payload
from harness.values.engine_names import EngineFacts
from harness.values.errors import DataError, HostUnreachable, JobRefused

FOUND = {
    "fingerprint": "f" * 64,
    "images": 3,
    "classes": 2,
    "bytes": 99,
    "mean_width": 4.0,
    "mean_height": 5.0,
    "mean_pixels": 20.0,
    "odd": {"greyscale": 1},
}
MADE = {
    "folder": "coco-3-1-key",
    "layout": {"images": "images", "annotations": "annotations.json"},
    "encoder": "libjpeg-turbo 9",
    "made": True,
}
EXITED = JobState("exited", exit_code=0)


@dataclass
class Script:
    """What a task's job does: its states, poll by poll (the last one stays), and the files that it leaves."""

    states: Sequence[JobState | Exception] = (EXITED,)
    files: Mapping[str, object] = field(default_factory=dict)


class ScriptedEngine:
    """An engine double: no job runs, each goes by the script of its task."""

    name = "scripted"
    host = "ws1"

    def __init__(self, refusal: JobRefused | None = None, **scripts: Script) -> None:
        self.scripts = {"dataset": Script(files={"dataset.json": FOUND}), **scripts}
        self.refusal = refusal
        self.submitted: list[JobRequest] = []
        self.there: list[JobHandle] = []
        self.cancelled: list[str] = []
        self.polls: dict[str, int] = {}

    def probe(self, image: str) -> EngineFacts:
        return EngineFacts("scripted", "0")

    def submit(self, request: JobRequest) -> JobHandle:
        if self.refusal:
            raise self.refusal
        self.submitted.append(request)
        handle = JobHandle("ws1", request.name, request.name, request.labels)
        if handle not in self.there:
            self.there.append(handle)
        return handle

    def poll(self, handles: Sequence[JobHandle]) -> list[JobState]:
        return [self._state(handle) for handle in handles]

    def _state(self, handle: JobHandle) -> JobState:
        states = self.scripts[handle.labels["harness.task"]].states
        index = self.polls.get(handle.name, 0)
        self.polls[handle.name] = index + 1
        state = states[min(index, len(states) - 1)]
        if isinstance(state, Exception):
            raise state
        return state

    def fetch(self, handle: JobHandle, destination: Path) -> None:
        for name, value in self.scripts[handle.labels["harness.task"]].files.items():
            (destination / name).write_text(value if isinstance(value, str) else json.dumps(value))

    def cancel(self, handles: Sequence[JobHandle]) -> None:
        for handle in handles:
            self.cancelled.append(handle.name)
            self.there.remove(handle)

    def list(self, session: str | None = None) -> list[JobHandle]:
        return list(self.there)


PAIR = DataSet(images="/data/train", annotations="/data/instances.json")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation_job, "_POLL_FIRST_S", 0.01)


class FoldersOnly:
    """A connection double that makes folders, so to say."""

    host = "ws1"

    def run(self, argv: Sequence[str], **_named: Any) -> Completed:
        assert argv[:2] == ["sh", "-c"] and "mkdir" in argv[2]  # folders of ours, with their mark
        return Completed(0, b"", b"")


def host_of(engine: Any, connection: Any, scratch: str, payload: Payload, cpus: tuple[int, ...] = ()) -> JobHost:
    return JobHost(
        host=engine.host,
        connection=connection,
        engine=engine,
        image="img",
        image_digest="1",
        payload=payload,
        disks={"scratch": scratch},
        cpus=cpus,
    )


def prepare(engine: Any, spec: DataSet, cpus: tuple[int, ...] = (), **more: Any) -> PreparedData:
    on = host_of(engine, FoldersOnly(), "/scratch", Payload("d" * 64, b""), cpus)
    return prepare_data(on, "animals", spec, **{"timeout_s": 5.0, **more})


def test_a_pair_is_mounted_read_only_but_for_its_own_folder() -> None:
    engine = ScriptedEngine()
    found = prepare(engine, PAIR, links=True, cpus=(0, 3))
    (request,) = engine.submitted
    kept = dataset_folder("/scratch", "animals", PAIR)
    assert kept.startswith("/scratch/datasets/animals-")
    assert request.mounts == (
        Mount("data", "/data/train"),
        Mount("annotations", "/data/instances.json"),
        Mount("dataset", kept, read_only=False),
    )
    assert request.request["data"] == {"kind": "coco", "name": "animals"}
    assert request.request["links"] is True
    assert request.request["shown"]["data"] == "/data/train"  # type: ignore[index]
    assert request.memory_bytes is None
    assert request.cpus == (0, 3)
    assert found.mounts == (*request.mounts[:2], Mount("dataset", kept))
    assert found.manifest == f"{kept}/manifest.tsv"
    assert (found.images, found.mean_pixels, found.odd) == (3, 20.0, {"greyscale": 1})
    assert engine.there == []


@pytest.mark.parametrize(
    ("more", "suffixes"),
    [
        ({"form": "list", "suffixes": [".JPG"]}, (".JPG",)),
        ({}, None),
        ({"form": "list", "suffixes": 3}, None),
        ({"form": "list", "suffixes": ["." + "x" * 99]}, None),
        ({"form": "elsewhere"}, None),
    ],
)
def test_what_a_host_says_of_its_data_is_taken_if_it_can_be_read(more: Any, suffixes: Any) -> None:
    engine = ScriptedEngine(dataset=Script(files={"dataset.json": {**FOUND, **more}}))
    place = prepare(engine, PAIR).place
    assert (place and place.suffixes) == suffixes
    assert place is None or (place.folder, place.annotations) == ("/data/train", "/data/instances.json")


def test_a_folder_needs_no_links() -> None:
    engine = ScriptedEngine()
    assert prepare(engine, DataSet(folder="/data/pets"), links=True).kind == "folder"
    assert engine.submitted[0].request["links"] is False


def test_a_set_is_made_and_then_checked_where_it_was_made() -> None:
    engine = ScriptedEngine(generate=Script(files={"dataset.json": MADE}))
    found = prepare(engine, DataSet(generate=Generate(profile="coco", images=3, seed=1)))
    making, checking = engine.submitted
    assert making.mounts == (Mount("data", "/scratch/data", read_only=False),)
    assert making.request["generate"] == {"profile": "coco", "images": 3, "seed": 1}
    assert checking.mounts[0] == Mount("data", "/scratch/data/coco-3-1-key/images")
    assert checking.mounts[1] == Mount("annotations", "/scratch/data/coco-3-1-key/annotations.json")
    assert (found.was_made, found.encoder) == (True, "libjpeg-turbo 9")
    assert "seed 1" in found.source
    assert engine.there == []


def test_progress_is_told_in_words_and_shares() -> None:
    lines = [{"event": "phase", "name": "check"}, {"event": "progress", "phase": "check", "images": 5, "total": 20}]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"event": "prog'
    running = Script(
        states=[JobState("running"), JobState("running"), EXITED], files={"events.jsonl": text, "dataset.json": FOUND}
    )
    told: list[tuple[str, float | None]] = []
    prepare(ScriptedEngine(dataset=running), PAIR, on_progress=lambda words, share: told.append((words, share)))
    assert told == [("checking: 5 of 20 images", 0.25)] * 2


def test_a_failure_is_told_with_its_cure_and_its_host() -> None:
    failure = {"kind": "data", "message": "2 of 9 files cannot be read:\n  a.jpg: zero bytes", "hint": "mend them"}
    engine = ScriptedEngine(dataset=Script(states=[JobState("exited", 1)], files={"failure.json": failure}))
    with pytest.raises(DataError) as caught:
        prepare(engine, PAIR)
    assert str(caught.value) == "ws1: 2 of 9 files cannot be read:\n  a.jpg: zero bytes\n  → mend them"
    assert engine.there == []


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (Script(states=[JobState("gone")]), "was removed"),
        (Script(states=[JobState("exited", 1)], files={"outcome.json": {"timed_out": True}}), "took too long"),
        (
            Script(
                states=[JobState("exited", 0)],
                files={"outcome.json": {"child": {"signal": 9}}, "log.txt": "one\ntwo\nlast words"},
            ),
            r"(?s)ended with signal 9.*last words",
        ),
        (Script(states=[JobState("exited", 3)]), "ended with exit code 3"),
    ],
)
def test_every_end_without_a_result_is_one_clear_error(script: Script, message: str) -> None:
    engine = ScriptedEngine(dataset=script)
    with pytest.raises(DataError, match=message) as caught:
        prepare(engine, PAIR)
    assert caught.value.hint
    assert engine.there == []


def test_a_job_that_never_ends_is_given_up_and_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preparation_job, "_GRACE_S", 0.0)
    engine = ScriptedEngine(dataset=Script(states=[JobState("running")]))
    with pytest.raises(DataError, match="more than 0 s"):
        prepare(engine, PAIR, timeout_s=0.05)
    assert engine.there == []


def test_a_lost_host_is_a_lost_host() -> None:
    engine = ScriptedEngine(dataset=Script(states=[JobState("running"), HostUnreachable("gone", where="ws1")]))
    with pytest.raises(HostUnreachable):
        prepare(engine, PAIR)
    assert len(engine.cancelled) == 1


def test_a_path_that_the_engine_refuses_is_a_matter_of_data() -> None:
    engine = ScriptedEngine(JobRefused("bind source path does not exist: /data/train", where="ws1"))
    with pytest.raises(DataError, match="/data/train") as caught:
        prepare(engine, PAIR)
    assert "inventory" in str(caught.value.hint)
    with pytest.raises(JobRefused):
        prepare(ScriptedEngine(JobRefused("no room", where="ws1")), PAIR)


def test_a_running_job_is_taken_over_and_a_finished_one_is_not_believed() -> None:
    first = ScriptedEngine()
    prepare(first, PAIR)
    left = JobHandle("ws1", first.submitted[0].name, "x", first.submitted[0].labels)
    running = ScriptedEngine(dataset=Script([JobState("running"), EXITED], {"dataset.json": FOUND}))
    running.there = [left]
    prepare(running, PAIR)
    assert running.cancelled == [left.name]  # at its end only
    finished = ScriptedEngine()
    finished.there = [left]
    prepare(finished, PAIR)
    assert finished.cancelled == [left.name] * 2


def test_keys_differ_where_sources_do() -> None:
    specs = [
        PAIR,
        DataSet(folder="/data/train"),
        *(DataSet(generate=Generate(profile="coco", images=n)) for n in (1, 2)),
    ]
    keys = {dataset_folder("/s", "x", spec) for spec in specs}
    assert len(keys) == 4
    assert all(key.startswith("/s/datasets/x-") for key in keys)


# On the real engine, with the real payload.


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def prepare_here(scratch: Path, spec: DataSet, cpus: tuple[int, ...] = (), **more: Any) -> PreparedData:
    connection = LocalConnection("here")
    engine = ProcessEngine(connection, scratch=str(scratch))
    try:
        on = host_of(engine, connection, str(scratch), build_payload(), cpus)
        return prepare_data(on, "animals", spec, timeout_s=120.0, **more)
    finally:
        assert engine.list() == []


def test_generated_pair_end_to_end(scratch: Path) -> None:
    spec = DataSet(generate=Generate(profile="coco", images=6, seed=1))
    first = prepare_here(scratch, spec, links=True, cpus=(0,))
    assert (first.images, first.kind, first.was_made) == (6, "coco", True)
    data, _, kept = (Path(mount.source) for mount in first.mounts)
    assert data.is_relative_to(scratch / "data")
    manifest = read_manifest(kept)
    links = sorted(path for path in (kept / "links").rglob("*") if path.is_symlink())
    assert sorted(link.resolve() for link in links) == [data / path for path in manifest.paths]
    assert first.fingerprint == describe(data.parent).fingerprint
    place = first.place
    assert place is not None
    assert (place.form, place.suffixes, place.images) == ("coco", (".jpg",), 6)
    assert (place.folder, place.annotations) == (str(data), str(data.parent / "annotations.json"))
    connection = LocalConnection("here")
    known = read_known(connection, str(scratch), "animals", spec)
    assert known is not None
    assert known.fingerprint == first.fingerprint
    assert read_known(connection, str(scratch), "plants", spec) is None
    again = prepare_here(scratch, spec)
    assert (again.was_made, again.fingerprint) == (False, first.fingerprint)
    assert json.loads((kept / "dataset.json").read_text())["reused_hashes"] == 6


def test_bad_and_missing_data_end_to_end(scratch: Path, tmp_path: Path) -> None:
    pets = tmp_path / "pets"
    (pets / "cat").mkdir(parents=True)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(pets / "cat/good.jpg")
    (pets / "cat/empty.jpg").touch()
    with pytest.raises(DataError, match=rf"1 of 2 files in {pets} cannot(?s:.*)cat/empty\.jpg: it is empty"):
        prepare_here(scratch, DataSet(folder=str(pets)))
    (pets / "cat/empty.jpg").unlink()
    assert prepare_here(scratch, DataSet(folder=str(pets))).images == 1
    with pytest.raises(DataError, match="nowhere"):
        prepare_here(scratch, DataSet(folder=str(tmp_path / "nowhere")))


def test_a_set_without_its_broken_image_end_to_end(scratch: Path, tmp_path: Path) -> None:
    pets = tmp_path / "pets"
    (pets / "cat").mkdir(parents=True)
    for name in ("1.jpg", "2.jpg"):
        Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(pets / "cat" / name)
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(pets / "cat/3.bmp")
    (pets / "cat/broken.jpg").write_bytes(b"no image")
    source = DataSet(folder=str(pets), skip_unreadable=True)
    found = prepare_here(scratch, source)
    assert (found.images, found.skipped_count) == (2, 2)
    assert dict(found.skipped)["cat/broken.jpg"] == "it is not an image"
    with_bitmaps = prepare_here(scratch, source, formats=("BMP",))
    assert (with_bitmaps.images, with_bitmaps.skipped_count) == (3, 1)
    assert with_bitmaps.coding is not None and with_bitmaps.coding.formats == {"BMP": 1, "JPEG": 2}
    assert with_bitmaps.place is not None and with_bitmaps.place.left_out == ("cat/broken.jpg",)


def test_images_without_labels_and_a_list_of_absolute_paths_end_to_end(scratch: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(flat / "1.jpg")
    found = prepare_here(scratch, DataSet(folder=str(flat)))
    assert (found.kind, found.images, found.classes, found.is_labelled) == ("folder", 1, 1, False)
    assert "so without labels: loading can be measured, training cannot" in found.said[0]
    (tmp_path / "labels.csv").write_text(f"label,path\ncat,{flat}/1.jpg\n")
    listed = prepare_here(scratch, DataSet(images=str(flat), annotations=str(tmp_path / "labels.csv")))
    assert (listed.kind, listed.images, listed.is_labelled) == ("coco", 1, True)
    assert "1 absolute path in labels.csv read as paths below the folder of images" in listed.said
