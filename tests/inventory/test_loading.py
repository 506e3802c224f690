"""Inventory files: shape, precedence, access, origins, and every mistake at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.inventory import Inventory, explain_host, load_inventory, read_parts, write_value
from harness.values.document import Opaque
from harness.values.errors import ConfigurationError, Mistake


def load(folder: Path, text: str, **files: str) -> Inventory:
    """The inventory of a text; ``files`` by path, `__` for `/`, YAML all."""
    for name, content in files.items():
        path = folder / f"{name.replace('__', '/')}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    (folder / "hosts.yaml").write_text(text)
    return load_inventory(folder / "hosts.yaml")


def mistakes_of(folder: Path, text: str, **files: str) -> tuple[Mistake, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, **files)
    assert caught.value.exit_code == 2
    assert all(m.file.startswith(str(folder)) for m in caught.value.mistakes)
    return caught.value.mistakes


def with_host(*lines: str) -> str:
    """An inventory of one host ``h``; its variables from line 4 on."""
    return "all:\n  hosts:\n    h:\n" + "".join(f"      {line}\n" for line in lines)


def with_own(*lines: str) -> str:
    """The same, for variables under ``harness:``, from line 5 on."""
    return with_host("harness:", *(f"  {line}" for line in lines))


def test_nested_groups_ranges_and_ports(tmp_path: Path) -> None:
    inventory = load(
        tmp_path,
        """
all:
  children:
    site:
      children:
        gpu: {hosts: {"ws[01:03]:2222": {ansible_user: bench}}}
        cpu: {hosts: {"old[a:b].lab": }}
    spare: {hosts: ws03}
  hosts:
    lone:
""",
    )
    assert inventory.name == "hosts"
    assert [h.name for h in inventory.hosts] == ["ws01", "ws02", "ws03", "olda.lab", "oldb.lab", "lone"]
    assert inventory.host("ws03").groups == ("site", "spare", "gpu")
    assert (inventory.host("ws02").port, inventory.host("ws02").user) == (2222, "bench")
    assert inventory.groups["site"] == ("ws01", "ws02", "ws03", "olda.lab", "oldb.lab")
    assert inventory.groups["ungrouped"] == ("lone",)
    assert inventory.warnings == ()


def test_our_variables_merge_key_by_key_and_data_name_by_name(tmp_path: Path) -> None:
    inventory = load(
        tmp_path,
        """
all:
  vars:
    harness: {engine: docker, cpus: 4, data: {coco: {images: /a, annotations: /b}, own: {folder: /all}}}
  children:
    gpu:
      vars: {harness: {cpus: 8, data: {coco: {folder: /gpu}}}}
      hosts:
        h: {harness: {disks: {nvme: /n}, data: {more: {generate: {profile: coco, images: 5}}}}}
""",
        group_vars__gpu="harness: {disks: {sata: /s, nvme: /other}, memory_reserve: 4GiB}\n",
        host_vars__h="harness: {cpus: [0, 2]}\n",
    )
    variables = inventory.host("h").variables
    assert (variables.engine, variables.cpus, variables.memory_reserve) == ("docker", (0, 2), 4 * 2**30)
    assert variables.disks == {"sata": "/s", "nvme": "/n"}
    assert variables.cache_disks["scratch"] == "~/.cache/harness"
    assert {name: data.kind for name, data in variables.data.items()} == {
        "coco": "folder",
        "own": "folder",
        "more": "generate",
    }
    origins = inventory.host("h").origins
    assert str(origins["harness.engine"]) == f"{tmp_path}/hosts.yaml:4"
    assert str(origins["harness.data.coco.folder"]) == f"{tmp_path}/hosts.yaml:7"
    assert str(origins["harness.disks.sata"]) == f"{tmp_path}/group_vars/gpu.yaml:1"
    assert str(origins["harness.cpus"]) == f"{tmp_path}/host_vars/h.yaml:1"
    assert "harness.gpus" not in origins


_places = st.lists(
    st.sampled_from(["all", "parent", "child", "twin", "host", "file_all", "file_parent", "file_child", "file_host"]),
    min_size=1,
    unique=True,
)


@settings(max_examples=40)
@given(_places, st.booleans())
def test_the_strongest_place_wins(tmp_path_factory: pytest.TempPathFactory, places: list[str], is_raised: bool) -> None:
    """The order that Ansible documents; ``child`` and ``twin`` are of one depth: name decides, or priority."""
    folder = tmp_path_factory.mktemp("inventory")
    order = ["all", "parent", "child", "twin", "file_all", "file_parent", "file_child", "host", "file_host"]
    if is_raised:
        order[2], order[3] = order[3], order[2]

    def said(place: str) -> dict[str, Any]:
        return {"x": place, "harness": {"image": place}} if place in places else {}

    child: dict[str, Any] = {"vars": {**said("child"), **({"ansible_group_priority": 9} if is_raised else {})}}
    tree = {
        "all": {
            "vars": said("all"),
            "children": {
                "parent": {
                    "vars": said("parent"),
                    "children": {
                        "child": {**child, "hosts": {"h": said("host")}},
                        "twin": {"vars": said("twin"), "hosts": {"h": None}},
                    },
                }
            },
        }
    }
    files = {
        name: yaml.safe_dump(said(place))
        for name, place in {
            "group_vars__all": "file_all",
            "group_vars__parent": "file_parent",
            "group_vars__child": "file_child",
            "host_vars__h": "file_host",
        }.items()
    }
    host = load(folder, yaml.safe_dump(tree), **files).host("h")
    strongest = max(places, key=order.index)
    assert host.foreign["x"] == strongest
    assert host.variables.image == strongest


def test_a_folder_of_variables_and_what_is_not_read(tmp_path: Path) -> None:
    for name, text in {
        "group_vars/all/b.yml": "x: b\n",
        "group_vars/all/a.yaml": "x: a\ny: a\n",
        "group_vars/all/.hidden.yml": "x: hidden\n",
        "group_vars/all/old.yml~": "x: old\n",
        "group_vars/all/notes.txt": "no: [yaml\n",
        "group_vars/all/deep/c": '{"z": "deep"}',
        "group_vars/all/empty.yml": "# nothing\n",
        "group_vars/all/vault.yml": "$ANSIBLE_VAULT;1.1;AES256\n6162\n",
        "group_vars/all.yml": "x: beside\n",
        "group_vars/al.yml": "x: other\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    inventory = load(tmp_path, "all: {hosts: {h: }, children: {alll: }}\n")
    assert inventory.host("h").foreign == {"x": "b", "y": "a", "z": "deep"}
    said = {Path(w.file).name: w.message for w in inventory.warnings}
    assert said["all.yml"] == "not read: all comes first"
    assert "encrypted" in said["vault.yml"]


def test_access(tmp_path: Path) -> None:
    inventory = load(
        tmp_path,
        """
all:
  vars:
    domain: lab.example
    ansible_user: bench
    ansible_ssh_common_args: '-o ProxyJump=gate -i ~/.ssh/id_lab -p 2200'
  hosts:
    localhost:
    here: {ansible_connection: local, ansible_ssh_common_args: ~}
    short: {ansible_host: "{{ inventory_hostname }}.{{ domain }}"}
    own: {ansible_port: "22", ansible_ssh_private_key_file: ~/.ssh/own, ansible_ssh_common_args: '-J a@b:1,c'}
    command: {ansible_ssh_extra_args: -o ProxyCommand="ssh -W %h:%p gate" -oPort=23}
    both: {ansible_ssh_extra_args: -oProxyCommand=none}
    direct: {ansible_ssh_common_args: -o ProxyJump=none}
""",
    )
    by_name = {host.name: host for host in inventory.hosts}
    assert by_name["localhost"].connection == by_name["here"].connection == "local"
    assert by_name["short"].address == "short.lab.example"
    assert by_name["short"].connection == "ssh"
    assert (by_name["short"].port, by_name["short"].private_key) == (2200, "~/.ssh/id_lab")
    assert (by_name["short"].proxy_jump, by_name["short"].user) == ("gate", "bench")
    assert (by_name["own"].port, by_name["own"].private_key) == (22, "~/.ssh/own")
    assert by_name["own"].proxy_jump == "a@b:1,c"
    assert (by_name["command"].proxy_jump, by_name["command"].proxy_command) == ("gate", None)
    assert (by_name["both"].proxy_jump, by_name["both"].proxy_command) == ("gate", None)
    assert (by_name["direct"].proxy_jump, by_name["direct"].proxy_command) == (None, None)
    assert str(by_name["direct"].origins["proxy_jump"]).endswith("hosts.yaml:14")


def test_a_proxy_command_with_quotes(tmp_path: Path) -> None:
    line = "ansible_ssh_extra_args: -o ProxyCommand=\"ssh -W %h:%p 'bench'@gate\" -o 'Port 24'"
    host = load(tmp_path, with_host(line)).host("h")
    assert (host.proxy_command, host.port) == ("ssh -W %h:%p 'bench'@gate", 24)


def test_foreign_variables_and_tags_are_kept_and_ignored(tmp_path: Path) -> None:
    lines = ("ansible_become: true", "secret: !vault |", "  abcd", "mac: 52:54:00:12:34:56", "deep: {a: [1]}")
    host = load(tmp_path, with_host(*lines)).host("h")
    assert host.foreign["ansible_become"] is True
    assert host.foreign["secret"] == Opaque("!vault", "abcd\n")
    assert host.foreign["deep"] == {"a": [1]}


def test_misplaced_names_are_warnings(tmp_path: Path) -> None:
    lines = ("engine: docker", "harness_cpus: 3", "memory_reserv: 1", "harnes: {}", "ansible_prot: 3", "users: [a]")
    warnings = load(tmp_path, with_host(*lines)).warnings
    assert [(w.line, w.hint) for w in warnings] == [
        (4, "if it is meant for harness: `harness: {engine: …}`"),
        (5, "if it is meant for harness: `harness: {cpus: …}`"),
        (6, "if it is meant for harness: `harness: {memory_reserve: …}`"),
        (7, "did you mean `harness:`?"),
        (8, "did you mean ansible_port?"),
    ]


def test_a_password_for_becoming_another_user_is_not_needed(tmp_path: Path) -> None:
    inventory = load(tmp_path, with_host("ansible_become_password: geheim", "ansible_sudo_pass: !vault x"))
    assert [(w.line, "never becomes another user" in w.message) for w in inventory.warnings] == [(4, True), (5, True)]
    assert "geheim" not in str(explain_host(inventory.host("h")))


def test_explaining_says_defaults_and_hides_secrets(tmp_path: Path) -> None:
    lines = ("ansible_port: 23", "db_password: geheim", "key: !vault x", "nested: {api_token: geheim}", "harness:")
    host = load(tmp_path, with_host(*lines, "  gpus: 2")).host("h")
    explained = {e.key: e for e in explain_host(host)}
    file = f"{tmp_path}/hosts.yaml"
    assert tuple(explained["port"]) == ("port", 23, file, 4)
    assert tuple(explained["harness.gpus"]) == ("harness.gpus", 2, file, 9)
    assert tuple(explained["harness.engine"]) == ("harness.engine", "auto", "default", None)
    assert explained["foreign.db_password"].value == explained["foreign.key"].value == "[redacted]"
    assert "geheim" not in str(explain_host(host))
    assert {f"harness.{name}" for name in type(host.variables).model_fields} - {"harness.data"} <= explained.keys()


def test_explaining_shows_sizes_as_they_were_written(tmp_path: Path) -> None:
    host = load(tmp_path, with_host("harness:", "  memory_reserve: 2GiB", "  disk_reserve: 1000")).host("h")
    rows = {e.key: e for e in explain_host(host)}
    assert rows["harness.memory_reserve"].value == 2 * 2**30
    shown = {key: write_value(host, row) for key, row in rows.items()}
    assert (shown["harness.memory_reserve"], shown["harness.disk_reserve"]) == ("2GiB", "1000")
    assert shown["harness.engine"] == "auto" and shown["port"] == "not set"


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (with_own("engin: docker"), 5, "did you mean engine?"),
        (with_own("engine: whale"), 5, "expected auto, docker, podman, process or slurm"),
        (with_own("data: {coco: {}}"), 5, "no place of the data"),
        (with_own("data:", "  flowers: {tfrecord: /a, folder: /b}"), 6, "2 forms of data set in one"),
        (with_own("data:", "  flowers: {folder: /a, label_feature: y}"), 6, "belong to `tfrecord: …`"),
        (with_own("data:", "  coco: {folder: /a, images: /b}"), 6, "2 forms of data set in one"),
        (with_own("data:", "  coco:", "    images: /b"), 6, "a COCO pair without `annotations`"),
        (with_own("data: {'a b': {folder: /a}}"), 5, "cannot be a name"),
        (with_own("data: {a: {generate: {profile: coco, images: 0}}}"), 5, "not smaller than 1"),
        (with_own("data: {a: {folder: data/coco}}"), 5, "a relative path has no meaning on another machine"),
        (with_own("data: {a: {folder: $HOME/coco}}"), 5, "shell variables are not expanded"),
        (with_own("data: {a: {folder: '{{ root }}/coco'}}"), 5, "is not expanded"),
        (with_own("scratch: /"), 5, "holds other files"),
        (with_own("scratch: ~"), 5, "expected text, found `~`"),
        (with_own("disks: {scratch: /x}"), 5, "is reserved"),
        (with_own("cpus: 0"), 5, "not smaller than 1"),
        (with_own("cpus: yes"), 5, "YAML reads as true"),
        (with_own("gpus: [0, 0]"), 5, "is listed twice"),
        (with_own("gpus: []"), 5, "an empty list"),
        (with_own("gpus: -1"), 5, "not smaller than 0"),
        (with_own("memory_reserve: 16G"), 5, "write it like 16GB"),
        (with_own("memory_reserve: 16:30"), 5, "in base 60"),
        (with_own("allow_busy: 1"), 5, "expected true or false"),
        (with_own("host_key: ssh"), 5, "neither a fingerprint nor"),
        (with_own("image: !vault x"), 5, "cannot be read here"),
        (with_own("data: {a: {folder: /d}}", "scratch: /d/cache"), 6, "is inside data.a.folder (/d)"),
        (with_own("data: {a: {folder: /d/../x/}}", "scratch: /x"), 6, "is the same folder as data.a.folder"),
        (with_own("data: {a: {folder: /x/d}}", "scratch: /x"), 6, "contains data.a.folder"),
        (with_own("data: {a: {folder: ~/.cache/harness/d}}"), 5, "contains data.a.folder"),
        (with_own("data: {a: {folder: /d}}", "disks: {n: /d/n}"), 6, "disks.n (/d/n) is inside"),
        (with_host("harness: yes"), 4, "expected a mapping (`key: value` lines)"),
        (with_host("harness: !vault x"), 4, "cannot be read here"),
        (with_host("ansible_password: x"), 4, "ssh-copy-id"),
        (with_host("ansible_ssh_pass: !vault x"), 4, "passwords are not used here"),
        (with_host("ansible_ssh_private_key_passphrase: x"), 4, "ssh-add"),
        (with_host("ansible_port: 70000"), 4, "is not a port"),
        (with_host("ansible_port: 22:30"), 4, "YAML reads as the number 1350"),
        (with_host("ansible_host: !vault x"), 4, "found a !vault value"),
        (with_host("ansible_host: [a]"), 4, "expected a text, found a list"),
        (with_host("ansible_host: '{{ missing }}'"), 4, "the template's missing"),
        (with_host("ansible_host: '{{ a | default(1) }}'"), 4, "cannot be read"),
        (with_host("ansible_host: '{{ x }}'", "x: '{{ ansible_host }}'"), 4, "refers to itself"),
        (with_host("ansible_connection: docker"), 4, "the connection 'docker' is not supported"),
        (with_host("ansible_connection: lokal"), 4, "did you mean local?"),
        (with_host("ansible_ssh_common_args: -o StrictHostKeyChecking=no"), 4, "host keys are always checked"),
        (with_host("ansible_ssh_extra_args: -A"), 4, "an agent is never forwarded"),
        (with_host("ansible_ssh_extra_args: -F /x"), 4, "`-F /x` is not supported"),
        (with_host("ansible_ssh_extra_args: -p x"), 4, "is not a port"),
        (with_host("ansible_ssh_extra_args: -J"), 4, "is not supported"),
        (with_host("ansible_ssh_extra_args: -o 'x"), 4, "close the quote"),
        (with_host("no: 1"), 4, "a variable's name must be text"),
        ("all:\n  hosts:\n    - ws01\n", 2, "instead of `- ws01` items"),
        ("all:\n  hosts:\n    ws[1:x]:\n", 3, "two numbers, or two single letters"),
        ("all:\n  hosts:\n    10:\n", 3, "put the name in quotes"),
        ("all:\n  hosts:\n    h: text\n", 3, "variables are a mapping"),
        ("all:\n  hosts:\n    h:99999:\n", 3, "is not a port"),
        ("all:\n  host:\n    h:\n", 2, "did you mean hosts?"),
        ("all:\n  hosts: {h: }\n  vars: [a]\n", 3, "variables are a mapping, found a list"),
        ("all:\n  hosts: {h: }\n  harness: {}\n", 3, "belong under `vars:`"),
        ("all:\n  children:\n    - gpu\n", 2, "instead of `- name` items"),
        ("all:\n  hosts: {h: }\n  children: {no: }\n", 3, "a group's name must be text"),
        ("a:\n  hosts: {h: }\n  children: {b: {children: {a: }}}\n", 3, "group b would contain itself"),
        ("a:\n  hosts: {h: }\n  vars:\n    ansible_group_priority: high\n", 4, "expected a whole number"),
        ("all: text\n", 1, "group all: found the text 'text'"),
        ("[gpu]\nws01\n", 2, "ansible-inventory -i FILE --list --yaml"),
        ("- all\n", 1, "an inventory is a mapping of groups"),
        ("plugin: aws_ec2\nregions: [x]\n", 1, "a dynamic inventory is not read here"),
        ("all:\n  vars: {}\n", None, "holds no host"),
    ],
)
def test_bad_inputs_name_file_line_and_cure(tmp_path: Path, text: str, line: int | None, words: str) -> None:
    found = mistakes_of(tmp_path, text)
    said = [m for m in found if words in str(m)]
    assert said, "\n".join(map(str, found))
    assert said[0].line == line


def test_every_mistake_of_every_file_at_once(tmp_path: Path) -> None:
    found = mistakes_of(
        tmp_path,
        "all:\n  vars:\n    harness:\n      engin: x\n    ansible_password: x\n  hosts:\n    ws[1:x]:\n    h:\n",
        group_vars__all="harness:\n  cpus: 0\n",
        host_vars__h="a: 1\na: 2\n",
    )
    assert [(Path(m.file).name, m.line) for m in found] == [
        ("hosts.yaml", 4),
        ("hosts.yaml", 5),
        ("hosts.yaml", 7),
        ("all.yaml", 2),
        ("h.yaml", 2),
    ]


def test_a_mistake_that_holds_for_many_hosts_is_told_once(tmp_path: Path) -> None:
    text = "all:\n  vars: {harness: {cpus: 0}, ansible_port: x}\n  hosts: {'ws[001:100]': {harness: {gpus: no}}}\n"
    assert [m.line for m in mistakes_of(tmp_path, text)] == [2, 2, 3]


def test_relative_paths_count_from_the_file_on_this_machine(tmp_path: Path) -> None:
    text = "all: {hosts: {localhost: {harness: {scratch: ../cache, experiment: mine.yaml}}}}\n"
    host = load(tmp_path, text, group_vars__all="harness: {data: {a: {folder: ../data}}}\n").host("localhost")
    assert host.variables.data["a"].folder == str(tmp_path / "data")
    assert host.variables.scratch == str(tmp_path.parent / "cache")
    assert host.variables.experiment == str(tmp_path / "mine.yaml")


def test_scratch_below_home_meets_data_below_home_on_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    text = "all: {hosts: {localhost: {harness: {data: {a: {folder: /home/me/.cache}}}}}}\n"
    assert "is inside data.a.folder" in mistakes_of(tmp_path, text)[0].message


def test_localhost_with_a_port_is_warned_of(tmp_path: Path) -> None:
    inventory = load(tmp_path, "all: {hosts: {localhost: {ansible_port: 2222}}}\n")
    assert inventory.host("localhost").connection == "local"
    assert inventory.warnings[0].hint == "set `ansible_connection: ssh` to reach it by SSH"
    other = load(tmp_path, "all: {hosts: {localhost: {ansible_port: 2222, ansible_connection: ssh}}}\n")
    assert (other.host("localhost").connection, other.warnings) == ("ssh", ())


_keys = st.sampled_from(["all", "hosts", "children", "vars", "harness", "ws[1:3]", "data", "ansible_port", "gpus", "a"])
_trees = st.recursive(
    st.none() | st.integers(-3, 9) | st.sampled_from(["x", "auto", "{{ a }}", "/d", "~", "-J x"]) | st.booleans(),
    lambda inner: st.dictionaries(_keys, inner, max_size=4) | st.lists(inner, max_size=2),
    max_leaves=14,
)


@settings(max_examples=80)
@given(st.dictionaries(_keys, _trees, min_size=1, max_size=3))
def test_any_tree_loads_or_gives_mistakes_with_a_place(
    tmp_path_factory: pytest.TempPathFactory, tree: Mapping[str, object]
) -> None:
    folder = tmp_path_factory.mktemp("any")
    try:
        inventory = load(folder, yaml.safe_dump(dict(tree)))
    except ConfigurationError as error:
        assert error.mistakes
        assert all(m.line is not None or "holds no host" in m.message for m in error.mistakes)
    else:
        assert inventory.hosts
        assert all(explain_host(host) for host in inventory.hosts)


def test_how_sets_are_read_holds_for_all_that_do_not_say_it_themselves(tmp_path: Path) -> None:
    text = """\
all:
  hosts: {here: {ansible_connection: local}}
  vars:
    harness:
      split: val
      skip_unreadable: true
      data:
        a: {folder: /a}
        b: {folder: /b, split: test, skip_unreadable: false}
        c: {tfrecord: /c}
        d: {generate: {profile: coco, images: 3}}
"""
    path = tmp_path / "lab.yaml"
    path.write_text(text)
    read = load_inventory(path)
    data = read.hosts[0].variables.data
    assert {name: (one.split, one.skip_unreadable) for name, one in data.items()} == {
        "a": ("val", True), "b": ("test", False), "c": (None, None), "d": (None, None),
    }  # fmt: skip
    asked = read_parts(read, "train", skip_unreadable=True).hosts[0].variables.data
    assert {name: (one.split, one.skip_unreadable) for name, one in asked.items()} == {
        "a": ("train", True), "b": ("train", True), "c": (None, None), "d": (None, None),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("{folder: /a, split: a/b}", "cannot be a part of a data set"),
        ("{tfrecord: /a, split: val}", "split belongs to"),
        ("{tfrecord: /a, skip_unreadable: true}", "records cannot be left out"),
        ("{folder: /a, skip_unreadable: maybe}", "skip_unreadable"),
    ],
)
def test_how_sets_are_read_is_checked(source: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "lab.yaml"
    path.write_text(f"all: {{hosts: {{here: {{ansible_connection: local, harness: {{data: {{a: {source}}}}}}}}}}}\n")
    with pytest.raises(ConfigurationError, match=words):
        load_inventory(path)
