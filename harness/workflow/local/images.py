"""``harness image``: build an image, make a base image, list the images."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from harness.engine.registry import open_own_client
from harness.ship import base as base_images
from harness.ship.definition import image_definitions, image_reference
from harness.ship.image import ensure_image, find_image
from harness.values.errors import EngineUnavailable

if TYPE_CHECKING:
    from docker.api.client import APIClient

    from harness.console import Console


def build(console: Console, kind: str, base_image: str | None) -> None:
    """Build one image on this machine's engine and print its reference and identity."""
    client = open_own_client()
    try:
        reference, digest, method = ensure_image(
            client, kind, base_image=base_image, is_root=os.geteuid() == 0, on_progress=console.note
        )
    finally:
        console.close()
    console.note(f"{kind} image: {method}")
    console.result(f"{reference} {digest}")


def make_base(console: Console, suite: str) -> None:
    """Make a base image from Debian packages and print its reference."""
    console.result(base_images.make_base(open_own_client(), suite=suite, on_progress=console.note))


def show_images(console: Console, *, as_json: bool) -> None:
    """Print each image definition, its reference, and whether the engine has it."""
    client: APIClient | None = None
    try:
        client = open_own_client()
    except EngineUnavailable as error:
        console.warning(str(error))
    rows = []
    for definition in image_definitions().values():
        reference = image_reference(definition)
        identity = find_image(client, reference) if client is not None else None
        rows.append([definition.kind, reference, "unknown" if client is None else identity or "absent"])
    if as_json:
        console.result_json([dict(zip(("image", "reference", "identity"), row, strict=True)) for row in rows])
        return
    console.table(["image", "reference", "identity on this engine"], rows)
