"""Images: definitions, and a small one built for real (the locked ``six`` instead of TensorFlow)."""

from __future__ import annotations

import gzip
import io
import json
import os
import shutil
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from docker.errors import APIError

from harness.engine.daemon import open_client
from harness.engine.daemon_words import PODMAN
from harness.engine.dockerinfo import cuda_of, image_digest, seek_image
from harness.ship import image as image_module
from harness.ship.base import explaining, find_kept, make_base
from harness.ship.build_environment import find_build_arguments, find_certificates
from harness.ship.definition import ImageDefinition, image_definition, image_definitions, image_reference
from harness.ship.image import (
    LABEL_DEFINITION,
    build_context,
    build_image,
    ensure_image,
    find_image,
)
from harness.values.cuda import CudaBuild
from harness.values.errors import EngineUnavailable, ImageUnavailable


@pytest.fixture(scope="module")
def client() -> Any:
    try:
        return open_client(timeout_s=300)
    except EngineUnavailable as error:
        pytest.skip(f"no Docker Engine here: {error.message}")


@pytest.fixture(scope="module")
def base(client: Any) -> str:
    for one in client.images():
        for tag in one.get("RepoTags") or ():
            if tag.startswith(("harness-base:", "debian:")):
                return str(tag)
    if os.geteuid() != 0:
        pytest.skip("no base image here, and making one needs root")
    return make_base(client)


@pytest.fixture
def reference(client: Any) -> Iterator[str]:
    chosen = f"harness-test:{uuid.uuid4().hex[:12]}"
    yield chosen
    if find_image(client, chosen) is not None:
        client.remove_image(chosen, force=True)


def _six_of(lock: bytes) -> bytes:
    lines = lock.decode().splitlines()
    start = next(index for index, line in enumerate(lines) if line.startswith("six=="))
    end = next(index for index in range(start + 1, len(lines)) if not lines[index].startswith("    "))
    return "\n".join(lines[start:end]).encode()


BUILD_INFO = {"is_cuda_build": True, "cuda_version": "12.5.1", "cuda_compute_capabilities": ["sm_80", "compute_90"]}
"""What stands in the small GPU image for what TensorFlow says of itself."""


def _small(kind: str) -> ImageDefinition:
    definition = image_definition(kind)
    files = [(path, _make_small(path, content)) for path, content in definition.files]
    return replace(definition, files=tuple(files))


def _make_small(path: str, content: bytes) -> bytes:
    if path.endswith(".txt"):
        return _six_of(content)
    ask = b"json, tensorflow; print(json.dumps(tensorflow.sysconfig.get_build_info()))"
    assert path != "Dockerfile.gpu" or content.count(ask) == 1
    return content.replace(ask, f"json; print(json.dumps({json.dumps(BUILD_INFO).replace('true', 'True')}))".encode())


def test_definitions_are_complete_and_locked_with_hashes() -> None:
    definitions = image_definitions()
    assert set(definitions) == {"cpu", "gpu"}
    for definition in definitions.values():
        files = dict(definition.files)
        dockerfile = files[definition.dockerfile].decode()
        lock = next(content for path, content in definition.files if path.endswith(".txt")).decode()
        assert "ARG BASE_IMAGE" in dockerfile
        assert "--require-hashes" in dockerfile
        packages = [line for line in lock.splitlines() if line and line[0] not in " #"]
        assert all("==" in line and line.endswith("\\") for line in packages)
        assert "://" not in lock, "no index is named"
    gpu = next(content for path, content in definitions["gpu"].files if path.endswith(".txt")).decode()
    assert "tensorflow==2.21" in gpu
    assert "nvidia-cudnn-cu12==" in gpu
    cpu = next(content for path, content in definitions["cpu"].files if path.endswith(".txt")).decode()
    assert "tensorflow-cpu==2.21" in cpu
    assert "nvidia" not in cpu


def test_reference_follows_the_content() -> None:
    definition = image_definition("cpu")
    changed = replace(definition, files=(*definition.files[:-1], (definition.files[-1][0], b"six==1")))
    assert image_reference(definition).startswith("harness-cpu:")
    assert image_reference(changed) != image_reference(definition)
    assert image_reference(_small("gpu")) != image_reference(_small("cpu"))


def test_context_holds_definition_and_certificates_and_is_deterministic() -> None:
    definition = image_definition("gpu")
    context = build_context(definition, b"PEM")
    assert context == build_context(definition, b"PEM")
    with tarfile.open(fileobj=io.BytesIO(gzip.decompress(context))) as archive:
        names = archive.getnames()
    assert names == ["Dockerfile.gpu", "images/ca/machine.crt", "images/requirements-gpu.txt"]


@pytest.mark.docker
def test_an_image_is_built_once_lean_and_without_rights(
    client: Any, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = _small("cpu")
    monkeypatch.setattr(image_module, "image_definition", lambda _: small)
    reference = image_reference(small)
    if find_image(client, reference) is not None:
        client.remove_image(reference, force=True)
    lines: list[str] = []
    try:
        built = ensure_image(client, "cpu", base_image=base, on_progress=lines.append)
        assert (built.reference, built.method) == (reference, "built")
        assert built.digest == find_image(client, reference)
        assert ensure_image(client, "cpu") == (reference, built.digest, "present")
        assert ensure_image(client, "cpu", base_image=base).method == "present"
        _assert_lean(client, reference)
        _assert_stage_removed(client, lines)
    finally:
        client.remove_image(reference, force=True)


@pytest.mark.docker
def test_the_gpu_image_says_what_its_tensorflow_was_built_for(client: Any, base: str, reference: str) -> None:
    small = _small("gpu")
    lines: list[str] = []
    digest = build_image(client, small, base_image=base, reference=reference, on_progress=lines.append)
    found = seek_image(client, reference)
    assert found is not None and digest == image_digest(found)
    assert found.settings.labels[LABEL_DEFINITION] == small.digest, "the labels of the build are kept"
    assert cuda_of(found) == CudaBuild(cuda="12.5.1", architectures=("sm_80", "compute_90"))
    assert found.settings.user == "10001:10001" and json.dumps(BUILD_INFO) in lines
    assert [one for one in client.containers(all=True) if one["Image"] == reference] == []


def _assert_lean(client: Any, reference: str) -> None:
    inspected = client.inspect_image(reference)
    assert inspected["Config"]["User"] == "10001:10001"
    assert "NVIDIA_VISIBLE_DEVICES=void" in inspected["Config"]["Env"]
    script = "import six, sys, shutil; print(sys.prefix, [shutil.which(x) for x in ('pip', 'gcc', 'make')])"
    body = {"Image": reference, "Cmd": ["python3", "-c", script], "HostConfig": {"NetworkMode": "none"}}
    container = client.create_container_from_config(body)["Id"]
    try:
        client.start(container)
        assert client.wait(container, timeout=60)["StatusCode"] == 0
        assert client.logs(container).decode().strip() == "/opt/harness [None, None, None]"
    finally:
        client.remove_container(container, v=True, force=True)


def _assert_stage_removed(client: Any, lines: list[str]) -> None:
    final = max(index for index, line in enumerate(lines) if line.startswith("Step ") and ": FROM " in line)
    stage = [line.split()[1] for line in lines[:final] if line.startswith("---> ") and len(line.split()) == 2][-1]
    assert find_image(client, stage) is None, "the stage for building took as much disk as the image"


@pytest.mark.docker
def test_an_image_with_a_package_that_is_not_the_locked_one_is_not_built(
    client: Any, base: str, reference: str
) -> None:
    small = _small("cpu")
    wrong = "six==1.17.0 --hash=sha256:" + "0" * 64
    files = tuple((path, wrong.encode() if path.endswith(".txt") else content) for path, content in small.files)
    with pytest.raises(ImageUnavailable) as caught:
        build_image(client, replace(small, files=files), base_image=base, reference=reference)
    assert "DO NOT MATCH THE HASHES" in caught.value.message
    assert base in caught.value.message
    assert find_image(client, reference) is None


@pytest.mark.docker
def test_buildkit_builds_the_other_one(client: Any, base: str, reference: str, tmp_path: Path) -> None:
    docker = "/usr/bin/docker" if Path("/usr/bin/docker").exists() else shutil.which("docker")
    if docker is None:
        pytest.skip("no docker command here")
    context = io.BytesIO(gzip.decompress(build_context(_small("gpu"), find_certificates())))
    with tarfile.open(fileobj=context) as archive:
        archive.extractall(tmp_path, filter="data")
    arguments = [f"{key}={value}" for key, value in find_build_arguments().items()]
    options = [word for argument in (f"BASE_IMAGE={base}", *arguments) for word in ("--build-arg", argument)]
    command = [docker, "build", "-f", "Dockerfile.gpu", "-t", reference, *options, "."]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "DOCKER_BUILDKIT": "1"}, capture_output=True, text=True, check=False
    )
    if "buildx" in done.stderr and done.returncode != 0:
        pytest.skip(f"this docker command has no BuildKit: {done.stderr[:200]}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert client.inspect_image(reference)["Config"]["User"] == "10001:10001"


def test_a_failure_is_told_of_the_engine_that_failed() -> None:
    client: Any = SimpleNamespace(words=PODMAN)
    with pytest.raises(ImageUnavailable, match="Podman could not pull it") as caught, explaining(client, "pull it"):
        raise APIError("no route")
    assert "podman info" in str(caught.value.hint)


@pytest.mark.docker
def test_when_no_base_can_be_had_all_that_was_tried_is_said(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_module, "image_definition", lambda _: replace(_small("cpu"), kind="none"))
    monkeypatch.setattr(image_module, "PULLED_BASE", "127.0.0.1:9/harness-no-such:1")
    with pytest.raises(ImageUnavailable) as caught:
        ensure_image(client, "cpu", is_root=False)
    assert "could not be pulled" in caught.value.message or "could not pull" in caught.value.message
    assert "needs root" in caught.value.message
    assert "--base-image" in str(caught.value.hint)


@pytest.mark.docker
def test_a_base_that_is_not_there_is_named(client: Any, reference: str) -> None:
    with pytest.raises(ImageUnavailable, match="harness-no-such"):
        build_image(client, _small("cpu"), base_image="127.0.0.1:9/harness-no-such:1", reference=reference)


@pytest.mark.docker
def test_a_kept_base_is_imported_without_making_it_again(
    client: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small tar stands in for what debootstrap makes; a damaged one is not taken."""
    from harness.ship import base as base_module

    index = base_module._index(tmp_path, "sid", "http://archive")  # noqa: SLF001 - what is kept is laid out by hand
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("hello"))
    part = tmp_path / "part"
    part.write_bytes(content.getvalue())
    digest = base_module._hash(part)  # noqa: SLF001 - what is kept is laid out by hand
    part.rename(tmp_path / f"{digest}.tar")
    index.write_text(f'{{"content": "{digest}"}}')
    monkeypatch.setattr(base_module, "_bootstrap", lambda *_: pytest.fail("made again"))
    reference = make_base(client, suite="sid", mirror="http://archive", cache=tmp_path)
    try:
        assert reference == f"harness-base:sid-{digest[:12]}"
        identifier = client.inspect_image(reference)["Id"]
        assert make_base(client, suite="sid", mirror="http://archive", cache=tmp_path) == reference
        assert client.inspect_image(reference)["Id"] == identifier, "imported once"
    finally:
        client.remove_image(reference, force=True)
    (tmp_path / f"{digest}.tar").write_bytes(b"damaged")
    assert find_kept(tmp_path, "sid", "http://archive") is None


def test_base_without_debootstrap_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda *_, **__: None)
    with pytest.raises(ImageUnavailable, match="debootstrap is not installed") as caught:
        make_base(None, suite="sid", mirror="http://archive", cache=tmp_path)  # type: ignore[arg-type]
    assert "apt-get install debootstrap" in str(caught.value.hint)


def test_a_failed_debootstrap_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if os.geteuid() != 0:
        pytest.skip("making a base needs root")
    program = tmp_path / "debootstrap"
    program.write_text('#!/bin/sh\nmkdir -p "$5/proc"\necho "E: no such suite"\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    cache = tmp_path / "cache"
    with pytest.raises(ImageUnavailable, match="no such suite"):
        make_base(None, suite="sid", mirror="http://archive", cache=cache)  # type: ignore[arg-type]
    assert list(cache.iterdir()) == []


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("debootstrap") is None, reason="needs root and debootstrap")
def test_packages_that_cannot_be_proven_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real program, told to use a keyring that is not there: nothing is fetched, not even over plain HTTP."""
    real, program = shutil.which("debootstrap"), tmp_path / "debootstrap"
    script = tmp_path / "nowhere"
    script.write_text("keyring /nowhere.gpg\n. /usr/share/debootstrap/scripts/sid\nkeyring /nowhere.gpg\n")
    program.write_text(f'#!/bin/sh\nexec {real} "$@" {script}\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ImageUnavailable, match=r"(?i)keyring") as caught:
        make_base(None, suite="sid", mirror="http://127.0.0.1:9", cache=tmp_path / "cache")  # type: ignore[arg-type]
    assert "debian-archive-keyring" in str(caught.value.hint)
