"""Advice in words: what to use in each setting from which memory limit on, how sure that is, what it depends on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from harness.analysis.advice import Choice, SettingAdvice, Span, advise
from harness.analysis.limit_search import Answer, find_limits, say_limits
from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.payback import PaysFrom
from harness.analysis.short_epochs import LEAST_EPOCH_S, say_cure
from harness.analysis.statistics import LEAST_PAIRS
from harness.bench.protocol.loader_registry import is_yardstick
from harness.records.session_data import SessionData
from harness.report.axes import say_buffers, say_knees
from harness.report.deliveries import say_deliveries
from harness.report.labels import describe_openness, say_ends
from harness.report.recipes.measured import view_recipe
from harness.report.scope import name_part, name_setting, say_aside, say_epochs, say_scope
from harness.report.stage_words import say_dominant
from harness.report.view import Advice, AdviceSpan, Recipe
from harness.report.words import (
    format_number,
    format_percent,
    format_ratio,
    name_ordinal,
    say_disturbance,
    say_payback,
    say_ratio,
)
from harness.values.names import name_limit, name_pipeline
from harness.values.text import clean_text, join_words, plural
from harness.values.units import format_bytes

_MOST_RECIPES = 3


def advise_group(group: HardwareGroup, sessions: Sequence[SessionData] = ()) -> list[Advice]:
    """Return one advice for each setting: training before loading, equal pixels before native ones.

    ``sessions`` are the source of the code to paste; without them there is no code.
    """
    return [view_advice(advise(setting), group, sessions) for setting in group.settings]


def view_advice(advice: SettingAdvice, group: HardwareGroup, sessions: Sequence[SessionData] = ()) -> Advice:
    """Build the sentence of a setting, its notes, and code to paste for each winner."""
    setting = advice.setting
    spans = tuple(view_span(advice.spans, place, setting) for place in range(len(advice.spans)))
    return Advice(
        lead=name_setting(setting, group.settings),
        spans=spans,
        notes=tuple(clean_text(note, 500) for note in (*_notes(advice), *say_deliveries(setting, group))),
        recipes=tuple(_recipes(advice, sessions)) if sessions else (),
    )


def say_advice(advice: Advice) -> str:
    """Return the sentence as plain text, for a terminal and an index."""
    said = [f"{span.where}: {span.answer + ', ' if span.answer else ''}{span.text}" for span in advice.spans]
    return "; ".join(said) + "." if said else "a memory limit was searched; no pipelines were compared."


def view_span(spans: Sequence[Span], place: int, setting: Setting) -> AdviceSpan:
    """Build the texts of a span: for which limits it holds, what to use there, and how sure that is."""
    choice = spans[place].choice
    where = _say_where(spans, place, setting)
    where = where[0].upper() + where[1:] if place == 0 else where
    answer = name_answer(choice)
    text = _SAID[choice.kind] if choice.kind in _SAID else _SAY[choice.kind](choice, setting)
    if len(spans[place].limits) > 1 and choice.found is not None:
        text += f" (at {name_limit(choice.limit)}, where the ratio is smallest)"
    text += _say_selection(choice) + say_scope(choice, setting)
    text = "; ".join([text, *say_aside(choice)])
    return AdviceSpan(clean_text(where), clean_text(answer, 500), clean_text(text, 2000))


_MOST_WITHIN = 1.0
"""Pipelines that may differ by more than a factor of two are no answer."""


def is_narrow(choice: Choice) -> bool:
    """Return whether all pipelines that the answer names are alike, within a factor of two."""
    return choice.within is not None and choice.within <= _MOST_WITHIN


def names_several(choice: Choice) -> bool:
    """Return whether the answer names several pipelines of which any may be used."""
    return bool(choice.level) and is_narrow(choice)


def is_provisional(choice: Choice) -> bool:
    """Return whether more rounds may change the answer."""
    return choice.kind in ("few", "unpaired") or (choice.kind == "open" and not is_narrow(choice))


def name_answer(choice: Choice) -> str:
    """Name what to use: one pipeline, or several of which any may be used; empty where that is not settled."""
    if choice.row is None or choice.kind not in ("winner", "survivor", "baseline", "open"):
        return ""
    if names_several(choice):
        return " or ".join(_name(row) for row in (choice.row, *choice.level))
    return "" if choice.kind == "open" else _name(choice.row)


def _say_within(choice: Choice) -> str:
    """Return ``which differ by at most 8 %: `` for an answer that names several pipelines."""
    if not names_several(choice) or choice.within is None:
        return ""
    return f"which differ by at most {format_percent(choice.within)}: "


def _say_level(choice: Choice) -> str:
    """Name the other pipelines that may be the fastest, where the answer does not name them."""
    if not choice.level or is_narrow(choice):
        return ""
    return f", not proven faster than {join_words(_name(other) for other in choice.level)}"


def _say_selection(choice: Choice) -> str:
    """State what disturbed the measurements behind an answer, and how many do not count."""
    said = [say_disturbance(choice.disturbance, choice.pairs)]
    if choice.left_out:
        said.append(f"{plural(choice.left_out, 'more disturbed pair')} not counted")
    return "".join(f", {part}" for part in said if part)


def _say_where(spans: Sequence[Span], place: int, setting: Setting) -> str:
    """State for which limits a span holds: results hold for larger ones, failures for smaller ones."""
    limits, kind = spans[place].limits, spans[place].choice.kind
    if len(spans) == 1 and len(limits) > 1:
        return f"at every limit measured ({join_words(name_limit(limit) for limit in limits)})"
    if limits[0] == "none":
        return _say_all(setting)
    if kind == "dead" and len(spans) > 1:
        return f"up to {name_limit(limits[-1])} for the container"
    is_last_of_numbers = place + 1 == len(spans) or spans[place + 1].limits[0] == "none"
    if kind in ("unmeasured", "set-aside") or (place == 0 and is_last_of_numbers):
        return f"with {join_words(name_limit(limit) for limit in limits)} for the container"
    return f"from {name_limit(limits[0])} on"


def _say_all(setting: Setting) -> str:
    """State what ``none`` meant: all memory that was available on each host."""
    found = {
        record.memory.limit_effective
        for row in setting.rows_at("none")
        for record in row.summary.records
        if record.memory.limit_effective is not None
    }
    amounts = list(dict.fromkeys(format_bytes(amount) for amount in sorted(found)))
    said = f" ({amounts[0]}{' to ' + amounts[-1] if len(amounts) > 1 else ''} available)" if amounts else ""
    return f"with no limit{said}"


def _say_winner(choice: Choice, setting: Setting) -> str:
    row, found, baseline = choice.row, choice.found, choice.baseline
    assert row is not None and baseline is not None and found is not None and found.ratio is not None
    subject = f"{_name(row)} has " if names_several(choice) else ""
    text = f"{_say_within(choice)}{subject}{say_ratio(found.ratio)} the images/s of {_name(baseline)}"
    text += f"{say_epochs(setting)}, {_say_witnesses(choice)}"
    ended = row.summary.statuses.get("ok", 0)
    if ended < len(row.summary.records):
        text += f", though only {ended} of its {plural(len(row.summary.records), 'run')} succeeded"
    return text + _say_level(choice)


def _say_witnesses(choice: Choice) -> str:
    assert choice.found is not None and choice.found.ratio is not None
    pairs, hosts = plural(choice.found.ratio.n, "pair") + " of runs", len(choice.found.hosts)
    agreeing = f"{choice.found.agreeing} of {hosts} hosts agree" if hosts > 1 else "1 host"
    return f"{agreeing}, {pairs}"


def _say_bound(choice: Choice, setting: Setting) -> str:
    names = join_words(_name(row) for row in choice.level)
    why = f"{names} reach its limit, so no loader can win here"
    return f"the model is the bottleneck: {why}; only a faster model or a GPU would show a difference"


def _say_survivor(choice: Choice, setting: Setting) -> str:
    assert choice.row is not None
    summary = choice.row.summary
    rate = summary.rate(setting.metric)
    text = f"{_say_within(choice)}{format_number(rate.value if rate else None)} images/s"
    text += f"{' with ' + _name(choice.row) if _say_within(choice) else ''}, the highest rate here; no ratio, because "
    if choice.baseline is None:
        text += "the baseline was not measured here"
    elif is_yardstick(choice.baseline.case.loader):
        text += f"the baseline {_name(choice.baseline)} is a yardstick and no pipeline to use"
    elif any(row is choice.baseline for row in choice.aside):
        text += f"the result of the baseline {_name(choice.baseline)} does not hold on the whole set"
    else:
        text += (
            f"the baseline {_name(choice.baseline)} has no result here ({say_ends(choice.baseline.summary.records)})"
        )
    return text + _say_level(choice)


def _say_few(choice: Choice, setting: Setting) -> str:
    assert choice.found is not None and choice.found.ratio is not None
    pairs = choice.found.ratio.n
    few = "one pair of runs gives no interval" if pairs == 1 else f"{pairs} pairs of runs give no interval"
    return f"not settled: {_say_leader(choice)}; {few}{_say_unpaired_rounds(choice, pairs)}"


def _say_unpaired_rounds(choice: Choice, pairs: int) -> str:
    """State why there are no more pairs: too few rounds, or rounds without a result of both."""
    rows = [row for row in (choice.row, choice.baseline) if row is not None]
    rounds = {(record.session, record.host, record.round) for row in rows for record in row.summary.records}
    if len(rounds) == pairs:
        missing = max(1, LEAST_PAIRS - pairs)
        return f", at least {plural(missing, 'more round')} {'is' if missing == 1 else 'are'} needed"
    return f": {pairs} of {len(rounds)} rounds {'has' if pairs == 1 else 'have'} a result of both"


def _say_open(choice: Choice, setting: Setting) -> str:
    assert choice.found is not None
    if is_narrow(choice):
        return f"{_say_within(choice)}{_say_leader(choice)}, {_say_witnesses(choice)}"
    return f"not settled: {_say_leader(choice)}; {describe_openness(choice.found)}"


def _say_leader(choice: Choice) -> str:
    assert choice.row is not None and choice.baseline is not None and choice.found is not None
    return f"{_name(choice.row)} has {say_ratio(choice.found.ratio)} the images/s of {_name(choice.baseline)}"


def _say_same(choice: Choice, setting: Setting) -> str:
    assert choice.baseline is not None
    return f"no practical difference from {_name(choice.baseline)} (all are within 5 %): use what is simplest"


def _say_alone(choice: Choice, setting: Setting) -> str:
    assert choice.baseline is not None
    where = "here that holds on the whole set" if choice.aside else "here"
    return f"no advice: only the baseline {_name(choice.baseline)} has a result {where}"


def _say_unpaired(choice: Choice, setting: Setting) -> str:
    assert choice.baseline is not None
    name = _name(choice.baseline)
    return f"no verdict: no round has results of both {name} and another pipeline"


def _say_unmeasured(choice: Choice, setting: Setting) -> str:
    rows = setting.pipelines_at(choice.limit)
    if not rows:
        return "no advice: only the yardstick was measured here"
    ends = say_ends(record for row in rows for record in row.summary.records)
    return f"no advice: no pipeline has a result here ({ends})"


def _say_dead(choice: Choice, setting: Setting) -> str:
    if choice.baseline is None:  # as after a session that was stopped early: other pipelines may fit
        names = join_words(_name(row) for row in choice.dead)
        return f"no advice: all that was measured here ran out of memory ({names}); the rest was not measured"
    return "no advice: every case ran out of memory; raise the memory limit, or use smaller batches or images"


def _say_short(choice: Choice, setting: Setting) -> str:
    found = [short for row in choice.level if (short := row.summary.short_epochs(setting.metric)) is not None]
    names = join_words(dict.fromkeys(_name(row) for row in choice.level))
    span = " to ".join(dict.fromkeys(f"{1000 * pick(one.seconds for one in found):.0f}" for pick in (min, max)))
    return (
        f"no advice: epochs of {names} took {span} ms, and below {LEAST_EPOCH_S} s their start dominates the rate; "
        f"{say_cure(max(one.images_needed for one in found))}"
    )


_SAY = {
    "winner": _say_winner,
    "bound": _say_bound,
    "survivor": _say_survivor,
    "few": _say_few,
    "open": _say_open,
    "same": _say_same,
    "unpaired": _say_unpaired,
    "alone": _say_alone,
    "unmeasured": _say_unmeasured,
    "dead": _say_dead,
    "short": _say_short,
}
_SAID = {
    "baseline": "no other pipeline is more than 5 % faster than this, the baseline",
    "set-aside": "no advice: no result here holds on the whole set",
}
"""Texts that are the same for every choice of a kind."""


def _notes(advice: SettingAdvice) -> Iterable[str]:
    """Return the sentences after the first one, each once."""
    said: list[str] = []
    for span in advice.spans:
        choice = span.choice
        if choice.kind in ("winner", "survivor") and choice.row is not None:
            said += [*say_cache_cost(choice.row), *_say_gain(choice)]
    said += [*_say_oom(advice), *_say_limits(advice.setting), *_say_model_limit(advice), *say_knees(advice.setting)]
    said += say_buffers(advice.setting)
    rows = [row for span in advice.spans for row in (span.choice.row, span.choice.baseline) if row is not None]
    said += say_dominant(rows, advice.setting)
    if advice.setting.case.interpolation == "native":
        said.append("Pixels differ: each loader resizes in its own way here, so a difference may come from that.")
    if advice.setting.metric == "first" and any(r.case.cache != "none" for r in advice.setting.rows):
        said.append("Only one epoch was measured: a cache shows its effect from the second epoch on.")
    return dict.fromkeys(said)


def say_cache_cost(row: Row) -> Iterable[str]:
    """State from which epoch a cache pays for itself, and what it takes; nothing where there is no cache."""
    case, payback = row.case, row.payback
    if payback is None:
        return
    size = say_cache_size(row)
    if case.cache_reuse == "reused":
        yield f"The cache was made before the run{f'; it takes {size}' if size else ''}."
        return
    text = say_payback(payback, f"the {case.cache} cache")
    if isinstance(payback, PaysFrom) and case.cache != "memory" and (training := payback.training(case.epochs)) > 1:
        text += f", or from the {name_ordinal(training)} training of {plural(case.epochs, 'epoch')} if it is kept"
    yield f"{text[0].upper()}{text[1:]}{f'; it takes {size}' if size else ''}."


def say_cache_size(row: Row) -> str:
    """State what a cache takes on the whole set: measured, else predicted; empty where neither is known."""
    summary, outlook = row.summary, row.outlook
    place = "memory" if summary.case.cache == "memory" else "disk"
    whole = outlook.coverage.set_images if outlook is not None and outlook.coverage is not None else None
    if outlook is not None and outlook.is_part and outlook.cache_bytes is not None and whole is not None:
        return f"{format_bytes(outlook.cache_bytes)} of {place} for all {whole:,} images (predicted)"
    if summary.cache_bytes is not None:
        return f"{format_bytes(summary.cache_bytes)} of {place}"
    if summary.cache_predicted_bytes is not None:
        return f"{format_bytes(summary.cache_predicted_bytes)} of {place} (calculated)"
    return ""


def _say_gain(choice: Choice) -> Iterable[str]:
    row = choice.row
    work = row.per_cpu.ratio if row is not None and row.per_cpu else None
    if choice.gain == "cores" and row is not None and work is not None:
        yield (
            f"{_name(row)} is faster because it uses more threads, not because it does less work: per CPU second it "
            f"delivers {say_ratio(work)} the images of the baseline."
        )
    elif choice.gain == "cores-and-cache" and choice.plain is not None:
        plain = choice.plain
        ratio = plain.ratio
        own = plain.per_cpu.ratio if plain.per_cpu else None
        if ratio is not None and own is not None:
            yield (
                f"Of the {format_ratio(choice.found.ratio.value if choice.found and choice.found.ratio else None)}, "
                f"{format_ratio(ratio.value)} comes from more threads ({_name(plain)} without a cache delivers "
                f"{say_ratio(own)} the images per CPU second) and the rest from the cache."
            )
    elif choice.gain == "cheaper" and row is not None and work is not None:
        yield (
            f"{_name(row)} is faster because it does less work, not because it uses more threads: per CPU second it "
            f"delivers {say_ratio(work)} the images of the baseline."
        )


def _say_oom(advice: SettingAdvice) -> Iterable[str]:
    by_name: dict[str, list[int | str]] = {}
    for row in advice.setting.rows:
        if row.summary.alias is None and "oom" in row.summary.statuses:
            by_name.setdefault(_name(row), []).append(row.case.memory_limit)
    by_limits: dict[tuple[int | str, ...], list[str]] = {}
    for name, limits in by_name.items():
        by_limits.setdefault(tuple(sorted(limits, key=str)), []).append(name)
    for where, names in by_limits.items():
        verb = "runs" if len(names) == 1 else "run"
        yield f"{join_words(names)} {verb} out of memory at {join_words(name_limit(limit) for limit in where)}."


def _say_limits(setting: Setting) -> Iterable[str]:
    """Return a sentence for each searched pipeline and host; nothing where nothing was searched."""
    answers = find_limits(setting)
    has_hosts = len({answer.host for answer in answers}) > 1
    for answer in answers:
        where = f" on {clean_text(answer.host, 60)}" if has_hosts else ""
        yield _say_answer(answer, where + _say_part(answer, setting))


def _say_part(answer: Answer, setting: Setting) -> str:
    """State on what part of its set a case was searched, and what a memory cache of the whole set would need."""
    part = name_part(setting)
    if not part:
        return ""
    outlooks = [row.outlook for row in setting.trials if row.case.cache == answer.case.cache == "memory"
                and row.case.loader == answer.case.loader and row.outlook is not None]  # fmt: skip
    need = next((outlook.memory.expected for outlook in outlooks if outlook.memory is not None), None)
    whole = f", all of them need about {format_bytes(need)}" if need is not None else ""
    return f" (with {part}{whole})"


def _say_answer(answer: Answer, where: str) -> str:
    name, found = name_pipeline(answer.case), answer.found
    if found.lives_from is None:
        return f"{name} runs under no memory limit that was tried{where}."
    return f"{say_limits(name, found, where=where, is_open=answer.is_open)}."


def _say_model_limit(advice: SettingAdvice) -> Iterable[str]:
    kinds = {span.choice.kind for span in advice.spans}
    bound = [row for row in advice.setting.rows if row.model_bound and (row.outlook is None or row.outlook.holds)]
    names = list(dict.fromkeys(_name(row) for row in bound))
    if names and kinds != {"bound"}:
        verb = "reaches" if len(names) == 1 else "reach"
        yield f"{join_words(names)} {verb} the model limit: no loader can be faster with this model."


def _recipes(advice: SettingAdvice, sessions: Sequence[SessionData]) -> Iterable[Recipe]:
    rows: dict[str, Row] = {}
    for span in advice.spans:
        if span.choice.kind in ("winner", "survivor", "baseline") and span.choice.row is not None:
            rows.setdefault(_name(span.choice.row), span.choice.row)
    for row in list(rows.values())[:_MOST_RECIPES]:
        yield view_recipe(row, sessions)


def _name(row: Row) -> str:
    return name_pipeline(row.case)
