"""``harness check``: what works on each host, what does not, and how to fix it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.checks import host_state, judge_host
from harness.analysis.host_check import Check, GpuProbe, LimitProbe
from harness.analysis.same_data import find_clashes
from harness.analysis.signs import CHECKS
from harness.bench.protocol.image_formats import SOME_READ
from harness.engine.interface import Payload
from harness.engine.jobs import JobHost
from harness.engine.reached import Reached
from harness.hosts.facts.facts_script import IMAGES, read_disk
from harness.hosts.lock import find_holder, make_owner
from harness.inventory import Host, load_inventory, read_parts, select_hosts
from harness.ship.data_inspection import inspect_data
from harness.ship.datasource import SourceSets
from harness.ship.engine_choice import ChosenEngine, find_engine
from harness.ship.gpuprobe import probe_gpus
from harness.ship.limitprobe import probe_limit
from harness.ship.payload_archive import build_payload
from harness.ship.slots import TransferSlots
from harness.ship.transfer.image_sources import ImageSources
from harness.ship.transfers import Transfers
from harness.values.errors import DataError, HarnessError, HostError
from harness.values.facts import Facts
from harness.values.text import name_inventory, plural
from harness.workflow.host_engines import is_session_alive
from harness.workflow.host_links import Links
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code, values_of
from harness.workflow.reaching import reach
from harness.workflow.resolve import wanted_engine
from harness.workflow.side_by_side import Seen, find_copies, note_seen, refuse_copy

if TYPE_CHECKING:
    from harness.console import Console


_MOST_IN_FULL = 3
"""With more hosts, one line is printed for each, followed by what the hosts lack that are not ready."""


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
    split: str | None = None,
    skip_unreadable: bool = False,
) -> int:
    """Check hosts in parallel and print the results in the inventory's order. Returns the exit code."""
    read = read_parts(load_inventory(inventory, limit), split, skip_unreadable=skip_unreadable)
    for warning in read.warnings:
        console.warning(str(warning))
    hosts = select_hosts(read, limit)
    wanted = {host.name: wanted_engine(host, engine) for host in hosts}
    links, payload = Links(console), build_payload()
    transfers = Transfers(ImageSources(base_image=base_image), SourceSets({}), TransferSlots())

    def check(host: Host) -> _Checked:
        console.live(f"checking {host.name}")
        with contextlib.closing(reach(host, links, for_measuring=True)) as reached:
            return _check_host(console, reached, wanted[host.name], transfers, payload, may_ship=ship)

    is_brief = len(hosts) > _MOST_IN_FULL and not console.verbose

    def tell(answer: Answer[_Checked]) -> None:
        if not as_json:
            (_print_line if is_brief else _print)(console, answer.name, _checked_of(answer))

    answers = ask_hosts(console, hosts, check, forks=forks, tell=tell, stop=transfers.stop)
    between = _check_between(console, hosts, values_of(answers), links, forks)
    console.close()
    checked = {answer.name: _checked_of(answer).with_more(between.get(answer.name, ())) for answer in answers}
    if as_json:
        console.result_json([_as_json(name, found) for name, found in checked.items()])
    else:
        if is_brief:
            _print_not_ready(console, {answer.name: _checked_of(answer) for answer in answers})
        _print_between(console, between)
    return exit_code([Answer(name, found.as_outcome(name)) for name, found in checked.items()])


@dataclass(frozen=True)
class _Checked:
    """The results of the checks of one host."""

    checks: Sequence[Check]
    hardware: str = ""
    seen: Seen = field(default_factory=Seen)

    def with_more(self, checks: Sequence[Check]) -> _Checked:
        """Return these results with further checks added."""
        return replace(self, checks=[*self.checks, *checks])

    @property
    def state(self) -> str:
        return host_state(self.checks)

    def as_outcome(self, host: str) -> _Checked | HarnessError:
        """Return the error that a session would meet on this host, or these checks if it can measure."""
        failed = [check for check in self.checks if check.outcome == "failure"]
        if not failed:
            return self
        kind = DataError if all(check.id == "data" for check in failed) else HostError
        return kind(failed[0].message, where=host, hint=failed[0].cure)


def _checked_of(answer: Answer[_Checked]) -> _Checked:
    """Return the checks of a host; for one that did not answer, a single check with the reason."""
    return _Checked(judge_host(answer.outcome)) if isinstance(answer.outcome, HarnessError) else answer.outcome


def _check_host(
    console: Console, reached: Reached, requested: str, transfers: Transfers, payload: Payload, *, may_ship: bool
) -> _Checked:
    """Run all checks on a host. ``may_ship``: ``transfers`` send or build a missing image first."""
    host = reached.host
    search = find_engine(reached, requested, transfers if may_ship else None, console.handle)
    states = {name: inspect_data(reached, name, formats=tuple(SOME_READ))[1] for name in reached.data}
    limit_probe, gpu_probe = _prove(console, reached, search.chosen, payload)
    image_bytes = _size_to_come(search.chosen, transfers.images)
    checks = judge_host(
        reached.facts if image_bytes is None else _with_image_store(reached, search.chosen),
        search.chosen.facts if search.chosen else None,
        [(refusal.spec.name, refusal.error) for refusal in search.refused],
        limit_probe=limit_probe,
        data=states.values(),
        used_gpus=reached.gpus,
        gpu_probe=gpu_probe,
        image_bytes=image_bytes,
        memory_reserve=host.variables.memory_reserve,
        disk_reserve=host.variables.disk_reserve,
        lock_owner=find_holder(reached.connection, make_owner("check"), is_alive=is_session_alive(reached)),
        allow_busy=bool(host.variables.allow_busy),
        is_remote=not reached.is_local,
    )
    named = [replace(one, cure=name_inventory(one.cure, host.inventory)) if one.cure else one for one in checks]
    return _Checked(named, reached.facts.hardware, note_seen(reached, states))


def _check_between(
    console: Console, hosts: Sequence[Host], checked: Mapping[str, _Checked], links: Links, forks: int
) -> dict[str, list[Check]]:
    """Compare hosts: find names of one machine, and data sets that differ between hosts. Returns checks by host."""
    found: dict[str, list[Check]] = {}
    seen = {name: one.seen for name, one in checked.items()}
    copies = find_copies(console, hosts, seen, links, forks=forks)
    for name, measured in copies.items():
        error = refuse_copy(name, measured)
        found.setdefault(name, []).append(Check("machine", measured, "failure", error.message, error.hint))
    for clash in find_clashes({name: one.sets for name, one in seen.items() if name not in copies}):
        for name in clash.hosts:
            found.setdefault(name, []).append(Check("data", clash.name, "warning", clash.message, clash.hint))
    return found


def _size_to_come(chosen: ChosenEngine | None, images: ImageSources) -> int | None:
    """Return the size in bytes of the image that the host lacks; None if it has it or the size is not known."""
    if chosen is None or not chosen.image or chosen.facts.image_digest is not None:
        return None
    return images.size_of(chosen.image)


def _with_image_store(reached: Reached, chosen: ChosenEngine | None) -> Facts:
    """Return a host's facts with the disk on which its engine keeps images, as the engine names it."""
    facts, folder = reached.facts, chosen.facts.folder if chosen else None
    known = facts.disks.get(IMAGES)
    if folder is None or IMAGES in reached.disks or (known is not None and known.path == folder):
        return facts
    disks = {name: disk for name, disk in facts.disks.items() if name != IMAGES}
    store = read_disk(reached.connection, folder)
    return facts.model_copy(update={"disks": disks if store is None else {**disks, IMAGES: store}})


def _prove(
    console: Console, reached: Reached, chosen: ChosenEngine | None, payload: Payload
) -> tuple[LimitProbe | None, GpuProbe | None]:
    """Test a memory limit and the GPUs with the engine that would be used; None for what cannot be tested."""
    if chosen is None or chosen.facts.image_digest is None:
        return None, None
    on = JobHost.of(reached, payload, chosen.engine, chosen.facts, chosen.image)
    limit_probe = gpu_probe = None
    if chosen.facts.can_limit_memory:
        console.live(f"{reached.name}: testing a memory limit")
        limit_probe = probe_limit(on)
    if on.gpus and chosen.facts.gpu_support is not None:
        console.live(f"{reached.name}: testing its GPUs")
        gpu_probe = probe_gpus(on)
    return limit_probe, gpu_probe


def _print(console: Console, host: str, checked: _Checked) -> None:
    lines = [f"{host}: {checked.state}"]
    lines += [_say_check(check, "", "  ") for check in checked.checks]
    console.result("\n".join(lines))


def _print_line(console: Console, host: str, checked: _Checked) -> None:
    """Print one line about a host: state, hardware and number of warnings."""
    warnings = sum(check.outcome == "warning" for check in checked.checks)
    said = [checked.state.replace("_", " "), checked.hardware, plural(warnings, "warning") if warnings else ""]
    sign = CHECKS["ok" if checked.state == "ready" else "failure"].sign
    console.result(f"{sign} {host}: {'; '.join(part for part in said if part)}")


def _print_not_ready(console: Console, checked: Mapping[str, _Checked]) -> None:
    """Print the failed checks of hosts that are not ready, and how to see all checks."""
    for name, one in checked.items():
        failures = [check for check in one.checks if check.outcome == "failure"]
        if failures:
            _print(console, name, replace(one, checks=failures))
    console.result("for all checks, give the same command with --limit HOST or -v")


def _print_between(console: Console, between: Mapping[str, Sequence[Check]]) -> None:
    """Print what the comparison of hosts found, each check once with the hosts that it is about."""
    hosts: dict[Check, list[str]] = {}
    for name, checks in between.items():
        for check in checks:
            hosts.setdefault(check, []).append(name)
    for check, names in hosts.items():
        console.result(_say_check(check, f"{', '.join(names)}: ", ""))


def _say_check(check: Check, before: str, indent: str) -> str:
    subject = f"{check.id} {check.subject}".strip()
    line = f"{indent}{CHECKS[check.outcome].sign} {before}{subject}: {check.message}"
    return f"{line}\n{indent}    → {check.cure}" if check.cure and check.outcome != "ok" else line


def _as_json(host: str, checked: _Checked) -> dict[str, object]:
    checks = [vars(one) for one in checked.checks]
    return {"host": host, "state": checked.state, "hardware": checked.hardware, "checks": checks}
