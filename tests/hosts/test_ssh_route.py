"""The way to a host from ssh_config and inventory, and the text that a login shell gets. No network."""

from __future__ import annotations

import getpass
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.hosts.ssh import Target, read_config, resolve_route
from harness.hosts.ssh.command import MARK, MOST_BYTES, build_command, split_greeting
from harness.hosts.ssh.route import Route, ssh_command
from harness.values.errors import HostNotReady


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / ".ssh" / "conf.d").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def resolve(home: Path, text: str, **target: object) -> Route:
    (home / ".ssh" / "config").write_text(text)
    fields = {"name": "ws01", "address": "ws01", **target}
    config = read_config(system_file=home / "etc_ssh_config")
    return resolve_route(Target(**fields), config)  # type: ignore[arg-type]


def test_without_anything_ssh_s_own_defaults_hold(home: Path) -> None:
    route = resolve(home, "")
    assert (route.address, route.port, route.user) == ("ws01", 22, getpass.getuser())
    assert (route.hops, route.proxy_command, route.identities, route.only_identities) == ((), None, (), False)
    assert route.known_hosts[0] == home / ".ssh" / "known_hosts"
    assert Path("/etc/ssh/ssh_known_hosts") in route.known_hosts
    assert route.key_name == "ws01"


CONFIG = """
Host ws01
    HostName ws01.lab.example
    Port 2201
    User bench
    IdentityFile ~/.ssh/lab
    IdentityFile %d/.ssh/second
    IdentitiesOnly yes
    UserKnownHostsFile ~/.ssh/lab_hosts "~/.ssh/more hosts"
    ConnectTimeout 3
    ProxyCommand nc -X 5 %h %p %r
"""


def test_every_keyword_that_is_honoured(home: Path) -> None:
    route = resolve(home, CONFIG)
    assert (route.address, route.port, route.user) == ("ws01.lab.example", 2201, "bench")
    assert route.identities == (f"{home}/.ssh/lab", f"{home}/.ssh/second")
    assert route.only_identities
    assert route.known_hosts[:2] == (home / ".ssh" / "lab_hosts", home / ".ssh" / "more hosts")
    assert route.connect_timeout_s == 3
    assert route.proxy_command == "nc -X 5 ws01.lab.example 2201 bench"
    assert route.key_name == "[ws01.lab.example]:2201"


def test_the_inventory_s_own_values_win_and_its_key_comes_first(home: Path) -> None:
    route = resolve(home, CONFIG, port=2299, user="me", private_key="~/.ssh/mine")
    assert (route.port, route.user) == (2299, "me")
    assert route.identities[0] == f"{home}/.ssh/mine"
    assert route.proxy_command == "nc -X 5 ws01.lab.example 2299 me"
    route = resolve(home, CONFIG, proxy_jump="", proxy_command="")
    assert route.proxy_command is None and route.hops == ()
    route = resolve(home, CONFIG, proxy_command="relay %n %%")
    assert route.proxy_command == "relay ws01 %"


def test_a_chain_of_gates_each_by_its_own_entry(home: Path) -> None:
    text = """
    Host gate
        HostName gate.lab.example
        User door
        IdentityFile ~/.ssh/door
    Host outer
        Port 2222
    Host *
        ProxyJump none
    """
    route = resolve(home, text, proxy_jump="outer,me@gate:2022", private_key="~/.ssh/mine")
    assert [hop.label for hop in route.hops] == [f"{getpass.getuser()}@outer:2222", "me@gate.lab.example:2022"]
    assert route.hops[1].identities == (f"{home}/.ssh/door",)
    assert route.hops[1].extra_identities == (f"{home}/.ssh/mine",)
    assert all(hop.hops == () for hop in route.hops)


def test_a_gate_behind_a_gate_from_the_configuration(home: Path) -> None:
    text = "Host ws*\n  ProxyJump inner\nHost inner\n  ProxyJump outer\n"
    assert [hop.address for hop in resolve(home, text).hops] == ["outer", "inner"]


def test_gates_in_a_circle_are_an_error(home: Path) -> None:
    with pytest.raises(HostNotReady, match="loop"):
        resolve(home, "Host *\n  ProxyJump a\n")


def test_included_files_stand_where_they_are_included(home: Path) -> None:
    (home / ".ssh" / "conf.d" / "lab").write_text("Host ws01\n  Port 2201\nHost other\n  User nobody\n")
    route = resolve(home, "Include conf.d/*\nUser everybody\nHost ws01\n  Port 9\n")
    assert (route.port, route.user) == (2201, "everybody")


def test_the_system_s_file_comes_last(home: Path) -> None:
    (home / "etc_ssh_config").write_text("Host *\n  Port 7\n  User system\n")
    route = resolve(home, "Host ws01\n  User mine\n")
    assert (route.port, route.user) == (7, "mine")


@pytest.mark.parametrize(
    ("text", "words"),
    [("Host ws01\n  Port many\n", "port many is not a number"), ("Host ws01\n  ProxyJump a b\n", "cannot be read")],
)
def test_what_cannot_be_is_an_error_that_names_the_host(home: Path, text: str, words: str) -> None:
    with pytest.raises(HostNotReady, match=words) as caught:
        resolve(home, text)
    assert caught.value.where == "ws01" and caught.value.hint


def test_ipv6_and_ports_in_proxyjump(home: Path) -> None:
    hop = resolve(home, "", proxy_jump="me@[2001:db8::1]:2222").hops[0]
    assert (hop.user, hop.address, hop.port) == ("me", "2001:db8::1", 2222)


# -- command lines -------------------------------------------------------------------------------------------------

SHELLS = [name for name in ("sh", "dash", "bash", "zsh", "fish", "tcsh", "csh") if shutil.which(name)]


def run_in(shell: str, argv: list[str]) -> tuple[int, bytes]:
    done = subprocess.run([shell, "-c", build_command(argv)], capture_output=True, check=False)
    parts = split_greeting(done.stdout)
    assert parts is not None, done
    return done.returncode, parts[2]


@pytest.mark.parametrize("shell", SHELLS)
def test_words_survive_every_login_shell(shell: str) -> None:
    words = ["a b", "$HOME", "it's", '"', "two\nlines", "hey!there", "\\", "\\n", "*", "", "ü", "%s%d", "`id`", "#"]
    code, output = run_in(shell, ["printf", "%s\\0", *words])
    assert code == 0
    assert output.decode().split("\0")[:-1] == words


@settings(deadline=None)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_any_words_survive(words: list[str]) -> None:
    code, output = run_in("sh", ["/usr/bin/printf", "%s\\0", *words])
    assert code == 0
    assert output.decode().split("\0")[:-1] == words


def test_the_text_holds_nothing_in_which_shells_differ() -> None:
    text = build_command(["sh", "-c", "echo 'hey!'\n\\"])
    assert "\n" not in text and "!" not in text
    assert text.count("'") == 4


def test_what_is_too_long_or_no_word_is_refused() -> None:
    with pytest.raises(ValueError, match="exceeds the limit"):
        build_command(["echo", "x" * MOST_BYTES])
    with pytest.raises(ValueError, match="null"):
        build_command(["a\0b"])


def test_a_greeting_is_told_from_the_answer() -> None:
    assert split_greeting(b"Welcome!\n" + MARK + b"123\nout\n") == (b"Welcome!\n", 123, b"out\n")
    for cut in (b"", b"Welcome", MARK, MARK + b"12"):
        assert split_greeting(cut) is None


def test_match_exec_works_though_its_library_is_imported_when_it_is_used(tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text('Match exec "test %h = ws1"\n  Port 2222\nHost *\n  Port 2200\n')
    code = (
        "import sys; from pathlib import Path; from harness.hosts.ssh import read_config\n"
        "assert 'invoke.runners' not in sys.modules\n"
        f"read = read_config(Path({str(config)!r}))\n"
        "print(read.lookup('ws1')['port'], read.lookup('ws2')['port'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["2222", "2200"]


def test_the_command_to_try_by_hand_goes_the_same_way_with_the_same_keys(home: Path) -> None:
    known = home / "known hosts"
    known.touch()
    (home / "key").touch()
    lab = {"address": "127.0.0.1", "port": 2201, "user": "bench", "private_key": "~/key", "known_hosts": known}
    direct = ssh_command(resolve(home, "", **lab))
    assert direct.startswith(f'ssh -p 2201 -i {home}/key -o \'UserKnownHostsFile="{known}" ')
    assert direct.endswith(" bench@127.0.0.1")
    bare = {**lab, "private_key": None, "known_hosts": None}
    assert ssh_command(resolve(home, "", **bare)) == "ssh -p 2201 bench@127.0.0.1"
    jumped = ssh_command(resolve(home, "", **bare, proxy_jump="me@gate:2222,you@inner"))
    assert jumped == "ssh -p 2201 -J me@gate:2222,you@inner:22 bench@127.0.0.1"
    behind = ssh_command(resolve(home, "", **{**lab, "known_hosts": None}, proxy_jump="me@gate"))
    assert f"'ProxyCommand=ssh -W '\"'\"'[%h]:%p'\"'\"' -p 22 -i {home}/key me@gate'" in behind
    assert ssh_command(resolve(home, CONFIG)).count("IdentitiesOnly=yes") == 1
    if shutil.which("ssh"):
        words = ["-G", *shlex.split(direct)[1:]]
        said = subprocess.run(["ssh", *words], capture_output=True, text=True, check=True).stdout
        assert "port 2201" in said and "user bench" in said and f"{home}/key" in said and str(known) in said
