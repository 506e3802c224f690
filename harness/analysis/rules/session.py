"""Findings about a session and its hosts, which its stages tell as events."""

from __future__ import annotations

from harness.analysis.findings import Entry, Family

ENTRIES = {
    "environment-changed": Entry(
        "warning",
        "session",
        cause=(
            "records of one host in one session were made with different versions of Python, TensorFlow, kernel "
            "or engine, or a file of weights had another content."
        ),
        cure="start anew with `--fresh` if the change may matter.",
    ),
    "image-differs": Entry(
        "error",
        "session",
        cause="hosts that run one image definition have images of different content.",
        cure="`harness run --fresh` ships one image to all.",
    ),
    "image-removed": Entry(
        "info",
        "session",
        cause="somebody removed the image of the jobs from a host while cases were left to run there.",
        cure="nothing: it was built or sent once more. Where that fails the host is set aside, and nothing recorded.",
    ),
    "data-elsewhere": Entry(
        "info",
        "session",
        cause="the inventory gives a data set of the experiment to other hosts, and not to this one.",
        cure="nothing, where that is meant; else name it under the host's `harness: data:`.",
    ),
    "payload-differs": Entry(
        "error",
        "session",
        cause="records of one session were made by different code of the benchmark.",
        cure="start anew with `--fresh`.",
    ),
    "clock-offset": Entry(
        "warning",
        "session",
        cause=(
            "a host's clock is more than 5 s off the controller's: time stamps of its records cannot be laid "
            "beside those of others. Durations are not concerned: they come from monotonic clocks."
        ),
        cure="`sudo timedatectl set-ntp true` there.",
    ),
    "host-changed": Entry(
        "warning",
        "session",
        cause=(
            "facts read after a session differ from those read before it: a GPU that is gone, another kernel, a "
            "reboot, another governor."
        ),
        cure="see what happened on that host; run again what was measured after it.",
    ),
    "not-rehearsed": Entry(
        "info",
        "session",
        cause=(
            "a loader setting was not run in small before the session (the message says which, and why), so that its "
            "predictions are by formula: an interval so wide that near its limit nothing is known of it."
        ),
        cure="see the reason; the next session tries again. What was rehearsed is kept in the host's scratch.",
    ),
    "stages-unknown": Entry(
        "info",
        "session",
        cause=(
            "what an image costs in each stage of a loader (reading, decoding, …) could not be found before the "
            "session's rounds; the message says of which loader, and why. No measured figure depends on it."
        ),
        cure="see the reason; the next session tries again. What was found is kept in the host's scratch.",
    ),
    "limit-found": Entry(
        "info",
        "session",
        cause=(
            "a case with `memory_limit: search` was run under limits found by bisection: the smallest in which it "
            "lives, and the one from which it reaches 95 % of its best speed. Both are known to 5 %. The largest "
            "limit runs twice, and a limit is called slow only when a second run there was slow, too; where those "
            "two runs differ by more than 5 %, or an epoch takes less than 0.1 s, the speed is not judged."
        ),
        cure=(
            "nothing; it is the answer. One death under a limit counts: near the edge run the case with several "
            "rounds to see how wide the edge is."
        ),
    ),
    "search-open": Entry(
        "warning",
        "session",
        cause=(
            "such a search did not come to its end: the budget is used up, or a trial ended for another reason "
            "than memory."
        ),
        cure=(
            "the same command goes on with it; trials that are known are not run again. For one that failed add "
            "`--rerun-failed`."
        ),
    ),
    "rounds-settled": Entry(
        "info",
        "session",
        cause=(
            "with `rounds: auto` every comparison that the advice rests on is settled: the best case against the "
            "baseline, and against each rival that could still be chosen."
        ),
        cure="nothing.",
    ),
    "rounds-open": Entry(
        "warning",
        "session",
        cause=(
            "with `rounds: auto` some comparison is not settled, and neither the rounds that the budget still allows "
            "nor 20 in all would settle it; the message says which. The answer then names all that may be chosen, "
            "and within what they are alike."
        ),
        cure="nothing, if that answer is enough; else the same command with a budget of its own, or a quieter host.",
    ),
    "budget-short": Entry(
        "warning",
        "session",
        cause=(
            "bringing what the cases need, the same-work check and the trial runs left less of the budget than the "
            "first round is expected to take."
        ),
        cure=(
            "the same command goes on with a budget of its own, and prepares nothing again; where even that is too "
            "short, the hint has the time to give."
        ),
    ),
    "budget-over": Entry(
        "warning",
        "session",
        cause="the budget of the experiment was used up before all invocations had begun.",
        cure="the same command goes on with them.",
    ),
    "max-fail": Entry(
        "error",
        "session",
        cause="more invocations or hosts failed than the session allows; it was ended.",
        cure="see what failed first, in `harness status` and the logs; the same command continues.",
    ),
    "record-unreadable": Entry(
        "warning",
        "session",
        cause=(
            "a line of `records.jsonl` is damaged, or holds figures that nobody can have measured: it counts as not "
            "measured, so that `harness run` measures it again. The other records are read as ever."
        ),
        cure="nothing has to be done; take the line out (keep a copy) to be told no more.",
    ),
    "job-left": Entry(
        "warning",
        "session",
        cause=(
            "a job has ended and is removed, but not all that it wrote: a folder of its cache belongs to another user, "
            "or its disk refuses. The session goes on."
        ),
        cure="remove the folder that the message names by hand: it takes room on that disk.",
    ),
    "lock-left": Entry(
        "info",
        "session",
        cause="a host could not be reached when the session let it go, so that its lock stands there still.",
        cure="nothing: the next session takes over the lock of one that is dead, or `harness unlock INVENTORY`.",
    ),
    "cut-line": Entry(
        "info",
        "session",
        cause="a controller was killed while it wrote; the half-written last line was cut off.",
        cure="nothing: what it belonged to is measured again.",
    ),
    "report-failed": Entry(
        "warning",
        "session",
        cause=(
            "the page could not be written after a round: a full disk, or a defect of the report. Nothing that "
            "was measured is lost."
        ),
        cure="make room; `harness report SESSION` makes it again from the records.",
    ),
}

FAMILY = Family(rank=70, title="The session", entries=ENTRIES)
