"""The table of all cases: one row for each case and hardware; values that all rows share are listed above it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.outcomes import count_outcomes
from harness.analysis.payback import NeverPays, Payback, PaybackUnknown, PaysFrom
from harness.analysis.signs import LOOKS
from harness.analysis.statistics import Estimate
from harness.report.labels import label_status, label_verdict
from harness.report.scope import name_coverage, tag_outlook
from harness.report.view import CaseColumn, CaseRow, CaseTable, Cell, Filter
from harness.report.words import (
    format_number,
    format_range,
    format_ratio,
    format_seconds,
    say_disturbance,
    shorten_hardware,
    split_hardware,
)
from harness.values.case import Case
from harness.values.comparability import LIMIT, PIPELINE
from harness.values.names import ALIASES, name_limit, name_row, name_value
from harness.values.text import NOTHING, cap_list, clean_text, plural
from harness.values.units import format_bytes

MOST_ROWS = 800
"""More rows are left out, and the page refers to the export."""

_SETTING_NAMES = ("data", "mode", "image_size", "interpolation", "model", "batch_size", "epochs", "page_cache")
_NOT_SHOWN = frozenset({*PIPELINE, LIMIT})
_HEADINGS = {"image_size": "Size", "interpolation": "Pixels", "max_images": "Most images", "page_cache": "Page cache"}


@dataclass(frozen=True)
class _Entry:
    """A row with its setting and its hardware group."""

    group: HardwareGroup
    setting: Setting
    row: Row

    @property
    def case(self) -> Case:
        return self.row.case

    @property
    def hosts(self) -> list[str]:
        return sorted({clean_text(record.host, 80) for record in self.row.summary.records})


@dataclass(frozen=True)
class _Column:
    """A column of a parameter; one that has the same value in all rows moves above the table."""

    name: str
    heading: str
    pick: Callable[[_Entry], str]


def view_cases(groups: Sequence[HardwareGroup]) -> CaseTable | None:
    """Build the table; None where nothing was measured."""
    entries = [
        _Entry(group, setting, row)
        for group in groups
        for setting in (*group.settings, *group.warm_runs)
        for row in (*setting.rows, *setting.trials)
    ]
    if not entries:
        return None
    named = _named_columns(entries)
    values = {c.name: {c.pick(e) for e in entries if c.name != "model" or e.case.mode == "train"} for c in named}
    varied = [c for c in named if len(values[c.name]) > 1]
    constants = [(c.heading, next(iter(values[c.name]))) for c in named if len(values[c.name]) == 1]
    labels, shorts = _labels(groups), _shorts(groups)
    columns = [CaseColumn(c.name, c.heading) for c in varied]
    if len(groups) > 1:
        columns.insert(0, CaseColumn("hardware", "Hardware"))
    rows = [_view_row(entry, varied, shorts.get(entry.group.hardware)) for entry in entries[:MOST_ROWS]]
    return CaseTable(
        constants=tuple(constants),
        filters=tuple(_filters(entries, labels)),
        columns=(CaseColumn("case", "Loader, cache"), *columns, *_FIGURES),
        rows=tuple(rows),
        rows_left_out=max(len(entries) - MOST_ROWS, 0),
    )


_FIGURES = (
    CaseColumn("limit", "Memory limit", "", True),
    CaseColumn("status", "Status"),
    CaseColumn("first", "First epoch", "less is better", True),
    CaseColumn("rate", "Images/s", "later epochs; more is better", True),
    CaseColumn("ratio", "Ratio to the baseline", "more is better", True),
    CaseColumn("verdict", "Verdict"),
    CaseColumn("work", "Images per CPU second", "more is better", True),
    CaseColumn("peak", "Peak memory", "share of the limit; less is better", True),
    CaseColumn("held", "Cache", "measured; by the formula; less is better", True),
)


def _named_columns(entries: Sequence[_Entry]) -> list[_Column]:
    others = sorted(set(Case.model_fields) - _NOT_SHOWN - set(_SETTING_NAMES))
    varied = [name for name in others if len({name_value(name, getattr(e.case, name)) for e in entries}) > 1]
    names = [*_SETTING_NAMES, *varied]
    pickers = {name: _picker(name) for name in names} | {"data": _data_picker(entries)}
    return [_Column(name, _HEADINGS.get(name, name.replace("_", " ").capitalize()), pickers[name]) for name in names]


def _picker(name: str) -> Callable[[_Entry], str]:
    return lambda entry: name_value(name, getattr(entry.case, name))


def _data_picker(entries: Sequence[_Entry]) -> Callable[[_Entry], str]:
    """Return a picker of a data set's name, with its fingerprint where hosts have different files under that name."""
    files: dict[str, set[str]] = {}
    for entry in entries:
        files.setdefault(entry.case.data, set()).add(entry.setting.files)

    def pick(entry: _Entry) -> str:
        said = name_value("data", entry.case.data)
        return said if len(files[entry.case.data]) < 2 else f"{said} (files {entry.setting.files[:12]})"

    return pick


def _labels(groups: Sequence[HardwareGroup]) -> dict[str, str]:
    return {group.hardware: split_hardware(group.hardware)[0] for group in groups}


def _shorts(groups: Sequence[HardwareGroup]) -> dict[str, str]:
    """Name each hardware by its number in the headings and its CPU; nothing where there is only one."""
    if len(groups) < 2:
        return {}
    return {g.hardware: f"{number}. {shorten_hardware(g.hardware)}" for number, g in enumerate(groups, start=1)}


def _filters(entries: Sequence[_Entry], labels: dict[str, str]) -> Iterable[Filter]:
    limits = sorted(
        {e.case.memory_limit for e in entries}, key=lambda x: (isinstance(x, str), x if isinstance(x, int) else 0)
    )
    counts = count_outcomes(record for e in entries for record in e.row.summary.records)
    yield Filter("host", "Host", tuple(sorted({host for e in entries for host in e.hosts})))
    yield Filter("hardware", "Hardware", tuple(dict.fromkeys(labels[e.group.hardware] for e in entries)))
    yield Filter("loader", "Loader", tuple(dict.fromkeys(clean_text(name_row(e.case)[0], 80) for e in entries)))
    yield Filter("cache", "Cache", tuple(dict.fromkeys(clean_text(e.case.cache, 40) for e in entries)))
    yield Filter("limit", "Memory limit", tuple(name_limit(limit) for limit in limits))
    yield Filter("status", "Status", tuple(LOOKS[kind].word for kind in counts))


def _view_row(entry: _Entry, varied: Sequence[_Column], short: str | None) -> CaseRow:
    loader, cache = name_row(entry.case)
    label = split_hardware(entry.group.hardware)[0]
    cells = [Cell(text := clean_text(column.pick(entry), 80), is_short=len(text) < 20) for column in varied]
    if short is not None:
        cells.insert(0, Cell(short, is_short=len(short) < 20))
    return CaseRow(
        name=clean_text(f"{loader}, {cache}", 120),
        tags=(*_tags(entry.row), *_by_host(entry)),
        keys=(
            "\n".join(entry.hosts),
            label,
            clean_text(loader, 80),
            clean_text(entry.case.cache, 40),
            name_limit(entry.case.memory_limit),
            "\n".join(LOOKS[kind].word for kind in count_outcomes(entry.row.summary.records)),
        ),
        cells=(*cells, *_figures(entry)),
    )


def _figures(entry: _Entry) -> Iterable[Cell]:
    row, summary, limit = entry.row, entry.row.summary, entry.case.memory_limit
    ratio = row.ratio
    rate = summary.rate(entry.setting.metric)
    yield Cell(
        name_limit(limit),
        str(limit) if isinstance(limit, int) else "1e30",
        is_number=True,
    )
    status = label_status(summary)
    yield Cell("", status.text, mark=status)
    yield _number(summary.first_epoch_s, format_seconds(summary.first_epoch_s.value if summary.first_epoch_s else None))
    yield _number(rate, format_number(rate.value if rate else None), format_range(rate))
    if row.is_baseline and summary.used:
        yield Cell("1.00×", "1", is_number=True)
    else:
        yield _number(ratio, format_ratio(ratio.value if ratio else None), format_range(ratio, is_ratio=True))
    verdict = label_verdict(row)
    yield Cell("", verdict.text, mark=verdict)
    work = summary.images_per_cpu_s
    yield _number(work, format_number(work.value if work else None))
    peak, share = summary.peak_anon_bytes, ""
    if peak is not None and summary.limit_bytes:
        share = f"{100 * peak / summary.limit_bytes:.0f} % of {format_bytes(summary.limit_bytes)}"
    yield Cell(format_bytes(peak), "" if peak is None else str(peak), share, is_number=True)
    held, formula = summary.cache_bytes, summary.cache_predicted_bytes
    yield Cell(
        format_bytes(held),
        "" if held is None else str(held),
        "" if formula is None else f"{format_bytes(formula)} by the formula",
        is_number=True,
    )


def _number(estimate: Estimate | None, text: str, small: str = "") -> Cell:
    return Cell(text, f"{estimate.value:.6g}" if estimate else "", small, is_number=True)


def _tags(row: Row) -> Iterable[str]:
    summary = row.summary
    if row.outlook is not None:
        yield from tag_outlook(row.outlook)
    else:
        yield from (name_coverage(coverage) for coverage in summary.coverages if coverage.is_part)
    if summary.alias is not None:
        yield ALIASES.get(summary.alias, summary.alias)
    if row.model_bound:
        yield "the model is the bottleneck"
    elif row.against_ceiling is not None and row.against_ceiling.ratio is not None and row.model_bound is None:
        yield "the model may be the bottleneck"
    disturbed = say_disturbance(summary.disturbance, len(summary.used))
    if disturbed:
        yield disturbed
    if summary.left_out:
        yield f"{plural(summary.left_out, 'disturbed run')} left out of the average"
    if summary.invalid:
        yield f"{plural(summary.invalid, 'invalid run')} left out of the average"
    if row.payback is not None and summary.used:
        yield _tag_payback(row.payback)
    if row.comparison is not None and row.comparison.unpaired:
        yield f"{plural(row.comparison.unpaired, 'round')} without a result of the baseline"


def _tag_payback(payback: Payback) -> str:
    match payback:
        case PaysFrom(epoch):
            return f"cache pays for itself from epoch {epoch}"
        case NeverPays():
            return "cache does not pay for itself"
        case PaybackUnknown():
            return "whether the cache pays for itself is not known"


def _by_host(entry: _Entry) -> Iterable[str]:
    """Yield the ratio of each host where a row has several, so that a host that differs shows."""
    if len(entry.group.hosts) < 2:
        return
    found = entry.row.comparison.hosts if entry.row.comparison else ()
    if found:
        yield cap_list([f"{clean_text(h.host, 40)} {format_ratio(h.ratio.value)}" for h in found], 10)
    else:
        yield cap_list([clean_text(host, 40) for host in entry.hosts], 10) or NOTHING
