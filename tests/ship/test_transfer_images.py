"""Images to a second engine of this machine: what is sent, what is not, and what is left when it goes wrong."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from transfer_support import (
    CuttingLink,
    EngineTarget,
    add_image,
    docker_archive,
    layer_of,
    noise,
    registry,
    second_engine,
)

from harness.engine.daemon import connect_local, open_client
from harness.hosts.connection import Completed
from harness.ship.image import LABEL_DEFINITION, find_image
from harness.ship.slots import TransferSlots
from harness.ship.transfer import shipping
from harness.ship.transfer.cache import ImageCache
from harness.ship.transfer.image_loading import LoadRefused, load_parts
from harness.ship.transfer.image_sources import CacheSource, EngineSource, Order, import_file
from harness.ship.transfer.presence import HostImage, HostImages, read_images
from harness.ship.transfer.shipping import ImageShip
from harness.values.errors import EngineUnavailable, HostNotReady, HostUnreachable, ImageUnavailable

pytestmark = pytest.mark.docker
BASE = [layer_of("base", noise(6_000_000, 1)), layer_of("runtime", noise(4_000_000, 2))]


@pytest.fixture(scope="module")
def here() -> Iterator[Any]:
    try:
        client = open_client()
    except EngineUnavailable as error:
        pytest.skip(f"no Docker Engine here: {error.message}")
    yield client
    client.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with second_engine(tmp_path_factory.mktemp("two")) as address:
        yield address


@pytest.fixture
def target(address: str) -> Iterator[EngineTarget]:
    """The second engine, without any image."""
    target = EngineTarget(address)
    for one in target.client.containers(all=True):
        target.client.remove_container(one["Id"], force=True)
    for one in target.client.images(all=True):
        with contextlib.suppress(Exception):
            target.client.remove_image(one["Id"], force=True)
    assert target.client.images(all=True) == []
    yield target
    target.close()


@pytest.fixture
def make(here: Any, tmp_path: Path) -> Iterator[Any]:
    """Makes images on this machine's engine, as sources; they go again."""
    made: list[str] = []

    def make(*tops: int, labels: dict[str, str] | None = None, base: list[bytes] = BASE) -> EngineSource:
        reference = f"harness-test:{uuid.uuid4().hex[:10]}"
        add_image(here, reference, base + [layer_of(f"top{seed}", noise(1_000_000, seed)) for seed in tops], labels)
        made.append(reference)
        identity = find_image(here, reference)
        assert identity is not None
        return EngineSource(connect_local, reference, identity, ImageCache(tmp_path / "cache"))

    yield make
    for reference in made:
        with contextlib.suppress(Exception):
            here.remove_image(reference, force=True)


def ship(target: Any, source: Any, **settings: Any) -> Any:
    return ImageShip(target, Order(source.reference, source), **settings).run()


def left_over(target: EngineTarget) -> list[str]:
    return [name for one in target.client.containers(all=True) for name in one["Names"]]


def test_all_then_nothing_then_only_what_changed(target: EngineTarget, make: Any) -> None:
    first, second = make(10), make(11)
    full = ship(target, first)
    assert (full.method, full.image_digest, full.attempts) == ("full", first.identity, 1)
    assert full.bytes_needed == first.open(lambda text, share: None).bytes
    assert full.bytes_needed < full.bytes_sent < full.bytes_needed + 65_536
    again = ship(target, first)
    assert (again.method, again.bytes_sent, again.mb_per_s) == ("present", 0, None)
    thin = ship(target, second)
    top = second.open(lambda text, share: None).layers[-1].size
    assert (thin.method, thin.bytes_needed, thin.bytes_saved) == ("thin", top, sum(len(layer) for layer in BASE))
    assert thin.bytes_sent <= 1.2 * top + 65_536
    assert find_image(target.client, second.reference) == second.identity
    assert left_over(target) == []


def test_an_image_that_is_there_under_another_name_is_only_named(target: EngineTarget, make: Any) -> None:
    source = make(20)
    ship(target, source)
    target.client.tag(source.reference, "other", "1")
    target.client.remove_image(source.reference)
    assert ship(target, source).method == "present"
    assert find_image(target.client, source.reference) == source.identity


def test_thin_is_refused_where_layers_are_not_there_and_all_is_sent(
    target: EngineTarget, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody pruned the images between the look and the load."""
    source = make(30)
    layers = source.open(lambda text, share: None).diff_ids
    gone = HostImages((HostImage("sha256:" + "0" * 64, "gone", layers[:2], ()),))
    monkeypatch.setattr(shipping, "read_images", lambda client: gone)
    shipped = ship(target, source)
    assert shipped.method == "full"
    assert "was removed" in shipped.notes[0]
    monkeypatch.setattr(HostImages, "nearest", lambda self, diff_ids: None)
    target.client.remove_image(source.reference, force=True)
    shipped = ship(target, source)
    assert shipped.method == "full"
    assert "no such file" in shipped.notes[0]
    assert find_image(target.client, source.reference) == source.identity


def test_an_anchor_holds_the_layers_that_are_not_sent_while_the_rest_is(
    address: str, target: EngineTarget, make: Any
) -> None:
    first, second = make(40), make(41)
    ship(target, first)
    seen: list[str] = []
    other = EngineTarget(address)

    def look(text: str, share: float | None) -> None:
        if text.startswith("sending"):
            seen.extend(left_over(other))
            other.client.prune_images({"dangling": False})

    assert ship(target, second, on_progress=look).method == "thin"
    other.close()
    assert [name for name in seen if "harness-anchor" in name]
    assert left_over(target) == []


def test_what_a_ship_that_was_killed_held_is_removed_by_the_next(target: EngineTarget, make: Any) -> None:
    source = make(50)
    ship(target, source)
    labels = {"harness.name": "harness-anchor-1-1", "harness.session": "ship"}
    target.client.create_container(source.reference, ["true"], name="harness-anchor-1-1", labels=labels)
    ship(target, source)
    assert left_over(target) == []


def test_a_damaged_cache_is_noticed_filled_again_and_never_loaded(target: EngineTarget, make: Any) -> None:
    source = make(60)
    blob = source.open(lambda text, share: None).layers[0]
    content = bytearray(blob.path.read_bytes())
    content[1_000_000] ^= 1
    blob.path.write_bytes(content)
    shipped = ship(target, source)
    assert (shipped.method, shipped.attempts) == ("full", 2)
    assert "damaged" in shipped.notes[0]
    assert shipped.bytes_sent > shipped.bytes_needed
    assert find_image(target.client, source.reference) == source.identity


def test_a_damaged_cache_without_an_engine_to_fill_it_is_an_error_and_leaves_nothing(
    target: EngineTarget, tmp_path: Path
) -> None:
    cache, file = ImageCache(tmp_path / "cache"), tmp_path / "image.tar"
    file.write_bytes(docker_archive("carried:1", BASE))
    image = import_file(file, cache, lambda text, share: None)
    image.layers[1].path.write_bytes(bytes(image.layers[1].size))
    order = Order("carried:1", CacheSource(image, cache))
    with pytest.raises(ImageUnavailable, match="damaged") as caught:
        ImageShip(target, order).run()
    assert "--image FILE" in str(caught.value.hint)
    assert target.client.images(all=True) == []
    again = ImageShip(target, Order("carried:1", CacheSource(image, cache, file))).run()
    assert again.method == "full"


@pytest.mark.parametrize("limits", [[2_000_000], [10_000, 9_000_000]], ids=["once", "twice"])
def test_a_link_that_is_cut_begins_again_and_leaves_no_part(
    address: str,
    target: EngineTarget,
    make: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limits: list[int],
) -> None:
    monkeypatch.setattr(shipping, "_PAUSES_S", (0.1, 0.1, 0.1))
    source, cuts = make(70), len(limits)
    link = CuttingLink(tmp_path, address, limits)
    far = EngineTarget(link.address)
    shipped = ship(far, source)
    far.close()
    link.close()
    assert (shipped.method, shipped.attempts) == ("full", cuts + 1)
    assert all("the connection was lost" in note for note in shipped.notes)
    assert find_image(target.client, source.reference) == source.identity
    assert left_over(target) == []


def test_a_link_that_stays_cut_is_an_unreachable_host(
    address: str, target: EngineTarget, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shipping, "_PAUSES_S", (0.1, 0.1, 0.1))
    source = make(75)
    link = CuttingLink(tmp_path, address, [3_000_000] * 9)
    with pytest.raises(HostUnreachable):
        ship(EngineTarget(link.address), source)
    link.close()
    assert target.client.images(all=True) == []


def test_an_interrupted_ship_leaves_nothing(target: EngineTarget, make: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipping, "_TELL_EVERY_S", 0.0)
    source, stop = make(80), threading.Event()

    def interrupt(text: str, share: float | None) -> None:
        if share is not None and share > 0.4:
            stop.set()

    with pytest.raises(HostNotReady, match="stopped before the image was complete"):
        ship(target, source, on_progress=interrupt, stop=stop)
    assert target.client.images(all=True) == []
    assert left_over(target) == []


def test_a_failed_ship_leaves_the_name_where_it_was(
    target: EngineTarget, make: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = make(90), make(91)
    ship(target, old)
    target.client.tag(old.reference, "mine", "1")

    def refuse(*_: Any) -> None:
        raise LoadRefused("no container can be made of it")

    monkeypatch.setattr(shipping, "prove_image", refuse)
    with pytest.raises(ImageUnavailable, match="no container can be made"):
        ImageShip(target, Order("mine:1", new)).run()
    assert find_image(target.client, "mine:1") == old.identity
    assert read_images(target.client).find(new.identity) is None


def test_an_error_inside_an_answer_that_says_ok_is_an_error() -> None:
    class Client:
        timeout = 1.0

        def __init__(self, *said: dict[str, str]) -> None:
            self.said = said

        def load_image(self, data: Any) -> Any:
            return iter(self.said)

    for said in ({"error": "open layer: no such file"}, {"stream": "Error unpacking image docker.io/x"}):
        with pytest.raises(LoadRefused):
            load_parts(Client({"stream": "Loaded image"}, said), [], lambda count: None)  # type: ignore[arg-type]
    load_parts(Client({"stream": "Loaded image"}), [], lambda count: None)  # type: ignore[arg-type]


class FullDisk:
    """A connection to a host with little room."""

    host = "two"

    def run(self, argv: Any, **_: Any) -> Completed:
        return Completed(0, b"/dev/x 100 90 12000000 90% /\n", b"")


def test_a_disk_that_is_too_small_is_refused_before_a_byte_is_sent(target: EngineTarget, make: Any) -> None:
    source = make(100)
    with pytest.raises(HostNotReady, match="no space for the image: 11 MB") as caught:
        ship(target, source, connection=FullDisk())
    assert "12 MB are free at" in caught.value.message
    assert target.client.images(all=True) == []


def test_a_disk_that_fills_in_a_load_is_left_as_it_was(make: Any, tmp_path: Path) -> None:
    if shutil.which("mkfs.ext4", path="/usr/sbin:/sbin") is None:
        pytest.skip("no mkfs.ext4 to make a small disk with")
    disk, point = tmp_path / "disk", tmp_path / "point"
    point.mkdir()
    with disk.open("wb") as stream:
        stream.truncate(24 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", str(disk)], check=True, env={"PATH": "/usr/sbin:/sbin"})
    if subprocess.run(["mount", "-o", "loop", str(disk), str(point)], capture_output=True, check=False).returncode:
        pytest.skip("a disk image cannot be mounted here")
    try:
        with second_engine(tmp_path / "small", data=point / "data") as address:
            target = EngineTarget(address)
            before = shutil.disk_usage(point).free
            with pytest.raises(HostNotReady, match="no space left"):
                ship(target, make(110, 111, 112))
            assert target.client.images(all=True) == []
            assert left_over(target) == []
            assert shutil.disk_usage(point).free > before - 2**20
            target.close()
    finally:
        subprocess.run(["umount", "-l", str(point)], check=False)


def test_a_registry_that_the_inventory_names_is_pulled_from(target: EngineTarget, make: Any) -> None:
    source = make(120)
    layers = [layer.path.read_bytes() for layer in source.open(lambda text, share: None).layers]
    name, _, tag = source.reference.partition(":")
    with registry() as held:
        held.add(f"lab/{name}", tag, layers)
        shipped = ImageShip(target, Order(source.reference, source, f"{held.address}/lab")).run()
        assert (shipped.method, shipped.bytes_sent, shipped.image_digest) == ("pulled", 0, source.identity)
        names = read_images(target.client).images[0].references
        assert names == (source.reference,)
        assert ImageShip(target, Order(source.reference, source, f"{held.address}/lab")).run().method == "present"


def test_a_registry_that_has_it_not_or_something_else_is_passed_over(target: EngineTarget, make: Any) -> None:
    source = make(130)
    name, _, tag = source.reference.partition(":")
    with registry() as held:
        shipped = ImageShip(target, Order(source.reference, source, held.address)).run()
        assert shipped.method == "full"
        assert "could not be pulled" in shipped.notes[0]
        target.client.remove_image(source.reference, force=True)
        held.add(name, tag, BASE)
        shipped = ImageShip(target, Order(source.reference, source, held.address)).run()
        assert shipped.method == "full"
        assert "not the right image" in shipped.notes[0]
        assert [one.references for one in read_images(target.client).images] == [(source.reference,)]


def test_without_an_engine_the_label_says_whether_a_registry_has_the_right_image(target: EngineTarget) -> None:
    with registry() as held:
        held.add("harness-cpu", "abc", BASE, {LABEL_DEFINITION: "d1"})
        order = Order("harness-cpu:abc", None, held.address, "d2", "and there is no engine")
        with pytest.raises(ImageUnavailable, match="not the right image"):
            ImageShip(target, order).run()
        assert target.client.images(all=True) == []
        order = Order("harness-cpu:abc", None, held.address, "d1", "and there is no engine")
        assert ImageShip(target, order).run().method == "pulled"
    with pytest.raises(ImageUnavailable, match="and there is no engine") as caught:
        ImageShip(target, Order("harness-cpu:other", None, None, "d1", "and there is no engine")).run()
    assert "--image FILE" in str(caught.value.hint)


def test_several_hosts_in_turns(address: str, target: EngineTarget, make: Any) -> None:
    """Two transfers of one image to one engine at once: as two controllers would."""
    source, found = make(140), []
    slots = TransferSlots(2)

    def work() -> None:
        own = EngineTarget(address)
        found.append(ship(own, source, slots=slots))
        own.close()

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.image_digest for one in found} == {source.identity}
    assert find_image(target.client, source.reference) == source.identity


def test_an_image_file_as_docker_saves_it(here: Any, make: Any, tmp_path: Path) -> None:
    source, file = make(150), tmp_path / "saved.tar"
    with file.open("wb") as stream:
        for piece in here.get_image(source.reference):
            stream.write(piece)
    image = import_file(file, ImageCache(tmp_path / "other"), lambda text, share: None)
    assert image.identity == source.identity
    assert image.references == (source.reference,)
    assert io.BytesIO(image.config).read() == image.config
