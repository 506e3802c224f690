"""Whether predictions of memory hold: each case under limits around what it needs, really enforced.

Two data sets (FOLDER, and generated photographs of profile `coco`) at three image sizes, tf.data without a cache
and with one in memory. What a case needs is found first: the least limit under which it lives two of three times, by
bisection, within ``--within``. Then it runs once under each limit of ``--shares`` of that. Claimed: no case that "fits"
dies, none that "does not fit" lives, "may not fit" is said within 10 % of the need only, and a cache in memory dies
within 10 % or one batch of the predicted number of images. Exits 1 where that is not reached.

Everything is done by the functions of `harness run` (prepare, rehearse, predict, build the job, build the record), with
the engine `process`. Root or a delegated cgroup is needed.

    python benchmarks/predictions.py [FOLDER [--annotations FILE]] [--sizes 128,224,512] [--images 400]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from own_data import add_options

from harness.console import Console
from harness.engine.reached import Reached
from harness.inventory import load_inventory
from harness.session.collect import SessionIdentity, build_record, read_results
from harness.session.invocations import HostDigests, plan_one
from harness.session.request import build_measurement
from harness.session.setup import HostSetup
from harness.ship.bringing import bring
from harness.ship.datasource import SourceSets
from harness.ship.needs import inspect_needs
from harness.ship.payload_archive import build_payload
from harness.ship.transfer.image_sources import ImageSources
from harness.ship.transfers import Transfers
from harness.values.case import Case, ModelSetting
from harness.values.event import Event, SessionFinding
from harness.values.prediction import Interval, Prediction
from harness.values.record import Record
from harness.values.units import format_bytes
from harness.workflow.host_links import Links
from harness.workflow.planning import PlannedHost, predict_on
from harness.workflow.reaching import reach
from harness.workflow.run.preparing import prepare
from harness.workflow.run.proving import rehearse_settings

NEAR = 0.10
"""Of the need: within it "may not fit" may be said, and a death may be predicted off."""
ALIKE = 2
"""So many runs of the same end settle whether a case lives under a limit while its need is looked for."""
_TIMEOUT_S = 900.0


@dataclass(frozen=True)
class Outcome:
    """A case under one limit: what was predicted for it and what became of it."""

    case: Case
    share: float
    need: int
    limit: int
    predicted: Prediction
    record: Record

    @property
    def has_died(self) -> bool:
        return self.record.status == "oom"

    @property
    def taken_in(self) -> int | None:
        """Images of the first epoch that came before the end; all where a later epoch was reached."""
        if not self.has_died:
            return None
        seen: dict[str, Any] = self.record.evidence
        return self.predicted.images if (seen.get("last_epoch") or 1) > 1 else int(seen.get("last_images") or 0)

    @property
    def faults(self) -> list[str]:
        """What is claimed and does not hold."""
        found = []
        if self.record.status not in ("ok", "oom"):
            return [f"ended {self.record.status}: {self.record.cause}"]
        if self.predicted.fit == "fits" and self.has_died:
            found.append("said to fit, died")
        if self.predicted.fit == "does not fit" and not self.has_died:
            found.append("said not to fit, lived")
        if self.predicted.fit == "may not fit" and abs(self.limit / self.need - 1) > NEAR + 1e-3:
            found.append("said maybe far from its need")
        if self.predicted.fit == "unknown":
            found.append("nothing was predicted")
        until, taken_in = self.predicted.images_until_oom, self.taken_in
        if self.case.cache == "memory" and until is not None and taken_in is not None:
            off = abs(until.expected - taken_in)
            if off > max(NEAR * taken_in, self.case.batch_size):
                found.append(f"death off by {off} images")
        return found


class Bench:
    """One prepared host; runs cases on it one after the other."""

    def __init__(self, setup: HostSetup) -> None:
        self._setup = setup
        self._number = 0

    def predict(self, case: Case, limit: int) -> Prediction:
        """Predict as `harness run` does before a case under this limit."""
        found = predict_on(case.model_copy(update={"memory_limit": limit}), PlannedHost.of(self._setup))
        if found is None:
            raise SystemExit(f"nothing is predicted for {case}")
        return found

    def run(self, case: Case, limit: int) -> Record:
        """Run a case under a limit, as `harness run` does."""
        self._number += 1
        setup, limited = self._setup, case.model_copy(update={"memory_limit": limit})
        digests = HostDigests(
            setup.host, setup.image_digest, setup.payload.digest, {case.data: setup.data[case.data].fingerprint}
        )
        invocation = plan_one(
            digests,
            limited,
            alias=None,
            round_number=self._number,
            order=1,
            memory_bytes=limit,
            predictions=self.predict(case, limit),
        )
        job = build_measurement("predictions", 1, _TIMEOUT_S, setup, invocation)
        started = _now()
        handle = setup.engine.submit(job)
        try:
            while (state := setup.engine.poll([handle])[0]).phase == "running":
                time.sleep(0.2)
            with tempfile.TemporaryDirectory() as folder:
                setup.engine.fetch(handle, Path(folder))
                results = read_results(Path(folder))
        finally:
            setup.engine.cancel([handle])
        identity = SessionIdentity("predictions", "predictions", "predictions")
        return build_record(
            identity, setup, invocation, state, results, log=None, started_at=started, finished_at=_now()
        )

    def find_need(self, case: Case, within: float) -> int:
        """Find the least limit under which a case lives, by bisection from its prediction."""
        peak = self.predict(case, self._setup.memory_available).peak_memory_bytes
        if peak is None:
            raise SystemExit(f"nothing is predicted for {case}")
        low, high = 0, round(1.15 * peak.expected)
        while not self._lives(case, high):
            low, high = high, round(1.3 * high)
        low = low or round(0.7 * high)
        while self._lives(case, low):
            low, high = round(0.8 * low), low
        while high - low > within * high:
            middle = (low + high) // 2
            low, high = (low, middle) if self._lives(case, middle) else (middle, high)
        return high

    def _lives(self, case: Case, limit: int) -> bool:
        """Whether a case lives under a limit more often than not: near its need that is chance."""
        lived: list[bool] = []
        while max(lived.count(True), lived.count(False)) < ALIKE:
            record = self.run(case, limit)
            if record.status not in ("ok", "oom"):
                raise SystemExit(f"{case}: {record.status}: {record.cause}\n{record.log_tail}")
            lived.append(record.status == "ok")
        return lived.count(True) == ALIKE


def _now() -> str:
    return datetime.now(UTC).isoformat()


def write_inventory(options: argparse.Namespace, scratch: Path) -> Path:
    """Write an inventory of this machine with the data sets."""
    sets = [f"made: {{generate: {{profile: coco, images: {options.images}, seed: 1}}}}"]
    if options.folder is not None:
        folder = options.folder.resolve()
        pair = f"images: {folder}, annotations: {options.annotations.resolve()}" if options.annotations else ""
        sets.append(f"own: {{{pair or f'folder: {folder}'}}}")
    text = f"""\
all:
  hosts: {{here: {{ansible_connection: local}}}}
  vars:
    harness:
      engine: process
      scratch: {scratch}
      data: {{{", ".join(sets)}}}
"""
    path = scratch / "inventory.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def make_cases(options: argparse.Namespace) -> list[Case]:
    """Make the cases: every set, size and cache."""
    mode: dict[str, Any] = (
        {} if options.alpha is None else {"mode": "train", "model": ModelSetting(alpha=options.alpha)}
    )
    return [
        Case(data=data, loader=options.loader, cache=cache, image_size=(size, size), epochs=options.epochs, **mode)
        for data in (["own"] if options.folder else []) + ["made"]
        for size in options.sizes
        for cache in options.caches
    ]


def measure(reached: Reached, cases: Sequence[Case], options: argparse.Namespace) -> Iterator[Outcome]:
    """Prepare, rehearse, find each case's need, and run it under limits around that."""
    begun = time.monotonic()
    needs = inspect_needs(reached, cases, sendable=(), is_counted=False)
    brought = bring(reached, needs, "process", Transfers(ImageSources(), SourceSets({})), _tell)
    setup = rehearse_settings(prepare(reached, brought, cases, build_payload(), _tell), cases, _tell)
    print(
        f"{len(setup.rehearsals)} settings prepared and tried in {time.monotonic() - begun:.0f} s",
        flush=True,
    )
    bench = Bench(setup)
    for case in cases:
        need = bench.find_need(case, options.within)
        for share in options.shares:
            limit = round(share * need)
            yield Outcome(case, share, need, limit, bench.predict(case, limit), bench.run(case, limit))


def _tell(event: Event) -> None:
    if isinstance(event, SessionFinding):
        print(f"{event.id}: {event.message}", flush=True)


def line(outcome: Outcome) -> str:
    """One row of the table."""
    case, predicted = outcome.case, outcome.predicted
    until = predicted.images_until_oom
    peak = outcome.record.memory.peak_anon
    cells = [
        f"{case.data} {predicted.images}",
        f"{case.image_size[0]}",
        case.cache,
        format_bytes(outcome.need),
        f"{outcome.share:g}",
        format_bytes(outcome.limit),
        _span(predicted.peak_memory_bytes),
        predicted.fit,
        "died" if outcome.has_died else "lived",
        "–" if peak is None else format_bytes(peak),
        "–" if until is None else f"{until.expected}",
        "–" if outcome.taken_in is None else f"{outcome.taken_in}",
        "; ".join(outcome.faults) or "as predicted",
    ]
    return f"| {' | '.join(cells)} |"


def _span(interval: Interval | None) -> str:
    return "–" if interval is None else f"{format_bytes(interval.low)}–{format_bytes(interval.high)}"


COLUMNS = (
    "data", "px", "cache", "need", "share", "limit", "predicted", "fit", "result", "peak",
    "out of memory after, predicted", "out of memory after, measured", "prediction",
)  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Print the table; 0 where everything claimed holds."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    add_options(parser, images=400)
    parser.add_argument("--sizes", type=_numbers, default=[128, 224, 512], help="image sizes in pixels")
    parser.add_argument("--shares", type=_shares, default=[0.8, 0.95, 1.05, 1.3], help="limits in shares of the need")
    parser.add_argument("--caches", type=lambda text: text.split(","), default=["memory", "none"])
    parser.add_argument("--loader", default="tfdata")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--alpha", type=float, help="train MobileNet of this width; without it nothing is trained")
    parser.add_argument("--within", type=float, default=0.04, help="how well a need is found")
    options = parser.parse_args(arguments)
    scratch = options.scratch.resolve()
    scratch.mkdir(parents=True, exist_ok=True)
    (host,) = load_inventory(write_inventory(options, scratch)).hosts
    reached = reach(host, Links(Console()))
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}", flush=True)
    outcomes = []
    for outcome in measure(reached, make_cases(options), options):
        outcomes.append(outcome)
        print(line(outcome), flush=True)
    bad = [outcome for outcome in outcomes if outcome.faults]
    print(f"\n{'NOT REACHED' if bad else 'REACHED'}: {len(outcomes) - len(bad)} of {len(outcomes)} as predicted")
    return 1 if bad else 0


def _numbers(text: str) -> list[int]:
    return [int(word) for word in text.split(",")]


def _shares(text: str) -> list[float]:
    return [float(word) for word in text.split(",")]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
