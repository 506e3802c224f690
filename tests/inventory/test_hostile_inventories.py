"""Inventories that would cost a traceback, the memory or an hour: each is one mistake with its line, found at once."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from harness.inventory import load_inventory, select_hosts
from harness.values.errors import ConfigurationError, Mistake

TEMPLATES = [f"    t{n}: '" + f"{{{{ t{n + 1} }}}}" * 10 + "'\n" for n in range(7)]
EIGHT_TEMPLATES = "all:\n  vars:\n" + "".join(TEMPLATES) + "    t7: xxxxxxxxxx\n"
MANY = ", ".join(f"v{n}: 1" for n in range(3000))
MERGES = "".join(f"    m{n}: &m{n} {{<<: *m{n - 1}, k{n}: 1}}\n" for n in range(1, 1000))
HOST = "all:\n  hosts:\n    h:\n      %s\n"


def mistakes_of(folder: Path, text: str, limit: str | None = None) -> tuple[Mistake, ...]:
    (folder / "hosts.yaml").write_text(text)
    begun = time.process_time()
    with pytest.raises(ConfigurationError) as caught:
        load_inventory(folder / "hosts.yaml", limit)
    assert time.process_time() - begun < 10
    return caught.value.mistakes


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        (
            "all:\n  vars: {harness: {disks: /nvme}}\n  hosts:\n    h: {harness: {disks: {nvme: /nvme}}}\n",
            2,
            "disks: expected a mapping (`key: value` lines), found the text '/nvme'",
        ),
        (HOST % "harness: {on: true}", 4, "a key must be text, but YAML reads this one as true"),
        ("all:\n  hosts:\n    ws[1:99999999999999999999]:\n", 3, "the numbers are too large"),
        (f"all:\n  hosts:\n    ws[1:{'9' * 900}]:\n", 3, "the numbers are too large"),
        ("all:\n  hosts:\n    ws[0:9999][0:9999][0:9999]:\n", 3, "means more than 10000 hosts"),
        (f"all:\n  hosts:\n    {'w' * 150}{'[10:10]' * 30}:\n", 3, "more than 200 bytes"),
        (f"all:\n  hosts:\n    {'w' * 201}:\n", 3, "more than 200 bytes"),
        (f"all:\n  hosts:\n    ws01:{'9' * 900}:\n", 3, "is not a port"),
        (HOST % f"harness: {{memory_reserve: {'9' * 300}GB}}", 4, "is not a size"),
        (HOST % f"harness: {{memory_reserve: 1{'0' * 30}}}", 4, "more than any machine has"),
        (HOST % f"harness: {{memory_reserve: {'9' * 300}}}", 4, "a number of 300 digits"),
        (HOST % f"ansible_port: {'9' * 4300}", 4, "a number of 4300 digits"),
        (HOST % f"ansible_port: '{'9' * 4300}'", 4, "is not a port"),
        (HOST % "ansible_port: '²'", 4, "is not a port"),
        (EIGHT_TEMPLATES + "  hosts:\n    h: {ansible_host: '{{ t0 }}'}\n", 12, "expands to more than 2000 characters"),
        ("all:\n  children:\n    ? a/../../b\n    : {hosts: {h: }}\n", 3, "cannot be a group's name"),
        (f"all:\n  children:\n    {'g' * 300}: {{hosts: {{h: }}}}\n", 3, "cannot be a group's name"),
        ("all:\n  hosts:\n    'ws[0000:9999]': &a {x: 1}\n" + "".join(
            f"g{n}: {{hosts: {{'ws[0000:9999]': }}}}\n" for n in range(12)), 13, "names more than 100000 hosts"),
        (HOST % 'harness: {scratch: "/a\\0b"}', 4, "an empty or broken path"),
        (HOST % 'harness: {experiment: "a\\0.yaml"}', 4, "a control character"),
        (HOST % 'ansible_ssh_private_key_file: "a\\0b"', 4, "write a text of one line"),
        ("a: &a\n  children:\n    b: {children: *a}\n", 1, "contains itself"),
        (f"all:\n  vars:\n    m0: &m0 {{k0: 1}}\n{MERGES}", 635, "*references expand to more than 200000"),
        (f"all:\n  vars: {{{MANY}}}\n  hosts:\n    'ws[000:999]':\n", 4, "ws333: the hosts up to this one have more"),
    ],
)  # fmt: skip
def test_each_is_one_mistake_with_its_line(tmp_path: Path, text: str, line: int, words: str) -> None:
    found = mistakes_of(tmp_path, text)
    assert len(found) == 1, "\n".join(map(str, found))
    assert words in str(found[0])
    assert found[0].line == line
    assert found[0].hint or "expected" in found[0].message or "write it" in found[0].message
    assert len(str(found[0])) < 600


def test_a_long_chain_of_groups_is_walked_or_refused_in_time(tmp_path: Path) -> None:
    chain = "".join(f"g{n}: {{children: {{g{n + 1}: }}}}\n" for n in range(6000))
    (found,) = mistakes_of(tmp_path, chain + "all: {hosts: {h: }}\n")
    assert "too many ways" in found.message


def test_ten_thousand_hosts_are_read_in_time(tmp_path: Path) -> None:
    text = "all:\n  vars: {site: a, harness: {data: {coco: {folder: /data}}}}\n  children:\n"
    text += "".join(f"    g{n}: {{hosts: {{'ws{n}-[000:099]': {{rack: {n}}}}}}}\n" for n in range(100))
    (tmp_path / "hosts.yaml").write_text(text)
    begun = time.process_time()
    assert len(select_hosts(load_inventory(tmp_path / "hosts.yaml"), "g1*")) == 1100
    assert time.process_time() - begun < 30


def test_a_mapping_that_is_merged_again_and_again_counts_once(tmp_path: Path) -> None:
    many = f"{{x: &x {{{MANY}}}, y: {{<<: [{', '.join(['*x'] * 50_000)}]}}}}"
    (tmp_path / "hosts.yaml").write_text(f"all:\n  vars: {many}\n  hosts: {{h: }}\n")
    assert load_inventory(tmp_path / "hosts.yaml").host("h").foreign["y"] == {f"v{n}": 1 for n in range(3000)}


def test_guesses_at_what_was_meant_are_made_in_time(tmp_path: Path) -> None:
    hosts = "".join(f"    h{n}: {{ansible_host: '{{{{ w{n} }}}}'}}\n" for n in range(300))
    found = mistakes_of(tmp_path, f"all:\n  vars: {{{MANY}, ? {'a' * 10**6} : 1}}\n  hosts:\n{hosts}")
    assert len(found) == 300


def test_a_pattern_of_open_brackets_is_refused_in_time(tmp_path: Path) -> None:
    (tmp_path / "hosts.yaml").write_text("all: {hosts: {h1: , h2: }}\n")
    begun = time.process_time()
    with pytest.raises(ConfigurationError, match=r"every \[ needs a \]"):
        select_hosts(load_inventory(tmp_path / "hosts.yaml"), "[" * 10**6)
    assert time.process_time() - begun < 1


def test_folders_of_variables_that_hold_themselves_are_read_once(tmp_path: Path) -> None:
    folder = tmp_path / "group_vars" / "all"
    folder.mkdir(parents=True)
    (folder / "a.yaml").write_text("x: 1\n")
    (folder / "loop").symlink_to(".")
    (folder / "other").symlink_to("../all")
    (tmp_path / "group_vars" / "g").symlink_to("nowhere")
    (tmp_path / "hosts.yaml").write_text("all: {hosts: {h: }, children: {g: {hosts: {h: }}}}\n")
    assert load_inventory(tmp_path / "hosts.yaml").host("h").foreign == {"x": 1}


@pytest.mark.parametrize(
    "pattern", ["h[99999999999999999999]", f"all[{'9' * 5000}]", f"all[0:{'9' * 5000}]", "all[-7]"]
)
def test_a_subscript_of_any_length_is_one(tmp_path: Path, pattern: str) -> None:
    (tmp_path / "hosts.yaml").write_text("all: {hosts: {h1: , h2: }}\n")
    inventory = load_inventory(tmp_path / "hosts.yaml")
    if ":" in pattern:
        assert len(select_hosts(inventory, pattern)) == 2
    else:
        with pytest.raises(ConfigurationError, match="no host"):
            select_hosts(inventory, pattern)
