"""Which experiment a run takes when nobody says it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from harness.values.errors import ConfigurationError


def choose_experiment(
    option: str | None, host_settings: Sequence[str | None], data_names: Collection[str]
) -> tuple[str, str]:
    """(preset name or path, why in words).

    ``--experiment``, else what the inventory says (``host_settings``: one value a host), else ``article``
    where a host has data named ``coco``, else ``quick``. Raises ConfigurationError where hosts name
    different ones: a session has one experiment.
    """
    if option is not None:
        return option, "asked for with --experiment"
    named = sorted({setting for setting in host_settings if setting})
    if len(named) > 1:
        raise ConfigurationError(
            f"the hosts name different experiments: {', '.join(named)}",
            hint="say which with --experiment, or run each group by itself with --limit",
        )
    if named:
        return named[0], "the inventory says so"
    if "coco" in data_names:
        return "article", "a host has data named coco, which is what the article measured"
    return "quick", "no host has data named coco; it brings its own small data set"
