from __future__ import annotations

import copy
from typing import Any

import pytest

from harness.engine import dockerinfo

CLASSIC: Any = {
    "Id": "sha256:" + "1" * 64,
    "RepoTags": ["harness-cpu:1"],
    "Created": "2026-01-01T00:00:00Z",
    "Architecture": "amd64",
    "RootFS": {"Type": "layers", "Layers": ["sha256:aa", "sha256:bb"]},
    "Config": {"Env": ["PATH=/bin"], "Cmd": ["python3"], "User": "1:1", "Labels": {"a": "b"}, "Image": "sha256:cc"},
}


def image_digest(inspected: Any) -> str:
    """The identity of an image as an engine tells of it."""
    return dockerinfo.image_digest(dockerinfo.Image.model_validate(inspected))


def _containerd() -> Any:
    """The same image as the containerd store tells it: other ID, other time, fewer fields."""
    other = copy.deepcopy(CLASSIC)
    other["Id"] = "sha256:" + "2" * 64
    other["Created"] = "2026-02-02T00:00:00Z"
    del other["Config"]["Image"], other["RepoTags"]
    other["Descriptor"] = {"mediaType": "application/vnd.oci.image.index.v1+json"}
    return other


def test_equal_on_both_image_stores() -> None:
    assert image_digest(CLASSIC) == image_digest(_containerd())
    assert len(image_digest(CLASSIC)) == 64


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("RootFS", "Layers"), ["sha256:bb", "sha256:aa"]),
        (("Config", "Env"), ["PATH=/sbin"]),
        (("Config", "Cmd"), ["python3", "-S"]),
        (("Config", "User"), ""),
        (("Architecture",), "arm64"),
    ],
)
def test_each_part_counts(path: tuple[str, ...], value: object) -> None:
    other = copy.deepcopy(CLASSIC)
    place = other
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    assert image_digest(other) != image_digest(CLASSIC)


def test_absent_and_empty_are_the_same() -> None:
    absent: Any = {"Architecture": "amd64", "RootFS": {"Layers": ["sha256:aa"]}, "Config": {"Env": None, "Cmd": None}}
    empty: Any = {
        "Architecture": "amd64",
        "RootFS": {"Layers": ["sha256:aa"]},
        "Config": {"Env": [], "Cmd": [], "User": ""},
    }
    assert image_digest(absent) == image_digest(empty)
