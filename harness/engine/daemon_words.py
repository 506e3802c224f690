"""The texts of errors and hints about engines with Docker's API, and those of a client's engine. Pure."""

from __future__ import annotations

from dataclasses import dataclass

_PODMAN_INFO = "check the output of `podman info` on the host"


@dataclass(frozen=True)
class DaemonWords:
    """The texts of errors and hints about an engine with Docker's API.

    ``title`` is its name. The others are hints: ``start`` where none answers, ``hangs`` where it answers too late,
    ``log`` where it refuses, ``state`` where the connection was lost, ``another`` where a different program answers,
    ``room`` where its disk is full.
    """

    title: str
    start: str
    hangs: str
    log: str
    state: str
    another: str
    room: str


DOCKER = DaemonWords(
    title="Docker",
    start="start it (sudo systemctl start docker), or install Docker Engine, or use `engine: process`",
    hangs="the daemon hangs or is overloaded: read journalctl -u docker, then sudo systemctl restart docker",
    log="read the Docker daemon's log (journalctl -u docker)",
    state="check that the Docker daemon runs (systemctl status docker); then run the same command again",
    another="check what answers instead of a Docker Engine: `docker version` on the host, and DOCKER_HOST",
    room="free space on the host (`docker image prune`), or give Docker another data-root; then run this again",
)

PODMAN = DaemonWords(
    title="Podman",
    start=_PODMAN_INFO,
    hangs=_PODMAN_INFO,
    log=_PODMAN_INFO,
    state=f"{_PODMAN_INFO}; then run the same command again",
    another="check what answers instead of Podman: `podman version` on the host, CONTAINER_HOST and DOCKER_HOST",
    room="free space on the host (`podman image prune`), or give Podman another graphroot; then run this again",
)


def words_of(client: object) -> DaemonWords:
    """Return the texts about the engine of a client (``BoundedClient.words``); Docker's for any other client."""
    words = getattr(client, "words", None)
    return words if isinstance(words, DaemonWords) else DOCKER
