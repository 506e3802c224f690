"""The figures of the worked example in docs/methodology.md, from a session's records alone.

    harness run inventory/local.yaml --experiment benchmarks/worked_example.yaml
    python benchmarks/worked_example.py reports/local-worked-example-XXXXXXXX [--into docs/methodology.md]

Prints the Markdown that stands between the two marks of that page; ``--into`` puts it there. Takes no minute; the
session takes some eight on two quiet cores.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from harness.analysis.comparison import Comparison, compare
from harness.analysis.noise import noise_floors
from harness.analysis.statistics import Estimate
from harness.analysis.summary import CaseSummary, summarise_case
from harness.report.source import read_source
from harness.values.record import TWIN, Record

BEGIN, END = "<!-- figures of the worked example: benchmarks/worked_example.py -->", "<!-- end of the figures -->"
WORDS = {"faster": "faster", "slower": "slower", "same": "about the same", "unknown": "can't tell"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("session", type=Path, help="the session's folder")
    parser.add_argument("--into", type=Path, metavar="PAGE", help="replace the figures of this page")
    options = parser.parse_args()
    (session,) = read_source(options.session)
    text = "\n".join(describe(session.records))
    if options.into is None:
        print(text)
        return
    page = options.into.read_text(encoding="utf-8")
    before, mark, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not mark or not end:
        parser.error(f"{options.into} lacks the lines {BEGIN!r} and {END!r}")
    options.into.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", encoding="utf-8")


def describe(records: Sequence[Record]) -> Iterator[str]:
    """The table and what follows from it, line by line."""
    groups: dict[tuple[str, str], list[Record]] = {}
    for record in records:
        groups.setdefault((record.case_id, record.alias or ""), []).append(record)
    rows = sorted((summarise_case(found) for found in groups.values()), key=name)
    base = next(row for row in rows if is_baseline(row))
    plain = pick(rows, cache="none", budgets="container")
    yield f"{hardware(records)}; {max(r.round for r in records)} rounds; engine `{records[0].engine}`.\n"
    yield from table(rows, base)
    yield ""
    points = [
        say_floor(records),
        say_host(records),
        say_verdict(plain, base),
        say_work(plain),
        say_cold(plain, pick(rows, cache="file")),
        say_death(pick(rows, cache="memory")),
        say_times(pick(rows, cache="file")),
        say_budgets(pick(rows, cache="none", budgets="default"), plain),
        say_watching(records),
    ]
    yield from (f"{number}. {point}" for number, point in enumerate(points, start=1))


def pick(rows: Sequence[CaseSummary], **wanted: str) -> CaseSummary:
    """Return tf.data's row with these parameters, without repeat checks."""
    mine = (row for row in rows if row.case.loader == "tfdata" and row.alias is None)
    return next(row for row in mine if all(getattr(row.case, key) == value for key, value in wanted.items()))


def is_baseline(row: CaseSummary) -> bool:
    return row.case.loader == "keras-idg" and row.case.budgets == "container" and row.alias is None


def name(row: CaseSummary) -> str:
    parts = [row.case.loader, f"cache {row.case.cache}" if row.case.cache != "none" else ""]
    parts.append("budgets default" if row.case.budgets == "default" else "")
    return ", ".join(part for part in parts if part) + (" (repeat check, A/A)" if row.alias == TWIN else "")


def hardware(records: Sequence[Record]) -> str:
    return records[0].hardware.partition(" #")[0]


def table(rows: Sequence[CaseSummary], base: CaseSummary) -> Iterator[str]:
    heads = [
        "case",
        "epoch 1",
        "epoch 2",
        "÷ keras-idg",
        "verdict",
        "images per CPU second",
        "from storage in epoch 1, 2",
    ]
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for row in rows:
        if not row.used:
            ends = ", ".join(f"{number} × {status}" for status, number in row.statuses.items())
            yield f"| {name(row)} | {ends} | – | – | – | – | – |"
            continue
        found = compare(row.measurements("steady"), base.measurements("steady"))
        ratio, verdict = ("1", "–") if row is base else (number(found.ratio, 2), WORDS[found.verdict.kind])
        cells = [name(row), number(row.first_images_per_s), number(row.steady_images_per_s), ratio, verdict]
        yield f"| {' | '.join([*cells, number(row.images_per_cpu_s), storage(row)])} |"


def number(found: Estimate | None, digits: int = 0) -> str:
    """``812 (790–835)``: geometric mean, 95 % interval."""
    if found is None:
        return "–"
    interval = " (n = 1)" if found.low is None else f" ({found.low:.{digits}f}–{found.high:.{digits}f})"
    return f"{found.value:.{digits}f}{interval}"


def storage(row: CaseSummary) -> str:
    """Return megabytes, medians over the runs."""
    read = [mb([record.epochs[at].bytes_read for record in row.used]) for at in (0, 1)]
    needed = [mb([record.epochs[at].bytes_needed for record in row.used]) for at in (0, 1)]
    return f"{read[0]}, {read[1]} MB (needed: {needed[0]}, {needed[1]})"


def mb(values: Sequence[int | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{median(known) / 1e6:.0f}" if known else "unknown"


def say_floor(records: Sequence[Record]) -> str:
    (floor,) = noise_floors(records)
    ratio = number(floor.ratio, 2)
    return (
        f"**What is this machine's noise?** One case ran twice in each round (the repeat check), with a ratio of "
        f"{ratio}; single pairs typically differ by {100 * (floor.typical - 1):.0f} % and by "
        f"{100 * (floor.largest - 1):.0f} % at most. A smaller difference means nothing here."
    )


def say_host(records: Sequence[Record]) -> str:
    counts = Counter(record.validity for record in records)
    ids = Counter(finding.id for record in records for finding in record.findings)
    listed = ", ".join(f"`{key}` {count}" for key, count in ids.most_common()) or "none"
    watched: list[Any] = [record.io["host"] for record in records if record.io.get("host")]
    foreign = [host["foreign_cpus"]["mean"] for host in watched]
    judged = ", ".join(f"{count} {validity}" for validity, count in counts.most_common())
    return (
        f"**Was the machine busy?** Other programs used {min(foreign):.2f} to {max(foreign):.2f} CPUs during the runs. "
        f"Of {len(records)} runs {judged}. Findings: {listed}."
    )


def say_verdict(plain: CaseSummary, base: CaseSummary) -> str:
    speed = compare(plain.measurements("steady"), base.measurements("steady"))
    work = compare(plain.measurements("per_cpu"), base.measurements("per_cpu"))
    return (
        f"**Is tf.data faster than ImageDataGenerator?** By images/s {said(speed)}. "
        f"By images per CPU second {said(work)}: where only the first ratio is above 1, the gain is more cores, "
        "not less work."
    )


def said(found: Comparison) -> str:
    more = f", {found.verdict.more_rounds} rounds more would settle it" if found.verdict.more_rounds else ""
    return f"{number(found.ratio, 2)} times, verdict *{WORDS[found.verdict.kind]}*{more}"


def say_work(plain: CaseSummary) -> str:
    work: Any = plain.used[0].environment["samework"]
    return (
        "**Did they do the same work?** Checked before the first measurement: each indexed image once per epoch, "
        f"right labels, and a mean difference of {work['pixel_difference']:.2f} grey levels from the reference."
    )


def say_cold(plain: CaseSummary, cached: CaseSummary) -> str:
    return (
        f"**Was it cold?** tf.data without a cache read {storage(plain)} from storage in its two epochs: what fits "
        "under the limit beside the program stays in the page cache. The cache file does not fit: "
        f"{storage(cached)}, so its second epoch reads the disk, as on a small machine."
    )


def say_death(row: CaseSummary) -> str:
    found: list[Any] = [r.evidence["last_images"] for r in row.records if r.evidence.get("last_images")]
    seen = sorted(found)
    deaths = [r.predictions.images_until_oom for r in row.records if r.predictions is not None]
    told = sorted({death.expected for death in deaths if death is not None})
    off = max(abs(seen_at / told_at - 1) for seen_at in seen for told_at in told)
    ends = ", ".join(f"{count} × {status}" for status, count in row.statuses.items())
    return (
        f"**When is the memory cache too large?** Predicted after {span(told)} images, out of memory after "
        f"{span(seen)} ({ends}; difference at most {100 * off:.1f} %)."
    )


def span(values: Sequence[float]) -> str:
    low, high = f"{min(values):.3g}", f"{max(values):.3g}"
    return low if low == high else f"{low}–{high}"


def say_times(row: CaseSummary) -> str:
    told = row.used[0].predictions
    assert told is not None and told.fill_s is not None and told.steady_s is not None
    assert row.fill_s is not None and row.steady_epoch_s is not None and row.cache_bytes is not None
    fill, later = row.fill_s.value, row.steady_epoch_s.value
    return (
        f"**Were times and sizes predicted?** File cache: first epoch {told.fill_s:.1f} s predicted, {fill:.1f} s "
        f"measured; second {told.steady_s:.1f} and {later:.1f} s (the trial run has no limit: its file stays in "
        f"memory, here the disk is read). Bytes: {row.cache_predicted_bytes:,} by formula, {row.cache_bytes:,} on disk."
    )


def say_budgets(default: CaseSummary, told: CaseSummary) -> str:
    budgets: list[Any] = [row.records[0].environment["budgets"] for row in (default, told)]
    alone, truth = (each["took_ram_bytes"] for each in budgets)
    limit = default.limit_bytes or 0
    return (
        f"**Which budget did tf.data use?** By default {alone / 1e9:.1f} GB in a job of {limit / 1e6:.0f} MB; "
        f"with `budgets: container` {truth / 1e6:.0f} MB."
    )


def say_watching(records: Sequence[Record]) -> str:
    seen: list[tuple[Any, Any]] = [(r.environment.get("supervisor"), r.io.get("wall_s")) for r in records]
    watched = [(supervisor, wall_s) for supervisor, wall_s in seen if supervisor and supervisor["cpu_s"] and wall_s]
    share = max(supervisor["cpu_s"] / wall_s for supervisor, wall_s in watched)
    memory = max(supervisor["anon_bytes"] for supervisor, _ in watched)
    return f"**What did monitoring cost?** At most {100 * share:.2f} % of a core and {memory / 1e6:.1f} MB."


if __name__ == "__main__":
    main()
