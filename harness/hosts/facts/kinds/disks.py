"""Facts about disks: the file system and kind of disk of a folder, and its free space."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from harness.hosts.facts.fact import Fact
from harness.values.facts import DiskFacts

_DF_LINE = re.compile(
    r"(?P<device>\S.*?) (?P<type>\S+) (?P<total>[0-9]{1,18}) [0-9]+ (?P<free>[0-9]{1,18}) (?:[0-9]+%|-) /"
)
"""For a line whose words are separated by single spaces; matching takes linear time for any line."""
_NETWORK = re.compile(
    r"(nfs4?|cifs|smb3|smbfs|ceph|glusterfs|lustre|gpfs|beegfs|afs|9p|davfs|orangefs"
    r"|fuse\.(sshfs|ceph|glusterfs|rclone|s3fs|gcsfuse|juicefs))\Z"
)
_MEMORY = frozenset({"tmpfs", "ramfs", "devtmpfs"})
_VIRTUAL_FILESYSTEMS = frozenset({"virtiofs", "vboxsf", "fuse.vmhgfs-fuse", "prl_fs"})
_VIRTUAL_MODELS = re.compile(
    r"qemu|vmware|virtual|vbox|persistentdisk|nvme_card|elastic block store|ec2 nvme|microsoft nvme|msft", re.IGNORECASE
)
_WORST_FIRST = ("network", "virtual", "hdd", "ssd", "nvme", "memory")


def classify_device(name: str, rotational: str, model: str) -> str:
    """Return the kind of a block device that has no other device below it.

    A paravirtual disk always has the flag ``rotational``, whatever the real disk is, so the flag is ignored there.
    """
    if re.match(r"(zram|ram|pmem)\d", name):
        return "memory"
    if re.match(r"(nbd|rbd|drbd)\d", name):
        return "network"
    if re.match(r"(vd|xvd|loop|ubd)", name) or _VIRTUAL_MODELS.search(model):
        return "virtual"
    if name.startswith("nvme"):
        return "nvme"
    return {"1": "hdd", "0": "ssd"}.get(rotational, "unknown")


def parse_disk(text: str) -> DiskFacts | None:
    """Parse the disk script's output: the folder, a line of ``df -PT``, and one line per block device."""
    lines = text.splitlines()
    facts: dict[str, object] = {}
    kinds: list[str] = []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "path":
            facts["path"] = rest
        elif word == "df" and (match := _DF_LINE.match(" ".join(rest.split()))):
            facts |= {"filesystem": match["type"], "device": match["device"]}
            facts |= {"total_bytes": int(match["total"]), "free_bytes": int(match["free"])}
        elif word == "writable":
            facts["is_writable"] = rest == "yes"
        elif word == "device":
            name, rotational, model = [*rest.split(" ", 2), "", ""][:3]
            kinds.append(classify_device(name, rotational, model))
    if "path" not in facts:
        return None
    return DiskFacts.model_validate(facts | {"kind": _kind_of(str(facts.get("filesystem", "")), kinds)})


def _kind_of(filesystem: str, kinds: list[str]) -> str:
    """Return the kind of the slowest device; without devices, the kind follows from the type of the file system."""
    if _NETWORK.match(filesystem):
        return "network"
    if filesystem in _MEMORY:
        return "memory"
    if filesystem in _VIRTUAL_FILESYSTEMS:
        return "virtual"
    return next((kind for kind in _WORST_FIRST if kind in kinds), "unknown")


# For a folder that does not exist yet, the nearest existing parent counts. A device mapper, RAID
# or bcache device is followed to the devices below it, a partition to its disk.
_DISK_SCRIPT = r"""
leaves() {
  below=
  for s in "/sys/class/block/$1/slaves"/*; do
    [ -e "$s" ] && below=1 && ( leaves "${s##*/}" )
  done
  [ -n "$below" ] && return
  d=$(readlink -f "/sys/class/block/$1") || return
  [ -e "$d" ] || return
  [ -e "$d/partition" ] && d=${d%/*}
  echo "device ${d##*/} $(cat "$d/queue/rotational" 2>/dev/null || echo '?')" \
    $(cat "$d/device/vendor" "$d/device/model" 2>/dev/null)
}
printf 'path %s\n' "$1"
d=$1
while [ ! -e "$d" ] && [ "$d" != / ] && [ "$d" != . ]; do d=$(dirname "$d"); done
line=$(df -PT -B1 "$d" | tail -n 1)
printf 'df %s\n' "$line"
if [ -d "$d" ] && [ -w "$d" ] && [ -x "$d" ]; then echo 'writable yes'; else echo 'writable no'; fi
case $line in /dev/*) source=$(readlink -f "${line%% *}"); leaves "${source##*/}" ;; esac
"""


_SCRATCH_SCRIPT = r"""
real() { readlink -m -- "$1" 2>/dev/null || readlink -f -- "$1"; }
r=$(real "$1") || exit 1
[ "$r" = / ] && echo 'it is the root of the file system'
h=$(real "$HOME")
case "$h/" in "$r/") echo "it is the home folder $h" ;; "${r%/}"/*) echo "the home folder $h is in it" ;; esac
o=$(getent passwd -- "${r##*/}" 2>/dev/null | cut -d : -f 6)
[ -n "$o" ] && [ "$r" != "$h" ] && [ "$(real "$o")" = "$r" ] && echo "it is the home folder of ${r##*/}"
shift
for d in "$@"; do
  d=$(real "$d")
  case "$d/" in "${r%/}"/*) echo "the data folder $d is in it" ;; esac
done
"""


def parse_scratch(text: str) -> str:
    """Return why a scratch folder must not be used: the script's first line; empty where the folder may be used."""
    return text.strip().partition("\n")[0]


def scratch_fact(scratch: str, data_folders: Iterable[str]) -> Fact[str]:
    """Return the fact that reports why a scratch folder must not be used, with links and ``..`` resolved.

    Data sets and caches are made and removed in it, so it must not contain a user's own files.
    """
    return Fact("scratch_place", ("sh", "-c", _SCRATCH_SCRIPT, "sh", scratch, *data_folders), parse_scratch)


def disk_fact(name: str, path: str, *, only_if_there: bool = False) -> Fact[DiskFacts]:
    """Return the fact about the disk of ``path``; with ``only_if_there``, it is None where the path does not exist."""
    script = f"[ -e {shlex.quote(path)} ] || exit 1\n{_DISK_SCRIPT}" if only_if_there else _DISK_SCRIPT
    return Fact(f"disk:{name}", ("sh", "-c", script, "sh", path), parse_disk)
