"""What ``harness advise`` reads from its command line, and the files that it writes: an inventory and an experiment."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml
from builder import SessionBuilder, make_case, make_record
from PIL import Image

from harness.analysis.candidates import Room, Wish, choose_trials
from harness.cli.app import app
from harness.console import Console
from harness.engine.reached import Reached
from harness.experiment import expand, parse_experiment
from harness.hosts.local import LocalConnection
from harness.inventory import DataSet, Host, load_inventory
from harness.records.folder import SessionFolder
from harness.records.session_data import read_session
from harness.session.advise_options import AdviseOptions
from harness.session.run_options import RunOptions
from harness.values.case import ModelSetting
from harness.values.errors import ConfigurationError, DataError, HostNotReady, SessionError
from harness.values.facts import Facts
from harness.values.record import SetSize
from harness.workflow.advise import advise, looking
from harness.workflow.advise.looking import look_at_hosts
from harness.workflow.advise.question import read_question
from harness.workflow.advise.written import change_budget, write_experiment
from harness.workflow.run.run import Measured


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of classes, in the folder in which the user stands."""
    monkeypatch.chdir(tmp_path)
    for number in range(4):
        place = tmp_path / "my photos" / ("cat", "dog")[number % 2] / f"{number}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40, 30)).save(place)
    return tmp_path / "my photos"


def ask(**options: Any) -> Any:
    return read_question(AdviseOptions(**options))


def test_a_folder_becomes_an_inventory_of_this_machine(photos: Path) -> None:
    asked = ask(target=Path("my photos"))
    (photos.parent / "hosts.yaml").write_text(asked.inventory_text)
    (host,) = load_inventory(photos.parent / "hosts.yaml").hosts
    assert (host.name, host.connection) == ("localhost", "local")
    assert host.variables.data["my-photos"].folder == str(photos)
    assert (asked.wish, asked.time_s) == (Wish("my-photos"), 600.0)


def test_labels_are_found_beside_the_images(photos: Path) -> None:
    labels = photos.parent / "annotations" / "instances.json"
    labels.parent.mkdir()
    labels.write_text("{}")
    asked = ask(target=photos, annotations=Path("instances.json"))
    (host,) = asked.hosts["all"]["hosts"].values()
    assert host["harness"]["data"]["my-photos"] == {"images": str(photos), "annotations": str(labels)}
    with pytest.raises(ConfigurationError, match=r"--annotations: there is no file nosuch\.json"):
        ask(target=photos, annotations=Path("nosuch.json"))


@pytest.mark.parametrize(
    ("text", "name", "access"),
    [
        ("ws03", "ws03", {}),
        ("bench@ws03.lab.example", "ws03.lab.example", {"ansible_user": "bench"}),
        ("bench@ws03:2222", "ws03", {"ansible_user": "bench", "ansible_port": 2222}),
        ("[fe80::1]", "fe80::1", {}),
    ],
)
def test_a_folder_of_this_machine_is_sent_to_another(photos: Path, text: str, name: str, access: Any) -> None:
    asked = ask(target=photos, host=text, ship=True)
    ((found, entry),) = asked.hosts["all"]["hosts"].items()
    assert found == name
    assert {key: value for key, value in entry.items() if key != "harness"} == access
    assert asked.is_sent and asked.wish.data == "my-photos"


def test_a_folder_may_lie_on_the_other_machine(photos: Path) -> None:
    asked = ask(host="bench@ws03:2222:/srv/pictures")
    ((name, entry),) = asked.hosts["all"]["hosts"].items()
    assert (name, entry["ansible_port"]) == ("ws03", 2222)
    assert entry["harness"]["data"] == {"pictures": {"folder": "/srv/pictures"}}
    assert not asked.is_sent


def test_an_inventory_stays_the_users_own(photos: Path) -> None:
    lab = photos.parent / "lab.yaml"
    data = {"coco": {"images": "/d/i", "annotations": "/d/a.json"}, "mini": {"folder": "/d/m"}}
    lab.write_text(json.dumps({"all": {"hosts": {"ws01": {}}, "vars": {"harness": {"data": data}}}}))
    assert (ask(target=lab, data="coco").wish.data, ask(target=lab, data="coco").inventory) == ("coco", lab)
    with pytest.raises(ConfigurationError, match="several data sets: coco and mini"):
        ask(target=lab)
    with pytest.raises(ConfigurationError, match=r"--data: the inventory has no data set 'cocoo'\n.*did you mean coco"):
        ask(target=lab, data="cocoo")


def test_of_a_folder_that_is_sent_is_said_what_it_is(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flat = photos.parent / "flat"
    flat.mkdir()
    for path in photos.rglob("*.jpg"):
        path.rename(flat / path.name)
    asked = ask(target=flat, host="bench@ws03", ship=True, model="mobilenet")
    file = photos.parent / "hosts.yaml"
    file.write_text(asked.inventory_text)
    gone = {"flat": DataSet(folder=str(photos / "gone"))}
    facts = Facts(uid=os.getuid())

    def reach(host: Host, _links: object) -> Reached:
        return Reached(host, LocalConnection("ws03"), facts, str(photos / "scratch"), {}, 10**9, gone)

    monkeypatch.setattr(looking, "reach", reach)
    (room,) = look_at_hosts(Console(), load_inventory(file).hosts, asked, file, forks=1)
    assert (room.kind, room.is_labelled) == ("folder", False)
    assert room.size is not None and room.size.images == 4
    said = capsys.readouterr().err
    assert f"{flat}: 4 images" in said and "sent to hosts that lack these images" in said
    assert "4 images without class folders, so without labels" in said
    assert "these images have no labels: loading is measured, training is not" in said
    (flat / "5.tif").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"5\.tif: 1 TIFF file, which not every loader reads"):
        look_at_hosts(Console(), load_inventory(file).hosts, asked, file, forks=1)


def test_hosts_of_which_none_can_be_used_are_all_told(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = photos.parent / "lab.yaml"
    shared = {"harness": {"data": {"photos": {"folder": "/srv/photos"}}}}
    lab.write_text(json.dumps({"all": {"hosts": {"ws01": {}, "ws02": {}}, "vars": shared}}))

    def reach(host: Host, _links: object) -> Reached:
        hint = "compare it, then: harness trust INVENTORY --limit X"
        raise HostNotReady("the host key is not known", where=host.name, hint=hint)

    monkeypatch.setattr(looking, "reach", reach)
    hosts = load_inventory(lab).hosts
    with pytest.raises(HostNotReady, match="ws01: the host key is not known") as error:
        look_at_hosts(Console(), hosts, ask(target=lab), lab, forks=1)
    assert error.value.exit_code == 3
    assert "ws02: the host key is not known" in capsys.readouterr().err
    assert error.value.hint == f"compare it, then: harness trust {lab} --limit X"
    asked = ask(host="bench@ws03:2222:/srv/photos")
    file = photos.parent / "hosts.yaml"
    file.write_text(asked.inventory_text)
    with pytest.raises(HostNotReady, match=r"log in once, .*: ssh -p 2222 bench@ws03$"):
        look_at_hosts(Console(), load_inventory(file).hosts, asked, file, forks=1)


def test_a_cure_of_one_folder_names_what_the_command_itself_can_do(photos: Path) -> None:
    file = photos.parent / "hosts.yaml"
    send = f"; or send it: harness ship {file} --data my-photos, or harness run --ship-data"
    for asked, cure in (
        (ask(target=photos, host="bench@ws03"), "check the path; or send it: this command with --ship"),
        (ask(host="bench@ws03:/srv/photos"), "check the path"),
    ):
        file.write_text(asked.inventory_text)
        (host,) = load_inventory(file).hosts
        assert looking._fit_hint(f"check the path{send}", host, asked, file) == cure  # noqa: SLF001 - a text alone
        unlock = looking._fit_hint("`harness unlock INVENTORY`", host, asked, file)  # noqa: SLF001
        assert unlock == f"`harness unlock {file}`"


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "nothing": ({}, "say where the images are"),
    "no folder": ({"target": Path("my photo")}, "there is no such folder\n.*did you mean .*my photos"),
    "two folders": ({"target": Path("my photos"), "host": "ws03:/srv"}, "--host: two folders"),
    "sent where it is": ({"host": "ws03:/srv", "ship": True}, "--ship: nothing has to be sent"),
    "no host": ({"target": Path("my photos"), "host": "a b"}, "--host: 'a b' is no host"),
    "no time": ({"target": Path("my photos"), "time": "0"}, "--time: a time above 0 is needed"),
    "odd time": ({"target": Path("my photos"), "time": "soon"}, "--time: 'soon' is not a duration"),
    "odd size": ({"target": Path("my photos"), "size": "big"}, "--size: an image size is"),
    "odd memory": ({"target": Path("my photos"), "memory": "16G"}, "--memory: '16G' is not a size"),
    "odd model": ({"target": Path("my photos"), "model": "mobilnet"}, "--model: unknown model.*\n.*mobilenet"),
    "data of a folder": ({"target": Path("my photos"), "data": "x"}, "--data: this option needs an inventory"),
    "among the images": ({"target": Path("my photos"), "output": Path("my photos/reports")}, "among the images"),
}


@pytest.mark.parametrize("case", WRONG)
def test_one_clear_error(photos: Path, case: str) -> None:
    options, said = WRONG[case]
    with pytest.raises(ConfigurationError) as error:
        ask(**options)
    assert re.search(said, str(error.value)), str(error.value)


def test_another_time_is_the_same_question_and_another_size_another(photos: Path) -> None:
    first = ask(target=photos)
    assert ask(target=photos, time="1h").digest == first.digest
    assert ask(target=photos, size="256").digest != first.digest
    assert ask(target=photos, memory="1GB").digest != first.digest


def test_the_experiment_reads_back_as_the_cases(photos: Path) -> None:
    room = Room("here", "folder", SetSize(images=2_000, bytes=10**8), 8 * 10**9, 10**11, 2)
    wish = Wish("photos", (224, 320), memory_limit=10**9, model=ModelSetting(alpha=0.25))
    cases = choose_trials(wish, [room], 600).cases
    text = write_experiment(cases, name="advise", description="?", notes=["a note"], time_s=600, head=["above it"])
    assert text.startswith("# above it\n")
    experiment = parse_experiment(text, "experiment.yaml")
    found = [case for case in expand(experiment).cases if case.loader != "ceiling"]
    assert [case.model_copy(update={"gpus": "auto"}) for case in found] == list(cases)
    assert (experiment.rounds, experiment.budget_s, experiment.notes) == ("auto", 600, ("a note",))
    assert yaml.safe_load(text)["parameters"]["image_size"] == "224x320"
    longer = change_budget(text, 1200)
    assert parse_experiment(longer, "experiment.yaml").budget_s == 1200
    assert longer.startswith("# above it\n")


def test_the_command_that_goes_on_asks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[AdviseOptions] = []

    def keep(_console: object, options: AdviseOptions, **_: object) -> int:
        asked.append(options)
        return 0

    monkeypatch.setattr(advise, "give_advice", keep)
    line = "harness advise 'my photos' --size 256x320 --memory 1GB --model mobilenet --epochs 20 --time 5min"
    words = shlex.split(line)
    typer.main.get_command(app).main([*words[1:], "--fresh"], prog_name="harness", standalone_mode=False)
    (options,) = asked
    assert options.is_fresh
    assert options.argv_to_continue == tuple(words)


def test_the_command_that_goes_on_may_be_given_more_time() -> None:
    asked = AdviseOptions(target=Path("photos"), time="30s")
    run = advise._AdvisedRun(inventory=Path("reports/x/inventory.yaml"), asked=asked)  # noqa: SLF001 - what it asks for
    assert run.say_how_to_continue() == "harness advise photos --time 30s"
    assert run.say_how_to_continue(130.0) == "harness advise photos --time 3min"
    ordinary = RunOptions(inventory=Path("lab.yaml"))
    assert ordinary.say_how_to_continue(130.0) == "harness run lab.yaml  (with `budget: 3min` in its experiment)"


# -- the whole way, with a session that is invented --------------------------------------------------------------------

ROOM = Room("localhost", "folder", SetSize(images=4, bytes=10_000), 10**9, 10**11, 2)


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[RunOptions]:
    """What sessions were asked for; each measures two pipelines in as many rounds as there were commands."""
    asked: list[RunOptions] = []

    def measure(_console: object, options: RunOptions) -> Measured:
        asked.append(options)
        folder = SessionFolder(options.output / str(options.name))
        cases = [make_case(data="my-photos", mode="load", loader=name, memory_limit=10**9) for name in RATES]
        numbers = range(1, len(asked) + 1)
        records = [make_record(case, rate=RATES[case.loader], round=number) for case in cases for number in numbers]
        shutil.rmtree(folder.facts_folder, ignore_errors=True)
        return Measured(0, folder, read_session(SessionBuilder(str(options.name)).add(*records).write(folder.path)))

    monkeypatch.setattr(advise, "measure_session", measure)
    monkeypatch.setattr(advise, "look_at_hosts", lambda *_, **__: [ROOM])
    return asked


RATES = {"keras-idg": 50.0, "tfdata": 100.0}


def give(*, write: Path | None = None, as_json: bool = False, **options: Any) -> int:
    return advise.give_advice(Console(), AdviseOptions(**options), write=write, as_json=as_json)


def test_one_command_goes_on_until_it_is_settled(
    photos: Path, measured: list[RunOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    said = []
    for time in ("10min", "20min", "20min"):
        assert give(target=photos, memory="1GB", time=time) == 0
        said.append(capsys.readouterr().out)
    assert len({options.name for options in measured}) == 1
    (session,) = photos.parent.glob("reports/*")
    assert str(measured[0].inventory) == str(Path("reports") / session.name / "inventory.yaml")
    assert load_inventory(session / "inventory.yaml").hosts[0].variables.data["my-photos"].folder == str(photos)
    assert parse_experiment((session / "experiment.yaml").read_text(), "e.yaml").budget_s == 1200
    more = f"harness advise '{photos}' --memory 1GB"
    assert f"take it, or measure more:  {more}\n" in said[0]
    assert f"take it, or measure more:  {more} --time 20min\n" in said[1]
    assert "  Use tfdata: " in said[2] and "measure more" not in said[2]
    assert "\n# tfdata: makes `dataset`" in said[2]


def test_where_the_time_was_too_short_the_command_for_more_has_enough(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(_console: object, options: RunOptions) -> Measured:
        folder = SessionFolder(options.output / str(options.name))
        shutil.rmtree(folder.facts_folder, ignore_errors=True)
        short = {"id": "budget-short", "severity": "warning", "message": "too short", "hint": "more", "host": "here"}
        built = SessionBuilder(str(options.name)).add_event("SessionFinding", **short, needed_s=200.0)
        return Measured(0, folder, read_session(built.write(folder.path)))

    monkeypatch.setattr(advise, "measure_session", measure)
    monkeypatch.setattr(advise, "look_at_hosts", lambda *_, **__: [ROOM])
    for time, more in (("30s", "4min"), ("5min", "5min")):
        assert give(target=photos, time=time) == 0
        assert f"to measure it:  harness advise '{photos}' --time {more}\n" in capsys.readouterr().out
        assert give(target=photos, time=time, as_json=True) == 0
        assert json.loads(capsys.readouterr().out)["more"].endswith(f" --time {more}")


def test_code_goes_to_a_file_and_everything_to_programs(
    photos: Path, measured: list[RunOptions], capsys: pytest.CaptureFixture[str]
) -> None:
    assert give(target=photos, model="mobilenet", write=Path("best.py"), as_json=True) == 0
    told = json.loads(capsys.readouterr().out)
    assert [answer["pipeline"] for answer in told["answers"]] == ["tfdata"]
    assert told["not_measured"] == ["train"]
    assert Path(told["experiment"]).is_file() and told["more"].startswith("harness advise ")
    assert "__main__" in Path("best.py").read_text()
    compile(Path("best.py").read_text(), "best.py", "exec")
    with pytest.raises(ConfigurationError, match="--write: there is no folder nowhere"):
        give(target=photos, write=Path("nowhere/best.py"))
    assert give(target=photos, write=Path("best.py"), as_json=True) == 0  # its own is written again
    Path("mine.py").write_text("years of work")
    with pytest.raises(ConfigurationError, match=r"--write: mine\.py exists and was not written by this command"):
        give(target=photos, write=Path("mine.py"))
    assert Path("mine.py").read_text() == "years of work"


def test_a_refused_question_leaves_no_folder(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(error: BaseException) -> None:
        def look(*_: object, **__: object) -> list[Room]:
            raise error

        monkeypatch.setattr(advise, "look_at_hosts", look)
        with pytest.raises(type(error)):
            give(target=photos, host="bench@ws03", ship=True)

    for error in (DataError("no images"), HostNotReady("no key", hint="log in once"), KeyboardInterrupt()):
        refuse(error)
        assert not Path("reports").exists()
    Path("reports").mkdir()
    refuse(DataError("no images"))
    assert list(Path("reports").iterdir()) == []
    monkeypatch.setattr(advise, "look_at_hosts", lambda *_, **__: [replace(ROOM, memory=1_000)])
    with pytest.raises(ConfigurationError, match="nothing fits"):
        give(target=photos, memory="1GB")
    assert list(Path("reports").iterdir()) == []


def test_the_inventory_of_a_refused_question_stays_where_the_cure_names_it(
    photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def look(_console: object, _hosts: object, _question: object, inventory: Path, **_: object) -> list[Room]:
        raise HostNotReady("damaged lock", hint=f"take it away with `harness unlock {inventory}`")

    monkeypatch.setattr(advise, "look_at_hosts", look)
    with pytest.raises(HostNotReady):
        give(target=photos)
    (session,) = Path("reports").iterdir()
    assert [path.name for path in session.iterdir()] == ["inventory.yaml"]
    Path("a file").touch()
    with pytest.raises(SessionError, match="this folder cannot be created: Not a directory"):
        give(target=photos, output=Path("a file"))


def test_a_question_that_no_host_was_ready_for_leaves_no_folder(
    photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(_console: object, options: RunOptions) -> Measured:
        folder = SessionFolder(options.output / str(options.name))
        session = read_session(SessionBuilder(str(options.name)).write(folder.path))
        folder.remove()
        return Measured(3, folder, session)

    monkeypatch.setattr(advise, "measure_session", measure)
    monkeypatch.setattr(advise, "look_at_hosts", lambda *_, **__: [ROOM])
    assert give(target=photos, as_json=True) == 3
    assert not Path("reports").exists()
    printed = capsys.readouterr()
    assert "nothing was measured; the session's folder reports/my-photos-advise-" in printed.err
    assert [json.loads(printed.out)[name] for name in ("session", "inventory", "experiment")] == [None] * 3
