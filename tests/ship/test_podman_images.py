"""Images to Podman: it takes the same archive, names images in its own way, and says the same of what they are."""

from __future__ import annotations

import contextlib
import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from transfer_support import docker_archive, layer_of, noise

from harness.engine.interface import ImageEngine
from harness.engine.registry import load_engine
from harness.engine.spec import Means
from harness.hosts.local import LocalConnection
from harness.ship.image import find_image
from harness.ship.transfer.cache import ImageCache
from harness.ship.transfer.image_sources import CacheSource, Order, import_file
from harness.ship.transfer.presence import read_images
from harness.ship.transfer.shipping import ImageShip
from harness.values.errors import EngineUnavailable

pytestmark = pytest.mark.podman
BASE = [layer_of("base", noise(600_000, 1)), layer_of("runtime", noise(400_000, 2))]


@pytest.fixture
def target(tmp_path: Path) -> Iterator[ImageEngine]:
    """This machine's Podman; images of this test are gone afterwards."""
    means = Means(LocalConnection("here"), str(tmp_path), os.getuid(), os.getgid(), is_local=True)
    engine = cast("ImageEngine", load_engine("podman").make(means))
    try:
        engine.probe("")
    except EngineUnavailable as error:
        pytest.skip(str(error))
    yield engine
    for image in read_images(engine.client).images:
        if any("harness-shipped" in name for name in image.references):
            with contextlib.suppress(Exception):
                engine.client.remove_image(image.id, force=True)


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Makes orders of images that came as files: the base, and another layer on top."""

    def make(seed: int) -> Order:
        reference = f"harness-shipped:{uuid.uuid4().hex[:10]}"
        file = tmp_path / f"{seed}.tar"
        file.write_bytes(docker_archive(reference, [*BASE, layer_of(f"top{seed}", noise(100_000, seed))]))
        cache = ImageCache(tmp_path / "cache")
        return Order(reference, CacheSource(import_file(file, cache, lambda text, share: None), cache, file))

    return make


def identity_of(order: Order) -> str:
    assert order.source is not None
    return order.source.identity


def test_all_then_nothing_then_another(target: ImageEngine, make: Any) -> None:
    first, second = make(10), make(11)
    shipped = ImageShip(target, first).run()
    assert (shipped.method, shipped.image_digest) == ("full", identity_of(first)), shipped.notes
    again = ImageShip(target, first).run()
    assert (again.method, again.bytes_sent) == ("present", 0)
    assert find_image(target.client, first.reference) == identity_of(first)
    other = ImageShip(target, second).run()
    assert find_image(target.client, second.reference) == identity_of(second), other.notes
    assert find_image(target.client, first.reference) == identity_of(first)
    assert target.list("ship") == []


def test_a_name_with_podmans_own_prefix_is_the_name(target: ImageEngine, make: Any) -> None:
    order = make(20)
    ImageShip(target, order).run()
    image = read_images(target.client).named(order.reference)
    assert image is not None and image.identity == identity_of(order)
    subprocess.run(["podman", "tag", order.reference, f"localhost/{order.reference}"], check=True)
    for name in (name for name in image.references if name.startswith("docker.io/")):
        subprocess.run(["podman", "untag", name, name], check=True)
    found = read_images(target.client).named(order.reference)
    assert found is not None and f"localhost/{order.reference}" in found.references
    assert ImageShip(target, order).run().method == "present"
    assert target.probe(order.reference).image_digest == identity_of(order)
