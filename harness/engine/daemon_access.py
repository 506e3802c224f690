"""Find out how a remote host's Docker Engine can be reached, and why it cannot. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from harness.engine.daemon import DaemonRefused

PLACES = "/usr/bin /usr/local/bin /snap/bin /bin /opt/bin /usr/sbin $HOME/bin $HOME/.local/bin"
_LOOK = f"""
cli=$(command -v docker 2>/dev/null)
for d in {PLACES}; do [ -n "$cli" ] || {{ [ -x "$d/docker" ] && cli=$d/docker; }}; done
echo "cli $cli"
echo "user $(id -un)"
echo "docker_host $DOCKER_HOST"
own=${{XDG_RUNTIME_DIR:-/run/user/$(id -u)}}/docker.sock
for s in /var/run/docker.sock /run/docker.sock "$own"; do
  [ -S "$s" ] || continue
  if [ -r "$s" ] && [ -w "$s" ]; then echo "usable $s"; else echo "forbidden $s $(stat -c %G "$s" 2>/dev/null)"; fi
done
:
"""


_UNIX = "unix://"
_SYSTEM = ("/var/run/docker.sock", "/run/docker.sock")


@dataclass(frozen=True)
class DaemonAccess:
    """The ways to an engine on a remote host: its docker CLI, usable sockets, and (socket, group) of forbidden ones."""

    cli: str | None = None
    user: str = ""
    docker_host: str | None = None
    usable: tuple[str, ...] = ()
    forbidden: tuple[tuple[str, str], ...] = ()

    @property
    def socket(self) -> str | None:
        """Return the socket to open where there is no CLI: DOCKER_HOST's, else the first usable one, else None."""
        if self.docker_host:
            return self.docker_host.removeprefix(_UNIX) if self.docker_host.startswith(_UNIX) else None
        return self.usable[0] if self.usable else None

    @property
    def command(self) -> list[str]:
        """Return the docker CLI's command that connects to the engine, a rootless one where no other is accessible."""
        own = self.usable[0] if self.usable and not self.docker_host else _SYSTEM[0]
        where = [] if own in _SYSTEM else ["--host", f"{_UNIX}{own}"]
        return [self.cli or "docker", *where, "system", "dial-stdio"]


def parse_access(text: str) -> DaemonAccess:
    """Parse the output of the command of ``look_command``."""
    fields: dict[str, str] = {}
    usable: list[str] = []
    forbidden: list[tuple[str, str]] = []
    for line in text.splitlines():
        word, _, rest = line.partition(" ")
        if word == "usable":
            usable.append(rest)
        elif word == "forbidden":
            path, _, group = rest.rpartition(" ")
            forbidden.append((path or group, group if path else ""))
        else:
            fields[word] = rest.strip()
    return DaemonAccess(
        cli=fields.get("cli") or None,
        user=fields.get("user", ""),
        docker_host=fields.get("docker_host") or None,
        usable=tuple(usable),
        forbidden=tuple(forbidden),
    )


def judge_access(access: DaemonAccess) -> DaemonRefused | None:
    """Return why no engine can be used, with a cure; None where one may be there."""
    if access.docker_host and access.cli is None and access.socket is None:
        cure = "install the docker CLI on the host, or remove DOCKER_HOST from that user's environment"
        message = f"DOCKER_HOST is {access.docker_host} on the host, which has no docker CLI to reach that address"
        return DaemonRefused(message, cure)
    if access.docker_host or access.usable:
        return None
    if access.forbidden:
        path, group = access.forbidden[0]
        who = access.user or "the user"
        group = group if group not in ("", "root") else "docker"
        cure = f"on the host: sudo usermod -aG {group} {who}, then run this again"
        return DaemonRefused(f"the Docker socket {path} is not accessible to {who}", cure)
    cure = "start it on the host (sudo systemctl start docker), or install Docker Engine, or use `engine: process`"
    return DaemonRefused("there is no Docker socket at /var/run/docker.sock", cure)


def look_command() -> list[str]:
    """Return the command that looks for a CLI and sockets on a host; it changes nothing and does not wait."""
    return ["sh", "-c", _LOOK]


def explain_silence(errors: str) -> OSError:
    """Return why the engine gave no answer, from the errors of ``docker system dial-stdio``."""
    lines = [line for line in errors.strip().splitlines() if line.strip()]
    said = lines[-1].strip() if lines else "it wrote no error"
    lowered = errors.lower()
    if "podman" in lowered:
        cure = "use `engine: podman`"
        return DaemonRefused(f"the docker command on the host is Podman's: {said}", cure)
    if "permission denied" in lowered:
        cure = "on the host: sudo usermod -aG docker THE_USER, then run this again"
        return DaemonRefused("the Docker socket is not accessible to this user", cure)
    if "dial-stdio" in lowered and ("not a docker command" in lowered or "unknown" in lowered):
        return DaemonRefused(f"the host's docker CLI is too old: {said}", "install Docker 18.09 or newer on the host")
    if "cannot connect" in lowered or "connection refused" in lowered or "no such file" in lowered:
        cure = "start it on the host: sudo systemctl start docker"
        return DaemonRefused(f"the Docker daemon does not run on the host: {said}", cure)
    return ConnectionResetError(f"the engine closed the connection: {said}")
