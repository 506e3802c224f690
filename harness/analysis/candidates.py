"""Choose the pipelines to measure for an answer: by who writes them, by what they need, and by the time. Pure.

``CANDIDATES`` lists them in the order in which they are measured; the first that reads the data is the baseline. Of
ours only those are chosen that are predicted to hold the whole set. A usual one that is predicted to run out of memory
is measured, too, where the whole set is measured: its end is part of the answer. A part of the set is measured where
the whole set would take too long.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from harness.analysis.predictions import predict
from harness.analysis.set_size import lift_subset
from harness.analysis.stopping import EQUAL_DEATHS, LEAST_ROUNDS
from harness.bench.protocol.loader_registry import CACHES, LOADERS
from harness.values.case import Case, Mode, ModelSetting
from harness.values.prediction import Prediction
from harness.values.record import SetSize

MOST_CACHES: Mapping[Mode, int] = {"load": 2, "train": 1}
"""Caches of ours that are measured, beside our pipeline without one, by which is told from which epoch they pay."""
LEAST_CASES: Mapping[Mode, int] = {"load": 4, "train": 3}
"""The least number of cases: fewer are not measured on the whole set, but this many on a part of it."""
TRAINING_SHARE = 0.6
"""Training's share of the time, where loading and training are both measured."""

_PARTS = (500, 1_000, 3_000, 5_000, 10_000, 20_000, 50_000, 100_000)
PARTS: Mapping[Mode, tuple[int, ...]] = {"load": _PARTS[2:], "train": _PARTS}
"""Numbers of images to measure where the whole set takes too long. Smaller parts are loaded from a cache in less time
than a verdict needs (``short_epochs``)."""
PREPARATION_S = 20.0
"""Seconds on a host before its first trial run: the data are read and the same-work check is made."""
REHEARSAL_S = 10.0
"""Seconds of the trial run of each pipeline, before the first round."""
BESIDE_S = 2.0
"""Seconds that a run takes beside what is predicted of it: it is submitted, polled and fetched."""
PROGRAM_BYTES = 1_500_000_000
"""More than a program takes beside its cache: files stay in memory where they and this fit."""


@dataclass(frozen=True)
class Candidate:
    """A pipeline as parameters of a case. ``is_usual``: many people write it so; else it is one of ours.

    ``trains``: it is measured in training, too, where each case takes longer.
    """

    values: Mapping[str, object] = field(hash=False)
    is_usual: bool = False
    trains: bool = True


CANDIDATES = (
    Candidate({"loader": "keras-idg"}, is_usual=True),
    Candidate({"loader": "tfdata"}, is_usual=True),
    Candidate({"loader": "tfdata-tuned", "cache": "memory", "element": "uint8"}),
    Candidate({"loader": "tfdata-tuned", "cache": "array", "element": "uint8"}),
    Candidate({"loader": "tfdata-tuned"}),
    Candidate({"loader": "tfdata", "cache": "memory"}, is_usual=True, trains=False),
    Candidate({"loader": "tfdata-tuned", "cache": "file", "element": "uint8"}),
    Candidate({"loader": "keras-directory"}, is_usual=True, trains=False),
    Candidate({"loader": "tfdata-tuned", "cache": "tfrecord", "element": "encoded"}),
    Candidate({"loader": "tfdata", "cache": "file"}, is_usual=True, trains=False),
)


@dataclass(frozen=True)
class Wish:
    """The setting of a question. Without ``model`` loading alone is measured."""

    data: str
    image_size: tuple[int, int] = (224, 224)
    batch_size: int = 32
    epochs: int = 2
    memory_limit: int | Literal["none"] = "none"
    model: ModelSetting | None = None

    @property
    def modes(self) -> tuple[Mode, ...]:
        """What is measured: loading, and training where there is a model."""
        return ("load",) if self.model is None else ("load", "train")


@dataclass(frozen=True)
class Room:
    """What a host has: its data, and what a case may use there. None is what is not known.

    ``memory`` is the limit that will be enforced, ``disk`` what caches may fill. Without labels training is not
    measured.
    """

    host: str
    kind: str | None
    size: SetSize | None
    memory: int | None
    disk: int | None
    cpus: int
    has_gpu: bool = False
    is_labelled: bool = True

    def predict(self, case: Case) -> Prediction | None:
        """Predict what a case needs here."""
        return predict(case, self.size, cpus=self.cpus, limit=self.memory, has_gpu=self.has_gpu)


@dataclass(frozen=True)
class Lack:
    """A pipeline that does not hold the whole set on a host.

    ``instead`` is the same pipeline with a smaller cache, which fits or, where ``is_instead_sure`` is false, may fit.
    """

    case: Case
    host: str
    of: Literal["memory", "disk"]
    needed: int
    cache_bytes: int | None
    available: int | None
    instead: Case | None = None
    instead_needed: int | None = None
    is_instead_sure: bool = False


@dataclass(frozen=True)
class Trials:
    """The cases to measure, the baseline first, none where nothing fits; ``lacks`` is what fits on no host.

    ``seconds`` is a rough estimate of the time of all.
    """

    cases: tuple[Case, ...]
    lacks: tuple[Lack, ...]
    seconds: float


def choose_trials(wish: Wish, rooms: Sequence[Room], time_s: float) -> Trials:
    """Choose the cases to measure on these hosts (at least one) in ``time_s`` seconds."""
    cases: list[Case] = []
    lacks: list[Lack] = []
    spent = PREPARATION_S
    modes = [mode for mode in wish.modes if mode == "load" or any(room.is_labelled for room in rooms)]
    for mode in modes:
        share = 1.0 if len(modes) == 1 else TRAINING_SHARE if mode == "train" else 1 - TRAINING_SHARE
        fitting, dying, lacking = _sort_out(wish, mode, rooms)
        chosen = _fit_into((time_s - PREPARATION_S) * share, fitting, dying, rooms)
        cases += chosen
        lacks += [lack for lack in lacking if lack.case.mode == wish.modes[0]]
        spent += _seconds_of_all(chosen, rooms)
    return Trials(tuple(cases), tuple(lacks), spent)


def list_candidates(wish: Wish) -> list[Case]:
    """Return all cases that may be measured, whether they fit or not."""
    return [_make_case(each, wish, mode) for mode in wish.modes for each in CANDIDATES]


def find_lack(case: Case, room: Room) -> Lack | None:
    """Return why a case does not hold the whole set on a host; None where it does, may do, or that is not known."""
    found = room.predict(case)
    if found is None:
        return None
    peak = found.peak_memory_bytes
    if found.fit == "does not fit" and peak is not None:
        held = found.cache_bytes if case.cache == "memory" else None
        return Lack(case, room.host, "memory", peak.expected, held, room.memory, *_find_instead(case, room))
    if found.disk_bytes and room.disk is not None and found.disk_bytes > room.disk:
        needed = found.disk_bytes
        return Lack(case, room.host, "disk", needed, found.cache_bytes, room.disk, *_find_instead(case, room))
    return None


def _find_instead(case: Case, room: Room) -> tuple[Case | None, int | None, bool]:
    """Return the same pipeline with a smaller cache where that should fit, its need, and whether it surely fits."""
    cache = CACHES[case.cache]
    for element in cache.elements:
        other = case.model_copy(update={"element": element})
        found = room.predict(other) if element != case.element and element in LOADERS[case.loader].elements else None
        if found is None or found.peak_memory_bytes is None or found.disk_bytes is None:
            continue
        expected = found.peak_memory_bytes.expected
        if found.fit == "does not fit" or (room.memory is not None and expected > room.memory):
            continue
        if room.disk is None or found.disk_bytes <= room.disk:
            return other, found.disk_bytes if cache.is_on_disk else expected, found.fit == "fits"
    return None, None, False


def _sort_out(wish: Wish, mode: Mode, rooms: Sequence[Room]) -> tuple[list[Case], list[Case], list[Lack]]:
    """Return the cases that fit, in their order; usual ones that run out of memory; and why each does not fit."""
    fitting: list[Case] = []
    dying: list[Case] = []
    lacks: list[Lack] = []
    caches = 0
    for each in CANDIDATES:
        case = _make_case(each, wish, mode)
        if (mode == "train" and not each.trains) or not any(_can_read(case, room) for room in rooms):
            continue
        found = [find_lack(case, room) for room in rooms]
        lacking = [lack for lack in found if lack is not None]
        if len(lacking) == len(rooms):
            lacks.append(lacking[0])
            dying += [case] if each.is_usual and lacking[0].of == "memory" else []
            continue
        if not each.is_usual and case.cache != "none":
            caches += 1
            if caches > MOST_CACHES[mode]:
                continue
        fitting.append(case)
    return fitting, dying, lacks


def _make_case(each: Candidate, wish: Wish, mode: Mode) -> Case:
    """Return a candidate as a case in the setting of the question."""
    return Case.model_validate(
        {
            "data": wish.data,
            "mode": mode,
            "model": wish.model if mode == "train" else None,
            "image_size": wish.image_size,
            "batch_size": wish.batch_size,
            "epochs": wish.epochs,
            "memory_limit": wish.memory_limit,
            **each.values,
        }
    )


def _can_read(case: Case, room: Room) -> bool:
    return room.kind is None or room.kind in LOADERS[case.loader].kinds


def _fit_into(time_s: float, fitting: Sequence[Case], dying: Sequence[Case], rooms: Sequence[Room]) -> list[Case]:
    """Return as many cases as the time allows: on the whole set where that is enough of them, else on a part of it."""
    if not fitting:
        return []
    mode = fitting[0].mode
    least = min(LEAST_CASES[mode], len(fitting))
    known = [room.size.images for room in rooms if room.size is not None]

    def most_that_fit(part: int | None) -> list[Case]:
        counts = range(len(fitting), least - 1, -1)
        tried = (_on_part(fitting[:count], part, rooms) for count in counts)
        return next((cases for cases in tried if _seconds_of_all(cases, rooms) <= time_s), [])

    if len(known) == len(rooms):
        whole = most_that_fit(None)
        if whole:
            with_dead = [*whole, *dying]
            return with_dead if _seconds_of_all(with_dead, rooms) <= time_s else whole
    smaller = [part for part in PARTS[mode] if part < min(known, default=PARTS[mode][-1])]
    parts: list[int | None] = [*smaller] if smaller else [None]
    for part in reversed(parts):
        if cases := most_that_fit(part):
            return cases
    return _on_part(fitting[:least], parts[0], rooms)


def _on_part(cases: Sequence[Case], part: int | None, rooms: Sequence[Room]) -> list[Case]:
    """Return the cases on ``part`` images; each epoch reads from storage if all files would not stay in memory."""
    if part is None:
        return list(cases)
    changes: dict[str, object] = {"max_images": part}
    if not all(_stays_in_memory(room) for room in rooms):
        changes["page_cache"] = "cold"
    return [case.model_copy(update=changes) for case in cases]


def _stays_in_memory(room: Room) -> bool:
    size, memory = room.size, room.memory
    return size is not None and size.bytes is not None and memory is not None and size.bytes + PROGRAM_BYTES < memory


def _seconds_of_all(cases: Sequence[Case], rooms: Sequence[Room]) -> float:
    """Return about how many seconds the least number of rounds takes on the slowest host, with the repeat check."""
    return max(_seconds_on(cases, room) for room in rooms)


def _seconds_on(cases: Sequence[Case], room: Room) -> float:
    def one(case: Case) -> float:
        found = room.predict(case)
        return BESIDE_S + (found.duration_s if found is not None else 0.0)

    def rounds(case: Case) -> int:
        return EQUAL_DEATHS if find_lack(lift_subset(case), room) is not None else LEAST_ROUNDS

    extra = 2 if cases and cases[0].mode == "train" else 1  # the repeat check, and in training the model limit
    beside = extra * LEAST_ROUNDS * sum(map(one, cases[:1]))
    return beside + sum(REHEARSAL_S + rounds(case) * one(case) for case in cases)
