"""Anonymised sessions: names are removed everywhere, digests, facts and figures stay.

Known names (of hosts, groups, users, sessions, inventories, data sets, disks, folders) are replaced wherever they
occur, also inside other text; what looks like a path, an address or an account is replaced by its kind. Logs are left
out, since a program may print anything. Where the name of a host or a user is also a word of the format (``alpha``,
``round``), it is replaced in names and texts, but not where the format uses that word.
"""

from __future__ import annotations

import dataclasses
import re
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache

from pydantic import BaseModel, JsonValue

from harness.records.content import SessionContent
from harness.records.reading import Fault, parse_content, parse_event
from harness.records.session_data import SessionData
from harness.report.sources import redact_fields
from harness.values.engine_names import engine_choices
from harness.values.event import Event, HostRenamed
from harness.values.facts import Facts
from harness.values.record import Record

PUBLIC_NAMES = frozenset(
    {"article", "article-short", "loading", "quick", "coco", "coco-mini", "dogs-and-cats", "scratch", "images", "all"}
    | {"ungrouped", "localhost", *engine_choices()}
)
"""Names of this project, which reveal nothing about a lab unless a host or a user has such a name."""

_PATH = re.compile(r"(?<![\w.:/])(?:~|file://|\.{1,2})?/(?!\s)[^\s'\"<>|;,:()\[\]{}]*|[A-Za-z]:\\[^\s'\"]*")
_ADDRESS = re.compile(
    r"\b\d{1,3}(?:\.\d{1,3}){3}\b"
    r"|(?<![\w:])(?:(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F:]{1,6}|(?=[0-9a-fA-F:]*::)[0-9a-fA-F:]{4,39})(?![\w:])"
)
# Each pattern starts at the first of its characters and takes all that follow, so that no part of a long text is
# searched twice.
_ACCOUNT = re.compile(r"(?<![\w.+-])[\w.+-]+@[\w.-]+")
_URL = re.compile(r"(?<![\w.+-])[\w.+-]+://[^\s'\"<>]+")
_DOMAIN = re.compile(
    r"(?<![\w.-])(?:[\w-]*\.)+(?:local|lan|internal|intern|corp|home|lab|edu|org|net|com|io|de|eu|uk|fr)\b", re.I
)
_SHAPES = ((_URL, "‹address›"), (_ACCOUNT, "‹account›"), (_PATH, "‹path›"), (_ADDRESS, "‹address›"))
_DROPPED = frozenset({"description", "notes", "argv", "log_tail", "uuid", "device", "uid", "gid", "said", "examples"})
_USER_KEYS = frozenset({"user", "ansible_user", "owner", "login", "username", "become_user"})
_NAMED_BY_USERS = frozenset({"host", "user"})
"""Kinds whose names are replaced even where they are words of this project."""

_NAME_MAPS = frozenset({"hosts", "groups", "children", "machines", "image_digests", "data", "sets", "disks"})
"""Keys of values that are names, or fields by name."""

_NAME_KEYS = (
    _NAME_MAPS
    | _USER_KEYS
    | {"host", "old", "machine", "name", "session", "experiment_name", "inventory", "cache_disk", "disk"}
)
_KEPT_KEYS = frozenset(
    {"event", "status", "state", "validity", "severity", "at", "created_at", "started_at", "finished_at", "read_at"}
    | {"loader", "cache", "element", "interpolation", "mode", "page_cache", "cache_reuse", "budgets", "augment"}
    | {"precision", "deliver", "engine", "id", "enforced_by"}
)


def anonymise(sessions: Sequence[SessionData]) -> list[SessionData]:
    """Return the sessions without names; equal names stay equal, also across sessions."""
    cleaner = _Cleaner(_collect_names(sessions))
    return [_clean_session(session, cleaner) for session in sessions]


class _Cleaner:
    """Replaces names in text, longer names first, so that no part of a longer name remains."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self.names = {name.lower(): instead for name, instead in names.items()}
        ordered = sorted((n for n in names if n), key=lambda n: (-len(n), n))
        pattern = "|".join(rf"(?<!\w){re.escape(name)}(?!\w)" for name in ordered)
        self._known = re.compile(pattern, re.IGNORECASE) if ordered else None
        self._seen: dict[str, str] = {}

    def text(self, text: str) -> str:
        if text.lower() in self.names:
            return self.names[text.lower()]
        known = self._seen.get(text)
        if known is None:
            known = self._seen[text] = self._clean(text)
        return known

    def _clean(self, text: str) -> str:
        for pattern, shape in _SHAPES:
            text = pattern.sub(shape, text)
        if self._known is not None:
            text = self._known.sub(lambda found: self.names[found[0].lower()], text)
        return _DOMAIN.sub("‹address›", text)

    def value(self, value: JsonValue, key: str = "") -> JsonValue:
        if key in _DROPPED:
            return [] if isinstance(value, list | tuple) else None if not isinstance(value, str) else ""
        if isinstance(value, str):
            is_kept = key in _KEPT_KEYS or (_is_digest(value) and value.lower() not in self.names)
            return value if is_kept or (key not in _NAME_KEYS and _is_own_word(value)) else self.text(value)
        if isinstance(value, Mapping):
            return self.fields(value, key)
        if isinstance(value, list | tuple):
            return [self.value(item, key) for item in value]
        return value

    def fields(self, value: Mapping[str, JsonValue], of: str = "") -> dict[str, JsonValue]:
        """Return the fields without names, in keys and in values; ``of`` is the key that holds the fields."""
        if of not in _NAME_MAPS:
            return {k if _is_own_word(k) else self.text(k): self.value(inner, k) for k, inner in value.items()}
        return {self.text(k): self.value(inner, "" if isinstance(inner, Mapping) else of) for k, inner in value.items()}


def _is_digest(text: str) -> bool:
    return len(text) >= 6 and re.fullmatch(r"(?:sha256:)?[0-9a-f]{6,64}", text) is not None


def _collect_names(sessions: Sequence[SessionData]) -> dict[str, str]:
    found: dict[str, dict[str, None]] = {}

    def add(kind: str, names: Iterable[object]) -> None:
        for name in names:
            if not isinstance(name, str) or not name:
                continue
            is_public = name == "localhost" if kind in _NAMED_BY_USERS else _is_own_word(name)
            if not is_public:
                found.setdefault(kind, {})[name] = None

    for session in sessions:
        add("host", sorted({*session.facts, *(r.host for r in (*session.measured, *session.superseded))}))
        add("host", (getattr(logged.event, "host", None) for logged in session.events))
        add("host", (event.old for event in session.events_of(HostRenamed)))
        add("session", (session.name, session.origin))
        add("experiment", (session.experiment_name, session.content.experiment.name))
        add("data", sorted({r.case.data for r in session.records}))
        add("data", sorted(session.content.data))
        add("disk", sorted({r.case.cache_disk for r in session.records}))
        add("disk", (n for f in session.facts.values() for n in sorted(f.disks) if not n.startswith("data:")))
        add("boot", (f.boot_id for f in session.facts.values()))
        _add_inventory(session, add)
    names: dict[str, str] = {}
    for kind, listed in found.items():
        for number, name in enumerate(listed, start=1):
            names.setdefault(name, f"{kind}-{number}")
    return names


def _is_own_word(text: str) -> bool:
    return text in PUBLIC_NAMES or text.lower() in _format_words()


@cache
def _format_words() -> frozenset[str]:
    """Return the words of the format: names of fields, and their enumerated values."""
    words: set[str] = set()
    seen: set[object] = set()
    places: list[object] = [Record, Facts, SessionContent]
    while places:
        place = places.pop()
        if isinstance(place, str):
            words.add(place.lower())
        elif isinstance(place, type) and issubclass(place, BaseModel) and place not in seen:
            seen.add(place)
            words.update(name.lower() for name in place.model_fields)
            places += [field.annotation for field in place.model_fields.values()]
        else:
            places += typing.get_args(place)
    for kind in Event.__subclasses__():
        words.update(field.name for field in dataclasses.fields(kind))
    return frozenset(words)


def _add_inventory(session: SessionData, add: Callable[[str, Iterable[object]], None]) -> None:
    inventory = session.content.inventory
    add("inventory", (inventory.name,))
    add("host", inventory.hosts)
    groups = inventory.plain().get("groups")
    add("group", sorted(map(str, groups)) if isinstance(groups, list | Mapping) else ())
    add("host", sorted(session.content.hosts))
    add("user", _find_users(session.content.plain()))


def _find_users(value: JsonValue) -> list[str]:
    if isinstance(value, Mapping):
        own = [v for k, v in value.items() if str(k) in _USER_KEYS and isinstance(v, str)]
        return own + [name for inner in value.values() for name in _find_users(inner)]
    if isinstance(value, list | tuple):
        return [name for inner in value for name in _find_users(inner)]
    return []


def _clean_session(session: SessionData, cleaner: _Cleaner) -> SessionData:
    events = (parse_event(cleaner.fields(event.to_json()), _drop, "") for event in session.events)
    return replace(
        session,
        origin=cleaner.text(session.origin),
        content=_clean_content(session.content, cleaner),
        facts={cleaner.text(host): _clean_facts(facts, cleaner) for host, facts in session.facts.items()},
        records=tuple(_clean_record(record, cleaner) for record in session.records),
        repeats=tuple(_clean_record(record, cleaner) for record in session.repeats),
        superseded=tuple(_clean_record(record, cleaner) for record in session.superseded),
        events=tuple(event for event in events if event is not None),
        notes=tuple(cleaner.text(note) for note in session.notes),
    )


def _drop(_fault: Fault) -> None:
    """Ignore a fault: what cannot be parsed without its names is left out."""


def _clean_content(content: SessionContent, cleaner: _Cleaner) -> SessionContent:
    """Return the content of a session without names and paths."""
    plain = cleaner.fields(redact_fields(content.plain()))
    if isinstance(inventory := plain.get("inventory"), dict):
        inventory.pop("path", None)
    cleaned = parse_content(plain, _drop, "")
    hosts = {
        name: host.model_copy(update={"data": {key: place.without_names() for key, place in host.data.items()}})
        for name, host in cleaned.hosts.items()
    }
    return cleaned.model_copy(update={"hosts": hosts}) if hosts else cleaned


def _clean_facts(facts: Facts, cleaner: _Cleaner) -> Facts:
    value = cleaner.fields(facts.model_dump(mode="json"))
    value["disks"] = {
        (cleaner.text(name) if not name.startswith("data:") else "data:" + cleaner.text(name[5:])): {
            **disk.model_dump(mode="json"),
            "path": "‹path›",
            "device": None,
        }
        for name, disk in facts.disks.items()
    }
    for name in ("cpu_model", "architecture", "kernel", "os"):
        value[name] = getattr(facts, name)
    return Facts.model_validate(value)


def _clean_record(record: Record, cleaner: _Cleaner) -> Record:
    """Return a record without names; its hardware stays, which consists of facts."""
    value = cleaner.fields(record.model_dump(mode="json"))
    gpus = [cleaner.fields(gpu.model_dump(mode="json")) | {"name": gpu.name} for gpu in record.gpu]
    return Record.model_validate({**value, "hardware": record.hardware, "log": None, "log_tail": None, "gpu": gpus})
