"""The view: all that the page says, as text and numbers ready to be set; the template decides nothing."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Mark:
    """A judgement that is never colour alone: a sign, words, a tint's name and, below, a detail."""

    sign: str
    text: str
    tint: str
    detail: str = ""


@dataclass(frozen=True)
class RowView:
    """One case of a table: numbers as text, en dash for what was not measured."""

    loader: str
    cache: str
    case_id: str
    tags: tuple[str, ...]
    status: Mark
    first_epoch: str
    steady: str
    steady_range: str
    ratio: str
    ratio_range: str
    verdict: Mark
    per_cpu: str
    peak: str
    peak_share: str
    cache_measured: str
    cache_predicted: str


@dataclass(frozen=True)
class BlockView:
    """The rows of one memory limit."""

    limit: str
    note: str
    rows: tuple[RowView, ...]


@dataclass(frozen=True)
class GlanceRow:
    """One row of the small matrix: a mark for each memory limit."""

    loader: str
    cache: str
    cells: tuple[Mark, ...]


@dataclass(frozen=True)
class SettingView:
    """One mode, data set, size and interpolation. ``glance`` is empty where there is one memory limit."""

    anchor: str
    heading: str
    detail: str
    notes: tuple[str, ...]
    rate_heading: str
    limits: tuple[str, ...]
    glance: tuple[GlanceRow, ...]
    blocks: tuple[BlockView, ...]


@dataclass(frozen=True)
class Advice:
    """A sentence about one setting and memory limit; ``lead`` says which, ``answer`` the winner, if there is one."""

    lead: str
    answer: str
    text: str


@dataclass(frozen=True)
class GroupView:
    """One hardware. ``advice`` are plain sentences about what the data says."""

    anchor: str
    heading: str
    key: str
    hosts: str
    advice: tuple[Advice, ...]
    settings: tuple[SettingView, ...]


@dataclass(frozen=True)
class Belief:
    """Something that limits how far the page may be believed, and what to do about it."""

    mark: Mark
    message: str
    hint: str
    where: str


@dataclass(frozen=True)
class FailureView:
    """Invocations that ended alike: cause, evidence, last lines of one log, and the way to do it again."""

    mark: Mark
    case: str
    hardware: str
    where: str
    cause: str
    evidence: tuple[tuple[str, str], ...]
    to_do: str
    command: str
    log: str
    log_file: str


@dataclass(frozen=True)
class ArticleRow:
    """A row of the article, and what was measured here: one text for each hardware."""

    pipeline: str
    claim: str
    ours: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ArticleView:
    """The article beside this session; ``columns`` are the hardware groups."""

    columns: tuple[str, ...]
    rows: tuple[ArticleRow, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class HostView:
    """One host's facts and engine, as pairs of name and value."""

    name: str
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class View:
    """The whole page."""

    title: str
    summary: tuple[tuple[str, str], ...]
    progress: str
    counts: tuple[Mark, ...]
    groups: tuple[GroupView, ...]
    beliefs: tuple[Belief, ...]
    failures: tuple[FailureView, ...]
    failures_left_out: int
    article: ArticleView | None
    hosts: tuple[HostView, ...]
    environment: tuple[tuple[str, str], ...]
    superseded: tuple[str, ...]
    data_block: str | None
    data_note: str
