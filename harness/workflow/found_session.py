"""Finding the session that a command continues or begins: its folder, its content and its number of rounds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from harness.analysis.same_data import CLASH_HINT
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
    """The session of a command. ``content`` is that of ``session.json``; None for a new session.

    ``resolved`` is what the user asked for, with the session's number of rounds. ``own_data``: each host is measured
    on its own files, and compared only with hosts that have the same files.
    """

    resolved: Resolved
    folder: SessionFolder
    payload: Payload
    content: SessionContent | None
    own_data: bool = False

    @property
    def key(self) -> str | None:
        """The key that marks this session's jobs and locks on hosts; None for a new session."""
        return None if self.content is None else session_key(self.folder, self.content)


def session_key(folder: SessionFolder, content: SessionContent) -> str:
    """Return a session's name with its unique id: two people may run the same experiment on the same inventory."""
    return f"{folder.name}.{content.id}"


def find_session(resolved: Resolved, options: SessionOptions) -> FoundSession:
    """Find the session that these options continue or begin.

    Raises SessionError if its folder cannot be used, or if the benchmark's code has changed since it began.
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
    own_data = options.own_data or (content is not None and content.own_data)
    return FoundSession(replace(resolved, experiment=experiment), folder, payload, content, own_data)


def gather_own_loaders(cases: Iterable[Case]) -> dict[str, bytes]:
    """Return the content of the users' own loaders that these cases name, by path in the payload.

    Raises ConfigurationError if one cannot be read, or if two have the same name.
    """
    found: dict[str, Path] = {}
    for name in dict.fromkeys(case.loader for case in cases):
        own = split_own(name)
        if own is None:
            continue
        path = Path(own[0]).expanduser().resolve()
        place = own_place(own[0])
        if found.setdefault(place, path) != path:
            hint = "rename one of them: in a job they would be the same file"
            raise ConfigurationError(f"two loader files have the same name: {found[place]} and {path}", hint=hint)
    try:
        return {place: path.read_bytes() for place, path in found.items()}
    except OSError as error:
        hint = "a relative path starts at the folder in which you start `harness`"
        raise ConfigurationError(f"a loader file cannot be read: {error}", hint=hint) from error


def refuse_changed(folder: SessionFolder, content: SessionContent, digests: HostDigests) -> None:
    """Raise SessionError if an image or a data set on a host differs from the one that the session began with."""
    changes = changed_digests(content, digests)
    if changes:
        hint = "start a new session with --fresh: results of different images or data must not be mixed"
        if content.hosts and digests.host not in content.hosts:
            hint = CLASH_HINT
        raise SessionError("; ".join(changes), where=str(folder.path), hint=hint)


def _refuse_unusable(folder: SessionFolder, content: SessionContent, payload: Payload) -> None:
    if not content.id or not content.payload_digest:
        hint = "restore it from a copy, or start a new session with --fresh"
        raise SessionError("session.json is damaged: a part is missing", where=str(folder.path), hint=hint)
    if content.payload_digest != payload.digest:
        raise SessionError(
            "the benchmark's code (payload) has changed since this session began; results must not be mixed",
            where=str(folder.path),
            hint="start a new session with --fresh, or use the version of harness that began this one",
        )
    _refuse_changed_loaders(folder, content, payload)


def _refuse_changed_loaders(folder: SessionFolder, content: SessionContent, payload: Payload) -> None:
    """Raise SessionError for a user's loader that has changed since it was measured; others may change."""
    changed = {place for place, digest in payload.own.items() if content.own_loaders.get(place, digest) != digest}
    for record in read_records(folder) if changed else ():
        own = split_own(record.case.loader)
        if own is not None and own_place(own[0]) in changed and (record.epochs or record.status in ("ok", "oom")):
            raise SessionError(
                f"{own[0]} has changed since this session measured it; results must not be mixed",
                where=str(folder.path),
                hint="start a new session with --fresh, or restore the file",
            )
