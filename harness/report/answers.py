"""Answers for a terminal and for programs: in two or three sentences what to use, what it costs and what does not fit.

An answer that is not settled is provisional, and has the command that measures more.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from harness.analysis.advice import Choice, Kind, Span, advise
from harness.analysis.candidates import Lack
from harness.analysis.matrix import Row, Setting
from harness.analysis.payback import NeverPays, PaysFrom
from harness.analysis.short_epochs import say_cure
from harness.analysis.statistics import Estimate
from harness.records.session_data import SessionData
from harness.report.advice import is_provisional, names_several, say_cache_cost, view_span
from harness.report.groups import group_sessions
from harness.report.hardware import name_groups
from harness.report.recipes.measured import view_recipe
from harness.report.scope import name_part, name_setting
from harness.report.view import Recipe
from harness.report.words import format_number, format_seconds
from harness.values.case import Case, Mode
from harness.values.names import name_limit, name_pipeline
from harness.values.text import clean_text, plural
from harness.values.units import format_bytes

_ANSWERED: frozenset[Kind] = frozenset({"winner", "survivor", "baseline", "same", "bound", "open"})
_MOST_UNFIT = 3
_TIGHT = 0.9
"""A share of the limit: a pipeline that takes more may run out of memory on a busier day."""
_MOST_SPAN = 20.0
"""Upper by lower bound: a wider interval is not printed."""
_CHEAPEST = ("none", "memory")


@dataclass(frozen=True)
class Answer:
    """What to do in one setting and memory limit on one hardware.

    ``case`` is the pipeline to use, None where none has a result that holds; ``recipe`` its code. ``ratio`` is to the
    baseline. ``pays_from`` is an epoch, ``never``, or None where there is no cache or that is not known. ``unfit`` has
    a sentence for each pipeline that does not hold the whole set.
    """

    hardware: str
    setting: str
    mode: Mode
    where: str
    kind: Kind
    is_settled: bool
    sentences: tuple[str, ...]
    unfit: tuple[str, ...] = ()
    case: Case | None = None
    baseline: str = ""
    ratio: Estimate | None = None
    images_per_s: float | None = None
    baseline_images_per_s: float | None = None
    pays_from: int | str | None = None
    cache_bytes: int | None = None
    memory_bytes: int | None = None
    recipe: Recipe | None = None

    @property
    def pipeline(self) -> str:
        """The pipeline to use, by its name; empty where there is none."""
        return "" if self.case is None else name_pipeline(self.case)

    def as_json(self) -> dict[str, object]:
        """Return the answer as a JSON object, for programs."""
        ratio = self.ratio
        return {
            "hardware": self.hardware,
            "setting": self.setting,
            "mode": self.mode,
            "where": self.where,
            "kind": self.kind,
            "is_settled": self.is_settled,
            "pipeline": self.pipeline or None,
            "case": None if self.case is None else self.case.model_dump(mode="json"),
            "baseline": self.baseline or None,
            "ratio": None
            if ratio is None
            else {"value": ratio.value, "low": ratio.low, "high": ratio.high, "pairs": ratio.n},
            "images_per_s": self.images_per_s,
            "baseline_images_per_s": self.baseline_images_per_s,
            "pays_from_epoch": self.pays_from,
            "cache_bytes": self.cache_bytes,
            "memory_bytes": self.memory_bytes,
            "sentences": list(self.sentences),
            "does_not_fit": list(self.unfit),
            "code": self.recipe.code if self.recipe is not None and self.recipe.code else None,
        }


def answer_sessions(
    sessions: Sequence[SessionData], lacks: Sequence[Lack] = (), *, epochs: int | None = None, more: str = ""
) -> list[Answer]:
    """Return the answers of sessions, one for each hardware, setting and span of memory limits.

    ``lacks`` are the pipelines that were predicted not to fit, ``epochs`` is the number of epochs of the user's
    trainings, and ``more`` the command that measures more.
    """
    groups = group_sessions(sessions)
    return [
        _Asked(setting, spans, place, tuple(lacks), epochs, more).answer(
            heading, name_setting(setting, group.settings), sessions
        )
        for group, heading in zip(groups, name_groups(groups, sessions), strict=True)
        for setting in group.settings
        for spans in [advise(setting).spans]
        for place in range(len(spans))
    ]


def say_answers(answers: Sequence[Answer]) -> list[str]:
    """Return the answers as lines for a terminal, each under the name of its setting."""
    lines: list[str] = []
    heading = ""
    for answer in answers:
        if answer.hardware != heading:
            heading = answer.hardware
            lines += ["", heading]
        lines += ["", f"{answer.setting} · {answer.where}:"]
        lines += [f"  {sentence}" for sentence in (*answer.sentences, *answer.unfit)]
    return lines[1:]


@dataclass(frozen=True)
class _Asked:
    """One span of memory limits of one setting, with what its answer needs beside the records."""

    setting: Setting
    spans: Sequence[Span]
    place: int
    lacks: tuple[Lack, ...]
    epochs: int | None
    more: str

    @property
    def choice(self) -> Choice:
        return self.spans[self.place].choice

    def answer(self, hardware: str, name: str, sessions: Sequence[SessionData]) -> Answer:
        """Return the answer for this span, with the code of the pipeline that it names."""
        choice, setting = self.choice, self.setting
        row = _pick_row(choice, setting)
        baseline = choice.baseline
        said = view_span(self.spans, self.place, setting)
        return Answer(
            hardware=hardware,
            setting=name,
            mode=setting.case.mode,
            where=said.where[0].lower() + said.where[1:],
            kind=choice.kind,
            is_settled=self.is_settled,
            sentences=self._write(row, said.answer, said.text),
            unfit=tuple(clean_text(text, 500) for text in self._say_unfit()),
            case=None if row is None else row.case,
            baseline="" if baseline is None else name_pipeline(baseline.case),
            ratio=None if row is None else row.ratio,
            images_per_s=_rate_of(row, setting),
            baseline_images_per_s=_rate_of(baseline, setting),
            pays_from=_name_epoch(row),
            cache_bytes=None if row is None else row.summary.cache_bytes or row.summary.cache_predicted_bytes,
            memory_bytes=None if row is None else row.summary.peak_anon_bytes,
            recipe=None if row is None else view_recipe(row, sessions),
        )

    @property
    def is_settled(self) -> bool:
        """Whether more rounds would not change what the answer names."""
        return self.choice.kind in _ANSWERED and not is_provisional(self.choice)

    def _write(self, row: Row | None, answer: str, text: str) -> tuple[str, ...]:
        """Return the sentences; the first ends with the command that measures more, where there is one."""
        first, *others = [clean_text(said, 1000) for said in self._say(row, answer, text)]
        is_open = row is not None and is_provisional(self.choice)
        if self.more and self.choice.kind == "alone" and len(self.setting.pipelines_at(self.choice.limit)) == 1:
            return (f"{first} Nothing else was measured yet; to go on:  {self.more}", *others)
        return (f"{first}, or measure more:  {self.more}" if is_open and self.more else first, *others)

    def _say(self, row: Row | None, answer: str, text: str) -> Iterator[str]:
        """Yield what to use and how sure that is, then what it costs."""
        choice, setting = self.choice, self.setting
        if choice.kind == "short" and row is not None:
            yield self._say_short(row)
        elif is_provisional(choice) and row is not None:
            yield f"Not settled yet: {self._say_provisional(row)}; take it"
        elif answer:
            rates = _rate_of(choice.row, setting), _rate_of(choice.baseline, setting)
            both = f" ({format_number(rates[0])} against {format_number(rates[1])} images/s)" if all(rates) else ""
            is_compared = choice.kind == "winner"
            yield f"Use {answer}{',' if names_several(choice) else ':'} {text}{both if is_compared else ''}."
        else:
            yield f"{text[0].upper()}{text[1:]}."
        if row is not None:
            yield from self._say_cost(row)

    def _say_provisional(self, row: Row) -> str:
        """Return what is known so far of the fastest pipeline."""
        name, ratio, baseline = name_pipeline(row.case), row.ratio, self.choice.baseline
        part = f", measured on {part}" if (part := name_part(self.setting)) else ""
        if ratio is None or baseline is None:
            rate = format_number(_rate_of(row, self.setting))
            return f"{name} is the fastest so far with {rate} images/s{part}"
        other = name_pipeline(baseline.case)
        if ratio.low is None or ratio.high is None:
            pairs = plural(ratio.n, "pair")
            return f"{name} was {say_times(ratio.value)} {other} in {pairs} of runs, too few for an interval{part}"
        if ratio.high / ratio.low > _MOST_SPAN:
            pairs = plural(ratio.n, "pair")
            return f"{name} was {say_times(ratio.value)} {other} in {pairs} of runs, which may be chance{part}"
        return f"{name} is between {say_times(ratio.low)} and {say_times(ratio.high)} {other}{part}"

    def _say_short(self, row: Row) -> str:
        """Return the figures of epochs that are too short for a verdict: the user may have no larger set to measure."""
        setting, baseline = self.setting, self.choice.baseline
        shorts = [found for one in self.choice.level if (found := one.summary.short_epochs(setting.metric)) is not None]
        short = min(shorts, key=lambda found: found.seconds)
        seconds, cure = format_number(short.seconds), say_cure(short.images_needed)
        text = f"No verdict: epochs of {seconds} s are too short for one ({cure})"
        rate, other = _rate_of(row, setting), _rate_of(baseline, setting)
        if baseline is None or baseline is row or row.ratio is None or rate is None or other is None:
            return f"{text}: with so few images any pipeline will do, and {name_pipeline(row.case)} was the fastest."
        against = f"{format_number(rate)} against {format_number(other)} images/s"
        times = f"{say_times(row.ratio.value)} {name_pipeline(baseline.case)} ({against})"
        return f"{text}; but {name_pipeline(row.case)} was {times}: take it."

    def _say_cost(self, row: Row) -> Iterator[str]:
        """Yield what the pipeline takes, and from which epoch its cache pays for itself."""
        summary = row.summary
        peak = format_bytes(summary.peak_anon_bytes)
        is_tight = (summary.peak_anon_bytes or 0) > _TIGHT * (summary.limit_bytes or float("inf"))
        nearly = ", nearly all used" if is_tight else ""
        limit = f" (limit {format_bytes(summary.limit_bytes)}{nearly})" if summary.limit_bytes is not None else ""
        if row.case.cache == "none":
            yield f"It keeps no cache and took {peak} of memory{limit}."
        else:
            cost = " ".join(say_cache_cost(row)).removesuffix(".")
            yield f"{cost or 'It keeps a cache'}; the program took {peak} of memory{limit}."
        if self.epochs is not None and (line := self._say_training(row, self.epochs)):
            yield line

    def _say_training(self, row: Row, epochs: int) -> str:
        """Return how long the user's epochs take on the whole set, and whether the cache pays within them."""
        own, baseline = _total_s(row, epochs), self.choice.baseline
        if own is None:
            return ""
        text = f"{plural(epochs, 'epoch')} over all images take about {format_seconds(own)}"
        other = None if baseline is None or baseline is row else _total_s(baseline, epochs)
        if other is not None and baseline is not None:
            text += f", with {name_pipeline(baseline.case)} about {format_seconds(other)}"
        if isinstance(row.payback, PaysFrom) and row.payback.epoch > epochs:
            text += f"; the cache does not pay within them: take {row.case.loader} without one"
        return f"{text}."

    def _say_unfit(self) -> Iterator[str]:
        """Yield which pipelines do not hold the whole set, what each would need, and which similar one fits."""
        living = self.setting.pipelines_at(self.choice.limit)
        dead = [row for row in living if "oom" in row.summary.statuses]
        aside = [row for row in self.choice.aside if row.outlook is not None and row.outlook.lacks is not None]
        rows = {name_pipeline(row.case): row for row in (*dead, *aside)}
        known = {name_pipeline(lack.case): lack for lack in self.lacks}
        names = list(dict.fromkeys((*rows, *known)))
        for name in names[:_MOST_UNFIT]:
            yield _say_one_unfit(known.get(name), rows.get(name), [row for row in living if row.summary.used])
        if len(names) > _MOST_UNFIT:
            yield f"And {len(names) - _MOST_UNFIT} more that do not fit."


def say_lack(lack: Lack) -> str:
    """Return ``tfdata with memory cache does not fit: it needs about 1.58 GB …``, with what would fit."""
    return _say_one_unfit(lack, None, ())


def _say_one_unfit(lack: Lack | None, row: Row | None, living: Sequence[Row]) -> str:
    """Return why a pipeline does not fit: by prediction, by its measurement (``row``), or by both.

    The same pipeline with a smaller cache that fits is named as it was measured, else as it is predicted.
    """
    case = lack.case if lack is not None else row.case if row is not None else None
    assert case is not None
    text = f"{name_pipeline(case)} does not fit{_say_deaths(row)}"
    need = lack.needed if lack is not None else _predict_need(row)
    if need is not None:
        held = f" ({format_bytes(lack.cache_bytes)} of it the cache)" if lack and lack.cache_bytes else ""
        of = lack.of if lack is not None else "memory"
        has = f", and {format_bytes(lack.available)} is available" if lack and lack.available is not None else ""
        text += f": it needs about {format_bytes(need)} of {of}{held if of == 'memory' else ''}{has}"
    kin = [one for one in living if one.case.cache == case.cache and one.case.element != case.element]
    seen = min(kin, key=lambda one: one.case.loader != case.loader, default=None)
    if seen is not None and seen.summary.peak_anon_bytes is not None:
        by = "" if seen.case.loader == case.loader else f" ({seen.case.loader})"
        took = format_bytes(seen.summary.peak_anon_bytes)
        text += f"; {_name_element(seen.case)}{by} it took {took} of memory and fits"
    elif lack is not None and lack.instead is not None:
        fits = "fits" if lack.is_instead_sure else "may fit"
        text += f"; {_name_element(lack.instead)} it needs about {format_bytes(lack.instead_needed)} and {fits}"
    return text + "."


def _name_element(case: Case) -> str:
    """Return ``cached as uint8``: what a cache holds, in words."""
    return f"cached as {'encoded files' if case.element == 'encoded' else case.element}"


def say_times(value: float) -> str:
    """Return ``3 % slower than`` or ``2.30 times as fast as``: a ratio of rates before the name of the other."""
    if value < 1:
        return f"{100 * (1 - value):.0f} % slower than"
    return f"{value:.2f} times as fast as" if value < 10 else f"{format_number(value)} times as fast as"


def _predict_need(row: Row | None) -> int | None:
    """Return the memory that was predicted for the whole set before a row was measured; None if nothing was."""
    found = row.summary.records[0].predictions if row is not None else None
    whole = None if found is None else found.whole_set or found
    return None if whole is None or whole.peak_memory_bytes is None else whole.peak_memory_bytes.expected


def _say_deaths(row: Row | None) -> str:
    """Return `` (it ran out of memory in 2 of 2 runs under 1 GB)``; empty where it did not."""
    if row is None:
        return ""
    died, runs = row.summary.statuses.get("oom", 0), len(row.summary.records)
    if not died:
        return ""
    return f" (it ran out of memory in {died} of {plural(runs, 'run')} under {name_limit(row.case.memory_limit)})"


def _pick_row(choice: Choice, setting: Setting) -> Row | None:
    """Return the row whose code is printed: the one that is named, else the cheapest as good, else the fastest."""
    if choice.kind == "bound":
        return min(choice.level, key=lambda row: _CHEAPEST.index(row.case.cache) if row.case.cache in _CHEAPEST else 2)
    if choice.kind == "same":
        return choice.baseline
    if choice.row is not None and choice.kind not in ("unpaired", "alone"):
        return choice.row
    aside = {id(row) for row in choice.aside}
    living = [row for row in setting.pipelines_at(choice.limit) if row.summary.used and id(row) not in aside]
    return max(living, key=lambda row: _rate_of(row, setting) or 0.0, default=None)


def _name_epoch(row: Row | None) -> int | str | None:
    """Return from which epoch a row's cache pays for itself, or ``never``; None where that is not known."""
    payback = None if row is None else row.payback
    match payback:
        case PaysFrom(epoch):
            return epoch
        case NeverPays():
            return "never"
    return None


def _rate_of(row: Row | None, setting: Setting) -> float | None:
    """Return a row's images/s; None where it has no result that counts."""
    found = None if row is None or not row.summary.used else row.summary.rate(setting.metric)
    return None if found is None else found.value


def _total_s(row: Row, epochs: int) -> float | None:
    """Return the seconds that ``epochs`` take on the whole set, by its images; None where they were not measured."""
    summary = row.summary
    if summary.fill_s is None or (epochs > 1 and summary.steady_epoch_s is None):
        return None
    coverage = row.outlook.coverage if row.outlook is not None else None
    if coverage is None or coverage.set_images is None:
        return None
    later = 0.0 if summary.steady_epoch_s is None else summary.steady_epoch_s.value * (epochs - 1)
    return (summary.fill_s.value + later) * coverage.set_images / coverage.images
