"""The question that ``harness advise`` is asked: which data, which hosts, which setting. Read once from the options."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import yaml

from harness.analysis.candidates import Wish
from harness.experiment import Assignment
from harness.inventory import load_inventory, select_hosts
from harness.session.advise_options import AdviseOptions
from harness.values.case import ModelSetting
from harness.values.digest import digest_of
from harness.values.document import near_miss
from harness.values.errors import ConfigurationError
from harness.values.paths import expand_home
from harness.values.text import join_words
from harness.values.units import parse_duration_s

LOCALHOST = "localhost"
MEASURED_EPOCHS = 2
"""The first epoch, which fills a cache, and a later one."""
_USUAL_NAME = "images"
_INVENTORY_SUFFIXES = (".yaml", ".yml", ".json")
_HOST = re.compile(
    r"(?:(?P<user>[^@:/\s]+)@)?(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])"
    r"(?::(?P<port>[0-9]{1,5}))?(?::(?P<folder>[/~].*))?"
)
_ANNOTATIONS = ("", "..", "../annotations", "annotations")
"""Where a file of labels is looked for that is named without a folder; relative to the folder of images."""


@dataclass(frozen=True)
class Question:
    """A question. ``inventory`` is the user's file; None where one has to be written, whose content is ``hosts``.

    ``is_sent``: the data are sent from this machine to hosts that lack them.
    """

    wish: Wish
    time_s: float
    name: str
    digest: str
    inventory: Path | None = None
    hosts: Mapping[str, object] | None = None
    is_sent: bool = False

    @property
    def inventory_text(self) -> str:
        """The inventory to write, as YAML."""
        return yaml.safe_dump(self.hosts, sort_keys=False, allow_unicode=True, width=10_000)


def read_question(options: AdviseOptions) -> Question:
    """Read the question from the options. Raises ConfigurationError."""
    time_s = _read_time(options.time)
    target = None if options.target is None else _absolute(expand_home(options.target))
    if target is not None and target.is_file() and target.suffix.lower() in _INVENTORY_SUFFIXES:
        name = _choose_data(options, target)
        return Question(
            wish=_read_wish(options, name),
            time_s=time_s,
            name=name,
            digest=_identify(options, str(target)),
            inventory=options.target,
            is_sent=options.ship,
        )
    for value, flag in ((options.data, "--data"), (options.limit, "--limit")):
        if value is not None:
            hint = "name an inventory file, or leave this option out"
            raise ConfigurationError("this option needs an inventory, and none is named", where=flag, hint=hint)
    return _read_folder(options, target, time_s)


def _read_folder(options: AdviseOptions, target: Path | None, time_s: float) -> Question:
    """Read a question about one folder, on this machine or another. Raises ConfigurationError."""
    host = None if options.host is None else _read_host(options.host)
    there = host["folder"] if host is not None else None
    if target is None and there is None:
        hint = "like `harness advise ~/photos`, or `harness advise --host HOST:/srv/photos`"
        raise ConfigurationError("say where the images are: a folder, or an inventory", hint=hint)
    if target is not None and there is not None:
        hint = "leave one of them out; --ship sends the folder of this machine"
        raise ConfigurationError(f"two folders: {target}, and {there} on the host", where="--host", hint=hint)
    if there is not None and options.ship:
        hint = "leave out --ship, or name a folder of this machine"
        raise ConfigurationError("nothing has to be sent: the folder is on the host", where="--ship", hint=hint)
    if target is not None and (host is None or options.ship):
        here = _find_here(target, options.annotations)
        _refuse_inside(options.output, here[0])
        data = _describe(*here)
    else:
        data = _describe_there(str(target or there), options.annotations)
    folder = str(target or there)
    data |= {"split": options.split} if options.split is not None else {}
    data |= {"skip_unreadable": True} if options.skip_unreadable else {}
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(folder).name).strip("-._")[:64] or _USUAL_NAME
    variables: dict[str, object] = {} if options.engine is None else {"engine": options.engine}
    variables["data"] = {name: data}
    if host is None:
        entry: dict[str, object] = {"ansible_connection": "local", "harness": variables}
    else:
        access = {"ansible_user": host["user"], "ansible_port": None if host["port"] is None else int(host["port"])}
        entry = {**{key: value for key, value in access.items() if value is not None}, "harness": variables}
    machine = LOCALHOST if host is None else str(host["name"]).strip("[]")
    return Question(
        wish=_read_wish(options, name),
        time_s=time_s,
        name=name,
        digest=_identify(options, folder),
        hosts={"all": {"hosts": {machine: entry}}},
        is_sent=options.ship and host is not None,
    )


def _identify(options: AdviseOptions, place: str) -> str:
    """Return a digest of all options that make another question; the time to measure makes none."""
    data = (place, options.annotations, options.data, options.host, options.limit, options.size, options.memory)
    setting = (options.model, options.epochs, options.batch, options.engine, options.split, options.skip_unreadable)
    return digest_of([None if one is None else str(one) for one in (*data, *setting)])[:8]


def _read_time(text: str) -> float:
    """Return ``--time`` in seconds. Raises ConfigurationError."""
    try:
        seconds = parse_duration_s(text)
    except ValueError as error:
        raise ConfigurationError(str(error), where="--time", hint="like 90s, 10min or 2h") from None
    if seconds <= 0:
        raise ConfigurationError("a time above 0 is needed", where="--time", hint="like 90s, 10min or 2h")
    return seconds


def _read_wish(options: AdviseOptions, data: str) -> Wish:
    """Read the setting, its values as an experiment has them. Raises ConfigurationError that names the option."""
    size = int(options.size) if options.size.isascii() and options.size.isdigit() else options.size
    image_size = _read_parameter("image_size", size, "--size")
    assert isinstance(image_size, tuple)
    memory: int | Literal["none"] = "none"
    if options.memory is not None and options.memory != "none":
        found = _read_parameter("memory_limit", options.memory, "--memory")
        if not isinstance(found, int):
            raise ConfigurationError(
                f"a size is wanted, not {options.memory!r}", where="--memory", hint="like 16GB or 1.5GiB"
            )
        memory = found
    model = None if options.model is None else _read_parameter("model", options.model, "--model")
    assert model is None or isinstance(model, ModelSetting)
    epochs = MEASURED_EPOCHS if options.epochs is None else min(options.epochs, MEASURED_EPOCHS)
    return Wish(data, image_size, options.batch, epochs, memory, model)


def _read_parameter(name: str, value: object, flag: str) -> object:
    """Return a parameter of an experiment. Raises ConfigurationError that names the option ``flag``."""
    from pydantic import ValidationError

    try:
        return getattr(Assignment.model_validate({name: value}), name)[0]
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        message, _, hint = str(first.get("ctx", {}).get("error") or first["msg"]).partition("\n")
        raise ConfigurationError(message, where=flag, hint=hint or None) from None


def _choose_data(options: AdviseOptions, inventory: Path) -> str:
    """Return the name of the inventory's data set that is meant. Raises ConfigurationError."""
    for is_given, flag in (
        (options.host is not None, "--host"),
        (options.annotations is not None, "--annotations"),
    ):
        if is_given:
            hint = "leave this option out, or name a folder instead of the inventory"
            raise ConfigurationError("the inventory already says this", where=flag, hint=hint)
    hosts = select_hosts(load_inventory(inventory, options.limit), options.limit)
    names = sorted({name for host in hosts for name in host.variables.data})
    if not names:
        hint = "add one under `harness: data:`, or name a folder instead of the inventory"
        raise ConfigurationError("the inventory has no data set", where=str(inventory), hint=hint)
    if options.data is None and len(names) == 1:
        return names[0]
    if options.data is None:
        raise ConfigurationError(
            f"the inventory has several data sets: {join_words(names)}", hint=f"name one, like --data {names[0]}"
        )
    if options.data not in names:
        near = near_miss(options.data, names)
        hint = f"did you mean {near}?" if near else f"it has {join_words(names)}"
        raise ConfigurationError(f"the inventory has no data set {options.data!r}", where="--data", hint=hint)
    return options.data


def _read_host(text: str) -> dict[str, str | None]:
    """Return the parts of ``--host``. Raises ConfigurationError."""
    match = _HOST.fullmatch(text.strip())
    if match is None:
        hint = "like ws03, bench@ws03.lab.example:2222, or bench@ws03.lab.example:/srv/photos"
        raise ConfigurationError(f"{text!r} is no host", where="--host", hint=hint)
    return match.groupdict()


def _find_here(folder: Path, annotations: Path | None) -> tuple[Path, Path | None]:
    """Return the folder of images and the file of labels on this machine. Raises ConfigurationError."""
    if folder.is_file():
        hint = "name its folder, or an inventory (YAML)"
        raise ConfigurationError("this is a file and not an inventory", where=str(folder), hint=hint)
    if not folder.is_dir():
        names = [path.name for path in folder.parent.iterdir()] if folder.parent.is_dir() else []
        near = near_miss(folder.name, names)
        hint = f"did you mean {folder.parent / near}?" if near else "name a folder of images"
        raise ConfigurationError("there is no such folder", where=str(folder), hint=hint)
    if annotations is None:
        return folder, None
    given = expand_home(annotations)
    places = [given, *([] if given.is_absolute() else [folder / below / given for below in _ANNOTATIONS])]
    for place in map(_absolute, places):
        if place.is_file():
            return folder, place
    looked = join_words(dict.fromkeys(str(_absolute(place).parent) for place in places))
    raise ConfigurationError(f"there is no file {annotations}", where="--annotations", hint=f"looked for in {looked}")


def _describe(folder: Path | str, annotations: Path | None) -> dict[str, object]:
    """Return the entry of an inventory for a folder, and for its file of labels where one is named."""
    return {"folder": str(folder)} if annotations is None else {"images": str(folder), "annotations": str(annotations)}


def _describe_there(folder: str, annotations: Path | None) -> dict[str, object]:
    """Return the entry of an inventory for a folder of another machine. Raises ConfigurationError."""
    if annotations is not None and not str(annotations).startswith(("/", "~")):
        hint = "write an absolute path, or begin with ~/"
        raise ConfigurationError("a relative path cannot be found on another machine", where="--annotations", hint=hint)
    return _describe(folder, annotations)


def _refuse_inside(output: Path, folder: Path) -> None:
    """Raise ConfigurationError where the session's folder would lie among the images, like a class."""
    place = _absolute(output)
    if place.is_relative_to(folder):
        hint = "change to another folder, or name one with --output"
        message = f"sessions would be written into {folder}, among the images"
        raise ConfigurationError(message, where=str(place), hint=hint)


def _absolute(path: Path) -> Path:
    """Return a path as an inventory's are: absolute, without ``..``, links left as they are."""
    return Path(os.path.normpath(path.absolute()))
