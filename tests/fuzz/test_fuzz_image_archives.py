"""Image archives that are carried by hand, damaged: docker-archive and OCI layout."""

from __future__ import annotations

import copy
import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from typing import Any

from fuzzing import damaged_bytes, damaged_values, dump_json, fuzzed, one_case, refusal_of
from hypothesis import given
from hypothesis import strategies as st

from harness.ship.transfer.cache import ImageCache

LAYER = b"a layer" * 200
DIFF_ID = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"
CONFIG: dict[str, Any] = {
    "architecture": "amd64",
    "os": "linux",
    "config": {"Env": ["PATH=/bin"], "Cmd": ["/true"], "User": "", "Labels": {"a": "b"}},
    "rootfs": {"type": "layers", "diff_ids": [DIFF_ID]},
}
DOCKER = [{"Config": "config.json", "RepoTags": ["t:1"], "Layers": ["x/layer.tar"]}]


def digest_of(value: Any) -> str:
    return f"sha256:{hashlib.sha256(dump_json(value)).hexdigest()}"


def tar_of(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def blob(digest: Any) -> str:
    return "blobs/" + str(digest).replace(":", "/")


def fill(archive: bytes) -> None:
    """Read an archive as ``harness ship`` does; what it is refused for can be written."""
    with one_case() as folder:
        (folder / "image.tar").write_bytes(archive)
        said = refusal_of(lambda: ImageCache(folder / "cache").fill_from_file(folder / "image.tar").labels)
        if said is not None:
            assert len(said) < 3000
            said.encode()


@fuzzed
@given(damaged_values(DOCKER), damaged_values(CONFIG), st.booleans())
def test_docker_archive(manifest: Any, config: Any, is_packed: bool) -> None:
    files = {"x/layer.tar": LAYER, "config.json": dump_json(config), "manifest.json": dump_json(manifest)}
    archive = tar_of(files)
    fill(gzip.compress(archive, 1) if is_packed else archive)


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, bytes]:
    """The files of an OCI layout; indexes may name each other, and themselves."""
    config = draw(damaged_values(CONFIG, most=1))
    layer = {"digest": DIFF_ID, "size": len(LAYER)}
    manifest = draw(damaged_values({"config": {"digest": digest_of(config)}, "layers": [layer]}, most=1))
    names = {"org.opencontainers.image.ref.name": "t:1"}
    image = {"digest": digest_of(manifest), "platform": {"architecture": "amd64"}, "annotations": names}
    rings = [f"sha256:{letter * 64}" for letter in "abc"]
    files = {
        blob(DIFF_ID): LAYER,
        blob(digest_of(config)): dump_json(config),
        blob(digest_of(manifest)): dump_json(manifest),
    }
    for place in rings:
        inner = draw(st.lists(st.sampled_from([image, *({"digest": ring} for ring in rings)]), max_size=4))
        files[blob(place)] = dump_json({"manifests": copy.deepcopy(inner)})
    outer = draw(st.lists(st.sampled_from([image, {"digest": rings[0]}, {"digest": rings[1]}]), max_size=3))
    index = draw(damaged_values({"manifests": copy.deepcopy(outer)}, most=1))
    return {**files, "index.json": dump_json(index), "oci-layout": json.dumps({}).encode()}


@fuzzed
@given(layouts())
def test_oci_layout(files: dict[str, bytes]) -> None:
    fill(tar_of(files))


GOOD = tar_of(
    {"x/layer.tar": LAYER, "config.json": json.dumps(CONFIG).encode(), "manifest.json": json.dumps(DOCKER).encode()}
)


@fuzzed
@given(damaged_bytes(GOOD), st.booleans())
def test_bytes_of_an_archive(archive: bytes, is_packed: bool) -> None:
    fill(gzip.compress(archive, 1) if is_packed else archive)


@fuzzed
@given(damaged_bytes(gzip.compress(GOOD, 1), most=2))
def test_bytes_of_a_packed_archive(archive: bytes) -> None:
    fill(archive)
