"""The lock of a machine, which lets one session measure at a time, whatever its engine and its user.

The lock is the folder ``/tmp/harness.lock``. It is made atomically, and it is writable for all users: another user must
be able to take over the lock of a dead session, and the sticky ``/tmp`` does not let users remove a folder of another
user. The lock is held while it contains a file ``owner``. Another session may take it:

- *nobody holds it*: at once;
- *the host was rebooted* since (the boot id differs): at once, because no measurement survives a reboot;
- *held by another session*: when its heartbeat is older than ``stale_after_s``, or its controller ran on this machine
  and its process has ended, *and* no container or process of that session runs on the host. A lost connection alone
  does not free a host that still measures;
- *held by the same session* (a controller that was killed, and is started again): at once where the old controller ran
  on this machine and its process has ended, else when the heartbeat is old. Jobs that still run belong to the session
  and are adopted;
- otherwise never: ``HostLocked`` names the holder, the time, and what to do.

Heartbeats are timed by the host's uptime, so that neither different clocks nor a change of a clock matter. A takeover
compares the holder's token *and* heartbeat at the moment of writing. Of several sessions that see the same dead holder
only one succeeds, and a holder that sends a heartbeat in the meantime keeps the lock.

Every user of a host can write the lock. A file without a token, and a link in its place, count as no holder and are
replaced. Any other content that this module would not write, or a folder in the file's place, is a damaged lock: no
session takes it over, and ``break_lock`` removes it at a user's request.
"""

from __future__ import annotations

from collections.abc import Callable

from harness.hosts import lock_commands
from harness.hosts.answers import not_understood
from harness.hosts.connection import Completed, Connection, last_line
from harness.hosts.lock_owner import (
    STALE_AFTER_S,
    LockOwner,
    LockState,
    format_owner,
    is_controller_gone,
    make_owner,
    parse_state,
)
from harness.hosts.slurm.connection import SlurmConnection
from harness.values.errors import HostError, HostLocked, HostNotReady
from harness.values.text import clean_text

__all__ = [
    "LOCK_PATH",
    "STALE_AFTER_S",
    "DamagedLock",
    "Lock",
    "LockOwner",
    "acquire",
    "break_lock",
    "find_holder",
    "make_owner",
    "read_lock",
    "refuse_held",
    "take_lock",
]

LOCK_PATH = "/tmp/harness.lock"
_TIMEOUT_S = lock_commands.GUARD_WAIT_S + 40.0
_MOST_TRIES = 20
_UNLOCK = "wait for it to end, or, if you know that it is dead, remove the lock with `harness unlock INVENTORY`"


class DamagedLock(HostNotReady):
    """Raised when the lock has unexpected content; ``stamp`` distinguishes it from later states of the lock."""

    def __init__(self, host: str, path: str, state: LockState) -> None:
        hint = f"check who made it (ls -la {path} on the host), then remove it with `harness unlock INVENTORY`"
        super().__init__(f"damaged lock {path}: {state.damage}", where=host, hint=hint)
        self.stamp = state.stamp


class Lock:
    """A lock that this session holds. Call ``beat`` at least every third of ``stale_after_s``, and ``release`` last."""

    def __init__(self, connection: Connection, owner: LockOwner, path: str) -> None:
        self.connection = connection
        self.owner = owner
        self.path = path

    def beat(self) -> None:
        """Send a heartbeat. Raises HostLocked where another session holds the lock now, or a user took it away.

        A lock that vanished (the host was rebooted, /tmp was cleaned) is acquired again where it is free.
        """
        done = _run(self.connection, lock_commands.beat_command(self.path, self.owner.token))
        if done.returncode == lock_commands.TAKEN:
            by = clean_text(done.text.partition("taken_by ")[2]) or "another user"
            message = f"the lock of this session was taken away by {by}, with `harness unlock --force`"
            raise HostLocked(message, where=self.connection.host, hint=f"ask {by} when the machine is free again")
        if done.returncode != lock_commands.CHANGED:
            _refuse_failure(self.connection, done, self.path)
            return
        state = _read_state(self.connection, done, self.path)
        if state.owner is None:
            state = _claim(self.connection, self.owner, self.path, state.stamp)
            if state.owner is not None and state.owner.token == self.owner.token:
                return
        raise _locked(self.connection.host, state.owner, self.owner, "the lock of this session was taken over")

    def release(self) -> None:
        """Release the lock where this session still holds it. Idempotent."""
        done = _run(self.connection, lock_commands.release_command(self.path, self.owner.token))
        if done.returncode != lock_commands.CHANGED:
            _refuse_failure(self.connection, done, self.path)


def acquire(
    connection: Connection,
    owner: LockOwner,
    *,
    is_alive: Callable[[str], bool],
    stale_after_s: float = STALE_AFTER_S,
    path: str = LOCK_PATH,
) -> Lock:
    """Acquire the machine's lock for ``owner`` (``make_owner``), by the rules in this module's docstring.

    ``is_alive(session)`` returns whether a container or process of a session runs on the host; where it raises a
    HostError, the session counts as alive. Raises HostLocked, HostNotReady, HostUnreachable.
    """
    path = _lock_of(connection, path)
    state = _claim(connection, owner, path, lock_commands.ABSENT)
    for _ in range(_MOST_TRIES):
        held = state.owner
        if held is not None and held.token == owner.token:
            return Lock(connection, held, path)
        # A file without an owner is replaced like that of a dead owner.
        if held is not None and (why := _why_not(held, owner, is_alive, stale_after_s)):
            raise _locked(connection.host, held, owner, why)
        state = _claim(connection, owner, path, state.stamp)
    raise _locked(connection.host, state.owner, owner, "too many sessions compete for this machine")


def read_lock(connection: Connection, *, path: str = LOCK_PATH) -> LockOwner | None:
    """Return the holder of the machine's lock; None where nobody holds it, or the host was rebooted since.

    Raises DamagedLock.
    """
    path = _lock_of(connection, path)
    owner = _read_state(connection, _run(connection, lock_commands.read_command(path)), path).owner
    return owner if owner is not None and owner.is_this_boot else None


def refuse_held(
    connection: Connection,
    me: LockOwner,
    *,
    is_alive: Callable[[str], bool],
    stale_after_s: float = STALE_AFTER_S,
    path: str = LOCK_PATH,
) -> None:
    """Raise HostLocked where another session holds the machine's lock; unlike ``acquire``, do not take the lock."""
    held = read_lock(connection, path=path)
    if held is not None and held.session != me.session and (why := _why_not(held, me, is_alive, stale_after_s)):
        raise _locked(connection.host, held, me, why)


def find_holder(
    connection: Connection,
    me: LockOwner,
    *,
    is_alive: Callable[[str], bool],
    stale_after_s: float = STALE_AFTER_S,
    path: str = LOCK_PATH,
) -> LockOwner | None:
    """Return the holder that keeps ``me`` from acquiring the machine's lock; None where ``acquire`` would succeed."""
    held = read_lock(connection, path=path)
    return held if held is not None and _why_not(held, me, is_alive, stale_after_s) else None


def take_lock(connection: Connection, held: LockOwner, by: str, *, path: str = LOCK_PATH) -> bool:
    """Remove the lock of a holder that may be alive; return False where the holder has released it already.

    The holder stops at its next heartbeat, and reports that ``by`` removed the lock.
    """
    path = _lock_of(connection, path)
    done = _run(connection, lock_commands.take_command(path, held.token, clean_text(by)))
    if done.returncode == lock_commands.CHANGED:
        return False
    _refuse_failure(connection, done, path)
    return True


def break_lock(
    connection: Connection, *, only: LockOwner | DamagedLock | None = None, path: str = LOCK_PATH
) -> LockOwner | DamagedLock | None:
    """Remove the lock, whoever holds it (``harness unlock``), and return its holder.

    With ``only``, the lock is removed only where that owner still holds it, or its damage is unchanged; else None is
    returned.
    """
    path = _lock_of(connection, path)
    if isinstance(only, DamagedLock):
        done = _run(connection, lock_commands.break_command(path, only.stamp))
        if done.returncode == lock_commands.CHANGED:
            return None
        _refuse_failure(connection, done, path)
        return only
    if only is not None:
        done = _run(connection, lock_commands.release_command(path, only.token))
        if done.returncode == lock_commands.CHANGED:
            return None
        _refuse_failure(connection, done, path)
        return only
    done = _run(connection, lock_commands.break_command(path))
    _refuse_failure(connection, done, path)
    return parse_state(done.text).owner


def _lock_of(connection: Connection, path: str) -> str:
    """Return the path of a host's lock: the nodes behind a login node have one lock each, on the login node."""
    return path + connection.lock_suffix if isinstance(connection, SlurmConnection) else path


def _why_not(held: LockOwner, me: LockOwner, is_alive: Callable[[str], bool], stale_after_s: float) -> str | None:
    """Return why the lock may not be taken over; None where it may."""
    if not held.is_this_boot:
        return None
    is_silent = held.age_s is None or held.age_s > stale_after_s
    if not is_silent and not is_controller_gone(held, me):
        if held.session == me.session:
            if (held.machine, held.pid) == (me.machine, me.pid) and me.pid_start == held.pid_start:
                return "this session already uses this machine, under the name of another host of the inventory"
            return "this session is running already"
        return "another session measures on this machine"
    if held.session == me.session:
        return None
    try:
        still_runs = is_alive(held.session)
    except HostError as error:
        return f"another session holds this machine, and it is unknown whether it still runs: {error.message}"
    if not still_runs:
        return None
    return "the controller of another session does not respond, but its job still runs on this machine"


def _claim(connection: Connection, owner: LockOwner, path: str, expected: str) -> LockState:
    done = _run(connection, lock_commands.claim_command(path, owner.token, format_owner(owner), expected))
    if done.returncode != lock_commands.CHANGED:
        _refuse_failure(connection, done, path)
    return _read_state(connection, done, path)


def _read_state(connection: Connection, done: Completed, path: str) -> LockState:
    """Parse a script's output. Raises DamagedLock, and HostNotReady for output that the scripts do not print."""
    state = parse_state(done.text)
    if not state.stamp:
        raise not_understood(connection.host, "the state of its lock", done.stdout + done.stderr)
    if state.damage is not None:
        raise DamagedLock(connection.host, path, state)
    return state


def _run(connection: Connection, command: list[str]) -> Completed:
    return connection.run(command, timeout_s=_TIMEOUT_S)


def _refuse_failure(connection: Connection, done: Completed, path: str) -> None:
    if done.returncode == lock_commands.DONE:
        return
    if done.returncode == lock_commands.NO_FLOCK:
        message, hint = "the host has no `flock`", "install the package util-linux on the host"
    elif done.returncode == lock_commands.BUSY:
        message, hint = f"the lock {path} is blocked by a process that hangs", f"see `fuser -v {path}` on the host"
    else:
        message = f"the lock {path} cannot be written: {last_line(done.stderr)}"
        hint = (
            f"check that /tmp is not full, and that {path}, if it exists, is a folder of mode 0777; root can remove it"
        )
    raise HostNotReady(message, where=connection.host, hint=hint)


def _locked(host: str, held: LockOwner | None, me: LockOwner, why: str) -> HostLocked:
    holder = "" if held is None else f": {held.describe(is_gone=is_controller_gone(held, me))}"
    return HostLocked(f"{why}{holder}", where=host, hint=_UNLOCK)
