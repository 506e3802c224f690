"""``slurm:`` in an inventory: what it stands for, and values that must reach no shell and be no option."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.inventory import Inventory, load_inventory, select_hosts
from harness.values.errors import ConfigurationError

TEXT = """\
all:
  hosts:
    desk:
  children:
    cluster:
      hosts:
        login:
          ansible_host: login.example.org
          harness:
            engine: {engine}
            {slurm}
"""


def load(folder: Path, slurm: str, engine: str = "slurm") -> Inventory:
    (folder / "hosts.yaml").write_text(TEXT.format(engine=engine, slurm=slurm))
    return load_inventory(folder / "hosts.yaml")


def test_each_node_and_constraint_is_a_host(tmp_path: Path) -> None:
    inventory = load(
        tmp_path, 'slurm: {nodes: [n1, n2], constraint: "a100&nvlink", partition: gpu, gres: "gpu:a100:2"}'
    )
    assert inventory.names == ("desk", "login/n1", "login/n2", "login/a100-nvlink")
    first, second, third = (inventory.host(f"login/{name}") for name in ("n1", "n2", "a100-nvlink"))
    assert {host.address for host in (first, second, third)} == {"login.example.org"}
    assert first.variables.slurm is not None and third.variables.slurm is not None
    assert (first.variables.slurm.nodes, first.variables.slurm.constraint) == (("n1",), ())
    assert (third.variables.slurm.nodes, third.variables.slurm.constraint) == ((), ("a100&nvlink",))
    assert first.variables.slurm.partition == third.variables.slurm.partition == "gpu"
    assert inventory.groups["cluster"] == ("login/n1", "login/n2", "login/a100-nvlink")
    assert [host.name for host in select_hosts(inventory, "login")] == [*inventory.groups["cluster"]]
    assert [host.name for host in select_hosts(inventory, "cluster:!login/n2")] == ["login/n1", "login/a100-nvlink"]


@pytest.mark.parametrize(
    ("said", "minutes"),
    [("90", 90), ("'90'", 90), ("'1:30'", 2), ("'2:00:00'", 120), ("'1-0'", 1440), ("'1-2:30'", 1590)],
)
def test_times_are_read_as_slurm_reads_them(tmp_path: Path, said: str, minutes: int) -> None:
    slurm = load(tmp_path, f"slurm: {{nodes: [n1], time: {said}}}").host("login/n1").variables.slurm
    assert slurm is not None and slurm.time == minutes


@pytest.mark.parametrize(
    ("slurm", "words"),
    [
        ("slurm: {nodes: []}", "no node is named"),
        ("slurm: {nodes: [n1, n1]}", "twice"),
        ("slurm: {nodes: ['n1;id']}", "cannot be the name of a node"),
        ("slurm: {nodes: ['-n1']}", "cannot be the name of a node"),
        ("slurm: {nodes: ['../n1']}", "cannot be the name of a node"),
        ("slurm: {nodes: [n1], partition: '--uid=0'}", "cannot be a name in Slurm"),
        ("slurm: {nodes: [n1], account: 'a b'}", "cannot be a name in Slurm"),
        ('slurm: {nodes: [n1], qos: "a\\nb"}', "cannot be a name in Slurm"),
        ("slurm: {constraint: '$(id)'}", "cannot be a constraint"),
        ("slurm: {constraint: ['a&b', 'a|b']}", "the same name"),
        ("slurm: {nodes: [n1], gres: 'gpu:1 --uid=0'}", "cannot be a resource"),
        ("slurm: {nodes: [n1], time: 'soon'}", "not a time limit of Slurm"),
        ("slurm: {nodes: [n1], time: 0}", "not smaller than 1"),
        ("slurm: {nodes: [n1], queue: 'for ever'}", "not a duration"),
        ("slurm: {nodes: [n1], container: apptainer}", "go together"),
        ("slurm: {nodes: [n1], container: apptainer, container_image: '--nv'}", "cannot be an image"),
        ("slurm: {nodes: [n1], exclusive: perhaps}", "expected true or false"),
        ("slurm: {nodes: [n1], reservation: r1}", "reservation"),
    ],
)
def test_what_is_no_value_is_refused_where_it_stands(tmp_path: Path, slurm: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        load(tmp_path, slurm)
    assert "hosts.yaml:11" in str(caught.value)


def test_engine_and_cluster_go_together(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="`engine: slurm` is missing"):
        load(tmp_path, "slurm: {nodes: [n1]}", engine="process")
    with pytest.raises(ConfigurationError, match="the setting `slurm:` is missing"):
        load(tmp_path, "cpus: 1")
