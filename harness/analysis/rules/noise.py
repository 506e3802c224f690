"""Findings about noise: of one invocation, and of a host over a session (``analysis.noise``)."""

from __future__ import annotations

from harness.analysis.findings import Entry, Family
from harness.analysis.noise import find_noise

ENTRIES = {
    "too-short": Entry(
        "info",
        "invocation",
        "too short to time",
        cause=(
            "an epoch took less than 0.5 s: so short that the start of its pipeline and one hiccup decide its figure. "
            "It is shown, and carries no verdict and no advice."
        ),
        cure="more images (`max_images`, a larger set): the message says how many would do.",
    ),
    "cores-idle": Entry(
        "warning",
        "invocation",
        "cores were idle",
        cause=(
            "in one pass the CPUs were less than 75 % as busy as in its peers (the same case's other passes) and "
            "it was slower than 85 % of them: a parallel map that woke with one thread, or a scheduler that left "
            "a core idle. Seen on two cores: 760–830 images/s, now and then exactly 400. Cores that others used "
            "are not idle: that is `host-busy`. (What TensorFlow waits for when it takes an epoch's iterator "
            "down, up to as long as the epoch, is outside the clock.)"
        ),
        cure="more rounds; where it comes often, compare with `budgets: container`, which fixes the thread pools.",
    ),
    "first-slower": Entry(
        "warning",
        "invocation",
        "first on its host, slower",
        cause=(
            "a host's first invocation of the session was more than 10 % slower than all later ones of its case: "
            "clocks, caches of the engine's image, an idle disk."
        ),
        cure="more rounds outweigh it; it is marked, and not left out.",
    ),
    "noise-floor": Entry(
        "warning",
        "session",
        cause=(
            "each round runs one case twice, under the alias `b` (the repeat check, A/A). The two differ by more than "
            "5 %: so much may two equal loaders differ by on this host."
        ),
        cure="quieten the host (`host-busy`, clocks), or run more rounds: a paired interval accounts for it.",
    ),
    "twins-differ": Entry(
        "warning",
        "session",
        cause="the interval of that repeat check lies wholly beyond 5 %: a case is surely faster than itself.",
        cure=(
            "no verdict of this host is to be believed before this is explained; look for what happens at fixed times."
        ),
    ),
    "drift": Entry(
        "warning",
        "session",
        cause="over the rounds the rates of all cases moved together by more than 5 %.",
        cure="ratios are taken within rounds and do not suffer; absolute figures do. Look at temperature and clocks.",
    ),
    "spread": Entry(
        "warning",
        "session",
        cause="the invocations of one case have a standard deviation above 10 %.",
        cure="look at the findings of the single ones; run more rounds.",
    ),
}


FAMILY = Family(rank=50, title="Noise", entries=ENTRIES, judge=lambda record, _facts, peers: find_noise(record, peers))
