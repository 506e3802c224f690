"""The view: all that the page says, as text and numbers ready to be set; the template decides nothing."""

from __future__ import annotations

from dataclasses import dataclass

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Mark:
    """A judgement that is never colour alone: a sign, words, a tint's name and, below, a detail.

    ``heat``, 1 to 4, is how strong the tint of a cell of the matrix is; 0 for the tint as it is.
    """

    sign: str
    text: str
    tint: str
    detail: str = ""
    heat: int = 0


@dataclass(frozen=True)
class Recipe:
    """A pipeline as code to paste; ``note`` says what it is, or, where ``code`` is empty, why there is none."""

    name: str
    code: str
    note: str


@dataclass(frozen=True)
class AdviceSpan:
    """``where`` says from which memory limit on, ``answer`` the pipeline to use, if there is one."""

    where: str
    answer: str
    text: str


@dataclass(frozen=True)
class Advice:
    """One sentence about one setting (``lead``), a part a span of memory limits; ``notes`` say what it depends on."""

    lead: str
    spans: tuple[AdviceSpan, ...]
    notes: tuple[str, ...]
    recipes: tuple[Recipe, ...]


@dataclass(frozen=True)
class GlanceRow:
    """One row of the matrix: a mark for each memory limit."""

    loader: str
    cache: str
    cells: tuple[Mark, ...]


@dataclass(frozen=True)
class ChartView:
    """A chart: ``title`` says what it shows, ``caption`` what is drawn, with unit and direction.

    ``svg`` is ready to be set, named and described for those who listen.
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
    """What hosts of one kind are: ``facts`` in common, ``differences`` in fact or result with their hosts."""

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
    """One hardware. ``number`` and ``short`` name it where there are several; ``trouble``: what has no result."""

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
    """One cell of the table of cases; ``order`` is what it is sorted by, empty where there is nothing to sort."""

    text: str
    order: str = ""
    small: str = ""
    is_number: bool = False
    is_short: bool = False
    mark: Mark | None = None


@dataclass(frozen=True)
class CaseRow:
    """One case on one hardware; ``keys`` are the values that filters look for, in their order."""

    name: str
    tags: tuple[str, ...]
    keys: tuple[str, ...]
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Filter:
    """What a table can be narrowed by; ``name`` stands in links."""

    name: str
    label: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class CaseColumn:
    """A column; ``name`` stands in links, ``note`` says unit and direction."""

    name: str
    heading: str
    note: str = ""
    is_number: bool = False


@dataclass(frozen=True)
class CaseTable:
    """All cases: ``constants`` are what is the same in all of them and so stands above."""

    constants: Pairs
    filters: tuple[Filter, ...]
    columns: tuple[CaseColumn, ...]
    rows: tuple[CaseRow, ...]
    rows_left_out: int


@dataclass(frozen=True)
class PredictionRow:
    """What was predicted of a case on one hardware, and what was measured, pair by pair; ``judged`` says how well."""

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
    """Where a session stands: a row for each host (``columns`` say of what), and what ended alike."""

    heading: str
    state: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    lines: tuple[str, ...]
    command: str


@dataclass(frozen=True)
class Caveat:
    """A caveat: something that limits how far the page may be believed, and what to do.

    ``cases`` are all it is of; ``id`` is the finding's, for docs/findings.md.
    """

    mark: Mark
    message: str
    hint: str
    where: str
    cases: tuple[str, ...] = ()
    id: str = ""


@dataclass(frozen=True)
class FailureView:
    """Invocations that ended alike, or are invalid for one reason: cause, evidence, a log, the way to do it again."""

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
    """A row of the article, and what was measured here: lines for each hardware."""

    pipeline: str
    claim: str
    ours: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class ArticleView:
    """The article beside this session; ``columns`` are the hardware groups, ``reasons`` why ours differ."""

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
    """A file that a session was started from, as text without secrets."""

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
