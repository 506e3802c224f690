"""Find images on an engine by their content tag, or build them on a base image that is pulled or made."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import re
import tarfile
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from harness.bench.protocol import bounded_json
from harness.engine.daemon_words import words_of
from harness.engine.dockerinfo import LABEL_TENSORFLOW, Created, image_digest, read_answer
from harness.ship.base import explaining, look_for, make_base
from harness.ship.build_environment import find_build_arguments, find_certificates
from harness.ship.definition import CERTIFICATES_FOLDER, ImageDefinition, image_definition, image_reference
from harness.values.errors import HarnessError, HostUnreachable, ImageUnavailable

if TYPE_CHECKING:
    from docker.api.client import APIClient

PULLED_BASE = "debian:bookworm-slim"
LABEL_DEFINITION = "harness.definition"
LABEL_BASE = "harness.base"
BUILD_INFO = "/opt/harness/tensorflow.json"
"""The file in an image with the build information of its TensorFlow."""
_MOST_INFO_BYTES = 64 * 1024
_SILENCE_S = 1800
"""The longest silence of a build in seconds; unpacking CUDA's libraries takes only minutes."""

_STAGE = re.compile(r"Step \d+/\d+ : FROM ")
_LAYER = re.compile(r" ---> ([0-9a-f]{12,64})\s*$")

OnProgress = Callable[[str], None]


class ImageResult(NamedTuple):
    """An image on an engine; ``method`` is ``present`` or ``built``."""

    reference: str
    digest: str
    method: str


def find_image(client: APIClient, reference: str) -> str | None:
    """Return the identity of an image; None where the engine does not have it."""
    inspected = look_for(client, reference)
    return None if inspected is None else image_digest(inspected)


def ensure_image(
    client: APIClient,
    kind: str,
    *,
    base_image: str | None = None,
    is_root: bool = False,
    on_progress: OnProgress | None = None,
) -> ImageResult:
    """Return the image of a kind (``cpu`` or ``gpu``), and build it where it is missing.

    An image with another base than ``base_image`` is built again. The base is ``base_image``, else it is pulled, else
    it is made by debootstrap where the controller is root. Raises ImageUnavailable with all attempts.
    """
    report = on_progress or (lambda _: None)
    definition = image_definition(kind)
    reference = image_reference(definition)
    inspected = look_for(client, reference)
    if inspected is not None and (base_image is None or inspected.settings.labels.get(LABEL_BASE) == base_image):
        return ImageResult(reference, image_digest(inspected), "present")
    base = base_image or _find_base(client, is_root=is_root, report=report)
    digest = build_image(client, definition, base_image=base, on_progress=report)
    return ImageResult(reference, digest, "built")


def build_image(
    client: APIClient,
    definition: ImageDefinition,
    *,
    base_image: str,
    certificates: bytes | None = None,
    arguments: Mapping[str, str] | None = None,
    reference: str | None = None,
    on_progress: OnProgress | None = None,
) -> str:
    """Build an image and return its identity. The tag is set only after success.

    ``certificates`` (PEM) and ``arguments`` default to those of this machine. An exception of ``on_progress`` ends the
    build. Raises ImageUnavailable with the last lines of the build.
    """
    report = on_progress or (lambda _: None)
    tag = reference or image_reference(definition)
    context = build_context(definition, find_certificates() if certificates is None else certificates)
    settings = dict(find_build_arguments() if arguments is None else arguments)
    with explaining(client, f"build {tag}"):
        stream = client.build(
            fileobj=io.BytesIO(context),
            custom_context=True,
            encoding="gzip",
            dockerfile=definition.dockerfile,
            tag=tag,
            buildargs={**settings, "BASE_IMAGE": base_image},
            labels={LABEL_DEFINITION: definition.digest, LABEL_BASE: base_image},
            rm=True,
            forcerm=True,
            decode=True,
            timeout=_SILENCE_S,
        )
        stages = _follow(stream, tag, base_image, report)
        _label(client, tag)
        digest = find_image(client, tag)
        _remove_stages(client, stages)
    if digest is None:
        raise ImageUnavailable(f"the build of {tag} ended without an image", hint=words_of(client).log)
    return digest


def build_context(definition: ImageDefinition, certificates: bytes) -> bytes:
    """Return the build context as a compressed tar: the definition's files and a file of additional certificates."""
    files = [*definition.files, (f"{CERTIFICATES_FOLDER}/machine.crt", certificates)]
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for path, content in sorted(files):
            entry = tarfile.TarInfo(path)
            entry.size, entry.mode = len(content), 0o644
            archive.addfile(entry, io.BytesIO(content))
    return gzip.compress(buffer.getvalue(), mtime=0)


def _label(client: APIClient, tag: str) -> None:
    """Add the build information of an image's TensorFlow as a label, if the image has it; its identity stays."""
    info = _read_info(client, tag)
    if info is None:
        return
    words = json.dumps(info, separators=(",", ":"), sort_keys=True)
    context = io.BytesIO(f"FROM {tag}\n".encode())
    for event in client.build(fileobj=context, tag=tag, labels={LABEL_TENSORFLOW: words}, rm=True, decode=True):
        if event.get("error"):
            message = f"{tag} could not be labelled: {event['error']}"
            raise ImageUnavailable(message, hint=words_of(client).log)


def _read_info(client: APIClient, tag: str) -> object | None:
    """Return the build information of an image's TensorFlow, None where it has none. No container is started."""
    from docker.errors import NotFound

    made = read_answer(Created, client.create_container(tag, ["true"]), "its answer to the create request")
    try:
        stream, _ = client.get_archive(made.id, BUILD_INFO)
        with contextlib.closing(stream), tarfile.open(fileobj=io.BytesIO(_read_some(stream))) as archive:
            member = next(iter(archive), None)
            held = archive.extractfile(member) if member is not None and member.isfile() else None
            return None if held is None else bounded_json.parse(held.read())
    except (NotFound, tarfile.TarError, bounded_json.Unreadable):
        return None
    finally:
        client.remove_container(made.id, v=True, force=True)


def _read_some(stream: Iterator[bytes]) -> bytes:
    """Read a stream up to its end or a size limit."""
    content = b""
    for chunk in stream:
        content += chunk
        if len(content) > _MOST_INFO_BYTES:
            break
    return content


def _follow(stream: Iterator[Mapping[str, str]], tag: str, base_image: str, report: OnProgress) -> list[str]:
    """Report a build's output line by line; return the last image of each stage, which the classic builder names.

    Raises ImageUnavailable where the build fails.
    """
    tail: list[str] = []
    stages: list[str] = []
    layer = ""
    for event in stream:
        if event.get("error"):
            lines = "\n".join(f"  | {line}" for line in tail[-15:])
            message = f"the build of {tag} on {base_image} failed: {event['error']}\n{lines}"
            hint = "if packages cannot be reached, check proxies, certificates and pip's index on this machine"
            raise ImageUnavailable(message.rstrip(), hint=hint)
        for line in str(event.get("stream") or "").splitlines():
            if not line.strip():
                continue
            tail.append(line.rstrip())
            report(line.strip())
            if _STAGE.match(line) and layer:
                stages.append(layer)
            found = _LAYER.match(line)
            layer = found[1] if found else layer
    return stages


def _remove_stages(client: APIClient, stages: list[str]) -> None:
    """Remove the images of build stages, to free disk space; the engine keeps the layers that the image uses."""
    from docker.errors import APIError

    for stage in stages:
        with contextlib.suppress(APIError):
            if (image := look_for(client, stage)) is None or not image.repo_tags:
                client.remove_image(stage)


def _find_base(client: APIClient, *, is_root: bool, report: OnProgress) -> str:
    """Return a base image: present, pulled, or made from Debian packages. Raises ImageUnavailable with all attempts."""
    tried = []
    if look_for(client, PULLED_BASE) is not None:
        return PULLED_BASE
    try:
        report(f"pull {PULLED_BASE}")
        return _pull(client, PULLED_BASE)
    except ImageUnavailable as error:
        tried.append(error.message)
    if is_root:
        try:
            report("no image registry can be reached: making a base image from Debian packages")
            return make_base(client, on_progress=report)
        except HostUnreachable:
            raise
        except HarnessError as error:
            tried.append(str(error))
    else:
        tried.append("making a base image from Debian packages needs root")
    hint = "name one with --base-image, or make one as root: sudo harness image base"
    raise ImageUnavailable("no base image could be had:\n" + "\n".join(f"  - {one}" for one in tried), hint=hint)


def _pull(client: APIClient, reference: str) -> str:
    repository, _, tag = reference.partition(":")
    try:
        with explaining(client, f"pull {reference}"):
            for event in client.pull(repository, tag=tag, stream=True, decode=True):
                if event.get("error"):
                    raise ImageUnavailable(f"{reference} could not be pulled: {event['error']}")
    except HostUnreachable as error:  # a registry behind a firewall that drops packets looks like a silent engine
        raise ImageUnavailable(f"{reference} could not be pulled: {error.message}") from error
    return reference
