"""Who is let in and who is trusted: host keys, users' keys, agents and passphrases, against a real sshd."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from sshd_support import Server, make_key, start_sshd

from harness.hosts.ssh import KeyRing
from harness.hosts.ssh.knownhosts import HostKey, find_keys, judge_key, keep_key, matches_pin
from harness.hosts.ssh.link import fetch_key, make_jump_hosts
from harness.values.errors import HostError, HostNotReady

pytestmark = pytest.mark.ssh
KINDS = ("ed25519", "ecdsa", "rsa")
PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with start_sshd(tmp_path_factory.mktemp("sshd"), kinds=KINDS) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without keys, and no agent."""
    (tmp_path / "home" / ".ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return tmp_path / "home"


def authorize(server: Server, key: Path) -> None:
    with (server.folder / "authorized_keys").open("a") as file:
        file.write(Path(f"{key}.pub").read_text())


def fingerprint_of(server: Server, kind: str) -> str:
    said = subprocess.run(
        ["ssh-keygen", "-lf", str(server.folder / f"host_{kind}.pub")], capture_output=True, check=True
    )
    return said.stdout.decode().split()[1]


def public_line(server: Server, kind: str) -> str:
    return " ".join((server.folder / f"host_{kind}.pub").read_text().split()[:2])


# -- host keys -----------------------------------------------------------------------------------------------------


def test_an_unknown_key_is_refused_with_its_fingerprint_and_the_command(server: Server, tmp_path: Path) -> None:
    with pytest.raises(HostNotReady, match="is not known") as caught:
        server.connection(known_hosts=(tmp_path / "none",)).open()
    assert fingerprint_of(server, "ed25519") in caught.value.message
    assert "harness trust INVENTORY --limit ws01" in (caught.value.hint or "")
    assert caught.value.state == "not_ready"


def test_a_changed_key_is_refused_with_both_fingerprints(server: Server, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    old = Path(f"{other}.pub").read_text().split()
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {old[0]} {old[1]}\n")
    with pytest.raises(HostNotReady, match="CHANGED") as caught:
        server.connection(known_hosts=(tmp_path / "known",)).open()
    assert fingerprint_of(server, "ed25519") in caught.value.message
    assert f"{tmp_path / 'known'}:1" in caught.value.message
    assert "harness trust" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", KINDS)
def test_any_type_of_key_that_is_known_is_asked_for(server: Server, tmp_path: Path, kind: str) -> None:
    (tmp_path / "known").write_text(f"[127.0.0.1]:{server.port} {public_line(server, kind)}\n")
    connection = server.connection(known_hosts=(tmp_path / "known",))
    assert connection.run(["true"]).returncode == 0
    connection.close()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pin_trusts_without_known_hosts_by_fingerprint_and_by_key(server: Server, tmp_path: Path, kind: str) -> None:
    for pin in (fingerprint_of(server, kind), public_line(server, kind)):
        connection = server.connection(known_hosts=(tmp_path / "none",), pin=pin)
        assert connection.run(["true"]).returncode == 0
        connection.close()


def test_another_key_than_the_pinned_one_is_refused_although_it_is_known(server: Server, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    line = " ".join(Path(f"{other}.pub").read_text().split()[:2])
    with pytest.raises(HostNotReady, match="another host key than the inventory's"):
        server.connection(pin=line).open()
    with pytest.raises(HostNotReady, match=r"has no host key with the fingerprint|another host key"):
        server.connection(pin="SHA256:" + "A" * 43).open()


def test_a_revoked_key_is_refused_whatever_else_is_said(server: Server, tmp_path: Path) -> None:
    line = public_line(server, "ed25519")
    name = f"[127.0.0.1]:{server.port}"
    (tmp_path / "known").write_text(f"{name} {line}\n@revoked * {line}\n")
    for pin in (None, line):
        with pytest.raises(HostNotReady, match="revoked"):
            server.connection(known_hosts=(tmp_path / "known",), pin=pin).open()


def test_the_projects_known_hosts_count_too(server: Server, tmp_path: Path) -> None:
    key = fetch_key(server.route(known_hosts=()), KeyRing(), make_jump_hosts())
    assert key.fingerprint == fingerprint_of(server, "ed25519")
    keep_key(tmp_path / "known_hosts", f"[127.0.0.1]:{server.port}", key)
    connection = server.connection(known_hosts=(), project_known_hosts=tmp_path / "known_hosts")
    assert connection.run(["true"]).returncode == 0
    connection.close()


def test_a_key_that_changes_while_the_link_is_down_is_refused(tmp_path: Path) -> None:
    with start_sshd(tmp_path / "sshd") as server:
        connection = server.connection()
        connection.open()
        known = server.known_hosts.read_text()
        server.stop()
        make_key(server.folder / "host_ed25519")
        with start_sshd(server.folder, port=server.port) as again:
            again.known_hosts.write_text(known)
            with pytest.raises(HostNotReady, match="CHANGED"):
                connection.run(["true"], timeout_s=10)
        connection.close()


def read_public(path: Path) -> HostKey:
    words = path.read_text().split()
    return HostKey(words[0], base64.b64decode(words[1]))


def test_hashed_names_patterns_and_ports(tmp_path: Path) -> None:
    key, other = (read_public(Path(f"{make_key(tmp_path / name)}.pub")) for name in ("one", "two"))
    patterns, hashed = tmp_path / "patterns", tmp_path / "hashed"
    patterns.write_text(f"[ws*.lab]:2222,!ws03.lab,*.example {key.line} a comment\n# {other.line}\nbroken line\n")
    hashed.write_text(f"plain {other.line}\n[gate]:2222 {key.line}\n")
    subprocess.run(["ssh-keygen", "-H", "-f", str(hashed)], check=True, capture_output=True)
    assert "plain" not in hashed.read_text()
    for name, verdict in (
        ("[ws01.lab]:2222", "known"),
        ("[ws01.lab]:2223", "unknown"),
        ("a.example", "known"),
        ("plain", "changed"),
        ("[gate]:2222", "known"),
        ("gate", "unknown"),
        # As OpenSSH: where nothing names the port, the host's own key counts.
        ("[plain]:4444", "changed"),
        ("elsewhere", "unknown"),
    ):
        assert judge_key(find_keys([patterns, hashed, tmp_path / "none"], name), key) == verdict, name
    assert find_keys([hashed], "plain")[0].key == other


def test_a_kept_key_takes_the_place_of_the_old_one_only(tmp_path: Path) -> None:
    file = tmp_path / "new folder" / "known_hosts"
    keep_key(file, "a", HostKey("ssh-ed25519", b"old"))
    keep_key(file, "b", HostKey("ssh-ed25519", b"b"))
    keep_key(file, "a", HostKey("ssh-rsa", b"rsa"))
    keep_key(file, "a", HostKey("ssh-ed25519", b"new"))
    assert [one.key.blob for one in find_keys([file], "a")] == [b"rsa", b"new"]
    assert [one.key.blob for one in find_keys([file], "b")] == [b"b"]
    assert [path.name for path in file.parent.iterdir()] == ["known_hosts"]


def test_a_comment_that_is_not_utf_8_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "known_hosts"
    file.write_bytes(b"# J\xfcrgen's\nb ssh-rsa AAAA J\xfcrgen\n")
    keep_key(file, "a", HostKey("ssh-ed25519", b"a"))
    assert file.read_bytes() == b"# J\xfcrgen's\nb ssh-rsa AAAA J\xfcrgen\na ssh-ed25519 YQ==\n"


def test_pins_are_compared_whole() -> None:
    key = HostKey("ssh-ed25519", b"one")
    assert matches_pin(key.fingerprint, key) and matches_pin(key.fingerprint + "=", key)
    assert matches_pin(f"{key.line} comment", key)
    assert not matches_pin(key.fingerprint[:-1], key)
    assert not matches_pin(key.line[:-2], key)


# -- users' keys ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_keys_of_each_type_let_in(server: Server, tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path / "key", kind)
    authorize(server, key)
    connection = server.connection(identities=(str(key),))
    assert connection.run(["true"]).returncode == 0
    connection.close()


def test_nobody_is_let_in_and_the_error_says_what_was_tried(server: Server, tmp_path: Path) -> None:
    key = make_key(tmp_path / "stranger")
    absent, garbage = tmp_path / "absent", tmp_path / "garbage"
    garbage.write_text("-----BEGIN OPENSSH PRIVATE KEY-----\nQUJD\n-----END OPENSSH PRIVATE KEY-----\n")
    with pytest.raises(HostNotReady, match="accepts none of our keys") as caught:
        server.connection(identities=(str(key), str(absent), str(garbage))).open()
    said = str(caught.value)
    assert str(key) in said and f"{absent} is not there" in said and f"{garbage} is not a readable ed25519" in said
    with pytest.raises(HostNotReady, match="nobody-at-all@") as caught:
        server.connection(user="nobody-at-all").open()


def test_an_encrypted_key_without_a_terminal_is_a_clear_error(server: Server, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", passphrase=PASSPHRASE)
    authorize(server, key)
    with pytest.raises(HostNotReady, match="is encrypted, and there is no terminal") as caught:
        server.connection(identities=(str(key),)).open()
    assert "ssh-add" in (caught.value.hint or "")


@pytest.mark.parametrize("kind", KINDS)
def test_a_passphrase_is_asked_once_for_many_hosts(server: Server, tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path / "key", kind, passphrase=PASSPHRASE)
    authorize(server, key)
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return "wrong" if len(asked) == 1 else PASSPHRASE

    ring = KeyRing(ask)
    for _ in range(3):
        connection = server.connection(ring=ring, identities=(str(key),))
        assert connection.run(["true"]).returncode == 0
        connection.close()
    assert len(asked) == 2 and str(key) in asked[0]
    # Nothing that the ring holds tells the passphrase.
    assert PASSPHRASE not in repr(vars(ring))


def test_a_passphrase_that_is_not_needed_is_not_asked(server: Server, tmp_path: Path) -> None:
    encrypted = make_key(tmp_path / "encrypted", passphrase=PASSPHRASE)
    ring = KeyRing(lambda question: pytest.fail(f"asked: {question}"))
    connection = server.connection(ring=ring, identities=(str(encrypted), str(server.user_key)))
    assert connection.run(["true"]).returncode == 0
    connection.close()


@pytest.fixture
def agent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    said = subprocess.run(["ssh-agent", "-s", "-a", str(tmp_path / "agent")], capture_output=True, check=True)
    pid = int(said.stdout.decode().split("SSH_AGENT_PID=")[1].split(";")[0])
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
    yield str(tmp_path / "agent")
    os.kill(pid, signal.SIGCONT)
    os.kill(pid, signal.SIGTERM)


def add(key: Path) -> None:
    subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)


def test_the_agents_keys_let_in_and_sign_for_encrypted_files(server: Server, tmp_path: Path, agent: str) -> None:
    key = make_key(tmp_path / "key")
    authorize(server, key)
    add(key)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", PASSPHRASE, "-f", str(key)], check=True, capture_output=True)
    for changes in ({"identities": (str(key),)}, {"identities": (), "only_identities": False}):
        connection = server.connection(**changes)
        assert connection.run(["true"]).returncode == 0
        connection.close()


def test_identities_only_keeps_the_agents_other_keys_back(server: Server, tmp_path: Path, agent: str) -> None:
    for number in range(7):
        add(make_key(tmp_path / f"stranger{number}"))
    connection = server.connection(only_identities=True)
    assert connection.run(["true"]).returncode == 0
    connection.close()
    # Without it the named key is still the first that is offered: seven others would be too many for sshd.
    connection = server.connection(only_identities=False)
    assert connection.run(["true"]).returncode == 0
    connection.close()
    with pytest.raises(HostNotReady, match="too many keys") as caught:
        server.connection(identities=(), only_identities=False).open()
    assert caught.value.hint


def test_an_agent_that_is_silent_or_gone_is_done_without(
    server: Server, agent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("harness.hosts.ssh.identities.AGENT_TIMEOUT_S", 0.5)
    pid = int(subprocess.run(["pgrep", "-f", f"ssh-agent -s -a {agent}"], capture_output=True, check=True).stdout)
    os.kill(pid, signal.SIGSTOP)
    connection = server.connection()
    assert connection.run(["true"]).returncode == 0
    connection.close()
    monkeypatch.setenv("SSH_AUTH_SOCK", "/nowhere/at/all")
    connection = server.connection()
    assert connection.run(["true"]).returncode == 0
    connection.close()


def test_usual_files_are_tried_where_none_is_named(server: Server, home: Path) -> None:
    key = make_key(home / ".ssh" / "id_ecdsa", "ecdsa")
    authorize(server, key)
    connection = server.connection(identities=(), only_identities=False)
    assert connection.run(["true"]).returncode == 0
    connection.close()


def test_no_error_ever_holds_a_secret(server: Server, tmp_path: Path) -> None:
    key = make_key(tmp_path / "key", passphrase=PASSPHRASE)
    plain = make_key(tmp_path / "plain")
    secrets = [PASSPHRASE, *key.read_text().split("\n")[1:-2], *plain.read_text().split("\n")[1:-2]]
    said = []
    for ring, changes in (
        (KeyRing(lambda _: PASSPHRASE), {"identities": (str(key),)}),
        (KeyRing(lambda _: PASSPHRASE + "x"), {"identities": (str(key), str(plain))}),
        (KeyRing(), {"identities": (str(key),), "user": "nobody-at-all"}),
    ):
        with pytest.raises(HostError) as caught:
            server.connection(ring=ring, **changes).open()
        error: BaseException | None = caught.value
        while error is not None:
            said.append(repr(error) + str(error))
            error = error.__cause__ or error.__context__
    text = "\n".join(said) + server.log
    assert [secret for secret in secrets if secret and secret in text] == []
