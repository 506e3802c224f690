"""``harness check``: what works on each host and what does not, with the cure."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.check import Check, LimitProbe
from harness.analysis.checks import host_state, judge_host
from harness.engine.docker import DockerEngine
from harness.engine.interface import Engine, EngineFacts
from harness.hosts.lock import read_lock
from harness.inventory import Host, load_inventory, select_hosts
from harness.ship.datasource import SourceSets
from harness.ship.definition import image_definition, image_reference
from harness.ship.image import ensure_image, find_image
from harness.ship.limitprobe import probe_limit
from harness.ship.payload import build_payload
from harness.ship.slots import TransferSlots
from harness.values.errors import DataError, EngineUnavailable, HarnessError, HostError
from harness.workflow.links import Links
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code
from harness.workflow.reaching import Reached, docker_engine, probe_engines, process_engine, reach
from harness.workflow.resolve import wanted_engine
from harness.workflow.transfers import ImageSources, Transfers, image_kind, may_receive, ship_image

if TYPE_CHECKING:
    from harness.console import Console

CUDA_OF_IMAGE = "12.5"
"""What TensorFlow 2.21's wheels are built for (tf.sysconfig.get_build_info()['cuda_version'])."""

_SIGNS = {"ok": "✓", "warning": "!", "failure": "✗", "unproven": "?"}


def check_hosts(
    console: Console,
    inventory: Path,
    *,
    limit: str | None,
    engine: str | None,
    ship: bool,
    base_image: str | None,
    forks: int,
    as_json: bool,
) -> int:
    """Check hosts side by side and print what was found, in the inventory's order. Returns the exit code."""
    read = load_inventory(inventory)
    for warning in read.warnings:
        console.warning(str(warning))
    hosts = select_hosts(read, limit)
    wanted = {host.name: wanted_engine(host, engine) for host in hosts}
    links = Links(console)
    transfers = Transfers(ImageSources(base_image=base_image), SourceSets({}), TransferSlots())

    def check(host: Host) -> _Checked:
        console.live(f"asking {host.name}")
        with contextlib.closing(reach(host, links, for_measuring=True)) as reached:
            checks = _check_host(console, reached, wanted[host.name], transfers if ship else None, base_image)
            return _Checked(checks, reached.facts.hardware)

    def tell(answer: Answer[_Checked]) -> None:
        if not as_json:
            _print(console, answer.name, _checked_of(answer))

    answers = ask_hosts(console, hosts, check, forks=forks, tell=tell, stop=transfers.stop)
    console.close()
    if as_json:
        console.result_json([_as_json(answer.name, _checked_of(answer)) for answer in answers])
    return exit_code([Answer(answer.name, _checked_of(answer).as_outcome(answer.name)) for answer in answers])


@dataclass(frozen=True)
class _Checked:
    """What was found out about one host."""

    checks: Sequence[Check]
    hardware: str = ""

    @property
    def state(self) -> str:
        return host_state(self.checks)

    def as_outcome(self, host: str) -> _Checked | HarnessError:
        """Return what a session would come to: the error that keeps the host from measuring, or these checks."""
        failed = [check for check in self.checks if check.outcome == "failure"]
        if not failed:
            return self
        kind = DataError if all(check.id == "data" for check in failed) else HostError
        return kind(failed[0].message, where=host, hint=failed[0].cure)


def _checked_of(answer: Answer[_Checked]) -> _Checked:
    """The checks of a host; of one that could not be asked the single one that says why."""
    return _Checked(judge_host(answer.outcome)) if isinstance(answer.outcome, HarnessError) else answer.outcome


def _check_host(
    console: Console, reached: Reached, requested: str, transfers: Transfers | None, base_image: str | None
) -> list[Check]:
    """All checks of a host; ``transfers`` bring what is missing, None where that must not be."""
    host = reached.host
    docker, process = probe_engines(reached, requested, "")
    image = _find_image(console, reached, docker, transfers, base_image)
    if image:
        docker, process = probe_engines(reached, requested, image)
    probe = _prove(console, reached, requested, docker, process, image)
    return judge_host(
        reached.facts,
        docker,
        process,
        limit_probe=probe,
        data=[reached.inspect(name)[1] for name in reached.data],
        needed_cuda=CUDA_OF_IMAGE if reached.facts.gpus else None,
        memory_reserve=host.variables.memory_reserve,
        disk_reserve=host.variables.disk_reserve,
        lock_owner=read_lock(reached.connection),
        allow_busy=bool(host.variables.allow_busy),
    )


def _find_image(
    console: Console,
    reached: Reached,
    docker: EngineFacts | EngineUnavailable | None,
    transfers: Transfers | None,
    base_image: str | None,
) -> str | None:
    """The reference of an image in which a probe can run; built or sent only with ``transfers``."""
    if not isinstance(docker, EngineFacts):
        return None
    engine = docker_engine(reached)
    if not isinstance(engine, DockerEngine):
        return None
    client, kind = engine.client, image_kind(reached)
    reference = reached.host.variables.image or image_reference(image_definition(kind))
    if find_image(client, reference) is not None:
        return reference
    if transfers is None or reached.host.variables.image:
        return None
    try:
        if may_receive(engine, reached):
            return ship_image(reached, engine, transfers, console.handle).reference
        made = ensure_image(client, kind, base_image=base_image, is_root=os.geteuid() == 0, on_progress=console.live)
    except HarnessError as error:
        console.warning(str(error))
        return None
    return made.reference


def _prove(
    console: Console,
    reached: Reached,
    requested: str,
    docker: EngineFacts | EngineUnavailable | None,
    process: EngineFacts | EngineUnavailable | None,
    image: str | None,
) -> LimitProbe | None:
    """Try a limit on the engine that would be used; None where there is nothing to try it with."""
    engine: Engine
    if isinstance(docker, EngineFacts):
        if image is None:
            return None
        engine = docker_engine(reached)
    elif requested != "docker" and isinstance(process, EngineFacts) and process.can_limit_memory:
        engine = process_engine(reached)
    else:
        return None
    console.live(f"{reached.name}: trying a memory limit")
    return probe_limit(engine, host=reached.name, payload=build_payload(), image=image or "")


def _print(console: Console, host: str, checked: _Checked) -> None:
    lines = [f"{host}: {checked.state}"]
    for check in checked.checks:
        subject = f"{check.id} {check.subject}".strip()
        lines.append(f"  {_SIGNS[check.outcome]} {subject}: {check.message}")
        if check.cure and check.outcome != "ok":
            lines.append(f"      → {check.cure}")
    console.result("\n".join(lines))


def _as_json(host: str, checked: _Checked) -> dict[str, object]:
    checks = [vars(one) for one in checked.checks]
    return {"host": host, "state": checked.state, "hardware": checked.hardware, "checks": checks}
