"""What ``run`` and ``ship`` may send to hosts: images and data sets of this machine, and turns to send them."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engine.interface import ImageEngine, PythonEngine
from harness.engine.reached import Reached
from harness.ship.data_inspection import find_here
from harness.ship.datasource import SourceSets
from harness.ship.datatransfer import DataShip, ShippedData
from harness.ship.environment import EnvironmentShip, choose_environment, find_made
from harness.ship.slots import TransferSlots
from harness.ship.transfer.image_sources import ImageSources, Order, WantedImage
from harness.ship.transfer.shipping import ImageShip
from harness.values.cuda import LOCKED_BUILD, CudaBuild, has_packages
from harness.values.engine_names import EngineFacts
from harness.values.errors import EngineUnavailable, HarnessError, HostError, ImageUnavailable
from harness.values.event import Emit, ImageShipped, progress_of

if TYPE_CHECKING:
    from harness.inventory import Host


@dataclass
class Transfers:
    """All that is shared by the hosts of one command. ``ship_data``: data sets may travel."""

    images: ImageSources
    sets: SourceSets
    slots: TransferSlots = field(default_factory=TransferSlots)
    ship_data: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def sendable(self) -> frozenset[str]:
        """The data sets that are sent where a host has them not, by name."""
        return frozenset(self.sets if self.ship_data else ())


def bring_image(reached: Reached, engine: ImageEngine, transfers: Transfers, emit: Emit) -> tuple[str, str]:
    """See that a host's engine has its image: built on this machine, sent to another; its name, and how it came.

    What the inventory names is taken as it is where it cannot be sent. Raises ImageUnavailable and other HostErrors.
    """
    wanted, say = wanted_image(reached), progress_of(reached.name, emit)
    if not reached.is_local and "@" not in (wanted.named or ""):
        shipped = _ship_image(reached, wanted, engine, transfers, emit)
        return shipped.image, shipped.method
    if wanted.named:
        return wanted.named, "present"
    made = transfers.images.build(wanted.kind, engine.client, say)
    return made.reference, made.method


def bring_environment(
    reached: Reached, engine: PythonEngine, transfers: Transfers | None, emit: Emit
) -> EngineFacts | None:
    """See that jobs run in an environment of ours, for a host whose own Python lacks what they need.

    Returns None; without ``transfers``, where it is still to come, what the engine will be then. Raises
    EngineUnavailable where it cannot be brought there, and other HostErrors.
    """
    python = engine.describe_python()
    environment = choose_environment(python, reached.name, has_gpus=bool(reached.gpus))
    made = find_made(reached.connection, reached.scratch, environment)
    if made is not None:
        engine.use(made)
        return None
    if transfers is None:
        build = LOCKED_BUILD if environment.kind == "gpu" else CudaBuild()
        return replace(engine.promise(environment.tensorflow, environment.words), cuda=build)
    say = progress_of(reached.name, emit)
    ship = EnvironmentShip(
        reached.connection, reached.scratch, engine, environment, transfers.slots, say, transfers.stop
    )
    try:
        made, shipped = ship.run()
    except HostError:
        raise
    except HarnessError as error:
        message = f"TensorFlow could not be brought to {python.words}: {error.message}"
        raise EngineUnavailable(message, where=reached.name, hint=error.hint) from error
    emit(shipped)
    engine.use(made)
    return None


def wanted_image(reached: Reached) -> WantedImage:
    """Return the image that a host is to have: of ours the one for GPUs where it has some, and there is one."""
    variables = reached.host.variables
    kind = "gpu" if reached.gpus and has_packages(reached.facts.architecture) else "cpu"
    return WantedImage(kind, variables.image, variables.registry)


def _ship_image(
    reached: Reached, wanted: WantedImage, engine: ImageEngine, transfers: Transfers, emit: Emit
) -> ImageShipped:
    """Bring a host the image that it is to have. Raises ImageUnavailable and other HostErrors; then nothing is left."""
    say = progress_of(reached.name, emit)

    def ship(order: Order) -> ImageShipped:
        return ImageShip(engine, order, reached.connection, transfers.slots, say, transfers.stop).run()

    order = transfers.images.order(wanted, say, may_build=wanted.registry is None)
    try:
        shipped = ship(order)
    except ImageUnavailable:
        if order.source is not None or order.registry is None:
            raise
        # The registry has it not and nobody has built it yet: then it is built here.
        order = transfers.images.order(wanted, say, may_build=True)
        if order.source is None:
            raise
        shipped = ship(order)
    emit(shipped)
    filled = transfers.images.filled_by(order.source)
    if filled is not None:
        emit(filled)
    return shipped


def ship_data(reached: Reached, name: str, transfers: Transfers, emit: Emit) -> ShippedData:
    """Bring a host a data set of this machine and return what a session reads of it there.

    Raises DataError, HostError; what arrived stays for the next time.
    """
    say = progress_of(reached.name, emit, f"data set {name}")
    source = transfers.sets.read(name, say)
    ship = DataShip(reached.connection, reached.scratch, source, transfers.slots, say, transfers.stop)
    emit(ship.run())
    return ship.shipped.read_like(reached.data.get(name))


def local_places(hosts: Sequence[Host]) -> Mapping[str, tuple[Path, Path | None]]:
    """Find data sets of an inventory on this machine: of its local hosts first, else at the path of any host."""
    found: dict[str, tuple[Path, Path | None]] = {}
    for host in sorted(hosts, key=lambda one: one.connection != "local"):
        for name, spec in host.variables.data.items():
            place = find_here(spec)
            if name not in found and place is not None:
                found[name] = place
    return found


def local_features(hosts: Sequence[Host]) -> Mapping[str, tuple[str | None, str | None]]:
    """Return the features of TFRecord sets that an inventory names: image and label."""
    return {
        name: (spec.image_feature, spec.label_feature)
        for host in hosts
        for name, spec in host.variables.data.items()
        if spec.tfrecord is not None
    }


def local_parts(hosts: Sequence[Host]) -> Mapping[str, tuple[str | None, bool]]:
    """Return what an inventory says of sets in folders: the part to take, whether unreadable images are left out."""
    return {
        name: (spec.split, bool(spec.skip_unreadable))
        for host in hosts
        for name, spec in host.variables.data.items()
        if spec.split is not None or spec.skip_unreadable
    }
