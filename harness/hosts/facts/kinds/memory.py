"""Facts about memory: of the machine, and of the cgroups of this user's programs."""

from __future__ import annotations

from dataclasses import dataclass

from harness.hosts.facts.fact import Fact, parse_int

_MOST_KIB = 2**40
"""1 PiB in KiB, more than any machine has."""


@dataclass(frozen=True)
class MemoryFacts:
    """The memory of a machine in bytes, from ``/proc/meminfo``."""

    total: int | None
    available: int | None
    swap: int | None


def parse_meminfo(text: str) -> MemoryFacts | None:
    """Parse MemTotal, MemAvailable and SwapTotal; the file counts in KiB but writes ``kB``."""
    values: dict[str, int] = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if len(fields) == 2 and fields[1] == "kB" and (count := parse_int(fields[0], most=_MOST_KIB)) is not None:
            values[name.strip()] = count * 1024
    if "MemTotal" not in values:
        return None
    return MemoryFacts(values.get("MemTotal"), values.get("MemAvailable"), values.get("SwapTotal"))


def parse_cgroup_room(text: str) -> int | None:
    """Return how many more bytes the cgroups of this user's programs allow; None where there is no limit.

    One line per level has limit, usage, and the inactive and active file pages. Both kinds of file pages count as
    available, because the kernel can reclaim them (pages that were read twice, as of an image just sent, are active).
    """
    rooms = []
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 2:
            continue
        limit, usage, *files = (parse_int(field) for field in fields)
        # Cgroup version 1 writes the largest multiple of the page size where there is no limit.
        if limit is None or limit >= 2**62 or usage is None:
            continue
        rooms.append(max(0, limit - max(0, usage - sum(pages or 0 for pages in files))))
    return min(rooms, default=None)


_CGROUP_SCRIPT = """
level() {
  limit=$(cat "$1") && usage=$(cat "$2") || return 0
  echo "$limit $usage" $(sed -n "s/^$4inactive_file //p; s/^$4active_file //p" "$3")
}
while IFS=: read -r id controllers path; do
  case ",$controllers," in
  *,memory,*) top=/sys/fs/cgroup/memory version=1 ;;
  ,,) top=/sys/fs/cgroup version=2; [ -e $top/cgroup.controllers ] || continue ;;
  *) continue ;;
  esac
  # Inside a container the path is the host's, and its files are at the top.
  [ -d "$top$path" ] || path=
  d=$top${path%/}
  while :; do
    if [ $version = 1 ] && [ -e "$d/memory.limit_in_bytes" ]; then
      level "$d/memory.limit_in_bytes" "$d/memory.usage_in_bytes" "$d/memory.stat" total_
    elif [ $version = 2 ] && [ -e "$d/memory.max" ]; then
      level "$d/memory.max" "$d/memory.current" "$d/memory.stat" ""
    fi
    [ "$d" = "$top" ] && break
    d=${d%/*}
  done
done < /proc/self/cgroup
"""

MEMINFO = Fact(
    "meminfo", ("grep", "-E", "^(MemTotal|MemAvailable|SwapTotal):", "/proc/meminfo"), parse_meminfo, is_needed=True
)
CGROUP_ROOM = Fact("cgroup_room", ("sh", "-c", _CGROUP_SCRIPT), parse_cgroup_room)
