"""Command lines of the lock: pure builders of small POSIX scripts, quoted by the connection alone.

Every script that changes something holds ``flock`` on the lock's folder while it does, so that
reading the owner, comparing and rewriting it are one step against all others; the kernel lets go of it when the
script dies. The folder may be removed by a holder who owns it: whoever waited on the removed one
sees that another has its name, and begins again.

The folder is writable for all, so that nothing in it is trusted: files are made anew (``set -C`` opens with
O_EXCL) and links are not followed.
"""

from __future__ import annotations

GUARD_WAIT_S = 20

DONE, BUSY, FAILED, CHANGED, NO_FLOCK = 0, 73, 74, 75, 76
"""Exit codes: done; the guard could not be had; could not be written; not as expected; the host has no flock."""

ABSENT = "-"
"""The stamp of a lock that nobody holds."""

_STATE = r"""
umask 022
set -C
PATH=$PATH:/usr/local/bin:/usr/bin:/bin
dir=$1 owner=$1/owner
is_held() { [ -f "$owner" ] && [ ! -L "$owner" ]; }
now() {
  read -r up rest < /proc/uptime
  read -r boot < /proc/sys/kernel/random/boot_id
  at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
}
stamp() {
  if is_held; then set -- $(sed -n 's/^token //p;s/^beat //p' "$owner"); echo "$1/$2"; else echo -; fi
}
state() {
  now
  printf 'now %s\nuptime %s\nboot_now %s\nstamp %s\n' "$at" "$up" "$boot" "$(stamp)"
  if is_held; then cat "$owner"; fi
}
"""

# `act` runs with the guard; a redirection that fails ends `exec`, but not a compound command.
_GUARD = (
    _STATE
    + r"""
guarded() {
  flock -w WAIT 9 || return 73
  [ "$dir" -ef /proc/self/fd/9 ] || return 77
  rm -f "$dir"/owner.*.part
  act
}
write() {
  { cat > "$owner.$token.part"; } 2>/dev/null && mv -f "$owner.$token.part" "$owner" && return 0
  rm -f "$owner.$token.part"
  echo "$owner cannot be written" >&2
  return 74
}
remove() {
  rm -f "$owner" || return 74
  rmdir "$dir" 2>/dev/null
  return 0
}
run() {
  command -v flock >/dev/null || exit 76
  tries=0
  while [ $tries -lt 300 ]; do
    tries=$((tries + 1))
    [ -L "$dir" ] && break
    if [ ! -d "$dir" ]; then
      [ "$1" = make ] || { absent; exit $?; }
      mkdir -m 0777 "$dir" 2>/dev/null
    fi
    { guarded; } 9<"$dir"
    code=$?
    case $code in 1|2|77) ;; *) exit $code ;; esac
  done
  [ "$code" = 77 ] && exit 73
  echo "$dir cannot be made or opened" >&2
  exit 74
}
"""
).replace("WAIT", str(GUARD_WAIT_S))

_CLAIM = (
    _GUARD
    + r"""
token=$2 text=$3 expected=$4
act() {
  if [ "$(stamp)" != "$expected" ]; then state; return 75; fi
  now
  printf '%s\nboot %s\nsince %s\nbeat %s\nbeat_at %s\n' "$text" "$boot" "$at" "$up" "$at" | write || return 74
  state
}
run make
"""
)

_BEAT = (
    _GUARD
    + r"""
token=$2
absent() { state; return 75; }
act() {
  case $(stamp) in "$token"/*) ;; *) state; return 75 ;; esac
  now
  text=$(grep -v -E '^(boot|beat|beat_at) ' "$owner")
  printf '%s\nboot %s\nbeat %s\nbeat_at %s\n' "$text" "$boot" "$up" "$at" | write
}
run
"""
)

_RELEASE = (
    _GUARD
    + r"""
token=$2
absent() { return 0; }
act() { case $(stamp) in "$token"/*) remove ;; *) return 75 ;; esac; }
run
"""
)

_BREAK = (
    _GUARD
    + r"""
absent() { state; }
act() { state; remove; }
run
"""
)


def claim_command(path: str, token: str, text: str, expected: str) -> list[str]:
    """Write an owner where the lock's stamp is still ``expected`` (``ABSENT``: nobody); else exit with CHANGED.

    Both ways the state after it is printed.
    """
    return ["sh", "-c", _CLAIM, "sh", path, token, text, expected]


def beat_command(path: str, token: str) -> list[str]:
    """A sign of life, by the host's own clock; CHANGED and the state where the lock is not ``token``'s."""
    return ["sh", "-c", _BEAT, "sh", path, token]


def release_command(path: str, token: str) -> list[str]:
    """Give the lock up where it is ``token``'s; CHANGED where it is not."""
    return ["sh", "-c", _RELEASE, "sh", path, token]


def break_command(path: str) -> list[str]:
    """Free the lock whoever holds it, and print who did."""
    return ["sh", "-c", _BREAK, "sh", path]


def read_command(path: str) -> list[str]:
    """Print the state; changes and waits for nothing."""
    return ["sh", "-c", _STATE + "state\n", "sh", path]
