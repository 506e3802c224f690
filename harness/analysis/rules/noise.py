"""Findings about noise: of a run, and of a host over a session (``analysis.noise``)."""

from __future__ import annotations

from harness.analysis.findings import Entry, Family
from harness.analysis.noise import find_noise

ENTRIES = {
    "too-short": Entry(
        "info",
        "invocation",
        "too short to time",
        cause=(
            "an epoch took less than 0.5 s: so short that the start of its pipeline and single disturbances dominate "
            "its figure. The figure is shown, but there is no verdict and no advice."
        ),
        cure="measure more images (`max_images`, or a larger set): the message states how many are enough.",
    ),
    "cores-idle": Entry(
        "warning",
        "invocation",
        "cores were idle",
        cause=(
            "in one epoch the CPUs were less than 75 % as busy as in other epochs of the case, and the rate was below "
            "85 % of theirs: a parallel map that used one thread, or a scheduler that left a core idle. Example on two "
            "cores: 760–830 images/s, and sometimes exactly 400. Cores that other programs used are not idle: that is "
            "`host-busy`. (The time that TensorFlow waits when it deletes the iterator of an epoch, up to the length "
            "of the epoch, is not measured.)"
        ),
        cure="run more rounds; if it is frequent, compare with `budgets: container`, which fixes the thread pools.",
    ),
    "first-slower": Entry(
        "warning",
        "invocation",
        "first on its host, slower",
        cause=(
            "the first run of a session on a host was more than 10 % slower than all later runs of its case, for "
            "example because of clocks, caches of the engine's image, or an idle disk."
        ),
        cure="run more rounds, which reduce its effect; the run is marked but not left out.",
    ),
    "noise-floor": Entry(
        "warning",
        "session",
        cause=(
            "each round runs one case twice, the second time under the alias `b` (the repeat check, A/A). The two runs "
            "differ by more than 5 %, so two equal loaders may differ as much on this host."
        ),
        cure="reduce other load (`host-busy`, clocks), or run more rounds: the interval accounts for the noise.",
    ),
    "twins-differ": Entry(
        "warning",
        "session",
        cause=(
            "the whole interval of the repeat check differs from 1 by more than 5 %: a case is certainly faster than "
            "itself."
        ),
        cure=(
            "do not rely on verdicts of this host until this is explained; look for events at fixed times, such as "
            "scheduled jobs."
        ),
    ),
    "drift": Entry(
        "warning",
        "session",
        cause="over the rounds the rates of all cases changed together by more than 5 %.",
        cure="check temperature and clocks. Ratios are not affected (paired by rounds), absolute figures are.",
    ),
    "spread": Entry(
        "warning",
        "session",
        cause="the runs of one case have a standard deviation above 10 %.",
        cure="see the findings of the single runs; run more rounds.",
    ),
}


FAMILY = Family(rank=50, title="Noise", entries=ENTRIES, judge=lambda record, _facts, peers: find_noise(record, peers))
