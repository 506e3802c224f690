"""The fact whether systemd ends a user's processes after the user's last session (logind.conf(5), loginctl(1)).

systemd then ends the user's service manager with all its scopes, and with them jobs of the engine ``process`` on cgroup
version 2 and containers of a rootless engine. With lingering enabled it does not. Root is not affected, nor is a
machine without systemd.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.hosts.facts.fact import Fact


@dataclass(frozen=True)
class Logout:
    """The settings of logind for a user.

    ``lingers``: the user's service manager stays after logout. ``kills`` (KillUserProcesses): processes outside the
    service manager are ended, too.
    """

    lingers: bool
    kills: bool | None = None


def parse_logout(text: str) -> Logout | None:
    """Parse lines such as ``Linger=no`` and ``KillUserProcesses=no``; None where there is no ``Linger``."""
    words = {"yes": True, "no": False}
    said = {}
    for line in text.splitlines():
        name, _, value = line.strip().partition("=")
        if value in words:
            said[name] = words[value]
    return Logout(said["Linger"], said.get("KillUserProcesses")) if "Linger" in said else None


_SCRIPT = """
[ -d /run/systemd/system ] && [ "$(id -u)" != 0 ] || exit 0
user=$(id -un)
said=$(loginctl show-user "$user" -p Linger)
case $said in
Linger=*) echo "$said" ;;
*) if [ -e "/var/lib/systemd/linger/$user" ]; then echo Linger=yes; else echo Linger=no; fi ;;
esac
loginctl show-user -p KillUserProcesses
"""

LOGOUT = Fact("logout", ("sh", "-c", _SCRIPT), parse_logout)
