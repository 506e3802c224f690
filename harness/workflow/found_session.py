"""The session that a command is about: its folder, what its file holds, and how many rounds it has."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.bench.protocol.own_loader import own_place, split_own
from harness.engine.interface import Payload
from harness.records.content import SessionContent
from harness.records.folder import SessionFolder, find_folder
from harness.records.reading import read_content, read_records
from harness.session.invocations import HostDigests, changed_digests
from harness.session.run_options import SessionOptions
from harness.ship.payload_archive import build_payload
from harness.values.case import Case
from harness.values.errors import ConfigurationError, SessionError
from harness.workflow.resolve import Resolved
from harness.workflow.round_planning import merge_rounds


@dataclass(frozen=True)
class FoundSession:
    """``content`` is what ``session.json`` holds, None where the session would be new.

    ``resolved`` is what was asked, with as many rounds as the session has.
    """

    resolved: Resolved
    folder: SessionFolder
    payload: Payload
    content: SessionContent | None

    @property
    def key(self) -> str | None:
        """What marks this session's jobs and locks on hosts; None for a new one."""
        return None if self.content is None else session_key(self.folder, self.content)


def session_key(folder: SessionFolder, content: SessionContent) -> str:
    """Return a session's name with a part that nobody else has: two people may run one experiment on one inventory."""
    return f"{folder.name}.{content.id}"


def find_session(resolved: Resolved, options: SessionOptions) -> FoundSession:
    """Find the session that these options continue or begin.

    Raises SessionError where its folder cannot be used, or where the benchmark's code has changed since.
    """
    folder = find_folder(
        options.output,
        inventory=resolved.inventory.name,
        experiment=resolved.experiment.name,
        digest=resolved.digest,
        name=options.name,
        is_fresh=options.is_fresh,
    )
    folder.refuse_foreign()
    payload = build_payload(gather_own_loaders(resolved.cases))
    content = read_content(folder) if folder.exists() else None
    if content is not None:
        _refuse_unusable(folder, content, payload)
    stored = None if content is None else content.experiment.rounds
    experiment = resolved.experiment.model_copy(
        update={"rounds": merge_rounds(options.rounds, resolved.experiment.rounds, stored)}
    )
    return FoundSession(replace(resolved, experiment=experiment), folder, payload, content)


def gather_own_loaders(cases: Iterable[Case]) -> dict[str, bytes]:
    """Return the files of users' own loaders that these cases name, by their place in the payload.

    Raises ConfigurationError where one cannot be read, or two have the same name.
    """
    found: dict[str, Path] = {}
    for name in dict.fromkeys(case.loader for case in cases):
        own = split_own(name)
        if own is None:
            continue
        path = Path(own[0]).expanduser().resolve()
        place = own_place(own[0])
        if found.setdefault(place, path) != path:
            hint = "rename one of them: both would be the same file in a job"
            raise ConfigurationError(f"two loaders' files have the same name: {found[place]} and {path}", hint=hint)
    try:
        return {place: path.read_bytes() for place, path in found.items()}
    except OSError as error:
        hint = "the path is relative to where you start `harness`"
        raise ConfigurationError(f"a loader's file cannot be read: {error}", hint=hint) from error


def refuse_changed(folder: SessionFolder, content: SessionContent, digests: HostDigests) -> None:
    """Raise SessionError where an image or a data set is not the one that a session began with on a host."""
    changes = changed_digests(content, digests)
    if changes:
        hint = "figures must not be mixed: start a new session with --fresh"
        raise SessionError("; ".join(changes), where=str(folder.path), hint=hint)


def _refuse_unusable(folder: SessionFolder, content: SessionContent, payload: Payload) -> None:
    if not content.id or not content.payload_digest:
        hint = "restore it from a copy, or start anew with --fresh"
        raise SessionError("session.json is damaged: a part is missing", where=str(folder.path), hint=hint)
    if content.payload_digest != payload.digest:
        raise SessionError(
            "the benchmark's code (payload) has changed since this session began; its figures must not be mixed",
            where=str(folder.path),
            hint="start a new one with --fresh, or use the version that began it",
        )
    _refuse_changed_loaders(folder, content, payload)


def _refuse_changed_loaders(folder: SessionFolder, content: SessionContent, payload: Payload) -> None:
    """Refuse a user's loader that has changed since it was measured; one that never was may be mended."""
    changed = {place for place, digest in payload.own.items() if content.own_loaders.get(place, digest) != digest}
    for record in read_records(folder) if changed else ():
        own = split_own(record.case.loader)
        if own is not None and own_place(own[0]) in changed and (record.epochs or record.status in ("ok", "oom")):
            raise SessionError(
                f"{own[0]} has changed since it was measured in this session; its figures must not be mixed",
                where=str(folder.path),
                hint="start a new one with --fresh, or bring the file back as it was",
            )
