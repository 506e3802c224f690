"""``harness ship``: send images and data sets to hosts in parallel. Each host is locked while it receives."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engine.reached import Reached
from harness.hosts.lock import Lock, acquire
from harness.hosts.lock_owner import make_owner
from harness.inventory import Host, Inventory, load_inventory, select_hosts
from harness.session.liveness import Heartbeat
from harness.ship.datasource import SourceSets
from harness.ship.engine_choice import find_engine
from harness.ship.environment import BY_WHEELS
from harness.ship.slots import TransferSlots
from harness.ship.transfer.cache import ImageCache
from harness.ship.transfer.image_sources import ImageSources, carried_name, import_file, is_ours
from harness.ship.transfers import Transfers, local_features, local_parts, local_places, ship_data
from harness.values.defaults import DEFAULT_FORKS, DEFAULT_TRANSFERS
from harness.values.errors import ConfigurationError
from harness.values.event import DataShipped, Emit, Event, ImageShipped, Progress
from harness.values.units import format_bytes, format_duration
from harness.workflow.host_engines import is_session_alive
from harness.workflow.host_links import Links
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code, failure_event, values_of
from harness.workflow.reaching import reach
from harness.workflow.resolve import wanted_engine
from harness.workflow.stops import INTERRUPTED, on_interrupt

if TYPE_CHECKING:
    from harness.console import Console


@dataclass(frozen=True)
class ShipOptions:
    """The options of ``harness ship``."""

    inventory: Path
    limit: str | None = None
    image: Path | None = None
    data: tuple[str, ...] = ()
    source: Path | None = None
    annotations: Path | None = None
    max_transfers: int = DEFAULT_TRANSFERS
    forks: int = DEFAULT_FORKS
    base_image: str | None = None


def ship_hosts(console: Console, options: ShipOptions, *, as_json: bool) -> int:
    """Ship to every host and print a table of what was sent.

    Returns the exit code: 1 if a host failed, 3 if all failed, 130 if interrupted.
    """
    read = load_inventory(options.inventory, options.limit)
    for warning in read.warnings:
        console.warning(str(warning))
    hosts = select_hosts(read, options.limit)
    transfers = _gather(console, read, options)
    links = Links(console)

    def ship(host: Host) -> list[ImageShipped | DataShipped]:
        return _ship_host(console, host, links, options, transfers)

    def ended(answer: Answer[list[ImageShipped | DataShipped]]) -> None:
        if answer.error is not None:
            console.handle(failure_event(answer.name, answer.error))

    def stop() -> None:
        """Ask the workers to stop after the current slice."""
        if not transfers.stop.is_set():
            console.alarm("stopping: complete files stay; the same command continues")
        transfers.stop.set()

    with on_interrupt(stop):
        answers = ask_hosts(console, hosts, ship, forks=options.forks, ended=ended, stop=transfers.stop)
    console.close()
    shipped = [one for of_host in values_of(answers).values() for one in of_host]
    if as_json:
        console.result_json([{"event": type(one).__name__, **asdict(one)} for one in shipped])
    elif shipped:
        columns = ["host", "what", "how", "needed", "sent", "saved", "time", "MB/s"]
        console.table(columns, [_row(one) for one in sorted(shipped, key=lambda one: one.host)])
    return INTERRUPTED if transfers.stop.is_set() else exit_code(answers)


def _gather(console: Console, read: Inventory, options: ShipOptions) -> Transfers:
    """Return what can be sent. Raises ConfigurationError, and ImageUnavailable for a file that is not an image."""
    if (options.source or options.annotations) and len(options.data) != 1:
        raise ConfigurationError("--from names the folder of one data set", hint="give exactly one --data NAME with it")
    if options.annotations and not options.source:
        raise ConfigurationError("--annotations needs a folder of images", hint="name the folder with --from PATH")
    places: dict[str, tuple[Path, Path | None]] = dict(local_places(read.hosts))
    if options.source is not None:
        places[options.data[0]] = (options.source.expanduser(), options.annotations)
    for name in options.data:
        if name not in places:
            hint = f"name its folder: --data {name} --from PATH"
            raise ConfigurationError(
                f"the inventory names no data set {name!r} on this machine",
                where=str(options.inventory),
                hint=hint,
            )
    cache, file = ImageCache(), None
    if options.image is not None:
        file = import_file(options.image, cache, lambda text, share: console.handle(Progress(None, text, share)))
        console.note(f"image file {options.image}: {format_bytes(file.bytes)}, sent as {carried_name(file)}")
        if not is_ours(file):
            console.note(f"to measure with it, write `image: {carried_name(file)}` below `harness:` in the inventory")
    images = ImageSources(base_image=options.base_image, file=file, path=options.image, cache=cache)
    return Transfers(
        images,
        SourceSets(places, features=local_features(read.hosts), parts=local_parts(read.hosts)),
        TransferSlots(options.max_transfers),
        ship_data=True,
    )


def _ship_host(
    console: Console, host: Host, links: Links, options: ShipOptions, transfers: Transfers
) -> list[ImageShipped | DataShipped]:
    """Lock one host and send it what was asked for."""
    if transfers.stop.is_set():
        return []
    if host.connection == "local":
        console.note(f"{host.name}: is this machine: there is nothing to send")
        return []
    reached = reach(host, links)
    shipped: list[ImageShipped | DataShipped] = []
    try:
        # A host that is measuring is locked, so nothing is sent to it.
        held = acquire(reached.connection, make_owner("ship", "harness ship"), is_alive=is_session_alive(reached))
        try:
            show = _Beating(held, console, shipped)
            wants_image = options.image is not None or not options.data
            if wants_image:
                _ship_image(console, reached, transfers, show)
            for name in options.data:
                named = host.variables.data.get(name)
                if named is not None and named.generate is not None:
                    console.note(f"{host.name}: data set {name!r} is not sent: it is generated there (`generate:`)")
                    continue
                ship_data(reached, name, transfers, show)
        finally:
            held.release()
    finally:
        reached.close()
    return shipped


def _ship_image(console: Console, reached: Reached, transfers: Transfers, emit: Emit) -> None:
    """Send the image to the engine that a session would use.

    Raises the error of a better engine that cannot be used, if the engine that would be used needs no image.
    """
    search = find_engine(reached, wanted_engine(reached.host, None), transfers, emit)
    if search.chosen is not None and (search.chosen.image or search.chosen.how == BY_WHEELS):
        return
    if search.refused:
        raise search.refused[0].error
    name = search.take().engine.name
    console.note(f"{reached.name}: the engine `{name}` needs no image, and its Python has all packages")


class _Beating:
    """Event handler that shows events, collects what was shipped, and keeps the lock alive."""

    def __init__(self, held: Lock, console: Console, shipped: list[ImageShipped | DataShipped]) -> None:
        self._heartbeat, self._console, self._shipped = Heartbeat(held), console, shipped

    def __call__(self, event: Event) -> None:
        self._heartbeat.beat()
        if isinstance(event, ImageShipped | DataShipped):
            self._shipped.append(event)
        self._console.handle(event)


def _row(event: ImageShipped | DataShipped) -> list[str]:
    is_image = isinstance(event, ImageShipped)
    method = event.method if isinstance(event, ImageShipped) else f"{event.files} files" if event.files else "present"
    what = event.image if isinstance(event, ImageShipped) else f"data {event.data}"
    sent = "–" if is_image and method == "pulled" else format_bytes(event.bytes_sent)
    speed = "–" if event.mb_per_s is None else f"{event.mb_per_s:.1f}"
    needed, saved = format_bytes(event.bytes_needed), format_bytes(event.bytes_saved)
    return [event.host, what, method, needed, sent, saved, format_duration(event.seconds), speed]
