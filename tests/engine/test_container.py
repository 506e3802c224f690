# mypy: disable-error-code="index"

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from harness.bench.protocol import protocol
from harness.engine.container import (
    Owner,
    build_create,
    build_job_archive,
    device_request,
    ephemeral_folders,
    is_ephemeral,
    job_paths,
    read_list_label,
)
from harness.engine.interface import JobRequest, Mount
from harness.ship.payload_archive import build_payload

GOLDEN = Path(__file__).with_name("golden_create.json")
OWNER = Owner(1000, 1001)


def _request(**changes: object) -> JobRequest:
    fields: dict[str, object] = {
        "name": "harness-4f0c-1",
        "labels": {"harness.session": "lab-quick-1a2b3c4d", "harness.case": "c0ffee", "harness.round": "2"},
        "payload": build_payload(),
        "request": {"format": 1, "task": "measure"},
        "image": "harness-cpu:0123456789ab",
        "mounts": (
            Mount("data", "/srv/coco/train2017"),
            Mount("annotations", "/srv/coco/instances_train2017.json"),
            Mount("dataset", "/home/u/.cache/harness/datasets/ab12"),
            Mount("cache", "/fast/harness-cache-4f0c-1", read_only=False, ephemeral=True),
            Mount("weights", "/srv/weights/mobilenet.h5"),
        ),
        "memory_bytes": 16_000_000_000,
        "cpus": (3, 0, 1),
        "tmp_bytes": 2**28,
    }
    return JobRequest(**{**fields, **changes})  # type: ignore[arg-type]


def test_create_request_is_the_golden_one() -> None:
    """Each line of it is a promise: no network, read-only root, no capabilities, swap not doubled, …"""
    assert build_create(_request(), OWNER) == json.loads(GOLDEN.read_text())


def test_gpus_only_where_asked() -> None:
    plain: Any = build_create(_request(), OWNER, gpu_support="nvidia")
    assert "DeviceRequests" not in plain["HostConfig"]
    assert "NVIDIA_VISIBLE_DEVICES=void" in plain["Env"]
    asked: Any = build_create(_request(gpus=("0", "GPU-1f")), OWNER, gpu_support="nvidia")
    assert asked["HostConfig"]["DeviceRequests"][0]["DeviceIDs"] == ["0", "GPU-1f"]
    assert asked["HostConfig"]["DeviceRequests"][0]["Count"] == 0
    assert not [variable for variable in asked["Env"] if variable.startswith("NVIDIA")]


def test_cdi_names_devices_and_takes_no_options() -> None:
    assert device_request(["0", "nvidia.com/gpu=1:0"], "cdi") == {
        "Driver": "cdi",
        "Count": 0,
        "DeviceIDs": ["nvidia.com/gpu=0", "nvidia.com/gpu=1:0"],
        "Capabilities": None,
        "Options": None,
    }


def test_no_limit_is_no_limit_at_all() -> None:
    config: Any = build_create(_request(memory_bytes=None, cpus=()), OWNER)["HostConfig"]
    assert not {"Memory", "MemorySwap", "CpusetCpus"} & set(config)


def test_warnings_travel_as_a_label() -> None:
    labels: Any = build_create(_request(), OWNER, warnings=["Limitation discarded."])["Labels"]
    assert read_list_label(labels, "harness.warnings") == ("Limitation discarded.",)


@pytest.mark.parametrize("text", ["", "{}", "[1", '"x"', "[1, 2]"])
def test_a_foreign_label_is_an_empty_list(text: str) -> None:
    assert read_list_label({"x": text}, "x") == ()


@pytest.mark.parametrize(
    "folder",
    [
        "/", "/data", "/data/harness-cache-", "harness-cache-1", "/data/harness-cache-1/..", "/d/../harness-cache-1",
        "/data/harness-cache-1/", "/data/harness-cache-1/x", "/data/my-harness-cache-1", "/data//harness-cache-1",
    ],
)  # fmt: skip
def test_only_our_own_folders_are_ever_ephemeral(folder: str) -> None:
    assert not is_ephemeral(folder)
    with pytest.raises(ValueError, match="harness-cache-"):
        ephemeral_folders(_request(mounts=(Mount("cache", folder, read_only=False, ephemeral=True),)))


def test_paths_are_what_is_mounted() -> None:
    request = _request()
    mounted = {mount["Target"] for mount in build_create(request, OWNER)["HostConfig"]["Mounts"]}
    assert mounted == set(job_paths(request).values())
    assert job_paths(request)["weights"] == "/weights/mobilenet.h5"


def test_job_archive_holds_payload_request_and_results_owned_by_the_user() -> None:
    with tarfile.open(fileobj=io.BytesIO(build_job_archive(_request(), OWNER))) as archive:
        members = {member.name: member for member in archive}
        stream = archive.extractfile("request.json")
        assert stream is not None
        body = json.loads(stream.read())
    assert {(member.uid, member.gid) for member in members.values()} == {(1000, 1001)}
    assert members["results"].isdir()
    assert members["payload/bench/protocol/protocol.py"].isfile()
    assert body["task"] == "measure"
    assert body["paths"]["data"] == "/data"


def test_the_job_may_write_to_its_own_folders_whoever_it_is() -> None:
    """The volume's own folder belongs to root: what the payload writes to must be there, and the user's."""
    with tarfile.open(fileobj=io.BytesIO(build_job_archive(_request(), Owner(1234, 5678)))) as archive:
        folders = {member.name: member for member in archive if member.isdir()}
    for name in (protocol.RESULTS, *protocol.WORK_FOLDERS):
        assert (folders[name].uid, folders[name].gid) == (1234, 5678)
        assert folders[name].mode & 0o700 == 0o700
