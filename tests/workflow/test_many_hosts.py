"""Many hosts at once: how many, in which order, and what one host's failure does to the others."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from harness.console import Console
from harness.hosts.connection import Connection
from harness.values.errors import ConfigurationError, HarnessError, HostBusy, HostUnreachable
from harness.workflow.machines import check_hosts as checking
from harness.workflow.machines import clean as cleaning
from harness.workflow.machines import show_facts as facts_of_hosts
from harness.workflow.many_hosts import Answer, ask_hosts, exit_code, tell_failure, values_of

PATIENCE_S = 30.0
"""Nobody waits so long unless hosts are asked one after the other."""


@dataclass(frozen=True)
class Named:
    name: str


HOSTS = [Named(f"ws{number:02}") for number in range(6)]


def meet(count: int) -> threading.Barrier:
    """A place that nobody leaves before so many are there."""
    return threading.Barrier(count, timeout=PATIENCE_S)


def test_as_many_as_wanted_are_asked_at_once_and_never_more() -> None:
    everybody, at_work, most = meet(3), [], []

    def ask(host: Named) -> str:
        at_work.append(host)
        most.append(len(at_work))
        everybody.wait()  # three at a time get through, twice
        at_work.remove(host)
        return host.name.upper()

    answers = ask_hosts(Console(quiet=True), HOSTS, ask, forks=3)
    assert [answer.outcome for answer in answers] == ["WS00", "WS01", "WS02", "WS03", "WS04", "WS05"]
    assert max(most) == 3


def test_answers_are_told_in_order_each_as_soon_as_it_is_its_turn() -> None:
    first_told, told, ended = threading.Event(), [], []

    def ask(host: Named) -> None:
        if host.name == "ws02":
            assert first_told.wait(PATIENCE_S), "the first answer had to wait for the third host"

    def tell(answer: Answer[None]) -> None:
        told.append((answer.name, answer.error))
        first_told.set()

    ask_hosts(Console(quiet=True), HOSTS[:3], ask, forks=3, tell=tell, ended=lambda answer: ended.append(answer.name))
    assert told == [("ws00", None), ("ws01", None), ("ws02", None)]
    assert ended[-1] == "ws02" and sorted(ended) == ["ws00", "ws01", "ws02"]


def test_one_hosts_failure_is_its_own_also_a_defect(capsys: pytest.CaptureFixture[str]) -> None:
    console = Console()

    def ask(host: Named) -> str:
        if host.name == "ws01":
            raise HostUnreachable("no route", where="ws01", hint="wake it")
        if host.name == "ws02":
            raise ZeroDivisionError("by nought")
        return "fine"

    answers = ask_hosts(console, HOSTS[:4], ask, forks=2, tell=lambda answer: tell_failure(console, answer))
    assert values_of(answers) == {"ws00": "fine", "ws03": "fine"}
    said = capsys.readouterr().err
    assert "unreachable: ws01: no route\n  → wake it" in said
    assert "not_ready: ws02: unexpected error: ZeroDivisionError: by nought" in said and "HARNESS_DEBUG" in said


def test_a_defect_is_let_through_where_somebody_looks_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARNESS_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        ask_hosts(Console(quiet=True), HOSTS, lambda host: 1 / 0, forks=2)


def test_an_interrupt_begins_no_other_host_and_waits_for_those_at_work(capsys: pytest.CaptureFixture[str]) -> None:
    begun, done, stop = [], [], threading.Event()

    def ask(host: Named) -> None:
        begun.append(host.name)
        if host.name != "ws00":
            assert stop.wait(PATIENCE_S)
            done.append(host.name)

    def interrupt(_answer: Answer[None]) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask_hosts(Console(), HOSTS, ask, forks=2, tell=interrupt, stop=stop)
    assert done and sorted(begun) == sorted(["ws00", *done]) and len(begun) < len(HOSTS)
    assert "waiting for" in capsys.readouterr().err


BUSY, AWAY, WRONG = HostBusy("busy"), HostUnreachable("away"), ConfigurationError("a typo")


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], 0),
        ([True, True], 0),
        ([True, False], 1),
        ([True, AWAY], 1),
        ([True, WRONG], 1),
        ([False, False], 3),
        ([AWAY, BUSY], 3),
        ([AWAY, WRONG], 2),
    ],
)
def test_the_exit_code_says_whether_all_some_or_none_is_well(outcomes: list[bool | HarnessError], code: int) -> None:
    answers = [Answer(f"ws{number}", outcome) for number, outcome in enumerate(outcomes)]
    assert exit_code(answers, lambda is_ready: is_ready) == code


@pytest.fixture
def lab(tmp_path: Path) -> Path:
    """An inventory of four hosts."""
    file = tmp_path / "lab.yaml"
    file.write_text("all: {hosts: {'ws[1:4]': {ansible_host: 192.0.2.1}}}")
    return file


@pytest.mark.parametrize("command", ["check", "facts", "record", "clean", "unlock"])
def test_commands_ask_all_their_hosts_at_once(
    command: str, lab: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    everybody = meet(4)

    def connect(_links: object, host: Named) -> Connection:
        everybody.wait()
        raise HostUnreachable("no route", where=host.name)

    monkeypatch.setattr("harness.workflow.host_links.Links.open", connect)
    console = Console()
    code = {
        "check": lambda: checking.check_hosts(
            console, lab, limit=None, engine=None, ship=False, base_image=None, forks=4, as_json=False
        ),
        "facts": lambda: facts_of_hosts.show_facts(console, lab, limit=None, forks=4, as_json=False),
        "record": lambda: facts_of_hosts.record_facts(console, lab, limit=None, folder=tmp_path, forks=4),
        "clean": lambda: cleaning.clean_hosts(
            console, lab, cleaning.CleanOptions(dry_run=True), limit=None, forks=4, as_json=False
        ),
        "unlock": lambda: cleaning.unlock_hosts(console, lab, limit=None, yes=True, forks=4),
    }[command]()
    assert code == 3
    said = capsys.readouterr()
    named = re.findall(r"\bws\d", said.out + said.err)
    assert named == ["ws1", "ws2", "ws3", "ws4"] * (2 if command == "check" else 1)  # a line each, then the causes


def test_hosts_are_printed_in_the_inventorys_order_whoever_answers_first(
    lab: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    later = {f"ws{number}": threading.Event() for number in range(1, 6)}
    later["ws5"].set()

    def connect(_links: object, host: Named) -> Connection:
        assert later[f"ws{int(host.name[2:]) + 1}"].wait(PATIENCE_S)  # the last one answers first
        later[host.name].set()
        raise HostUnreachable("no route", where=host.name, hint=f"wake {host.name}")

    monkeypatch.setattr("harness.workflow.host_links.Links.open", connect)
    checking.check_hosts(Console(), lab, limit=None, engine=None, ship=False, base_image=None, forks=4, as_json=False)
    lines = "".join(f"✗ ws{number}: unreachable\n" for number in (1, 2, 3, 4))
    causes = "".join(
        f"ws{number}: unreachable\n  ✗ host unreachable: no route\n      → wake ws{number}\n" for number in (1, 2, 3, 4)
    )
    said = capsys.readouterr().out
    assert said == f"{lines}{causes}for all checks, give the same command with --limit HOST or -v\n"


def test_a_hosts_cure_names_the_inventory_that_was_asked_for() -> None:
    @dataclass(frozen=True)
    class Listed(Named):
        inventory: Path = Path("my lab/hosts.yaml")

    def refuse(host: Named) -> None:
        raise HostBusy("no", hint="see `harness unlock INVENTORY`, not MY_INVENTORY")

    hosts = [Listed("ws1"), Named("ws2")]
    answers = ask_hosts(Console(), hosts, refuse, forks=1)
    hints = [None if answer.error is None else answer.error.hint for answer in answers]
    assert hints[0] == "see `harness unlock 'my lab/hosts.yaml'`, not MY_INVENTORY"
    assert hints[1] == "see `harness unlock INVENTORY`, not MY_INVENTORY"
