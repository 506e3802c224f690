"""What systemd does to a user's processes when the last session of that user has ended (logind.conf(5), loginctl(1)).

With it go the user's own service manager and all its scopes: jobs of the engine ``process`` on cgroup version 2,
containers of a rootless engine. A user who lingers keeps them; root, and a machine without systemd, have none of this.
"""

from __future__ import annotations

from dataclasses import dataclass

from harness.hosts.facts.fact import Fact


@dataclass(frozen=True)
class Logout:
    """``lingers``: the user's manager stays. ``kills``: even processes outside of it are ended (KillUserProcesses)."""

    lingers: bool
    kills: bool | None = None


def parse_logout(text: str) -> Logout | None:
    """Read ``Linger=no`` and ``KillUserProcesses=no``; None where the host says nothing of lingering."""
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
