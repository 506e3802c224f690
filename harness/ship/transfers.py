"""The images and data sets that ``run`` and ``ship`` can send to hosts, and the limit of transfers at once."""

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
    """The sources and limits that the hosts of one command share. ``ship_data``: data sets may be sent."""

    images: ImageSources
    sets: SourceSets
    slots: TransferSlots = field(default_factory=TransferSlots)
    ship_data: bool = False
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def sendable(self) -> frozenset[str]:
        """Return the names of the data sets that are sent to hosts that lack them."""
        return frozenset(self.sets if self.ship_data else ())


def bring_image(reached: Reached, engine: ImageEngine, transfers: Transfers, emit: Emit) -> tuple[str, str]:
    """Bring a host's engine its image, built on this machine or sent to another; return its name and the method.

    An image that the inventory names is used as it is where it cannot be sent. Raises ImageUnavailable and other
    HostErrors.
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
    """Make jobs run in an environment of ours, on a host whose own Python lacks packages.

    Return None. Without ``transfers``, return the facts that the engine will have with the environment, unless the
    environment is there. Raises EngineUnavailable where no environment is possible, and other HostErrors.
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
        message = f"TensorFlow could not be installed for {python.words}: {error.message}"
        raise EngineUnavailable(message, where=reached.name, hint=error.hint) from error
    emit(shipped)
    engine.use(made)
    return None


def wanted_image(reached: Reached) -> WantedImage:
    """Return the image for a host: the inventory's, else ours for GPUs if it has usable ones, else for CPUs."""
    variables = reached.host.variables
    kind = "gpu" if reached.gpus and has_packages(reached.facts.architecture) else "cpu"
    return WantedImage(kind, variables.image, variables.registry)


def _ship_image(
    reached: Reached, wanted: WantedImage, engine: ImageEngine, transfers: Transfers, emit: Emit
) -> ImageShipped:
    """Send a host its image. Raises ImageUnavailable and other HostErrors; nothing is left on the host then."""
    say = progress_of(reached.name, emit)

    def ship(order: Order) -> ImageShipped:
        return ImageShip(engine, order, reached.connection, transfers.slots, say, transfers.stop).run()

    order = transfers.images.order(wanted, say, may_build=wanted.registry is None)
    try:
        shipped = ship(order)
    except ImageUnavailable:
        if order.source is not None or order.registry is None:
            raise
        # The registry does not have it, and it was not built here yet: build it.
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
    """Send a host a data set of this machine, and return what a session reads of it there.

    Raises DataError, HostError; files that arrived are kept for the next attempt.
    """
    say = progress_of(reached.name, emit, f"data set {name}")
    source = transfers.sets.read(name, say)
    ship = DataShip(reached.connection, reached.scratch, source, transfers.slots, say, transfers.stop)
    emit(ship.run())
    return ship.shipped.read_like(reached.data.get(name))


def local_places(hosts: Sequence[Host]) -> Mapping[str, tuple[Path, Path | None]]:
    """Find an inventory's data sets on this machine, at the paths of local hosts first, else at those of any host."""
    found: dict[str, tuple[Path, Path | None]] = {}
    for host in sorted(hosts, key=lambda one: one.connection != "local"):
        for name, spec in host.variables.data.items():
            place = find_here(spec)
            if name not in found and place is not None:
                found[name] = place
    return found


def local_features(hosts: Sequence[Host]) -> Mapping[str, tuple[str | None, str | None]]:
    """Return the features (image, label) of an inventory's TFRecord sets, by name."""
    return {
        name: (spec.image_feature, spec.label_feature)
        for host in hosts
        for name, spec in host.variables.data.items()
        if spec.tfrecord is not None
    }


def local_parts(hosts: Sequence[Host]) -> Mapping[str, tuple[str | None, bool]]:
    """Return (part, whether unreadable images are left out) of an inventory's data sets, by name, where set."""
    return {
        name: (spec.split, bool(spec.skip_unreadable))
        for host in hosts
        for name, spec in host.variables.data.items()
        if spec.split is not None or spec.skip_unreadable
    }
