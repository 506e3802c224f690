"""A lab of ``inventory/lab.yaml``'s shape: a gate, groups within groups, a host without Docker, one that names GPUs.

One host registers a stand-in for NVIDIA's runtime, which notes what each container was given and has runc start it. Its
``nvidia-smi`` is a stand-in, too: all but the GPUs is there.
"""

from __future__ import annotations

import json
from pathlib import Path

from workstations import Host, HostSpec, Lab

SPECS = (
    HostSpec("gate", "bookworm", 256, has_docker=False),
    HostSpec("ws01", "bookworm", 1024),
    HostSpec("ws02", "trixie", 1024),
    HostSpec("ws05", "trixie", 1536),
    HostSpec("ws08", "forky", 2304, cpus="0", store="containerd"),
    HostSpec("ws10", "bookworm", 3072, has_docker=False),
)
GPU_HOST = "ws05.lab.example"
GPU_UUIDS = ("GPU-5f3c0a1e-0000-4000-8000-000000000001", "GPU-5f3c0a1e-0000-4000-8000-000000000002")
SEEN = "/var/log/nvidia-stand-in.log"
_FIELDS = "name, memory.total [MiB], driver_version, uuid, compute_cap"
_SMI = f"""#!/bin/sh
echo '{_FIELDS}'
echo 'NVIDIA GeForce RTX 4090, 24564 MiB, 550.54.14, {GPU_UUIDS[0]}, 8.9'
echo 'NVIDIA GeForce RTX 4090, 24564 MiB, 550.54.14, {GPU_UUIDS[1]}, 8.9'
"""
_RUNTIME = rf"""#!/bin/bash
# Called as runc is: notes what NVIDIA's runtime reads of a container's configuration.
for word; do
  case $before in --bundle | -b) bundle=$word ;; esac
  case $word in create) is_new=yes ;; esac
  before=$word
done
[ -n "$is_new" ] && python3 - "$bundle/config.json" >>{SEEN} <<'END'
import json, sys
process = json.load(open(sys.argv[1]))["process"]
print(json.dumps([one for one in process["env"] if one.startswith("NVIDIA_")]))
END
exec runc "$@"
"""
# Docker finds that GPUs can be asked for by the toolkit's hook, which it has runc call before a container's program.
_HOOK = "#!/bin/sh\ncat >/dev/null\n"
_DAEMON = {"runtimes": {"nvidia": {"path": "/usr/local/bin/nvidia-container-runtime"}}, "default-runtime": "nvidia"}

INVENTORY = """\
# Of inventory/lab.yaml's shape: workstations of four kinds behind one gate.
all:
  vars:
    ansible_user: bench
    ansible_ssh_private_key_file: {key}
    # Every workstation is reached through the gate.
    ansible_ssh_common_args: -o ProxyJump=bench@127.0.0.1:{gate}
    ntp_server: time.lab.example # other programs' variables are kept and ignored
    harness:
      data: {data}
  children:
    workstations:
      vars:
        harness:
          memory_reserve: 256MiB
          disk_reserve: 100MB
          allow_busy: true
      children:
        desktop:
          hosts:
            ws[01:02].lab.example:
          vars:
            harness:
              gpus: 1
        tower:
          hosts:
            ws[05:05].lab.example:
          vars:
            harness:
              gpus: 2
              memory_reserve: 512MiB
              scratch: /srv/disk/scratch
              disks:
                sata: /srv/disk/sata
        shared:
          hosts:
            ws[08:08].lab.example:
              ansible_port: 2022
          vars:
            ansible_group_priority: 10
            harness:
              cpus: 1
              memory_reserve: 384MiB
        small:
          hosts:
            ws10.lab.example:
              ansible_host: 127.0.0.1
              ansible_port: {small}
              # In the gate's own network: without the jump.
              ansible_ssh_common_args: -o ProxyJump=none
          vars:
            harness:
              engine: process
              gpus: 0
              data: {{photos: {{folder: /mnt/nas/photos}}}}
              disks:
                nas: /mnt/nas/caches
"""
DATA = "{photos: {folder: /srv/data/photos}}"


def write_inventory(lab: Lab, folder: Path, data: str = DATA) -> Path:
    """Write the inventory, and the lab's host keys where OpenSSH keeps them in the home ``folder / "home"``."""
    hosts = lab.hosts
    path = folder / "inventory.yaml"
    path.write_text(INVENTORY.format(key=lab.key, gate=hosts["gate"].port, small=hosts["ws10"].port, data=data))
    names = {
        f"[127.0.0.1]:{hosts['gate'].port}": "gate",
        f"[127.0.0.1]:{hosts['ws10'].port}": "ws10",
        "[ws08.lab.example]:2022": "ws08",
        **{f"{name}.lab.example": name for name in ("ws01", "ws02", "ws05")},
    }
    known = folder / "home" / ".ssh" / "known_hosts"
    known.parent.mkdir(parents=True, exist_ok=True)
    known.write_text("".join(f"{name} {hosts[host].host_key}\n" for name, host in names.items()))
    return path


def furnish(lab: Lab) -> None:
    """Give each host what it is to have: pictures that nobody decodes, disks, and one its stand-in GPUs."""
    for host in lab.hosts.values():
        if host.name != "gate":
            place = "/mnt/nas/photos" if host.name == "ws10" else "/srv/data/photos"
            host.shell(
                f"mkdir -p {place}/a {place}/b /mnt/nas/caches /srv/disk/scratch /srv/disk/sata\n"
                f"for class in a b; do for n in 1 2 3 4 5; do printf '%100s' >{place}/$class/$n.jpg; done; done\n"
                "chown bench: /mnt/nas/caches /srv/disk/scratch /srv/disk/sata"
            )
    give_gpus(lab.hosts["ws05"])
    lend_memory_cgroup(lab.hosts["ws10"])


def give_gpus(host: Host) -> None:
    """Let a host name two GPUs, and a runtime that hands them out."""
    bin_ = "/usr/local/bin"
    host.write(f"{bin_}/nvidia-smi", _SMI)
    host.write(f"{bin_}/nvidia-container-runtime", _RUNTIME)
    host.write(f"{bin_}/nvidia-container-runtime-hook", _HOOK)
    host.write("/etc/docker/daemon.json", json.dumps(_DAEMON))
    host.shell(f"chmod 755 {bin_}/nvidia-*; touch {SEEN}")
    host.restart_docker()


def lend_memory_cgroup(host: Host) -> None:
    """Let a host's user limit the memory of processes, as systemd would, and find something that is like TensorFlow."""
    host.shell(
        "for place in /sys/fs/cgroup/memory /sys/fs/cgroup; do\n"
        "  [ -f $place/cgroup.procs ] && chown bench $place $place/cgroup.{procs,subtree_control} 2>/dev/null\n"
        "done; true"
    )
    folder = "/usr/lib/python3/dist-packages/tensorflow"
    host.write(f"{folder}/__init__.py", "")
    host.write(f"{folder}/python/platform/build_info.py", "build_info = dict([('is_cuda_build', False)])\n")


def seen_gpus(host: Host) -> list[list[str]]:
    """What the stand-in runtime was told of GPUs, one list for each container that was started."""
    return [json.loads(line) for line in host.shell(f"cat {SEEN}").splitlines()]


def write_definitions(folder: Path) -> Path:
    """Stand-ins for our two image definitions: a base and a file that says what its TensorFlow would be."""
    from harness.values.cuda import LOCKED_BUILD

    info = {
        "is_cuda_build": True,
        "cuda_version": LOCKED_BUILD.cuda,
        "cudnn_version": LOCKED_BUILD.cudnn,
        "cuda_compute_capabilities": list(LOCKED_BUILD.architectures),
    }
    (folder / "images").mkdir(parents=True)
    texts = {"cpu": ("images/Dockerfile.cpu", {"is_cuda_build": False}), "gpu": ("Dockerfile.gpu", info)}
    for kind, (name, said) in texts.items():
        lock = f"images/requirements-{kind}.txt"
        (folder / lock).write_text(json.dumps(said))
        lines = f"FROM ${{BASE_IMAGE}}\nENV NVIDIA_VISIBLE_DEVICES=void\nCOPY {lock} /opt/harness/tensorflow.json\n"
        (folder / name).write_text(f"ARG BASE_IMAGE\n{lines}")
    return folder
