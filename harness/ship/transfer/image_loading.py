"""Load or pull one image into one engine, and verify that it is the right image."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from harness.engine import daemon
from harness.engine.container import LABEL_NAME
from harness.engine.dockerinfo import (
    create_container,
    image_digest,
    inspect_image,
    list_containers,
    seek_image,
)
from harness.engine.interface import LABEL_PREFIX
from harness.ship.image import LABEL_DEFINITION
from harness.ship.transfer.image_stream import Part, stream_parts
from harness.ship.transfer.shipment import CachedImage

if TYPE_CHECKING:
    from docker.api.client import APIClient

SHIP_SESSION = "ship"
"""The session in the labels of containers that a transfer makes on a host."""
_SILENCE_S = 900.0
"""The longest silence in seconds; an engine that unpacks a large layer onto a slow disk sends nothing for minutes."""
_number = itertools.count()


class LoadRefused(Exception):
    """Raised when the engine answers but does not load the image."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    @property
    def is_disk_full(self) -> bool:
        """Return whether the cause is a full disk of the host."""
        return "no space left" in self.reason.lower()


def load_parts(client: APIClient, parts: list[Part], on_bytes: Callable[[int], None]) -> None:
    """Send a tar to the engine and read its messages. Raises LoadRefused, CorruptBlob, and what a client raises.

    The engine reports errors inside an answer that begins with "200 OK".
    """
    from docker.errors import APIError

    said: list[str] = []
    try:
        with patient(client):
            for message in client.load_image(stream_parts(parts, on_bytes)) or ():  # type: ignore[no-untyped-call]
                if message.get("error"):
                    raise LoadRefused(str(message["error"]))
                said.append(str(message.get("stream") or ""))
    except APIError as error:
        raise LoadRefused(daemon.explain(error)) from error
    bad = next((line.strip() for line in said if "error unpacking" in line.lower()), None)
    if bad:
        raise LoadRefused(bad)


def prove_image(client: APIClient, reference: str, image: CachedImage) -> None:
    """Verify that the name refers to this image and that a container can be made of it. Raises LoadRefused."""
    from docker.errors import APIError

    inspected = seek_image(client, reference)
    if inspected is None:
        raise LoadRefused("the engine does not have the image after the load")
    if image_digest(inspected) != image.identity:
        raise LoadRefused("the loaded image differs from the one that was sent")
    try:
        with holding(client, reference, "proof"):
            pass
    except APIError as error:
        raise LoadRefused(f"no container can be made of it: {daemon.explain(error)}") from error


@contextmanager
def holding(client: APIClient, image: str, what: str) -> Iterator[str]:
    """Context manager: make a container and remove it at the end; while it exists, its image is not pruned."""
    name = f"harness-{what}-{os.getpid()}-{next(_number)}"
    labels = {LABEL_NAME: name, f"{LABEL_PREFIX}session": SHIP_SESSION, f"{LABEL_PREFIX}task": what}
    body = {"Image": image, "Cmd": ["true"], "Labels": labels, "NetworkDisabled": True, "HostConfig": {}}
    created = create_container(client, body, name)
    try:
        yield created.id
    finally:
        # Where the connection is lost, `harness clean` and the next transfer find the container by its label.
        with contextlib.suppress(Exception):
            client.remove_container(created.id, v=True, force=True)


def remove_held(client: APIClient) -> None:
    """Remove containers of earlier, interrupted transfers. Raises what the client raises."""
    from docker.errors import APIError

    for one in list_containers(client, [f"{LABEL_PREFIX}session={SHIP_SESSION}"]):
        with contextlib.suppress(APIError):
            client.remove_container(one.id, v=True, force=True)


def remove_image(client: APIClient, reference: str) -> None:
    """Remove a name of an image, and the image if it has no other name."""
    from docker.errors import APIError

    with contextlib.suppress(APIError):
        client.remove_image(reference, force=True)


@contextmanager
def patient(client: APIClient) -> Iterator[None]:
    """Context manager: allow longer silence of the engine; a frozen host is detected by its connection."""
    before = client.timeout
    client.timeout = _SILENCE_S  # type: ignore[assignment]
    try:
        yield
    finally:
        client.timeout = before


class PullRefused(Exception):
    """Raised when the registry does not have the right image, or cannot be reached from the host."""


def registry_name(registry: str, reference: str) -> str:
    """Return the name of an image in a registry: ``lab:5000/team/a:1`` for ``a:1`` in ``lab:5000/team``."""
    prefix = registry.rstrip("/") + "/"
    return reference if reference.startswith(prefix) else prefix + reference


def pull_image(
    client: APIClient, registry: str, reference: str, *, identity: str | None, definition: str | None
) -> str:
    """Let the engine pull an image and name it ``reference``; return its identity.

    It must be the image with the controller's ``identity``. Where the controller has none, an image is refused only if
    its label names another ``definition``. Raises PullRefused; nothing is left on the host then.
    """
    from docker.errors import APIError

    remote = registry_name(registry, reference)
    name, _, tag = remote.rpartition(":")
    try:
        with patient(client):
            for message in client.pull(name, tag=tag, stream=True, decode=True):
                if message.get("error"):
                    raise PullRefused(f"{remote} could not be pulled: {message['error']}")
        inspected = inspect_image(client, remote)
    except APIError as error:
        raise PullRefused(f"{remote} could not be pulled: {daemon.explain(error)}") from error
    found, label = image_digest(inspected), inspected.settings.labels.get(LABEL_DEFINITION)
    is_other = found != identity if identity else definition is not None and label != definition
    if is_other:
        _untag(client, remote, reference)
        raise PullRefused(f"{remote} is not the right image (its identity is {found[:12]})")
    try:
        with holding(client, remote, "proof"):
            pass
        repository, _, tag = reference.rpartition(":")
        client.tag(remote, repository, tag, force=True)
    except APIError as error:
        raise PullRefused(f"{remote} was pulled but cannot be used: {daemon.explain(error)}") from error
    finally:
        _untag(client, remote, reference)
    return found


def _untag(client: APIClient, remote: str, reference: str) -> None:
    """Remove the registry's name of an image, and the image if it has no other name."""
    from docker.errors import APIError

    if remote != reference:
        with contextlib.suppress(APIError):
            client.remove_image(remote)
