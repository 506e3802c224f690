"""``harness ship``, and what a session does with what is shipped; hosts are folders of this machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from transfer_support import docker_archive, layer_of

from harness.console import Console
from harness.engine.reached import Reached
from harness.hosts.local import LocalConnection
from harness.hosts.lock import acquire as really_acquire
from harness.hosts.lock_owner import make_owner
from harness.inventory import load_inventory
from harness.inventory.variables import DataSet, Generate
from harness.session.run_options import RunOptions
from harness.ship.bringing import bring_sets, bring_weights
from harness.ship.dataset_check import DataSpec
from harness.ship.datasource import SourceSets
from harness.ship.definition import image_definition, image_reference
from harness.ship.image import LABEL_DEFINITION
from harness.ship.needs import Needs, inspect_needs
from harness.ship.transfer.cache import ImageCache
from harness.ship.transfer.image_sources import ImageSources, carried_name, is_ours, tagged
from harness.ship.transfers import Transfers, local_places, wanted_image
from harness.values.case import Case, ModelSetting
from harness.values.errors import ConfigurationError, DataError, HostUnreachable, ImageUnavailable
from harness.values.event import DataShipped, Emit, Event
from harness.values.facts import Facts
from harness.values.weights import WeightsFile
from harness.workflow.machines import ship_hosts as shipping
from harness.workflow.machines.ship_hosts import ShipOptions, ship_hosts
from harness.workflow.run.preparing import refuse_changed

INVENTORY = """\
all:
  hosts:
    ws1: {ansible_host: 192.0.2.1}
    ws2: {ansible_host: 192.0.2.2}
  vars:
    harness:
      data:
        photos: {folder: %s}
"""


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "here" / "photos"
    for name in ("a/1.jpg", "a/2.jpg", "b/3.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\xff\xd8" + name.encode() * 100)
    return folder


@pytest.fixture
def inventory(tmp_path: Path, photos: Path) -> Path:
    file = tmp_path / "lab.yaml"
    file.write_text(INVENTORY % photos)
    return file


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Reached]]:
    """Hosts that answer as if they were others: each has a scratch and a lock of its own."""
    hosts: dict[str, Reached] = {}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def reach(host: Any, _links: Any) -> Reached:
        if host.name == "gone":
            raise HostUnreachable("no route to it", where=host.name)
        scratch = str(tmp_path / host.name)
        return hosts.setdefault(
            host.name, Reached(host, LocalConnection(host.name), Facts(), scratch, {"scratch": scratch}, 10**9)
        )

    monkeypatch.setattr(shipping, "reach", reach)
    monkeypatch.setattr(
        shipping,
        "acquire",
        lambda connection, owner, *, is_alive: really_acquire(
            connection, owner, is_alive=lambda session: True, path=lock_path(tmp_path, connection.host)
        ),
    )
    yield hosts


def lock_path(tmp_path: Path, host: str) -> str:
    return str(tmp_path / f"{host}.lock")


def reached_of(inventory: Path, tmp_path: Path, name: str = "ws1", **changes: Any) -> Reached:
    host = replace(load_inventory(inventory).host(name), **changes)
    return Reached(host, LocalConnection(name), Facts(), str(tmp_path / name), {}, 10**9)


def transfers_of(places: dict[str, Any] | None = None, **more: Any) -> Transfers:
    return Transfers(ImageSources(cache=more.pop("cache", None)), SourceSets(places or {}), **more)


def needs_of(reached: Reached, case: Case, transfers: Transfers) -> Needs:
    return inspect_needs(reached, [case], sendable=transfers.sendable, is_counted=False)


def choose_data(reached: Reached, name: str, transfers: Transfers, emit: Emit) -> DataSpec:
    """What a session reads of a data set on a host, sent where that is allowed."""
    needs = needs_of(reached, Case(data=name, loader="tfdata"), transfers)
    sets, missing = bring_sets(reached, needs, transfers, emit)
    if name in missing:
        raise missing[name]
    return sets[name]


def test_a_data_set_goes_to_every_host_and_the_next_time_to_none(
    far: dict[str, Reached], inventory: Path, photos: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ShipOptions(inventory, data=("photos",))
    assert ship_hosts(Console(), options, as_json=True) == 0
    said = json.loads(capsys.readouterr().out)
    assert {(one["host"], one["files"], one["bytes_saved"]) for one in said} == {("ws1", 3, 0), ("ws2", 3, 0)}
    assert ship_hosts(Console(), options, as_json=False) == 0
    table = capsys.readouterr().out
    assert table.count("present") == 2
    assert "MB/s" in table


def test_nothing_is_shipped_to_a_host_that_measures(
    far: dict[str, Reached], inventory: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    held = really_acquire(
        LocalConnection("ws1"),
        make_owner("measuring-session", "harness run"),
        is_alive=lambda session: True,
        path=lock_path(tmp_path, "ws1"),
    )
    options = ShipOptions(inventory, data=("photos",))
    assert ship_hosts(Console(), options, as_json=True) == 1
    output = capsys.readouterr()
    assert [one["host"] for one in json.loads(output.out)] == ["ws2"]
    assert "measuring-session" in output.err
    assert not (tmp_path / "ws1").exists()
    held.release()
    assert ship_hosts(Console(), options, as_json=True) == 0


def test_a_host_that_is_away_costs_the_others_nothing(
    far: dict[str, Reached], inventory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory.write_text(inventory.read_text().replace("ws1:", "gone:"))
    assert ship_hosts(Console(), ShipOptions(inventory, data=("photos",)), as_json=True) == 1
    output = capsys.readouterr()
    assert [one["host"] for one in json.loads(output.out)] == ["ws2"]
    assert "gone: unreachable: no route to it" in output.err
    assert ship_hosts(Console(), ShipOptions(inventory, limit="gone", data=("photos",)), as_json=True) == 3


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"data": ("nope",)}, "no data set 'nope'"),
        ({"source": Path("/x")}, "--from names the folder of one data set"),
        ({"source": Path("/x"), "data": ("a", "b")}, "--from names the folder of one data set"),
        ({"data": ("photos",), "annotations": Path("/x")}, "--annotations needs a folder"),
    ],
)
def test_what_cannot_be_meant_is_said_before_a_host_is_reached(
    far: dict[str, Reached], inventory: Path, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        ship_hosts(Console(), ShipOptions(inventory, **options), as_json=False)
    assert caught.value.hint
    assert far == {}


def test_from_names_where_a_set_is_that_no_inventory_knows(
    far: dict[str, Reached], inventory: Path, photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ShipOptions(inventory, limit="ws1", data=("cats",), source=photos)
    assert ship_hosts(Console(), options, as_json=True) == 0
    assert (tmp_path / "ws1" / "shipped" / "cats" / "files" / "a" / "1.jpg").is_file()


def test_a_host_that_makes_a_set_itself_is_sent_none_of_that_name(
    far: dict[str, Reached], photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "made.yaml"
    made = "{harness: {data: {photos: {generate: {profile: coco, images: 8}}}}}"
    file.write_text(f"all: {{hosts: {{ws1: {made}}}}}\n")
    assert ship_hosts(Console(), ShipOptions(file, data=("photos",), source=photos), as_json=True) == 0
    said = capsys.readouterr()
    assert "ws1: data set 'photos' is not sent: it is generated there" in said.err and said.out.strip() == "[]"
    assert not (tmp_path / "ws1" / "shipped").exists()


def test_a_session_ships_only_where_it_may_and_only_what_is_not_there(
    inventory: Path, photos: Path, tmp_path: Path
) -> None:
    def reached_with(source: DataSet) -> Reached:
        return replace(reached_of(inventory, tmp_path), data={"photos": source})

    events: list[Event] = []
    reached = reached_with(DataSet(folder="/not/on/this/host"))
    with pytest.raises(DataError) as told:
        choose_data(reached, "photos", transfers_of({"photos": (photos, None)}), events.append)
    assert told.value.message == "there is no folder /not/on/this/host"
    hint = str(told.value.hint)
    assert "--ship-data" in hint and f"harness ship {inventory} --data photos --from PATH" in hint
    with pytest.raises(DataError, match="has no data set 'dogs'"):
        choose_data(reached, "dogs", transfers_of(), events.append)
    allowed = transfers_of({"photos": (photos, None)}, ship_data=True)
    place = choose_data(reached, "photos", allowed, events.append)
    assert place.folder == f"{tmp_path}/ws1/shipped/photos/files"
    assert [one.files for one in events if isinstance(one, DataShipped)] == [3]
    # Later sessions find it without being allowed to ship; what the host has itself goes first.
    assert choose_data(reached, "photos", transfers_of(), events.append) == place
    own = DataSet(folder=str(photos))
    assert choose_data(reached_with(own), "photos", allowed, events.append) is own
    made = DataSet(generate=Generate(profile="coco", images=3))
    assert choose_data(reached_with(made), "photos", allowed, events.append) is made


def test_a_shipped_set_that_changed_on_the_host_is_refused(inventory: Path, photos: Path, tmp_path: Path) -> None:
    reached = reached_of(inventory, tmp_path)
    allowed = transfers_of({"photos": (photos, None)}, ship_data=True)
    place = choose_data(reached, "photos", allowed, lambda event: None)
    refuse_changed("ws1", "photos", place, place.fingerprint)  # type: ignore[union-attr]
    with pytest.raises(DataError, match="has changed on the host"):
        refuse_changed("ws1", "photos", place, "0" * 64)
    refuse_changed("ws1", "photos", DataSet(folder="/x"), "0" * 64)


def test_where_this_machine_has_data_sets_its_own_entries_come_first(tmp_path: Path, photos: Path) -> None:
    (tmp_path / "other").mkdir()
    file = tmp_path / "lab.yaml"
    file.write_text(
        f"all:\n  hosts:\n    ws1:\n      harness: {{data: {{photos: {{folder: {photos}}}, "
        "gone: {folder: /gone}}}\n"
        f"    me:\n      ansible_connection: local\n      harness: {{data: {{photos: {{folder: {tmp_path}/other}}, "
        "made: {generate: {profile: coco, images: 3}}}}\n"
    )
    assert local_places(load_inventory(file).hosts) == {"photos": (tmp_path / "other", None)}


def test_weights_of_this_machine_go_to_others_and_stay_on_this_one(inventory: Path, tmp_path: Path) -> None:
    weights = tmp_path / "mine.weights.h5"
    weights.write_bytes(b"w" * 1000)
    base = {"data": "photos", "loader": "tfdata", "mode": "train"}
    case = Case.model_validate({**base, "model": ModelSetting(name="mobilenet", weights=str(weights)).model_dump()})
    reached = reached_of(inventory, tmp_path)
    digest = hashlib.sha256(weights.read_bytes()).hexdigest()
    transfers = transfers_of()

    def find_weights(reached: Reached) -> dict[str, WeightsFile]:
        return bring_weights(reached, needs_of(reached, case, transfers), transfers, lambda event: None)

    found = find_weights(reached)[str(weights)]
    assert found.path.startswith(f"{tmp_path}/ws1/weights/")
    assert Path(found.path).read_bytes() == weights.read_bytes()
    assert found.sha256 == digest
    own = reached_of(inventory, tmp_path, connection="local")
    assert find_weights(own) == {str(weights): WeightsFile(str(weights), digest)}
    weights.unlink()
    assert find_weights(reached) == {}
    assert "no file" in needs_of(reached, case, transfers).missing_weights[str(weights)].message


def test_a_carried_image_is_named_as_ours_only_where_it_is(tmp_path: Path) -> None:
    definition = image_definition("cpu")
    for labels, name in (({LABEL_DEFINITION: definition.digest}, image_reference(definition)), ({}, "some:1")):
        file = tmp_path / "image.tar"
        file.write_bytes(docker_archive("some:1", [layer_of("x", b"x")], labels))
        image = ImageCache(tmp_path / name.replace(":", "-")).fill_from_file(file)
        assert (carried_name(image), is_ours(image)) == (name, bool(labels))
    assert [tagged(one) for one in ("a", "a:1", "h:5/a", "h:5/a:2")] == ["a:latest", "a:1", "h:5/a:latest", "h:5/a:2"]


def test_without_an_engine_here_the_cache_serves_and_else_the_order_says_why(
    inventory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("DOCKER_HOST", "CONTAINER_HOST"):
        monkeypatch.setenv(variable, f"unix://{tmp_path}/none")
    reached, cache = reached_of(inventory, tmp_path), ImageCache(tmp_path / "images")
    wanted = wanted_image(reached)
    order = ImageSources(cache=cache).order(wanted, lambda text, share: None, may_build=True)
    assert order.source is None and order.definition == image_definition("cpu").digest
    assert "this machine has no engine to build it with" in str(order.why_none)
    file = tmp_path / "image.tar"
    file.write_bytes(docker_archive(order.reference, [layer_of("x", b"x")]))
    image = cache.fill_from_file(file)
    again = ImageSources(cache=cache).order(wanted, lambda text, share: None, may_build=True)
    assert again.source is not None and again.source.identity == image.identity


def test_an_image_file_that_is_none_ends_the_command_at_once(far: dict[str, Reached], inventory: Path) -> None:
    with pytest.raises(ImageUnavailable, match="cannot be used as an image"):
        ship_hosts(Console(), ShipOptions(inventory, image=inventory), as_json=False)
    with pytest.raises(ImageUnavailable, match="cannot be read"):
        ship_hosts(Console(), ShipOptions(inventory, image=Path("/nowhere.tar")), as_json=False)
    assert far == {}


def test_the_command_that_continues_a_session_ships_data_too(inventory: Path) -> None:
    assert "--ship-data" in RunOptions(inventory, ship_data=True, allow_busy=True).argv
    assert "--ship-data" not in RunOptions(inventory).argv
