"""``harness clean`` and ``harness unlock``: remove what ended sessions left on hosts, found by label and prefix."""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.engine.container import is_ephemeral
from harness.engine.interface import CACHE_PREFIX, LABEL_PREFIX, Engine, JobHandle
from harness.engine.reached import Reached
from harness.hosts.answers import not_understood
from harness.hosts.connection import Connection
from harness.hosts.lock import STALE_AFTER_S, DamagedLock, LockOwner, break_lock, make_owner, read_lock, take_lock
from harness.hosts.lock_owner import CONTROLLER_GONE, is_controller_gone
from harness.hosts.own_folders import OwnFolder, adopt_folder, look_at_folders, remove_own_folder
from harness.inventory import Host, load_inventory, select_hosts
from harness.ship.environment import ENVIRONMENTS_FOLDER
from harness.ship.transfer.image_loading import SHIP_SESSION
from harness.values.units import format_bytes
from harness.workflow.host_engines import engines_with_jobs, is_session_alive
from harness.workflow.host_links import Links
from harness.workflow.machines.leftovers import (
    DATA_FOLDERS,
    KNOWN_FOLDERS,
    RESULT_FOLDERS,
    Leftover,
    keep_folder,
    leave_folder,
    say_asked,
    settle_images,
)
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code, tell_failure, values_of
from harness.workflow.reaching import reach

if TYPE_CHECKING:
    from harness.console import Console

_UNMARKED = "it has no mark of harness: look at its content, then `harness clean --adopt`"
_ASKED_ADOPT = "--adopt would mark it"


@dataclass(frozen=True)
class CleanOptions:
    """The options of ``harness clean``. ``dry_run`` only lists; ``adopt`` marks older folders; ``yes`` asks nothing.

    ``data``, ``environments``, ``images`` and ``results`` also remove what the next session could use again.
    """

    dry_run: bool = False
    data: bool = False
    environments: bool = False
    images: bool = False
    results: bool = False
    adopt: bool = False
    yes: bool = False


@dataclass(frozen=True)
class _Tidied:
    """What was found on one host. ``folders`` hold data: the user is asked before they are removed."""

    leftovers: list[Leftover]
    folders: tuple[OwnFolder, ...] = ()


def clean_hosts(
    console: Console, inventory: Path, options: CleanOptions, *, limit: str | None, forks: int, as_json: bool
) -> int:
    """Remove leftovers, or list them. What a running session uses stays. Returns the exit code.

    Data folders are removed only if they carry the mark of harness and the user has agreed after seeing them.
    """
    hosts, links = select_hosts(load_inventory(inventory, limit), limit), Links(console)

    def tidy(host: Host) -> _Tidied:
        with closing(reach(host, links, for_tidying=True)) as reached:
            engines, silent = engines_with_jobs(reached)
            for spec in silent:
                what = f"no {spec.words.title} answers; its jobs, if there are any, were not looked for"
                console.note(f"{host.name}: {what}")
            owner = read_lock(reached.connection)
            found = _clean_host(reached, engines, owner, options)
            if owner is not None and not any(one.what == "lock" for one in found.leftovers):
                kept = f"what belongs to {_describe_holder(owner)} was kept: the session or its job is still running"
                console.note(f"{host.name}: {kept}")
            return found

    answers = ask_hosts(console, hosts, tidy, forks=forks, tell=lambda answer: tell_failure(console, answer))
    tidied = values_of(answers)
    found = [leftover for of_host in tidied.values() for leftover in of_host.leftovers]
    wanted = _choose_data(console, tidied, options, found)
    agreed = _ask_about_data(console, wanted, options, found)

    def settle(host: Host) -> list[Leftover]:
        with closing(links.open(host)) as connection:
            return [_settle(connection, host.name, folder, options) for folder in agreed[host.name]]

    chosen = [host for host in hosts if host.name in agreed]
    settled = ask_hosts(console, chosen, settle, forks=forks, tell=lambda answer: tell_failure(console, answer))
    found += [one for of_host in values_of(settled).values() for one in of_host]
    if as_json:
        console.result_json([vars(leftover) for leftover in found])
    else:
        _print(console, found, dry_run=options.dry_run)
    return exit_code(answers) or int(len(agreed) < len(wanted) or exit_code(settled) != 0)


def _print(console: Console, found: Sequence[Leftover], *, dry_run: bool) -> None:
    """Print what was removed (or would be), then what stays, with its size and the reason."""
    gone, stays = ([one for one in found if one.stays is kept] for kept in (False, True))
    if gone:
        rows = [[one.host, one.what, one.name, _state_of(one, dry_run=dry_run), one.why] for one in gone]
        console.table(["host", "what", "name", "state", "reason"], rows)
    if stays:
        rows = [[one.host, one.what, one.name, format_bytes(one.bytes), one.why] for one in stays]
        console.table(["stays on", "what", "name", "size", "reason"], rows)
    if not gone:
        console.result("nothing else to clean" if stays else "nothing to clean")


def _state_of(leftover: Leftover, *, dry_run: bool) -> str:
    return "removed" if leftover.is_removed else "would be removed" if dry_run else "left"


def _choose_data(
    console: Console, tidied: Mapping[str, _Tidied], options: CleanOptions, found: list[Leftover]
) -> dict[str, list[OwnFolder]]:
    """Show data folders and return those to adopt or remove, by host; the others are added to ``found``."""
    wanted: dict[str, list[OwnFolder]] = {}
    for host, of_host in tidied.items():
        for folder in of_host.folders:
            console.note(f"{host}: {_describe(folder)}")
            if folder.is_marked == options.adopt:
                if not folder.is_marked:
                    found.append(leave_folder(host, folder, _UNMARKED))
            elif options.dry_run:
                found.append(leave_folder(host, folder, _ASKED_ADOPT if options.adopt else say_asked(folder)))
            else:
                wanted.setdefault(host, []).append(folder)
    return wanted


def _describe(folder: OwnFolder) -> str:
    """Return a folder's path, size and content in words."""
    size = "size not known" if folder.bytes is None else format_bytes(folder.bytes)
    more = ", …" if folder.count > len(folder.names) else ""
    names = f": {', '.join(folder.names)}{more}" if folder.names else ""
    return f"{folder.path}, {size}, {folder.count} {'entry' if folder.count == 1 else 'entries'}{names}"


def _ask_about_data(
    console: Console, wanted: Mapping[str, list[OwnFolder]], options: CleanOptions, found: list[Leftover]
) -> dict[str, list[OwnFolder]]:
    """Return the folders for which the user agrees, by host; the others are added to ``found``."""
    verb = "mark as created by harness" if options.adopt else "remove with all content"
    agreed = {}
    for host, folders in wanted.items():
        if options.yes or console.ask(f"{host}: {verb}: {', '.join(folder.path for folder in folders)}?"):
            agreed[host] = folders
        else:
            found += [leave_folder(host, folder, "not confirmed: look at it, then use --yes") for folder in folders]
    return agreed


def _settle(connection: Connection, host: str, folder: OwnFolder, options: CleanOptions) -> Leftover:
    if options.adopt:
        adopt_folder(connection, folder.path)
        return leave_folder(host, folder, "it is marked now: `harness clean --data` removes it")
    if remove_own_folder(connection, folder.path):
        return leave_folder(host, folder, say_asked(folder), is_removed=True)
    return leave_folder(host, folder, "it no longer has the mark of harness")


@dataclass(frozen=True)
class _Held:
    """A lock that is held, or damaged."""

    lock: LockOwner | DamagedLock

    def describe(self) -> str:
        """Return who holds the lock, or how it is damaged."""
        return self.lock.message if isinstance(self.lock, DamagedLock) else f"held by {_describe_holder(self.lock)}"

    @property
    def living(self) -> LockOwner | None:
        """The holder; None if it has ended, is silent or is not known."""
        return None if isinstance(self.lock, DamagedLock) or _is_silent(self.lock) else self.lock

    def is_named(self, name: str | None) -> bool:
        """Whether the holder has this name (user@machine, or session)."""
        return isinstance(self.lock, LockOwner) and name in (self.lock.owner, self.lock.session)


def unlock_hosts(
    console: Console, inventory: Path, *, limit: str | None, yes: bool, forks: int, force: str | None = None
) -> int:
    """Show and remove locks, also damaged ones. Without a terminal this needs ``yes``. Returns the exit code.

    A running holder keeps its lock unless ``force`` names it, as user@machine or by its session.
    """
    hosts, links = select_hosts(load_inventory(inventory, limit), limit), Links(console)

    def read(host: Host) -> _Held | None:
        with closing(links.open(host)) as connection:
            try:
                owner = read_lock(connection)
            except DamagedLock as damaged:
                return _Held(damaged)
            return None if owner is None else _Held(owner)

    answers = ask_hosts(console, hosts, read, forks=forks, tell=lambda answer: tell_failure(console, answer))
    locks = values_of(answers)
    wanted: dict[str, _Held] = {}
    for name, held in locks.items():
        if held is None:
            console.result(f"{name}: not locked")
        elif held.is_named(force):
            wanted[name] = held
        elif held.living is not None:
            cure = f"if it must stop, take the lock with --force {held.living.owner}"
            console.result(f"{name}: still locked: {held.describe()}; {cure}")
        elif yes or console.ask(f"{name}: {held.describe()}. Remove the lock?"):
            wanted[name] = held
        else:
            console.result(f"{name}: still locked: {held.describe()}; remove the lock with --yes")

    def free(host: Host) -> bool:
        held = wanted[host.name]
        with closing(links.open(host)) as connection:
            if held.living is not None:
                return take_lock(connection, held.living, make_owner("unlock").owner)
            return break_lock(connection, only=held.lock) is not None

    def told(answer: Answer[bool]) -> None:
        tell_failure(console, answer)
        if answer.outcome is True:
            held = wanted[answer.name]
            stops = "; that session ends its job and stops on this host within about a minute" if held.living else ""
            console.result(f"{answer.name}: unlocked (was {held.describe()}){stops}")
        elif answer.outcome is False:
            console.result(f"{answer.name}: the lock was released in this moment")

    chosen = [host for host in hosts if host.name in wanted]
    freed = values_of(ask_hosts(console, chosen, free, forks=forks, tell=told))
    return exit_code(answers) or int(any(held is not None and name not in freed for name, held in locks.items()))


def _clean_host(reached: Reached, engines: Sequence[Engine], owner: LockOwner | None, options: CleanOptions) -> _Tidied:
    is_alive = is_session_alive(reached)
    living = owner.session if owner is not None and (not _is_silent(owner) or is_alive(owner.session)) else None
    found: list[Leftover] = []
    kept: set[str] = set()
    for engine in engines:
        found += _clean_jobs(reached, engine, living, kept, dry_run=options.dry_run)
    found += _clean_folders(reached, kept, dry_run=options.dry_run)
    if owner is not None and living is None:
        why = CONTROLLER_GONE if _is_gone(owner) else "its controller has given no sign of life for long"
        found.append(Leftover(reached.name, "lock", owner.session, why, not options.dry_run))
        if not options.dry_run:
            break_lock(reached.connection, only=owner)
    is_asked, dry_run = options.images, options.dry_run
    found += settle_images(reached, engines, living, is_asked=is_asked, dry_run=dry_run)
    wanted = {*(DATA_FOLDERS if options.data or options.adopt else ()), *(RESULT_FOLDERS if options.results else ())}
    wanted |= {ENVIRONMENTS_FOLDER} if options.environments else set()
    chosen: list[OwnFolder] = []
    for folder in look_at_folders(reached.connection, reached.scratch, KNOWN_FOLDERS):
        if posixpath.basename(folder.path) in wanted and living is None:
            chosen.append(folder)
        else:
            found.append(keep_folder(reached.name, folder, living))
    return _Tidied(found, tuple(chosen))


def _is_silent(owner: LockOwner) -> bool:
    """Whether the controller that holds the lock has ended or is silent; its jobs may still run."""
    return owner.age_s is None or owner.age_s > STALE_AFTER_S or _is_gone(owner)


def _is_gone(owner: LockOwner) -> bool:
    """Whether the controller that holds the lock ran on this machine and has ended."""
    return is_controller_gone(owner, make_owner("clean", "harness clean"))


def _describe_holder(owner: LockOwner) -> str:
    return owner.describe(is_gone=_is_gone(owner))


def _clean_jobs(
    reached: Reached, engine: Engine, living: str | None, kept: set[str], *, dry_run: bool
) -> list[Leftover]:
    dead: list[JobHandle] = []
    for handle in engine.list():
        # Jobs that prepare data carry no session's name: while a session runs, they may belong to it.
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
    why = "no running session owns it"
    return [Leftover(reached.name, f"{engine.name} job", handle.name, why, not dry_run) for handle in dead]


def _clean_folders(reached: Reached, kept: set[str], *, dry_run: bool) -> list[Leftover]:
    """Remove cache folders, found by exact prefix on each named disk, except those of running jobs."""
    found = []
    for disk in sorted(set(reached.disks.values())):
        listing = reached.connection.run(
            ["find", disk, "-maxdepth", "1", "-type", "d", "-name", f"{CACHE_PREFIX}*", "-print0"]
        )
        for path in filter(None, listing.text.split("\0")):
            if posixpath.dirname(path) != disk or not is_ephemeral(path):
                raise not_understood(reached.name, f"the list of folders in {disk}", listing.stdout)
            if path.rsplit("/", 1)[-1].removeprefix(CACHE_PREFIX) in kept:
                continue
            found.append(Leftover(reached.name, "cache folder", path, "no running job uses it", not dry_run))
            if not dry_run:
                reached.connection.run(["rm", "-rf", "--one-file-system", "--", path], timeout_s=600.0)
    return found
