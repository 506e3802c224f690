"""Tables: a hardware group's settings as rows of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from harness.analysis.matrix import HardwareGroup, Row, Setting
from harness.analysis.statistics import Estimate
from harness.analysis.summary import CaseSummary
from harness.report.advice import advise_group
from harness.report.marks import mark_glance, mark_status, mark_verdict
from harness.report.view import BlockView, GlanceRow, GroupView, RowView, SettingView
from harness.report.words import (
    NOTHING,
    cap_list,
    clean_text,
    format_number,
    format_range,
    format_ratio,
    format_seconds,
    name_limit,
    name_model,
    name_row,
    name_size,
    plural,
)
from harness.values.units import format_bytes

_SAID_ELSEWHERE = frozenset({"data", "mode", "image_size", "interpolation", "model"})


def view_groups(groups: Sequence[HardwareGroup]) -> list[GroupView]:
    """Views of all hardware groups."""
    return [_view_group(number, group) for number, group in enumerate(groups, start=1)]


def split_hardware(hardware: str) -> tuple[str, str]:
    """A hardware key as words and its digest: ``A CPU, 8 CPUs, … #abc123``."""
    label, mark, digest = hardware.rpartition(" #")
    return (clean_text(label), digest) if mark else (clean_text(hardware), "")


def _view_group(number: int, group: HardwareGroup) -> GroupView:
    label, digest = split_hardware(group.hardware)
    hosts = [clean_text(host, 80) for host in group.hosts]
    return GroupView(
        anchor=f"hardware-{number}",
        heading=label,
        key=clean_text(digest, 20),
        hosts=f"{plural(len(hosts), 'host')}: {cap_list(hosts)}",
        advice=tuple(advise_group(group)),
        settings=tuple(
            _view_setting(f"hardware-{number}-{place}", setting, _varied(group.settings))
            for place, setting in enumerate(group.settings, start=1)
        ),
    )


def _varied(settings: Sequence[Setting]) -> set[str]:
    """Parameters that differ between settings: those must stand in each heading."""
    dumps = [setting.case.model_dump(mode="json") for setting in settings]
    names = set(dumps[0]) if dumps else set()
    keys = {name for name in names if len({str(dump[name]) for dump in dumps}) > 1}
    return keys - {"loader", "cache", "element", "cache_disk", "cache_reuse", "memory_limit"}


def _view_setting(anchor: str, setting: Setting, varied: set[str]) -> SettingView:
    case = setting.case
    mode = "Training" if case.mode == "train" else "Loading"
    extra = [f"{name} {getattr(case, name)}" for name in sorted(varied - _SAID_ELSEWHERE)]
    heading = " · ".join([f"{mode} {case.data}", name_size(case), case.interpolation, *extra])
    detail = [plural(case.epochs, "epoch"), f"batches of {case.batch_size}", f"page cache {case.page_cache}"]
    if case.mode == "train":
        detail.insert(0, name_model(case.model))
    if case.max_images is not None:
        detail.append(f"at most {case.max_images:,} images")
    limits = setting.limits
    return SettingView(
        anchor=anchor,
        heading=clean_text(heading),
        detail=clean_text("; ".join(detail)),
        notes=tuple(_setting_notes(setting)),
        rate_heading="Steady images/s" if setting.metric == "steady" else "Images/s",
        limits=tuple(name_limit(limit) for limit in limits),
        glance=tuple(_glance(setting, limits)) if len(limits) > 1 else (),
        blocks=tuple(_view_block(setting, limit) for limit in limits),
    )


def _setting_notes(setting: Setting) -> list[str]:
    notes = []
    if setting.ceiling is not None:
        found = setting.ceiling.steady_images_per_s or setting.ceiling.first_images_per_s
        if found is not None:
            interval = f" ({format_range(found)})" if found.has_interval else ""
            notes.append(
                f"Ceiling: {format_number(found.value)}{interval} images/s is what the model alone can eat; "
                "no loader can be faster, and a case within noise of it is model-bound."
            )
    elif setting.case.mode == "train":
        notes.append(
            "The ceiling (what the model alone can eat) has no result: whether the model is the limit is unknown."
        )
    if setting.case.interpolation == "native":
        notes.append(
            "Other pixels: each loader resizes as its users get it, so these rows do not do the same work. "
            "Compare loaders at equal pixels; compare what users would see here."
        )
    if setting.metric == "first":
        notes.append("One epoch only: there is no steady state, and a cache cannot show what it is for.")
    return notes


def _glance(setting: Setting, limits: Sequence[int | str]) -> list[GlanceRow]:
    by_name: dict[tuple[str, str], dict[int | str, Row]] = {}
    for row in setting.rows:
        if row.summary.alias is None:
            by_name.setdefault(name_row(row.summary.case), {})[row.summary.case.memory_limit] = row
    return [
        GlanceRow(loader, cache, tuple(mark_glance(at.get(limit), setting.metric) for limit in limits))
        for (loader, cache), at in by_name.items()
    ]


def _view_block(setting: Setting, limit: int | str) -> BlockView:
    rows = setting.rows_at(limit)
    label = "No memory limit of its own" if limit == "none" else f"Memory limit {name_limit(limit)}"
    return BlockView(label, _limit_note(limit, rows), tuple(_view_row(row, setting) for row in rows))


def _limit_note(limit: int | str, rows: Sequence[Row]) -> str:
    """What ``none`` came to on each host, for a limit is always enforced."""
    if limit != "none":
        return ""
    found: Mapping[str, int] = {
        record.host: record.memory.limit_effective
        for row in rows
        for record in row.summary.records
        if record.memory.limit_effective is not None
    }
    amounts = sorted(set(found.values()))
    if not amounts:
        return ""
    span = format_bytes(amounts[0])
    if format_bytes(amounts[-1]) != span:
        span += f" to {format_bytes(amounts[-1])}"
    return f"all that the host can give without danger: {span}, enforced"


def _view_row(row: Row, setting: Setting) -> RowView:
    summary = row.summary
    loader, cache = name_row(summary.case)
    rate = summary.steady_images_per_s if setting.metric == "steady" else summary.first_images_per_s
    ratio = row.comparison.ratio if row.comparison else None
    share = ""
    if summary.peak_anon_bytes is not None and summary.limit_bytes:
        share = f"{100 * summary.peak_anon_bytes / summary.limit_bytes:.0f} % of {format_bytes(summary.limit_bytes)}"
    return RowView(
        loader=clean_text(loader, 80),
        cache=clean_text(cache, 80),
        case_id=clean_text(summary.case_id, 40),
        tags=tuple(_tags(row)),
        status=mark_status(summary),
        first_epoch=_seconds(summary.first_epoch_s),
        steady=format_number(rate.value if rate else None),
        steady_range=format_range(rate),
        ratio=format_ratio(ratio.value) if ratio else ("1.00×" if row.is_baseline and summary.used else NOTHING),
        ratio_range=format_range(ratio, is_ratio=True),
        verdict=mark_verdict(row),
        per_cpu=format_number(summary.images_per_cpu_s.value if summary.images_per_cpu_s else None),
        peak=format_bytes(summary.peak_anon_bytes),
        peak_share=share,
        cache_measured=format_bytes(summary.cache_bytes),
        cache_predicted="" if summary.cache_predicted_bytes is None else format_bytes(summary.cache_predicted_bytes),
    )


def _tags(row: Row) -> list[str]:
    summary: CaseSummary = row.summary
    tags = []
    if summary.alias is not None:
        tags.append("the same again (A/A)")
    if row.model_bound:
        tags.append("model-bound")
    elif row.against_ceiling is not None and row.against_ceiling.ratio is not None and row.model_bound is None:
        tags.append("perhaps model-bound")
    if summary.basis == "degraded":
        tags.append("degraded")
    if summary.left_out:
        tags.append(f"{summary.left_out} not averaged")
    if row.payback is not None:
        tags.append(f"cache pays from epoch {row.payback}")
    if row.comparison is not None and row.comparison.unpaired:
        tags.append(f"{row.comparison.unpaired} unpaired")
    return tags


def _seconds(estimate: Estimate | None) -> str:
    return format_seconds(estimate.value) if estimate else NOTHING
