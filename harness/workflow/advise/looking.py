"""Look at the hosts of a question before anything is measured: what their data are, and what a case may use."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.candidates import Room, Wish, list_candidates
from harness.analysis.protection import disk_allowance, reserve_of
from harness.analysis.set_size import cache_bytes
from harness.engine.reached import Reached
from harness.inventory import DataSet
from harness.ship.data_inspection import OR_SEND, inspect_data
from harness.ship.dataset_check import DataSpec
from harness.ship.datatransfer import ShippedData
from harness.ship.needs import formats_of
from harness.ship.transfers import local_features, local_parts, local_places
from harness.values.errors import ConfigurationError, DataError, HarnessError
from harness.values.record import SetSize
from harness.values.text import name_inventory, plural
from harness.values.units import format_bytes
from harness.workflow.advise.question import Question
from harness.workflow.host_links import Links
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code, tell_failure
from harness.workflow.reaching import reach
from harness.workflow.resolve import PROFILE_KINDS

if TYPE_CHECKING:
    from harness.console import Console
    from harness.inventory import Host


@dataclass(frozen=True)
class _Sight:
    """One host: what it has (``room``), and the lines to print of its data and of the machine."""

    room: Room
    data: tuple[str, ...]
    machine: str


@dataclass(frozen=True)
class _Sent:
    """The data set of this machine, which is sent to hosts that lack it."""

    size: SetSize
    kind: str
    is_labelled: bool


def look_at_hosts(
    console: Console, hosts: Sequence[Host], question: Question, inventory: Path, *, forks: int
) -> list[Room]:
    """Print in a few lines what the data and the hosts are; return what each host that answered has.

    Raises HarnessError where no host can be used.
    """
    links = Links(console)
    sent = _look_here(console, hosts, question.wish) if question.is_sent else None

    def look(host: Host) -> _Sight:
        console.live(f"looking at {host.name}")
        with closing(reach(host, links)) as reached:
            return _look(reached, question.wish, sent, inventory)

    answers = ask_hosts(console, hosts, look, forks=forks)
    console.close()
    seen = [each.outcome for each in answers if isinstance(each.outcome, _Sight)]
    for host, each in zip(hosts, answers, strict=True):
        if each.error is not None and each.error.hint is not None:
            each.error.hint = _fit_hint(each.error.hint, host, question, inventory)
    if not seen:
        raise _refuse_all(console, answers)
    for each in answers:
        tell_failure(console, each)
    for line in dict.fromkeys(line for one in seen for line in one.data):
        console.note(line)
    for one in seen:
        console.note(one.machine)
    if question.wish.model is not None and not any(one.room.is_labelled for one in seen):
        console.warning("these images have no labels: loading is measured, training is not")
    largest = max((one.room.size.images for one in seen if one.room.size is not None), default=None)
    if largest is not None:
        console.note(_say_decoded(largest, question.wish))
    return [one.room for one in seen]


def _fit_hint(hint: str, host: Host, question: Question, inventory: Path) -> str:
    """Return a cure with what ``advise`` itself can do; for one folder it names no inventory where it need not."""
    if question.inventory is not None:
        return name_inventory(hint, inventory).replace("harness run --ship-data", "this command with --ship")
    before, found, _ = hint.partition("harness trust ")
    if found:
        return f"{before}log in once, which keeps the key: {_say_login(host)}"
    before, found, _ = hint.partition(OR_SEND)
    if found:
        is_here = question.wish.data in local_places([host])
        return f"{before}{OR_SEND}this command with --ship" if is_here else before
    return name_inventory(hint, inventory)


def _refuse_all(console: Console, answers: Sequence[Answer[_Sight]]) -> HarnessError:
    """Print why each host cannot be used; return the first host's error, with the exit code for all."""
    for each in answers[1:]:
        tell_failure(console, each)
    error = answers[0].error
    assert error is not None
    error.exit_code = exit_code(answers)
    return error


def _look(reached: Reached, wish: Wish, sent: _Sent | None, inventory: Path) -> _Sight:
    """Look at one host. Raises DataError where it has no data that can be measured, ConfigurationError."""
    source, state = inspect_data(reached, wish.data, formats=formats_of(list_candidates(wish)))
    is_there = source is not None and not state.problem
    if sent is None and not is_there:
        raise state.as_error(reached.name)
    size = None if not is_there or state.images is None else SetSize(images=state.images, bytes=state.bytes)
    disk = reached.facts.disks.get("scratch")
    reserve = reserve_of(reached.host.variables.disk_reserve, "scratch")
    room = Room(
        host=reached.name,
        kind=_kind_of(reached, wish.data, source) if sent is None else sent.kind,
        size=size or (None if sent is None else sent.size),
        memory=_limit(reached, wish),
        disk=None if disk is None or disk.free_bytes is None else disk_allowance(disk, reserve),
        cpus=len(reached.cpus),
        has_gpu=bool(reached.gpus),
        is_labelled=state.is_labelled and (sent is None or sent.is_labelled),
    )
    what = _say_size(size) if size is not None else f"{format_bytes(state.bytes)} of records"
    said = [f"{state.place}: {what}", *(f"  {sentence}" for sentence in state.said)] if is_there else []
    is_older = sent is not None and isinstance(source, ShippedData) and size is not None
    if is_older and sent is not None and size is not None and size.images != sent.size.images:
        cure = name_inventory(f"harness ship INVENTORY --data {wish.data}", inventory)
        said.append(f"  these are the {size.images:,} images that were sent before; to send what is new:  {cure}")
    return _Sight(room, tuple(said), _say_machine(reached, room))


def _say_login(host: Host) -> str:
    """Return the command of OpenSSH that logs in on a host."""
    port = [] if host.port is None else ["-p", str(host.port)]
    return shlex.join(["ssh", *port, host.name if host.user is None else f"{host.user}@{host.name}"])


def _kind_of(reached: Reached, name: str, found: DataSpec | None) -> str | None:
    """Return the kind of a data set: as it was found, else as the inventory describes it; None if that is not known."""
    source = found or reached.data.get(name)
    if isinstance(source, DataSet) and source.generate is not None:
        return PROFILE_KINDS[source.generate.profile]
    if source is None:
        return None
    return "tfrecord" if source.tfrecord is not None else "folder" if source.annotations is None else "coco"


def _limit(reached: Reached, wish: Wish) -> int:
    """Return the memory that a case may use. Raises ConfigurationError where the host cannot give what was asked."""
    available = reached.memory_available
    if not isinstance(wish.memory_limit, int):
        return available
    if wish.memory_limit > available:
        raise ConfigurationError(
            f"{format_bytes(wish.memory_limit)} is more than {reached.name} can give now: {format_bytes(available)} is "
            "available after the reserve",
            where="--memory",
            hint="ask for less, or leave --memory out to use what is available",
        )
    return wish.memory_limit


def _look_here(console: Console, hosts: Sequence[Host], wish: Wish) -> _Sent | None:
    """Print what is sent from this machine to hosts that lack it; return it, or None where this machine lacks it too.

    Raises DataError.
    """
    from harness.bench.data.dataset import list_path
    from harness.bench.protocol.dataset_errors import DatasetError

    place = local_places(hosts).get(wish.data)
    if place is None:
        return None
    features = local_features(hosts).get(wish.data, (None, None))
    split, is_skipping = local_parts(hosts).get(wish.data, (None, False))
    formats = formats_of(list_candidates(wish))
    try:
        listing = list_path(*place, features, split=split, formats=formats, skip_unreadable=is_skipping)
        if listing.fault is not None:
            raise listing.fault
        paths = [listing.folder / one for one in listing.files]
        size = SetSize(images=len(listing.paths), bytes=sum(path.stat().st_size for path in paths))
    except DatasetError as error:
        raise DataError(error.message, hint=error.hint) from error
    except OSError as error:
        hint = "see `harness data describe` for all that is wrong with it"
        message = f"{error.filename} is named by the data set and cannot be read: {error.strerror}"
        raise DataError(message, hint=hint) from error
    console.note(f"{listing.folder}: {_say_size(size)}; sent to hosts that lack these images")
    for sentence in listing.said:
        console.note(f"  {sentence}")
    return _Sent(size, listing.kind, listing.is_labelled)


def _say_size(size: SetSize) -> str:
    """Return how many images there are, and their bytes where these are known."""
    text = plural(size.images, "image") if size.images == 1 else f"{size.images:,} images"
    if size.bytes is None:
        return text
    return f"{text}, {format_bytes(size.bytes)} ({format_bytes(round(size.bytes / size.images))} per image)"


def _say_machine(reached: Reached, room: Room) -> str:
    """Return what a machine is, and the memory and disk that cases may use there."""
    gpus = ", ".join(gpu.name or "a GPU" for gpu in reached.facts.gpus) if room.has_gpu else "no GPU"
    disk = "" if room.disk is None else f", {format_bytes(room.disk)} of disk for caches"
    can_give = format_bytes(reached.memory_available)
    limit = f"{can_give} of memory available"
    if room.memory != reached.memory_available:
        limit = f"{format_bytes(room.memory)} of memory as asked ({can_give} available)"
    return f"{reached.name}: {plural(room.cpus, 'CPU')}, {gpus}, {limit}{disk}"


def _say_decoded(images: int, wish: Wish) -> str:
    """Return how many bytes all images take once they are decoded, which is what a cache holds."""
    height, width = wish.image_size
    floats, bytes_ = (cache_bytes(images, wish.image_size, element=one) for one in ("float32", "uint8"))
    sizes = f"{format_bytes(floats)} as float32, {format_bytes(bytes_)} as uint8"
    return f"decoded at {height} × {width}, all images take {sizes}"
