"""Names of settings: what is measured, on what data, at what size; and what else tells one from another."""

from __future__ import annotations

from collections.abc import Sequence

from harness.analysis.matrix import Setting
from harness.report.scope import name_coverage, name_part
from harness.values.comparability import LIMIT, PIPELINE
from harness.values.names import name_model, name_size, name_value
from harness.values.text import clean_text

_SAID = frozenset({"data", "mode", "image_size", "interpolation", "model", "max_images"})


def name_setting(setting: Setting, among: Sequence[Setting]) -> str:
    """``Training coco · 256 × 256 px · equal pixels (nearest)``, with what else differs ``among`` settings.

    An emulated accelerator is always named.
    """
    case = setting.case
    parts = [f"{'Training' if case.mode == 'train' else 'Loading'} {case.data}", name_size(case)]
    parts.append("native pixels" if case.interpolation == "native" else f"equal pixels ({case.interpolation})")
    models = {other.case.model for other in among if other.case.model is not None}
    if case.model is not None and (len(models) > 1 or case.model.is_emulated):
        parts.append(name_model(case.model))
    part = name_part(setting)
    if part:
        parts.append(part)
    elif any(name_part(other) for other in among):
        parts += dict.fromkeys(name_coverage(coverage) for coverage in setting.coverages)
        parts += [f"max images {case.max_images:,}"] if case.max_images is not None else []
    parts += [f"{name.replace('_', ' ')} {name_value(name, getattr(case, name))}" for name in _varied(among)]
    return clean_text(" · ".join(parts))


def name_rate(setting: Setting) -> str:
    """``steady images/s``: what the rates of a setting are."""
    return "steady images/s" if setting.metric == "steady" else "images/s"


def _varied(settings: Sequence[Setting]) -> list[str]:
    """Parameters that differ between settings of the same mode, beside those that every name says."""
    found: set[str] = set()
    for mode in ("train", "load"):
        dumps = [setting.case.model_dump(mode="json") for setting in settings if setting.case.mode == mode]
        names = set(dumps[0]) if dumps else set()
        found |= {name for name in names if len({str(dump[name]) for dump in dumps}) > 1}
    return sorted(found - {*PIPELINE, LIMIT} - _SAID)
