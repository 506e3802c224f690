"""The first stage of plan and run: from the command line to hosts, experiment and cases."""

from __future__ import annotations

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.noise import rate_of
from harness.analysis.selection import is_countable
from harness.bench.protocol.loader_registry import is_automatic
from harness.experiment import (
    Experiment,
    Matrix,
    choose_experiment,
    expand,
    experiment_digest,
    load_experiment,
    select_cases,
)
from harness.inventory import Host, Inventory, load_inventory, read_parts, select_hosts
from harness.records.folder import list_folders
from harness.records.reading import read_records
from harness.values.case import Case, ModelSetting
from harness.values.document import near_miss
from harness.values.engine_names import engine_choices
from harness.values.errors import ConfigurationError
from harness.values.paths import expand_home, is_file
from harness.values.text import clean_text

if TYPE_CHECKING:
    from harness.console import Console
    from harness.session.run_options import SessionOptions

PROFILE_KINDS = {"coco": "coco", "dogs-and-cats": "folder"}


@dataclass(frozen=True)
class Resolved:
    """What the user asked for, before any host is contacted."""

    inventory: Inventory
    hosts: tuple[Host, ...]
    experiment: Experiment
    reason: str
    matrix: Matrix
    cases: tuple[Case, ...]
    is_part: bool

    @property
    def digest(self) -> str:
        """Eight hex digits over the resolved experiment without rounds, budget and timeout."""
        return experiment_digest(self.experiment)

    @property
    def only(self) -> frozenset[str] | None:
        """The case_ids that ``--only`` selects; None for all."""
        return frozenset(case.case_id for case in self.cases) if self.is_part else None

    @property
    def data_names(self) -> tuple[str, ...]:
        """The data sets that these cases need."""
        return tuple(dict.fromkeys(case.data for case in self.cases))

    def without_data(self, names: Container[str]) -> Resolved:
        """Return a copy without the cases of some data sets; itself if no case would be left."""
        cases = tuple(case for case in self.cases if case.data not in names)
        matrix = replace(self.matrix, cases=tuple(case for case in self.matrix.cases if case.data not in names))
        return replace(self, cases=cases, matrix=matrix) if cases else self


def resolve(console: Console, options: SessionOptions) -> Resolved:
    """Read the files, choose hosts and experiment, expand the matrix. Raises ConfigurationError."""
    read = load_inventory(options.inventory, options.limit)
    read = read_parts(read, options.split, skip_unreadable=options.skip_unreadable)
    for warning in read.warnings:
        console.warning(str(warning))
    hosts = select_hosts(read, options.limit)
    names = sorted({name for host in hosts for name in host.variables.data})
    wanted, reason = choose_experiment(options.experiment, [host.variables.experiment for host in hosts], names)
    chosen = fill_paces(_load_experiment(wanted, () if options.experiment else hosts), options.output)
    changes = {key: value for key, value in (("rounds", options.rounds), ("seed", options.seed)) if value is not None}
    if changes:
        chosen = chosen.model_copy(update=changes)
    matrix = expand(chosen, data_kinds=data_kinds(hosts))
    cases = select_cases(matrix.cases, options.only) if options.only else matrix.cases
    return Resolved(read, hosts, chosen, reason, matrix, tuple(cases), is_part=bool(options.only))


def _load_experiment(wanted: str, hosts: Sequence[Host]) -> Experiment:
    """Read the experiment. If it does not exist, the error names the line in which one of ``hosts`` asks for it."""
    try:
        return load_experiment(wanted)
    except ConfigurationError as error:
        asked = [host.origins.get("harness.experiment") for host in hosts if host.variables.experiment == wanted]
        origin = next((one for one in asked if one is not None), None)
        if origin is None or is_file(expand_home(wanted)):
            raise
        message = f"there is no preset or file {clean_text(wanted)}, which is asked for here"
        raise ConfigurationError(message, where=str(origin), hint=error.hint) from None


def fill_paces(experiment: Experiment, reports: Path) -> Experiment:
    """Return the experiment with images/s filled in for each ``model: {name: emulated, like: HOST}``.

    Raises ConfigurationError for a host whose model limit was never measured.
    """

    def fill(model: ModelSetting) -> ModelSetting:
        if model.like is None or model.images_per_second is not None:
            return model
        return model.model_copy(update={"images_per_second": round(_find_pace(model.like, reports), 1)})

    return experiment.with_models(fill)


def _find_pace(host: str, reports: Path) -> float:
    """Return a host's model limit in images/s: the geometric mean in the newest session that measured it.

    Emulated models do not count. Raises ConfigurationError if there is none.
    """
    for folder in list_folders(reports):
        rates = [
            rate
            for record in read_records(folder)
            if record.host == host and is_automatic(record.case.loader) and is_countable(record)
            if record.case.model is not None and not record.case.model.is_emulated
            if (rate := rate_of(record))
        ]
        if rates:
            return math.exp(math.fsum(map(math.log, rates)) / len(rates))
    raise ConfigurationError(
        f"no session in {reports} has measured the model limit of host {host!r}",
        hint=f"run a training experiment on {host} first, or give images_per_second",
    )


def data_kinds(hosts: Sequence[Host]) -> Mapping[str, str]:
    """Return the kind (``folder``, ``coco`` or ``tfrecord``) of each data set that these hosts name."""
    kinds: dict[str, str] = {}
    for host in hosts:
        for name, source in host.variables.data.items():
            if source.generate is not None:
                kinds.setdefault(name, PROFILE_KINDS[source.generate.profile])
            else:
                kinds.setdefault(name, source.kind)
    return kinds


def wanted_engine(host: Host, option: str | None) -> str:
    """Return the engine that the command line or the inventory asks for; a Slurm host has no choice.

    Raises ConfigurationError for an unknown engine.
    """
    engine = option if option and host.variables.slurm is None else host.variables.engine
    choices = engine_choices()
    if engine not in choices:
        near = near_miss(engine, choices)
        hint = f"did you mean {near}?" if near else f"one of {', '.join(choices)}"
        raise ConfigurationError(f"unknown engine {engine!r}", where="--engine", hint=hint)
    return engine


def absent_data(resolved: Resolved) -> ConfigurationError | None:
    """Return the error of a data set that no host of the session names; None if each has a host."""
    known = sorted({name for host in resolved.hosts for name in host.variables.data})
    for name in resolved.data_names:
        if name not in known:
            return ConfigurationError(
                f"no host of this session has a data set named {name!r} (known: {', '.join(known) or 'none'})",
                where=str(resolved.inventory.path),
                hint=f"add it under `harness: data: {name}:` or choose another --experiment",
            )
    return None
