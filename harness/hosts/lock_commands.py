"""Build the command lines of the lock: small POSIX scripts, which only the connection quotes. Pure.

Every script that changes the lock holds ``flock`` on the lock's folder meanwhile, so that reading, comparing and
rewriting the owner are atomic; the kernel releases it when the script dies. The holder that owns the folder may remove
it: a script that waited for the removed folder notices that its name now belongs to another one, and starts again.

The folder is writable for all users, so its content is not trusted. Files are created with O_EXCL (``set -C``). Links
are not followed (``mv -T`` replaces them, ``dd`` opens with O_NOFOLLOW), and pipes do not block. At most ``MOST_BYTES``
of an owner's file are read. Content that cannot be a lock is reported in a line ``damaged …``.
"""

from __future__ import annotations

GUARD_WAIT_S = 20

DONE, BUSY, FAILED, CHANGED, NO_FLOCK, TAKEN = 0, 73, 74, 75, 76, 78
"""Exit codes: done; flock timed out; the lock cannot be written; the lock is not as expected; the host has no flock; a
user removed the lock of a holder that was alive."""

_TAKEN_IS_OLD_MIN = 60
"""Age in minutes at which the note about a removed lock is deleted; a holder without heartbeats for so long is dead."""

MOST_BYTES = 8192
"""The most bytes that are read of an owner's file, which usually has 500; any user of the host can replace it."""

ABSENT = "-"
"""The stamp of a free lock."""

_STATE = r"""
umask 022
set -C
PATH=$PATH:/usr/local/bin:/usr/bin:/bin
dir=$1 owner=$1/owner
is_held() { [ -f "$owner" ] && [ ! -L "$owner" ]; }
content() { dd if="$owner" iflag=nofollow,nonblock bs=MOST count=1 status=none 2>/dev/null | tr -d '\000'; }
damage() {
  if [ -L "$dir" ]; then echo "$dir is a link"
  elif [ -e "$dir" ] && [ ! -d "$dir" ]; then echo "$dir is not a folder"
  elif [ -d "$dir" ] && [ ! -x "$dir" ]; then echo "this user may not enter $dir"
  elif [ -d "$owner" ] && [ ! -L "$owner" ]; then echo "$owner is a folder"
  fi
}
field() { content | sed -n "s/^$1 \([0-9A-Za-z.-]\{1,64\}\)\$/\1/p" | head -n 1; }
now() {
  read -r up rest < /proc/uptime
  read -r boot < /proc/sys/kernel/random/boot_id
  at=$(date -u +%Y-%m-%dT%H:%M:%SZ)
}
stamp() {
  if [ -n "$(damage)" ]; then echo damaged; elif is_held; then echo "$(field token)/$(field beat)"; else echo -; fi
}
state() {
  now
  printf 'now %s\nuptime %s\nboot_now %s\nstamp %s\n' "$at" "$up" "$boot" "$(stamp)"
  hurt=$(damage)
  if [ -n "$hurt" ]; then echo "damaged $hurt"; elif is_held; then content; fi
}
""".replace("MOST", str(MOST_BYTES))

# `act` runs while flock is held. A failed redirection ends the shell after `exec`, but not after a compound command.
_GUARD = (
    (
        _STATE
        + r"""
guarded() {
  flock -w WAIT 9 || return 73
  [ "$dir" -ef /proc/self/fd/9 ] || return 77
  rm -f "$dir"/owner.*.part
  find "$dir" -maxdepth 1 -name 'taken.*' -mmin +OLD -delete 2>/dev/null
  act
}
write() {
  { cat > "$owner.$token.part"; } 2>/dev/null && mv -fT "$owner.$token.part" "$owner" && return 0
  rm -f "$owner.$token.part"
  echo "$owner cannot be written" >&2
  return 74
}
remove() {
  rm -f "$owner" 2>/dev/null || rm -rf --one-file-system "$owner" || return 74
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
    )
    .replace("WAIT", str(GUARD_WAIT_S))
    .replace("OLD", str(_TAKEN_IS_OLD_MIN))
)

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
is_taken() { [ -f "$dir/taken.$token" ] && [ ! -L "$dir/taken.$token" ]; }
act() {
  if is_taken; then
    printf 'taken_by '; head -c 300 -- "$dir/taken.$token" | head -n 1
    rm -f "$dir/taken.$token"
    rmdir "$dir" 2>/dev/null
    return 78
  fi
  case $(stamp) in "$token"/*) ;; *) state; return 75 ;; esac
  now
  text=$(content | grep -v -E '^(boot|beat|beat_at) ')
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

_TAKE = (
    _GUARD
    + r"""
token=$2 by=$3
absent() { return 75; }
act() {
  case $(stamp) in "$token"/*) ;; *) return 75 ;; esac
  rm -f "$dir/taken.$token"
  { printf '%s\n' "$by" > "$dir/taken.$token"; } 2>/dev/null || { echo "$dir cannot be written" >&2; return 74; }
  remove
}
run
"""
)

_BREAK = (
    _GUARD
    + r"""
expected=$2
absent() { state; }
act() {
  if [ -n "$expected" ] && [ "$(stamp)" != "$expected" ]; then state; return 75; fi
  state
  remove
}
if [ -L "$dir" ] || { [ -e "$dir" ] && [ ! -d "$dir" ]; }; then
  state
  rm -f "$dir" || exit 74
  exit 0
fi
run
"""
)


def claim_command(path: str, token: str, text: str, expected: str) -> list[str]:
    """Return the command that writes an owner where the stamp is still ``expected`` (``ABSENT``: a free lock).

    It exits with CHANGED where the stamp differs, and prints the resulting state in both cases.
    """
    return ["sh", "-c", _CLAIM, "sh", path, token, text, expected]


def beat_command(path: str, token: str) -> list[str]:
    """Return the command that writes a heartbeat by the host's clock.

    It exits with CHANGED and prints the state where the lock does not belong to ``token``.
    """
    return ["sh", "-c", _BEAT, "sh", path, token]


def release_command(path: str, token: str) -> list[str]:
    """Return the command that releases the lock where it belongs to ``token``; else it exits with CHANGED."""
    return ["sh", "-c", _RELEASE, "sh", path, token]


def take_command(path: str, token: str, by: str) -> list[str]:
    """Return the command that removes the lock of ``token`` and leaves a note for its holder that ``by`` did so.

    It exits with CHANGED where the lock does not belong to ``token``.
    """
    return ["sh", "-c", _TAKE, "sh", path, token, by]


def break_command(path: str, expected: str = "") -> list[str]:
    """Return the command that removes the lock, whoever holds it, and prints its state before.

    With ``expected``, it removes the lock only where that is the stamp; else it exits with CHANGED.
    """
    return ["sh", "-c", _BREAK, "sh", path, expected]


def read_command(path: str) -> list[str]:
    """Return the command that prints the lock's state; it changes nothing and does not wait."""
    return ["sh", "-c", _STATE + "state\n", "sh", path]
