"""``harness clean`` and ``unlock``: what nobody needs goes, what somebody uses stays, and nothing goes unasked."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker.errors import APIError
from machine import HERE, Machine, keep_facts

from harness.console import Console
from harness.engine.daemon_words import DOCKER
from harness.engine.interface import CACHE_PREFIX
from harness.hosts.lock import break_lock, read_lock
from harness.hosts.own_folders import MARK, mark_folder
from harness.ship.image import LABEL_DEFINITION
from harness.values.errors import HostLocked
from harness.workflow.machines import clean as cleaning
from harness.workflow.machines.clean import CleanOptions, clean_hosts, unlock_hosts


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine with a cache that no job uses, and a generated data set."""
    keep_facts(monkeypatch)
    machine = Machine(tmp_path)
    mark_folder(machine.scratch / "data")
    for name in (f"{CACHE_PREFIX}gone-1", "data", "somebody-elses"):
        (machine.scratch / name).mkdir(parents=True, exist_ok=True)
        (machine.scratch / name / "file").write_text("x")
    yield machine
    break_lock(HERE)


def ask(machine: Machine, options: CleanOptions, *, as_json: bool = False) -> int:
    return clean_hosts(Console(), machine.inventory("here"), options, limit=None, forks=1, as_json=as_json)


def clean(
    machine: Machine, capsys: pytest.CaptureFixture[str], *, dry_run: bool = False, data: bool = False
) -> list[tuple[str, str]]:
    """What was, or would be, removed: each kind with its name."""
    assert ask(machine, CleanOptions(dry_run=dry_run, data=data, yes=True), as_json=True) == 0
    found = [one for one in json.loads(capsys.readouterr().out) if not one["stays"]]
    assert {one["host"] for one in found} <= {"here"} and all(one["why"] for one in found)
    assert {one["is_removed"] for one in found} <= {not dry_run}
    return [(one["what"], Path(one["name"]).name) for one in found]


CACHE, LOCK, DATA = (
    ("cache folder", f"{CACHE_PREFIX}gone-1"),
    ("lock", "s1"),
    ("data sets, weights and file lists", "data"),
)


def left(machine: Machine) -> list[str]:
    return sorted(path.name for path in machine.scratch.iterdir())


def test_what_a_dead_session_left_is_listed_first_and_removed_then(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    machine.hold("s1", is_dead=True)
    before = left(machine)
    assert clean(machine, capsys, dry_run=True) == [CACHE, LOCK]
    assert left(machine) == before and read_lock(HERE) is not None
    assert clean(machine, capsys) == [CACHE, LOCK]
    assert left(machine) == ["data", "somebody-elses"] and read_lock(HERE) is None
    assert clean(machine, capsys) == []


def test_a_living_sessions_lock_stays_and_is_told(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    held = machine.hold("s1")
    assert ask(machine, CleanOptions(data=True, yes=True)) == 0
    said = capsys.readouterr()
    assert "session s1" in said.err and "was kept: the session or its job is still running" in said.err
    assert [line.split()[:2] for line in said.out.splitlines()[1:2]] == [["here", "cache"]]
    assert "session s1 uses it" in said.out.splitlines()[-1]
    assert left(machine) == ["data", "somebody-elses"], "its data is not taken away under it, whatever was asked"
    owner = read_lock(HERE)
    assert owner is not None and owner.token == held.owner.token


def test_data_goes_only_where_that_is_asked_for(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    assert clean(machine, capsys) == [CACHE]
    assert clean(machine, capsys, data=True) == [DATA]
    assert left(machine) == ["somebody-elses"]


def test_a_machine_without_anything_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert ask(Machine(tmp_path), CleanOptions(data=True)) == 0
    assert capsys.readouterr().out == "nothing to clean\n"


def test_what_stays_is_listed_with_its_size_and_what_removes_it(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("rehearsals", "samework", "stage-costs"):
        mark_folder(machine.scratch / name)
    assert clean(machine, capsys) == [CACHE]
    assert ask(machine, CleanOptions()) == 0
    columns, *rows, last = capsys.readouterr().out.splitlines()
    assert columns.split() == ["stays", "on", "what", "name", "size", "reason"]
    assert [row.split("/")[-1].split()[0] for row in rows] == ["data", "rehearsals", "samework", "stage-costs"]
    assert all(" kB  " in row for row in rows) and "--data removes it" in rows[0] and "--all removes them" in rows[1]
    assert last == "nothing else to clean"
    assert ask(machine, CleanOptions(data=True, images=True, results=True, dry_run=True)) == 0
    assert capsys.readouterr().out.count("would be removed") == 4
    assert ask(machine, CleanOptions(data=True, images=True, results=True, yes=True)) == 0
    assert left(machine) == ["somebody-elses"]
    capsys.readouterr()
    assert ask(machine, CleanOptions()) == 0
    assert capsys.readouterr().out == "nothing to clean\n"


def test_environments_are_listed_and_go_where_that_is_asked_for(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    mark_folder(machine.scratch / "environments")
    (machine.scratch / "environments/cpu-3.12-x86_64-0123").mkdir()
    assert clean(machine, capsys, data=True) == [CACHE, DATA]
    assert ask(machine, CleanOptions()) == 0
    said = capsys.readouterr().out
    assert "environments of the engine process" in said and "--environments removes them" in said
    assert ask(machine, CleanOptions(environments=True, yes=True), as_json=True) == 0
    (gone,) = [one for one in json.loads(capsys.readouterr().out) if one["is_removed"]]
    assert gone["why"] == "--environments removes it"
    assert left(machine) == ["somebody-elses"]


class FakeImages:
    """An engine with two images of ours, of which a container uses one."""

    name = "docker"
    spoken = DOCKER

    def __init__(self) -> None:
        self.client = self
        self.kept = {"harness-cpu:abc": 1_600_000_000, "harness-gpu:def": 3_200_000_000}

    def images(self, filters: dict[str, str]) -> list[dict[str, Any]]:
        assert filters == {"label": LABEL_DEFINITION}
        return [{"Id": f"sha256:{name}", "RepoTags": [name], "Size": size} for name, size in self.kept.items()]

    def remove_image(self, name: str) -> None:
        if name == "harness-gpu:def":
            raise APIError("conflict", explanation="a container uses it")
        del self.kept[name]

    def list(self, session: str | None = None) -> tuple[()]:
        return ()


def test_images_stay_with_their_size_until_they_are_asked_for(
    machine: Machine, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = FakeImages()
    monkeypatch.setattr(cleaning, "engines_with_jobs", lambda _reached: ([engine], []))
    assert ask(machine, CleanOptions()) == 0
    said = capsys.readouterr().out
    assert (
        "harness-cpu:abc" in said and "1.6 GB" in said and "3.2 GB" in said and said.count("--images removes it") == 2
    )
    assert ask(machine, CleanOptions(images=True, dry_run=True)) == 0
    assert capsys.readouterr().out.count("would be removed") == 2 and len(engine.kept) == 2
    assert ask(machine, CleanOptions(images=True)) == 0
    said = capsys.readouterr().out
    assert list(engine.kept) == ["harness-gpu:def"] and "a container uses it" in said
    machine.hold("s1")
    assert ask(machine, CleanOptions(images=True)) == 0
    assert "session s1 uses it" in capsys.readouterr().out and len(engine.kept) == 1


def test_a_lock_is_broken_when_somebody_says_so(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    inventory = machine.inventory("here")
    assert unlock_hosts(Console(), inventory, limit=None, yes=True, forks=1) == 0
    assert capsys.readouterr().out == "here: not locked\n"
    machine.hold("s1", is_dead=True)
    assert unlock_hosts(Console(), inventory, limit=None, yes=False, forks=1) == 1  # nobody is there to be asked
    assert "here: still locked: held by" in capsys.readouterr().out and read_lock(HERE) is not None
    assert unlock_hosts(Console(), inventory, limit=None, yes=True, forks=1) == 0
    assert "here: unlocked (was held by" in capsys.readouterr().out and read_lock(HERE) is None


def test_clean_and_unlock_say_the_same_of_a_controller_that_has_ended(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory = machine.inventory("here")
    machine.hold("s1", is_dead=True)
    ask(machine, CleanOptions(dry_run=True))
    (lock,) = (line for line in capsys.readouterr().out.splitlines() if line.split()[:2] == ["here", "lock"])
    assert lock.endswith("would be removed  its controller on this machine has ended")
    assert unlock_hosts(Console(), inventory, limit=None, yes=False, forks=1) == 1
    said = capsys.readouterr().out
    assert ", its controller on this machine has ended; remove the lock with --yes" in said and "alive" not in said
    assert unlock_hosts(Console(), inventory, limit=None, yes=True, forks=1) == 0
    assert read_lock(HERE) is None


def test_a_living_holder_keeps_its_lock_unless_it_is_named(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    inventory, held = machine.inventory("here"), machine.hold("s1")
    for force in (None, "somebody@else"):
        assert unlock_hosts(Console(), inventory, limit=None, yes=True, force=force, forks=1) == 1
        said = capsys.readouterr().out
        assert "here: still locked: held by" in said and "alive" in said and f"--force {held.owner.owner}" in said
        held.beat()
    assert unlock_hosts(Console(), inventory, limit=None, yes=False, force=held.owner.owner, forks=1) == 0
    assert "ends its job and stops on this host" in capsys.readouterr().out and read_lock(HERE) is None
    with pytest.raises(HostLocked, match="taken away by"):
        held.beat()


def test_data_goes_only_after_it_was_shown_and_somebody_agreed(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ask(machine, CleanOptions(data=True)) == 1  # nobody is there to be asked
    said = capsys.readouterr()
    assert "/scratch/data, " in said.err and "1 entry: file" in said.err and "--yes" in said.out
    assert (machine.scratch / "data" / "file").exists()
    assert ask(machine, CleanOptions(data=True, dry_run=True)) == 0
    assert (machine.scratch / "data" / "file").exists()


def test_a_folder_that_we_did_not_make_stays_until_it_is_adopted(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    data = machine.scratch / "data"
    (data / MARK).unlink()
    assert ask(machine, CleanOptions(data=True, yes=True)) == 0
    assert "no mark of harness" in capsys.readouterr().out and (data / "file").exists()
    assert ask(machine, CleanOptions(adopt=True)) == 1
    assert "1 entry: file" in capsys.readouterr().err and not (data / MARK).exists()
    assert ask(machine, CleanOptions(adopt=True, yes=True)) == 0
    assert (data / MARK).exists() and (data / "file").exists()
    assert ask(machine, CleanOptions(data=True, yes=True)) == 0
    assert not data.exists()


def test_a_link_in_the_place_of_a_folder_is_none_of_ours(machine: Machine, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    mark_folder(precious)
    (machine.scratch / "weights").symlink_to(precious)
    assert ask(machine, CleanOptions(data=True, yes=True)) == 0
    assert (precious / MARK).exists()


@pytest.mark.parametrize("form", ["{home}", "{home}/.", "{home}/../{name}", "{link}", "/.", "{above}"])
def test_a_scratch_that_holds_a_users_own_files_is_refused(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home, link = tmp_path / "ann", tmp_path / "link"
    (home / "data").mkdir(parents=True)
    (home / "data" / "thesis").write_text("x")
    link.symlink_to(home)
    monkeypatch.setenv("HOME", str(home))
    scratch = form.format(home=home, name=home.name, link=link, above=tmp_path)
    inventory = Machine(tmp_path).inventory("here", scratch=scratch)
    options = CleanOptions(data=True, adopt=True, yes=True)
    assert clean_hosts(Console(), inventory, options, limit=None, forks=1, as_json=False) == 3
    said = capsys.readouterr().err
    assert "is refused" in said and "~/.cache/harness" in said
    assert (home / "data" / "thesis").exists()


def test_a_scratch_around_a_data_set_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "all" / "data" / "cat").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "all")
    data = {"pets": {"folder": str(tmp_path / "all" / "data")}}
    inventory = Machine(tmp_path).inventory("here", scratch=str(tmp_path / "link"), data=data)
    assert clean_hosts(Console(), inventory, CleanOptions(), limit=None, forks=1, as_json=False) == 3
    assert f"the data folder {tmp_path}/all/data is in it" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["folder", "link to a folder", "infinite beat", "escape codes", "no folder", "a link"])
def test_a_damaged_lock_is_named_by_every_command_and_taken_away(
    kind: str, machine: Machine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lock = Path(str(read_lock.__kwdefaults__["path"]))  # type: ignore[index]
    victim = tmp_path / "victim"
    victim.mkdir()
    damage(lock, kind, victim)
    inventory = machine.inventory("here")
    is_nobodys = kind == "link to a folder"
    assert clean_hosts(Console(), inventory, CleanOptions(), limit=None, forks=1, as_json=False) == (3, 0)[is_nobodys]
    assert ("damaged lock" in capsys.readouterr().err) is not is_nobodys
    assert unlock_hosts(Console(), inventory, limit=None, yes=False, forks=1) == (1, 0)[is_nobodys]
    said = capsys.readouterr().out
    assert "\x1b" not in said and ("damaged lock" in said) is not is_nobodys
    assert unlock_hosts(Console(), inventory, limit=None, yes=True, forks=1) == 0
    machine.hold("s1").release()
    assert list(victim.iterdir()) == []


def damage(lock: Path, kind: str, victim: Path) -> None:
    """Put something in the lock's place that any user of a host may put there."""
    if kind == "no folder":
        lock.write_text("x")
    elif kind == "a link":
        lock.symlink_to(victim)
    else:
        lock.mkdir(mode=0o777)
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        text = f"format 1\ntoken ab\nowner ann@far\nsession s\nboot {boot}\nbeat 1.0\n"
        if kind == "folder":
            (lock / "owner" / "deep").mkdir(parents=True)
        elif kind == "link to a folder":
            (lock / "owner").symlink_to(victim)
        elif kind == "infinite beat":
            (lock / "owner").write_text(text.replace("1.0", "-inf"))
        else:
            (lock / "owner").write_text(text.replace("ann", "\x1b[31m[/x]ann"))
