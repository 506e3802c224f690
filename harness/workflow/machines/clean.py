"""``harness clean`` and ``harness unlock``: what dead sessions left on hosts, found by label and prefix."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engine.interface import CACHE_PREFIX, LABEL_PREFIX, Engine, JobHandle
from harness.engine.reached import Reached
from harness.hosts.lock import STALE_AFTER_S, LockOwner, break_lock, make_owner, read_lock
from harness.hosts.lock_owner import is_controller_gone
from harness.inventory import Host, load_inventory, select_hosts
from harness.ship.data_inspection import DESCRIBED_FOLDER
from harness.ship.datatransfer import SHIPPED_FOLDER
from harness.ship.transfer.image_loading import SHIP_SESSION
from harness.ship.weights import WEIGHTS_FOLDER
from harness.workflow.host_engines import engines_with_jobs, is_session_alive
from harness.workflow.host_links import Links
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code, tell_failure, values_of
from harness.workflow.reaching import reach

if TYPE_CHECKING:
    from harness.console import Console


@dataclass(frozen=True)
class Leftover:
    """Something on a host that nobody needs any more."""

    host: str
    what: str
    name: str
    why: str


def clean_hosts(
    console: Console, inventory: Path, *, limit: str | None, dry_run: bool, data: bool, forks: int, as_json: bool
) -> int:
    """Remove leftovers, or list them. A session that is alive keeps what is its own. Returns the exit code."""
    hosts, links = select_hosts(load_inventory(inventory, limit), limit), Links(console)

    def tidy(host: Host) -> list[Leftover]:
        with closing(reach(host, links)) as reached:
            engines, silent = engines_with_jobs(reached)
            for spec in silent:
                what = f"no {spec.words.title} answers; jobs on it, if there are any, were not looked for"
                console.note(f"{host.name}: {what}")
            owner = read_lock(reached.connection)
            found = _clean_host(reached, engines, owner, dry_run=dry_run, data=data)
            if owner is not None and not any(one.what == "lock" for one in found):
                kept = f"what belongs to {owner.describe()} was kept: it runs, or its job still does"
                console.note(f"{host.name}: {kept}")
            return found

    answers = ask_hosts(console, hosts, tidy, forks=forks, tell=lambda answer: tell_failure(console, answer))
    found = [leftover for of_host in values_of(answers).values() for leftover in of_host]
    if as_json:
        console.result_json([vars(leftover) for leftover in found])
    elif found:
        rows = [[leftover.host, leftover.what, leftover.name, leftover.why] for leftover in found]
        console.table(["host", "what", "name", "would be removed because" if dry_run else "removed because"], rows)
    else:
        console.result("nothing left over")
    return exit_code(answers)


def unlock_hosts(console: Console, inventory: Path, *, limit: str | None, yes: bool, forks: int) -> int:
    """Show and break locks. Asks on a terminal; without one ``--yes`` is needed. Returns the exit code."""
    hosts, links = select_hosts(load_inventory(inventory, limit), limit), Links(console)

    def read(host: Host) -> LockOwner | None:
        with closing(reach(host, links)) as reached:
            return read_lock(reached.connection)

    answers = ask_hosts(console, hosts, read, forks=forks, tell=lambda answer: tell_failure(console, answer))
    owners = values_of(answers)
    wanted: list[Host] = []
    for host in hosts:
        if (owner := owners.get(host.name)) is not None:
            if yes or console.ask(f"{host.name} is locked by {owner.describe()}. Take the lock away?"):
                wanted.append(host)
            else:
                console.result(f"{host.name}: still locked by {owner.describe()}; take it away with --yes")
        elif host.name in owners:
            console.result(f"{host.name}: not locked")

    def free(host: Host) -> LockOwner | None:
        with closing(links.open(host)) as connection:
            return break_lock(connection, only=owners[host.name])

    def told(answer: Answer[LockOwner | None]) -> None:
        tell_failure(console, answer)
        if isinstance(answer.outcome, LockOwner):
            console.result(f"{answer.name}: unlocked (was held by {answer.outcome.describe()})")
        elif answer.outcome is None:
            console.result(f"{answer.name}: was let go in this moment")

    freed = values_of(ask_hosts(console, wanted, free, forks=forks, tell=told))
    return exit_code(answers) or int(any(owner is not None and name not in freed for name, owner in owners.items()))


def _clean_host(
    reached: Reached, engines: Sequence[Engine], owner: LockOwner | None, *, dry_run: bool, data: bool
) -> list[Leftover]:
    is_alive = is_session_alive(reached)
    living = owner.session if owner is not None and (not _is_silent(owner) or is_alive(owner.session)) else None
    found: list[Leftover] = []
    kept: set[str] = set()
    for engine in engines:
        found += _clean_jobs(reached, engine, living, kept, dry_run=dry_run)
    found += _clean_folders(reached, kept, dry_run=dry_run)
    if owner is not None and living is None:
        found.append(Leftover(reached.name, "lock", owner.session, "its session is dead"))
        if not dry_run:
            break_lock(reached.connection, only=owner)
    if data and living is None:
        found += _clean_data(reached, dry_run=dry_run)
    return found


def _is_silent(owner: LockOwner) -> bool:
    """Whether the controller that holds the lock is dead or has not been heard for long; its jobs may still run."""
    is_stale = owner.age_s is None or owner.age_s > STALE_AFTER_S
    return is_stale or is_controller_gone(owner, make_owner("clean", "harness clean"))


def _clean_jobs(
    reached: Reached, engine: Engine, living: str | None, kept: set[str], *, dry_run: bool
) -> list[Leftover]:
    dead: list[JobHandle] = []
    for handle in engine.list():
        # Preparing data belongs to no session by name; while one lives, it may be its.
        if living is not None and handle.labels.get(f"{LABEL_PREFIX}session") in (
            living,
            "data",
            "check",
            SHIP_SESSION,
        ):
            kept.add(handle.name)
        else:
            dead.append(handle)
    if dead and not dry_run:
        engine.cancel(dead)
    why = "no living session owns it"
    return [Leftover(reached.name, f"{engine.name} job", handle.name, why) for handle in dead]


def _clean_folders(reached: Reached, kept: set[str], *, dry_run: bool) -> list[Leftover]:
    """Remove cache folders by exact prefix on each named disk, but for those of jobs that live."""
    found = []
    for disk in sorted(set(reached.disks.values())):
        listing = reached.connection.run(
            ["find", disk, "-maxdepth", "1", "-type", "d", "-name", f"{CACHE_PREFIX}*", "-print0"]
        )
        for path in filter(None, listing.text.split("\0")):
            if path.rsplit("/", 1)[-1].removeprefix(CACHE_PREFIX) in kept:
                continue
            found.append(Leftover(reached.name, "cache folder", path, "no living job uses it"))
            if not dry_run:
                reached.connection.run(["rm", "-rf", "--one-file-system", "--", path], timeout_s=600.0)
    return found


def _clean_data(reached: Reached, *, dry_run: bool) -> list[Leftover]:
    found = []
    for name in ("data", "datasets", DESCRIBED_FOLDER, SHIPPED_FOLDER, WEIGHTS_FOLDER):
        path = f"{reached.scratch}/{name}"
        if reached.connection.run(["test", "-d", path]).returncode == 0:
            found.append(Leftover(reached.name, "data sets, weights and file lists", path, "--data asked for it"))
            if not dry_run:
                reached.connection.run(["rm", "-rf", "--one-file-system", "--", path], timeout_s=600.0)
    return found
