"""The lab as harness sees it: an inventory like any lab's, host keys pinned."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml
from workstations import Host, Lab


def inventory_text(
    lab: Lab,
    *,
    shared: Mapping[str, Any] | None = None,
    own: Mapping[str, Mapping[str, Any]] | None = None,
    ports: Mapping[str, int] | None = None,
    only: tuple[str, ...] = (),
    copies: Mapping[str, str] | None = None,
    new_names: Mapping[str, str] | None = None,
) -> str:
    """The inventory of a lab as YAML.

    ``shared`` are variables under ``harness:`` for all; ``own`` plain variables by host, over the
    usual ones (None takes one away); ``ports`` where a host is reached through a bad link; ``copies`` are more names
    of hosts, ``new_names`` what they are called instead.
    """
    hosts = {}
    for host in lab.hosts.values():
        if not only or host.name in only:
            port = (ports or {}).get(host.name, host.port)
            hosts[host.name] = _variables(host, port, (own or {}).get(host.name) or {})
    hosts |= {copy: hosts[name] for copy, name in (copies or {}).items()}
    hosts = {(new_names or {}).get(name, name): variables for name, variables in hosts.items()}
    harness = {"engine": "docker", "allow_busy": True, "memory_reserve": "128MiB", "disk_reserve": "100MB"}
    everyone = {
        "ansible_host": "127.0.0.1",
        "ansible_user": "bench",
        "ansible_ssh_private_key_file": str(lab.key),
        "harness": {**harness, **(shared or {})},
    }
    return yaml.safe_dump({"all": {"vars": everyone, "hosts": hosts}}, sort_keys=False)


def _variables(host: Host, port: int, own: Mapping[str, Any]) -> dict[str, Any]:
    variables = {"ansible_port": port, "harness": {"host_key": host.fingerprint}, **own}
    return {key: value for key, value in variables.items() if value is not None}


PLAY_HEAD = """\
# A lab to play with: {count} workstations on this machine, made by `make lab`; `make lab-down` takes it away.
#   {command}
"""

PLAY_EXPERIMENT = """\
# The four rows of the article in small: the same set at equal pixels, training MobileNet with its base frozen, under
# two memory limits; the cache in memory (314 MB of float32) outgrows the smaller one. Beside it, loading alone.
name: lab
description: The article's four pipelines on the hosts of a small lab, training and loading, under two memory limits.
parameters:
  data: coco-mini
  mode: train
  loader: [keras-idg, tfdata]
  cache: [none, memory, file]
  memory_limit: [560MB, 1200MB]
  image_size: 128
  interpolation: nearest
  batch_size: 32
  epochs: 2
  max_images: 1600
  shuffle: true
  model: {name: mobilenet, alpha: 0.25, weights: none}
include:
  - mode: load
    loader: [keras-idg, tfdata]
    cache: none
    memory_limit: 1200MB
rounds: 3
baseline: {loader: keras-idg}
timeout: 10min
"""


def play_inventory(lab: Lab, command: str) -> str:
    """The inventory that ``make lab`` writes: a set is generated on each host, and the experiment lies beside it."""
    shared = {
        "memory_reserve": "1GiB",
        "disk_reserve": "2GB",
        "experiment": "experiment.yaml",
        "data": {"coco-mini": {"generate": {"profile": "coco", "images": 2000, "seed": 1}}},
    }
    return PLAY_HEAD.format(count=len(lab.hosts), command=command) + inventory_text(lab, shared=shared)
