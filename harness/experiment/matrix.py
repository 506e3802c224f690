"""The matrix: the cases of an experiment, and what was left out and why.

::

    cases = (product of `parameters` − `exclude`) ∪ `include`, without meaningless and duplicate ones, and model limits

Rules are matched against cases as they would run, with parameters that have no effect at a fixed value
(``meaning.normalise``). An ``include`` rule adds the product of its own values, with every other parameter at the first
of its values in ``parameters``; ``exclude`` does not apply to what it adds.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field

from harness.bench.protocol.loader_registry import CEILING, is_automatic
from harness.experiment.experiment import Experiment
from harness.experiment.meaning import ONLY_OF_FILE_CACHES, meaningless_because, normalise
from harness.experiment.parameters import PARAMETERS, Assignment, complete
from harness.values.case import Case, ModelSetting
from harness.values.comparability import ceiling_key, comparable_key
from harness.values.errors import ConfigurationError
from harness.values.names import case_labels
from harness.values.text import plural

MOST_COMBINATIONS = 20_000
"""The largest matrix: a larger one is probably a mistake, and would take too long to measure."""

MOST_COMPARISONS = 500_000
"""Comparisons of rules with combinations at most; more would take too long."""


@dataclass(frozen=True)
class LeftOut:
    """A combination that is not run, and why. ``case`` is the case it would be, ``description`` its name."""

    case: Case
    description: str
    reason: str


@dataclass(frozen=True)
class Matrix:
    """The cases of an experiment, each once, with model limits last.

    ``left_out`` are meaningless or duplicate combinations; ``excluded`` those that a rule excludes.
    """

    cases: tuple[Case, ...]
    left_out: tuple[LeftOut, ...] = ()
    excluded: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass
class _Gathered:
    """The results of the pass over all combinations so far."""

    cases: dict[Case, None] = field(default_factory=dict)
    left_out: list[tuple[Case, str]] = field(default_factory=list)
    excluded: list[tuple[Case, str]] = field(default_factory=list)
    hits: Counter[int] = field(default_factory=Counter)


def combinations(assignment: Assignment) -> Iterator[Case]:
    """Yield every combination of a complete assignment, in the order of ``PARAMETERS``; the last one varies fastest."""
    for values in itertools.product(*(getattr(assignment, name) for name in PARAMETERS)):
        yield Case(**dict(zip(PARAMETERS, values, strict=True)))


def count_combinations(assignment: Assignment) -> int:
    """Return the number of combinations of a complete assignment."""
    return math.prod(len(getattr(assignment, name)) for name in PARAMETERS)


def expand(experiment: Experiment, *, data_kinds: Mapping[str, str] | None = None) -> Matrix:
    """Expand an experiment to its cases.

    ``data_kinds`` is the kind (``folder``, ``coco`` or ``tfrecord``) of each known data set; None if none is known yet,
    so that no case is left out for its data. Raises ConfigurationError for an empty matrix, with the reasons, and for
    one that is too large.
    """
    first = {name: (getattr(experiment.parameters, name)[0],) for name in PARAMETERS}
    additions = [complete(rule, first) for rule in experiment.include]
    _refuse_absurd(experiment, additions)
    gathered = _Gathered()
    for assignment, exclude in ((experiment.parameters, experiment.exclude), *((rule, ()) for rule in additions)):
        varied = {name for name in PARAMETERS if len(getattr(assignment, name)) > 1}
        for case in combinations(assignment):
            _gather(case, gathered, exclude, data_kinds, varied)
    if not gathered.cases:
        raise _empty(experiment, gathered)
    cases = tuple(gathered.cases)
    ceilings = [c for c in make_ceilings(cases) if not _is_turned_off(c, experiment, gathered)]
    notes = (*experiment.notes, *_rule_notes(experiment, gathered), *_baseline_notes(experiment, cases))
    labels = case_labels([*cases, *ceilings, *(case for case, _ in (*gathered.left_out, *gathered.excluded))])
    left_out = tuple(LeftOut(case, labels[case], reason) for case, reason in gathered.left_out)
    excluded = tuple(LeftOut(case, labels[case], reason) for case, reason in gathered.excluded)
    return Matrix((*cases, *ceilings), left_out, excluded, notes)


def _gather(
    raw: Case,
    gathered: _Gathered,
    exclude: tuple[Assignment, ...],
    data_kinds: Mapping[str, str] | None,
    varied: Set[str],
) -> None:
    case, changed = normalise(raw)
    rule = next((number for number, rule in enumerate(exclude, 1) if rule.matches(case)), None)
    if rule is not None:
        gathered.hits[rule] += 1
        gathered.excluded.append((case, f"exclude rule {rule}"))
        return
    reason = meaningless_because(case, data_kinds)
    if reason is not None:
        gathered.left_out.append((case, reason))
    elif case in gathered.cases:
        idle = [name for name in changed if name in varied]
        named = case.model_copy(update={name: getattr(raw, name) for name in idle})
        gathered.left_out.append((named, "the same as another case" + (f": {_no_effect(idle, case)}" if idle else "")))
    else:
        gathered.cases[case] = None


def _no_effect(idle: list[str], case: Case) -> str:
    of_cache = [name for name in idle if name in (*ONLY_OF_FILE_CACHES, "element")]
    inline = case.workers == 0 and "workers" in idle
    of_loader = [name for name in idle if name in ("workers", "shuffle_buffer") and not (inline and name == "workers")]
    of_mode = [name for name in idle if name not in (*of_cache, *of_loader, *(["workers"] if inline else []))]
    parts = ((of_mode, f"mode {case.mode}"), (of_cache, f"cache {case.cache}"), (of_loader, f"loader {case.loader}"))
    said = [f"one worker is the same as none with loader {case.loader}"] if inline else []
    said += [
        f"{', '.join(names)} {'has' if len(names) == 1 else 'have'} no effect with {setting}"
        for names, setting in parts
        if names
    ]
    return "; ".join(said)


def baseline_of(case: Case, cases: Iterable[Case], experiment: Experiment) -> Case | None:
    """Return the baseline of a case: the first comparable case that the baseline rule matches.

    None if there is none, and for a model limit, which is not a pipeline. A baseline is its own baseline.
    """
    if is_automatic(case.loader):
        return None
    key = comparable_key(case)
    return next((other for other in cases if experiment.baseline.matches(other) and comparable_key(other) == key), None)


def make_ceilings(cases: Sequence[Case]) -> list[Case]:
    """Return one model-limit case for each distinct model setting of the training cases, in their order."""
    groups: dict[str, list[Case]] = {}
    for case in cases:
        if case.mode == "train":
            groups.setdefault(ceiling_key(case), []).append(case)
    return [_make_ceiling(group) for group in groups.values()]


def _make_ceiling(group: Sequence[Case]) -> Case:
    """Return the model-limit case of a group: without cache and memory limit, most epochs, fewest images."""
    first = group[0]
    caps = [case.max_images for case in group if case.max_images is not None]
    return Case(
        loader=CEILING,
        mode="train",
        data=first.data,
        model=first.model or ModelSetting(),
        image_size=first.image_size,
        batch_size=first.batch_size,
        precision=first.precision,
        deliver=first.deliver,
        gpus=first.gpus,
        cpus=first.cpus,
        budgets=first.budgets,
        epochs=max(case.epochs for case in group),
        max_images=min(caps, default=None),
    )


def _is_turned_off(ceiling: Case, experiment: Experiment, gathered: _Gathered) -> bool:
    """Return whether a rule that names its loader excludes a model-limit case; other matching rules do not."""
    for number, rule in enumerate(experiment.exclude, 1):
        if ceiling.loader in rule.loader and rule.matches(ceiling):
            gathered.hits[number] += 1
            gathered.excluded.append((ceiling, f"exclude rule {number}"))
            return True
    return False


def _rule_notes(experiment: Experiment, gathered: _Gathered) -> list[str]:
    return [
        f"exclude rule {number} matches no case"
        for number, _ in enumerate(experiment.exclude, 1)
        if not gathered.hits[number]
    ]


def _baseline_notes(experiment: Experiment, cases: tuple[Case, ...]) -> list[str]:
    rule = case_rule_text(experiment.baseline)
    alone = [case for case in cases if baseline_of(case, cases, experiment) is None]
    if len(alone) == len(cases):
        return [f"no case matches the baseline ({rule}): the results have no ratios"]
    notes = [f"{len(alone)} of {len(cases)} cases have no baseline ({rule})"] if alone else []
    counts = Counter(comparable_key(case) for case in cases if experiment.baseline.matches(case))
    if max(counts.values(), default=0) > 1:
        notes.append(
            f"several comparable cases match the baseline ({rule}): the first in the order of the plan is used"
        )
    return notes


def case_rule_text(rule: Assignment) -> str:
    """Return a rule in words, like ``loader: keras-idg``."""
    return ", ".join(f"{name}: {' or '.join(str(value) for value in values)}" for name, values in rule.named().items())


def _refuse_absurd(experiment: Experiment, additions: Sequence[Assignment]) -> None:
    count = count_combinations(experiment.parameters) + sum(map(count_combinations, additions))
    if count > MOST_COMBINATIONS:
        raise ConfigurationError(
            f"experiment {experiment.name}: the lists make {count:,} combinations, more than {MOST_COMBINATIONS:,}",
            hint="shorten the lists of `parameters`; `include` adds single cases",
        )
    if count * len(experiment.exclude) > MOST_COMPARISONS:
        raise ConfigurationError(
            f"experiment {experiment.name}: {len(experiment.exclude):,} exclude rules for {count:,} combinations",
            hint="write fewer rules: one may have a list for each parameter",
        )


def _empty(experiment: Experiment, gathered: _Gathered) -> ConfigurationError:
    out = [*gathered.left_out, *gathered.excluded]
    reasons = Counter(reason for _, reason in out)
    lines = [f"  {count} × {reason}" for reason, count in reasons.most_common(20)]
    if len(reasons) > len(lines):
        lines.append(f"  and {len(reasons) - len(lines)} more reasons")
    return ConfigurationError(
        f"experiment {experiment.name}: the matrix is empty: none of {plural(len(out), 'combination')} is left:\n"
        + "\n".join(lines),
        hint="`harness loaders` shows what each loader supports",
    )
