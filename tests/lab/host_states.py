"""What a workstation has before a test, and is given back after it."""

from __future__ import annotations

from lab_session import DATA
from outer_engine import docker
from workstations import Host

# What was proven of an image stays: it is no part of what tests look at, and takes a while. The data set is what
# stub_dataset.py says of it: ten files in two classes, which nobody decodes. Prints the tags of the images.
_TIDY = rf"""
if ! pidof dockerd >/dev/null; then
	bash /lab/boot/dockerd.sh
	until docker version >/dev/null 2>&1; do sleep 0.2; done
fi
mkdir -p /home/bench/.cache/harness {DATA}
find /home/bench/.cache/harness -mindepth 1 -maxdepth 1 ! -name samework -exec rm -rf {{}} +
rm -rf {DATA}/* /tmp/harness* /home/filler
mkdir -p {DATA}/a {DATA}/b
for class in a b; do for number in 1 2 3 4 5; do printf '%100s' > {DATA}/$class/$number.jpg; done; done
chown -R bench: /home/bench/.cache
usermod -a -G docker bench
pkill -KILL -u bench -x docker
containers=$(docker ps -aq)
[ -z "$containers" ] || docker rm -f -v $containers
volumes=$(docker volume ls -q)
[ -z "$volumes" ] || docker volume rm -f $volumes
docker images --format '{{{{.Tag}}}}'
"""


def give_image(host: Host, reference: str) -> None:
    """Carry an image to a workstation past harness."""
    archive = host.folder / "image.tar"
    docker("save", "-o", str(archive), reference)
    host.exec("docker", "load", "-q", "-i", f"/lab/keys/{archive.name}")
    archive.unlink()


def take_image(host: Host) -> None:
    """Take all images away from a workstation."""
    if images := host.docker("images", "-aq").split():
        host.docker("rmi", "-f", *dict.fromkeys(images))
    host.docker("image", "prune", "-af")


def restore(host: Host, image: str) -> None:
    """A workstation as it was: running, with its image, and nothing of a session."""
    state = docker("inspect", "--format", "{{.State.Status}}", host.container)
    if state == "paused":
        host.unpause()
    if state not in ("running", "paused"):
        host.start()
    if image.split(":")[1] not in host.shell(_TIDY).split():
        take_image(host)
        give_image(host, image)
