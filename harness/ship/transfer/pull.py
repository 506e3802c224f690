"""A registry that the inventory names: the host pulls from it by itself, and is believed only after a look."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from harness.engine import daemon
from harness.engine.dockerinfo import image_digest, inspect_image, labels_in
from harness.ship.image import LABEL_DEFINITION
from harness.ship.transfer.loading import holding, patient

if TYPE_CHECKING:
    from docker.api.client import APIClient


class PullRefused(Exception):
    """The registry has not what is wanted, or cannot be reached from the host."""


def registry_name(registry: str, reference: str) -> str:
    """Where a registry has an image: ``lab:5000/team`` has ``a:1`` as ``lab:5000/team/a:1``."""
    prefix = registry.rstrip("/") + "/"
    return reference if reference.startswith(prefix) else prefix + reference


def pull_image(
    client: APIClient, registry: str, reference: str, *, identity: str | None, definition: str | None
) -> str:
    """Have the engine pull an image and name it ``reference``; its identity. Raises PullRefused; then nothing is left.

    It must be the image that the controller knows (``identity``), or else one built of its own
    ``definition`` (a label says so); where neither is known, any image of that name is taken.
    """
    from docker.errors import APIError, NotFound

    remote = registry_name(registry, reference)
    name, _, tag = remote.rpartition(":")
    try:
        with patient(client):
            for message in client.pull(name, tag=tag, stream=True, decode=True):
                if message.get("error"):
                    raise PullRefused(f"{remote} could not be pulled: {message['error']}")
        inspected = inspect_image(client, remote)
    except (APIError, NotFound) as error:
        raise PullRefused(f"{remote} could not be pulled: {daemon.explain(error)}") from error
    found, label = image_digest(inspected), labels_in(inspected).get(LABEL_DEFINITION)
    is_other = found != identity if identity else definition is not None and label != definition
    if is_other:
        _untag(client, remote, reference)
        raise PullRefused(f"{remote} is another image ({found[:12]}) than the one that is wanted")
    try:
        with holding(client, remote, "proof"):
            pass
        repository, _, tag = reference.rpartition(":")
        client.tag(remote, repository, tag, force=True)
    except APIError as error:
        raise PullRefused(f"{remote} was pulled and cannot be used: {daemon.explain(error)}") from error
    finally:
        _untag(client, remote, reference)
    return found


def _untag(client: APIClient, remote: str, reference: str) -> None:
    """The registry's name is not needed any more; without another name the image goes with it."""
    from docker.errors import APIError

    if remote != reference:
        with contextlib.suppress(APIError):
            client.remove_image(remote)
