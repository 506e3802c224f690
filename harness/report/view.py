"""The view: everything on the page as text and numbers; the templates make no decisions."""

from __future__ import annotations

from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mark:
    """A judgement: a sign, words, the name of a tint and a detail below, so that it is never colour alone.

    ``heat`` is the strength of the tint in a cell of the matrix, 1 to 4; 0 is the plain tint.
    """

    sign: str
    text: str
    tint: str
    detail: str = ""
    heat: int = 0


@dataclass(frozen=True)
class Recipe:
    """A pipeline as code to paste; ``note`` describes it, or where ``code`` is empty why there is none."""

    name: str
    code: str
    note: str


@dataclass(frozen=True)
class AdviceSpan:
    """The advice for a span of memory limits: ``where`` it holds, the pipeline to use if there is one, and a text."""

    where: str
    answer: str
    text: str


@dataclass(frozen=True)
class Advice:
    """The advice for one setting, named by ``lead``: a part for each span of memory limits, and ``notes``."""

    lead: str
    spans: tuple[AdviceSpan, ...]
    notes: tuple[str, ...]
    recipes: tuple[Recipe, ...]


@dataclass(frozen=True)
class GlanceRow:
    """A row of the matrix: a mark for each memory limit."""

    loader: str
    cache: str
    cells: tuple[Mark, ...]


@dataclass(frozen=True)
class ChartView:
    """A chart: ``title`` states its result, ``caption`` what is drawn, with unit and direction.

    ``svg`` has a name and a description for screen readers.
    """

    title: str
    caption: str
    svg: str


@dataclass(frozen=True)
class SettingView:
    """One mode, data set, size and interpolation: its matrix and its charts."""

    anchor: str
    heading: str
    detail: str
    notes: tuple[str, ...]
    rate_heading: str
    limits: tuple[str, ...]
    glance: tuple[GlanceRow, ...]
    charts: tuple[ChartView, ...]


@dataclass(frozen=True)
class HardwareCard:
    """What hosts of one kind are: common ``facts``, and ``differences`` in facts or results with their hosts."""

    facts: Pairs
    hosts: str
    differences: tuple[str, ...]


@dataclass(frozen=True)
class Trouble:
    """An outcome that is no usable result, and all cases that ended so."""

    mark: Mark
    cases: tuple[str, ...]


@dataclass(frozen=True)
class OverviewAnswer:
    """A setting's answer on the first screen; ``bar`` is the ratio's share of the page's largest, in percent."""

    setting: str
    use: str
    ratio: str
    interval: str
    times: float
    baseline: str
    memory: str
    cost: str
    confidence: Mark
    reasons: tuple[str, ...]
    bar: int = 0


@dataclass(frozen=True)
class GroupView:
    """One hardware. ``number`` and ``short`` name it where there are several; ``trouble`` lists what has no result."""

    anchor: str
    number: str
    heading: str
    short: str
    key: str
    hosts: str
    card: HardwareCard
    trouble: tuple[Trouble, ...]
    answers: tuple[OverviewAnswer, ...]
    advice: tuple[Advice, ...]
    settings: tuple[SettingView, ...]
    settings_left_out: int


@dataclass(frozen=True)
class Cell:
    """A cell of the table of cases; ``order`` is the key by which it is sorted, empty where it has no value."""

    text: str
    order: str = ""
    small: str = ""
    is_number: bool = False
    is_short: bool = False
    mark: Mark | None = None


@dataclass(frozen=True)
class CaseRow:
    """A case on one hardware; ``keys`` are the values of the filters, in their order."""

    name: str
    tags: tuple[str, ...]
    keys: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Filter:
    """A filter of a table; ``name`` is used in links."""

    name: str
    label: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class CaseColumn:
    """A column; ``name`` is used in links, ``note`` is its unit and direction."""

    name: str
    heading: str
    note: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class CaseTable:
    """All cases: ``constants`` are the values that all of them share, which are listed above the table."""

    constants: Pairs
    filters: tuple[Filter, ...]
    columns: tuple[CaseColumn, ...]
    rows: tuple[CaseRow, ...]
    rows_left_out: int


@dataclass(frozen=True)
class PredictionRow:
    """What was predicted and measured for a case on one hardware; ``judged`` states how well both agree."""

    case: str
    where: str
    limit: str
    said: str
    ended: str
    memory: str
    peak: str
    dies_after: str
    died_after: str
    cache: str
    held: str
    judged: Mark


@dataclass(frozen=True)
class PredictionTable:
    """Predictions beside measurements."""

    rows: tuple[PredictionRow, ...]
    rows_left_out: int


@dataclass(frozen=True)
class RecapView:
    """The state of a session: a row for each host under ``columns``, and ``lines`` for runs that ended alike."""

    heading: str
    state: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Caveat:
    """A caveat: something that limits the results, and what to do about it.

    ``cases`` are those that it concerns; ``id`` is that of the finding in docs/findings.md.
    """

    mark: Mark
    message: str
    hint: str
    where: str
    cases: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class FailureView:
    """Runs that ended alike, or are invalid for one reason: cause, evidence, log, and the command that repeats them."""

    mark: Mark
    case: str
    hardware: str
    where: str
    cause: str
    evidence: Pairs
    to_do: str
    command: str
    log: str
    log_file: str


@dataclass(frozen=True)
class ArticleRow:
    """A row of the article's table, and the lines that were measured here on each hardware."""

    pipeline: str
    claim: str
    ours: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ArticleView:
    """The article beside this session; ``columns`` are the hardware groups, ``reasons`` why the figures differ."""

    columns: tuple[str, ...]
    rows: tuple[ArticleRow, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class HostView:
    """One host's facts and engine, as pairs of name and value."""

    name: str
    facts: Pairs


@dataclass(frozen=True)
class Ledger:
    """What was sent to which host."""

    rows: tuple[tuple[str, ...], ...]
    rows_left_out: int


@dataclass(frozen=True)
class Source:
    """An input file of a session, as text without secrets."""

    name: str
    text: str


@dataclass(frozen=True)
class View:
    """The whole page."""

    title: str
    volume: str
    summary: Pairs
    progress: str
    counts: tuple[Mark, ...]
    belief_counts: tuple[Mark, ...]
    recaps: tuple[RecapView, ...]
    groups: tuple[GroupView, ...]
    beliefs: tuple[Caveat, ...]
    cases: CaseTable | None
    predictions: PredictionTable | None
    failures: tuple[FailureView, ...]
    failures_left_out: tuple[str, ...]
    article: ArticleView | None
    hosts: tuple[HostView, ...]
    environment: Pairs
    loaders: Pairs
    ledger: Ledger | None
    sources: tuple[Source, ...]
    superseded: tuple[str, ...]
    data_block: str | None
    data_note: str
