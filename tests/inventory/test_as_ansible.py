"""What Ansible reads in ways of its own, and what labs write beside our hosts: read as there, or refused with the cure.

Each answer was compared with ansible-core 2.19.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.inventory import Inventory, explain_host, load_inventory, select_hosts
from harness.values.errors import ConfigurationError

GATE = "-o ProxyJump=gate.lab.example"


def load(folder: Path, text: str, limit: str | None = None) -> Inventory:
    (folder / "hosts.yaml").write_text(text)
    return load_inventory(folder / "hosts.yaml", limit)


def refusal(folder: Path, text: str, limit: str | None = None) -> list[str]:
    """What is said of a file that is refused, without the file's folder."""
    with pytest.raises(ConfigurationError) as caught:
        load(folder, text, limit)
    return [str(mistake).replace(f"{folder}/", "") for mistake in caught.value.mistakes]


def with_host(*lines: str) -> str:
    return "all:\n  hosts:\n    h:\n" + "".join(f"      {line}\n" for line in lines)


# -- arguments of ssh --------------------------------------------------------------------------------------------------


def test_ssh_args_are_read_as_the_two_others_and_come_first(tmp_path: Path) -> None:
    text = with_host(
        f"ansible_ssh_args: {GATE} -o Port=2222 -i ~/.ssh/first",
        "ansible_port: 2223",
        "ansible_ssh_private_key_file: ~/.ssh/second",
        "ansible_ssh_common_args: -o ProxyJump=other -o Port=2224",
    )
    host = load(tmp_path, text).host("h")
    assert (host.proxy_jump, host.port, host.private_key) == ("gate.lab.example", 2222, "~/.ssh/first")
    assert str(host.origins["port"]).endswith("hosts.yaml:4")


@pytest.mark.parametrize("empty", ['""', "' '", "~"])
def test_empty_arguments_take_a_gate_out_of_what_its_group_says(tmp_path: Path, empty: str) -> None:
    text = f"""
all:
  vars: {{ansible_ssh_common_args: {GATE}}}
  hosts:
    gate.lab.example: {{ansible_ssh_common_args: {empty}}}
    ws01.lab.example:
"""
    inventory = load(tmp_path, text)
    assert {host.name: host.proxy_jump for host in inventory.hosts} == {
        "gate.lab.example": None,
        "ws01.lab.example": "gate.lab.example",
    }


HARMLESS = [
    "-o ServerAliveInterval=30 -o ServerAliveCountMax=3",
    "-C -o ControlMaster=auto -o ControlPersist=60s -o ControlPath=~/.ansible/cp/%h",
    "-o ForwardAgent=no -o ForwardX11=no -ax",
    "-o ConnectTimeout=10 -o ConnectionAttempts=3",
    "-o LogLevel=ERROR -q -vvv",
    "-o BatchMode=yes -o PasswordAuthentication=no -o PreferredAuthentications=publickey",
    "-o IdentitiesOnly=yes",
    "-4 -T",
    "-Cq4",
]


@pytest.mark.parametrize("name", ["ansible_ssh_args", "ansible_ssh_common_args", "ansible_ssh_extra_args"])
@pytest.mark.parametrize("arguments", HARMLESS)
def test_options_that_change_nothing_are_noted(tmp_path: Path, name: str, arguments: str) -> None:
    inventory = load(tmp_path, with_host(f"{name}: {arguments} -J gate"))
    assert inventory.host("h").proxy_jump == "gate"
    assert inventory.warnings
    assert all(w.line == 4 and " has no effect: " in w.message and w.hint for w in inventory.warnings)


def test_a_note_that_holds_for_many_hosts_is_told_once(tmp_path: Path) -> None:
    text = "all:\n  vars: {ansible_ssh_args: -o ControlMaster=auto}\n  hosts: {'ws[001:100]': }\n"
    (note,) = load(tmp_path, text).warnings
    assert str(note).endswith(
        ":2: ansible_ssh_args: `-o ControlMaster=auto` has no effect: each host has one connection anyway\n"
        "  → keep it, or remove it"
    )


@pytest.mark.parametrize(
    ("arguments", "cure"),
    [
        ("-o StrictHostKeyChecking=no", "host keys are always checked; give the key with `harness: {host_key: …}`"),
        ("-oUserKnownHostsFile=/dev/null", "host keys are always checked"),
        ("-o GlobalKnownHostsFile=/dev/null", "host keys are always checked"),
        ("-o HostKeyAlgorithms=+ssh-rsa", "host keys are always checked"),
        ("-o CheckHostIP=no", "host keys are always checked"),
        ("-o ForwardAgent=yes", "an agent is never forwarded"),
        ("-CA", "an agent is never forwarded"),
        ("-o PreferredAuthentications=password", "ProxyJump, ProxyCommand, Port and IdentityFile are supported"),
        ("-o User=root", "set `ansible_user`"),
        ("-F lab.cfg", "~/.ssh/config is read"),
        ("-L 80:localhost:80", "are supported"),
        ("gate.lab.example", "are supported"),
        ("-o ServerAliveInterval", "are supported"),
    ],
)
def test_other_options_stay_mistakes_with_their_cure(tmp_path: Path, arguments: str, cure: str) -> None:
    (said,) = refusal(tmp_path, with_host(f"ansible_ssh_args: {arguments}"))
    assert said.startswith("hosts.yaml:4: ansible_ssh_args: `")
    assert "is not supported" in said
    assert cure in said


# -- templates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "written",
    [
        "\"{% if site == 'east' %}192.0.2.1{% else %}192.0.2.2{% endif %}\"",
        '"192.0.2.3{# formerly 192.0.2.9 #}"',
        '"{% raw %}bench{% endraw %}"',
        "\"{{ lookup('env', 'HOST') }}\"",
        '"{{ addresses[0] }}"',
    ],
)
def test_what_is_more_than_a_name_in_a_template_is_refused(tmp_path: Path, written: str) -> None:
    (said,) = refusal(tmp_path, with_host(f"ansible_host: {written}"))
    assert said.startswith("hosts.yaml:4: ansible_host: the template `")
    assert said.endswith("cannot be read\n  → only {{ name }} of a plain variable is supported: write the value")


def test_the_file_and_its_folder_are_known_to_templates(tmp_path: Path) -> None:
    text = with_host(
        'ansible_ssh_private_key_file: "{{ inventory_dir }}/keys/lab"', 'ansible_user: "{{ inventory_file }}"'
    )
    host = load(tmp_path, text).host("h")
    assert host.private_key == f"{tmp_path}/keys/lab"
    assert host.user == f"{tmp_path}/hosts.yaml"


def test_a_template_stands_on_one_line_of_the_message_and_nothing_else_is_guessed(tmp_path: Path) -> None:
    text = with_host(
        "ansible_host: >-", "  {{", "    addresses", "    | first", "  }}", 'ansible_user: "{{ playbook_dir }}"'
    )
    first, second = refusal(tmp_path, text)
    assert "the template `{{ addresses | first }}` cannot be read" in first
    assert "did you mean" not in second
    assert second.endswith("write the value itself")


def test_unsafe_text_is_taken_as_it_stands(tmp_path: Path) -> None:
    text = with_host("ansible_user: !unsafe bench", "harness: {experiment: !unsafe '{{ e }}'}", "x: !unsafe '{{ y }}'")
    host = load(tmp_path, text).host("h")
    assert (host.user, host.variables.experiment) == ("bench", "{{ e }}")
    assert host.foreign["x"] == "{{ y }}"
    assert "{{ y }}" in str(explain_host(host))


# -- hosts of other kinds ----------------------------------------------------------------------------------------------

FOREIGN = """\
all:
  children:
    gpu:
      hosts: {ws01.lab.example: }
    others:
      hosts: {sw01.lab.example: }
      vars: {%s}
"""
KINDS = [
    "ansible_connection: network_cli",
    "ansible_connection: ansible.netcommon.network_cli",
    "ansible_connection: winrm",
    "ansible_connection: community.docker.docker",
    "ansible_host: \"{{ lookup('env', 'SWITCH') }}\"",
    "ansible_host: '{% if x %}a{% endif %}'",
    "ansible_host: !vault x",
    "ansible_password: x",
    "ansible_ssh_common_args: -o StrictHostKeyChecking=no",
    "ansible_port: none",
    "ansible_user: '$(id)'",
]


@pytest.mark.parametrize("setting", KINDS)
def test_a_host_that_cannot_be_reached_counts_only_where_it_is_asked_for(tmp_path: Path, setting: str) -> None:
    text = FOREIGN % setting
    for limit in ("gpu", "all:!others", "ws*", "!sw01.lab.example"):
        inventory = load(tmp_path, text, limit)
        assert [host.name for host in select_hosts(inventory, limit)] == ["ws01.lab.example"]
        assert [host.name for host in inventory.hosts] == ["ws01.lab.example"]
        assert inventory.groups["others"] == ("sw01.lab.example",)
        with pytest.raises(ConfigurationError, match=r"hosts\.yaml:7: ansible_"):
            select_hosts(inventory, None)
    for asked in (None, "others", "sw*", "all"):
        (said,) = refusal(tmp_path, text, asked)
        assert said.startswith("hosts.yaml:7: ansible_")
        assert "\n  → " in said


def test_the_cure_for_a_foreign_connection_names_the_limit(tmp_path: Path) -> None:
    (said,) = refusal(tmp_path, FOREIGN % KINDS[0])
    assert "(--limit 'all:!NAME'), or keep them in a separate inventory" in said


def test_what_a_host_says_otherwise_than_its_group_is_what_counts(tmp_path: Path) -> None:
    text = "all:\n  vars: {ansible_connection: winrm}\n  hosts: {h: {ansible_connection: ssh}}\n"
    assert load(tmp_path, text).host("h").connection == "ssh"


def test_mistakes_of_ours_count_for_hosts_that_are_left_out(tmp_path: Path) -> None:
    text = FOREIGN % "harness: {cpus: 0}, ansible_password: x"
    (said,) = refusal(tmp_path, text, "gpu")
    assert "harness.cpus" in said


def test_a_wrong_pattern_is_said_where_hosts_cannot_be_reached(tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text(FOREIGN % KINDS[0])
    with pytest.raises(ConfigurationError, match="no host or group matches 'gqu'"):
        load_inventory(tmp_path / "hosts.yaml", "gqu")


def test_localhost_is_this_machine_and_what_it_ignores_is_said(tmp_path: Path) -> None:
    inventory = load(tmp_path, "all:\n  vars: {ansible_user: bench, ansible_host: x}\n  hosts:\n    localhost:\n")
    assert inventory.host("localhost").connection == "local"
    assert [w.message for w in inventory.warnings] == [
        "localhost: its address is ignored, because localhost is this machine",
        "localhost: its user is ignored, because localhost is this machine",
    ]


# -- names that would be commands --------------------------------------------------------------------------------------

SHELL = [
    "`id`",
    "$(id)",
    "a;id",
    "a b",
    "a|id",
    "a&id",
    "a>x",
    "a<x",
    "a\\\\b",
    "(a)",
    "{a}",
    "'a'",
    '\\"a',
    "-oX=y",
    "a\\n",
]


@pytest.mark.parametrize("name", SHELL)
def test_a_name_with_characters_of_a_shell_is_refused_as_openssh_does(tmp_path: Path, name: str) -> None:
    """The kind of CVE-2023-51385: such a name would reach the shell of a ProxyCommand by %h."""
    (said,) = refusal(tmp_path, with_host(f'ansible_host: "{name}"'))
    assert said.startswith("hosts.yaml:4: ansible_host: ")
    assert "\n  → " in said


@pytest.mark.parametrize("name", ["`id`", "$(id)", "a;id", "-x", "a|b"])
def test_so_are_a_users_name_and_a_jump_host(tmp_path: Path, name: str) -> None:
    assert "cannot be a user's name" in refusal(tmp_path, with_host(f'ansible_user: "{name}"'))[0]
    quoted = f"'{name}'"
    line = f'ansible_ssh_common_args: "-o ProxyJump={quoted}"'
    assert "cannot be a jump host" in refusal(tmp_path, with_host(line))[0]


@pytest.mark.parametrize("name", ["192.0.2.1", "fe80::1%eth0", "ws-01_a.lab.example", "größe.example"])
def test_a_name_is_taken(tmp_path: Path, name: str) -> None:
    assert load(tmp_path, with_host(f"ansible_host: {name}")).host("h").address == name


def test_an_inventorys_own_proxy_command_is_taken_and_shown(tmp_path: Path) -> None:
    text = with_host(
        "ansible_ssh_common_args: -o ProxyCommand=\"ssh -W '%h:%p' -q gate | tee x\"", "ansible_user: LAB\\bench"
    )
    host = load(tmp_path, text).host("h")
    shown = {one.key: (one.value, one.line) for one in explain_host(host)}
    assert shown["proxy_command"] == ("ssh -W '%h:%p' -q gate | tee x", 4)
    assert shown["user"] == ("LAB\\bench", 5)


# -- patterns ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "names"),
    [
        ("we*[0]", ["ws01"]),
        ("we*[1]", ["ws02"]),
        ("we*[2]", ["ws01"]),
        ("we*[3]", ["ws03"]),
        ("we*[-1]", ["ws03"]),
        ("we*[0:2]", ["ws01", "ws02"]),
        ("we*[2:]", ["ws01", "ws03"]),
    ],
)
def test_a_host_counts_once_for_each_group_before_the_subscript(tmp_path: Path, pattern: str, names: list[str]) -> None:
    text = "all:\n  children:\n    web: {hosts: {ws01: , ws02: }}\n    west: {hosts: {ws01: , ws03: }}\n"
    assert [host.name for host in select_hosts(load(tmp_path, text), pattern)] == names


# -- files that are no inventory ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "plugin: ansible.builtin.constructed\nstrict: false\ngroups:\n  a: x\nkeyed_groups:\n  - key: site\n",
            "hosts.yaml:1: a dynamic inventory is not read here\n"
            "  → write its hosts out: `ansible-inventory -i FILE --list --yaml --output hosts.yaml`",
        ),
        (
            "$ANSIBLE_VAULT;1.1;AES256\n3030303030303030\n",
            "hosts.yaml:1: the file is encrypted, and cannot be read here\n"
            "  → decrypt a copy: `ansible-vault decrypt --output hosts.yaml FILE`",
        ),
        (
            "ws01.lab.example ansible_host=192.0.2.1\nws02.lab.example\n",
            "hosts.yaml:1: an inventory is a mapping of groups, beginning with `all:`\n"
            "  → convert an INI file to YAML: `ansible-inventory -i FILE --list --yaml --output hosts.yaml`",
        ),
        (
            "ws01 ansible_host=192.0.2.1 note: x\nws02: y z: q\n",
            "hosts.yaml:2: not valid YAML: a second ': ' in one value, or a line that is indented further than the one "
            "above\n  → convert an INI file to YAML: `ansible-inventory -i FILE --list --yaml --output hosts.yaml`",
        ),
        (
            "all:\n  hosts:\n    ws01.lab.example\n    ws02.lab.example\n",
            "hosts.yaml:2: hosts are a mapping, found the text 'ws01.lab.example ws02.lab.example'\n"
            "  → write a colon after each name, as in `ws01:`",
        ),
        (
            "all:\n  children:\n    gpu\n    cpu\n",
            "hosts.yaml:2: groups are a mapping, found the text 'gpu cpu'\n"
            "  → write a colon after each name, as in `ws01:`",
        ),
    ],
)
def test_what_is_no_inventory_gets_its_cure_and_nothing_else(tmp_path: Path, text: str, said: str) -> None:
    assert refusal(tmp_path, text) == [said]
