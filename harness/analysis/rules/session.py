"""Findings about a session and its hosts, which the session writes as events."""

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
        cure="start a new session with `--fresh` if the change may matter.",
    ),
    "image-differs": Entry(
        "error",
        "session",
        cause="hosts with the same image definition have images with different contents.",
        cure="`harness run --fresh` sends one image to all hosts.",
    ),
    "image-removed": Entry(
        "info",
        "session",
        cause="the image of the jobs was removed from a host before all its cases had run.",
        cure="nothing: it was built or sent again. If that fails, the host is left out and nothing is recorded.",
    ),
    "data-elsewhere": Entry(
        "info",
        "session",
        cause="the inventory names a data set of the experiment for other hosts, but not for this one.",
        cure="nothing, if that is intended; else name it under `harness: data:` of the host.",
    ),
    "payload-differs": Entry(
        "error",
        "session",
        cause="different versions of the benchmark's code made the records of one session.",
        cure="start a new session with `--fresh`.",
    ),
    "clock-offset": Entry(
        "warning",
        "session",
        cause=(
            "a host's clock differs from the controller's by more than 5 s, so time stamps of its records cannot be "
            "compared with those of other hosts. Durations are not affected: they use monotonic clocks."
        ),
        cure="run `sudo timedatectl set-ntp true` there.",
    ),
    "host-changed": Entry(
        "warning",
        "session",
        cause=(
            "facts that were read after a session differ from those before it: a missing GPU, another kernel, a "
            "reboot, another governor."
        ),
        cure="find out what happened on that host, and repeat what was measured after the change.",
    ),
    "not-rehearsed": Entry(
        "info",
        "session",
        cause=(
            "a loader setting had no trial run before the session (the message states which setting, and why), so its "
            "predictions are by formula: the interval is so wide that near its limit the result is not known."
        ),
        cure="see the reason; the next session tries again. Trial runs are kept in the host's scratch folder.",
    ),
    "stages-unknown": Entry(
        "info",
        "session",
        cause=(
            "the CPU time of each stage of a loader (reading, decoding, …) could not be measured before the rounds; "
            "the message states of which loader, and why. No other figure depends on it."
        ),
        cure="see the reason; the next session tries again. Results are kept in the host's scratch folder.",
    ),
    "limit-found": Entry(
        "info",
        "session",
        cause=(
            "a case with `memory_limit: search` was run under limits that a bisection chose: the result is the "
            "smallest limit in which it runs, and the smallest one in which it reaches 95 % of its best speed, both "
            "within 5 %. The largest limit runs twice, and a limit counts as slow only when a second run there was "
            "slow, too; where the two runs differ by more than 5 %, or an epoch takes less than 0.5 s, the speed is "
            "not judged."
        ),
        cure=(
            "nothing; it is the result. One OOM under a limit counts: run the case with several rounds near the limit "
            "to see how much it varies."
        ),
    ),
    "search-open": Entry(
        "warning",
        "session",
        cause=(
            "such a search is not finished: the budget is used up, or a trial ended for another reason than memory."
        ),
        cure=(
            "the same command continues the search without repeating trials. For a trial that failed add "
            "`--rerun-failed`."
        ),
    ),
    "rounds-settled": Entry(
        "info",
        "session",
        cause=(
            "with `rounds: auto` every comparison behind the advice is settled: the best case with the baseline, and "
            "with each rival that could still be chosen."
        ),
        cure="nothing.",
    ),
    "rounds-open": Entry(
        "warning",
        "session",
        cause=(
            "with `rounds: auto` a comparison is not settled, and neither the rounds within the budget nor 20 rounds "
            "would settle it; the message states which. The answer then names all pipelines that may be used, and by "
            "how much they may differ."
        ),
        cure="nothing, if that answer is enough; else use a larger budget, or reduce other load on the host.",
    ),
    "budget-short": Entry(
        "warning",
        "session",
        cause=(
            "the preparation (on this machine also the image or the environment), the same-work check and the trial "
            "runs left less of the budget than the first round is expected to take."
        ),
        cure=(
            "give the same command again: it continues with a new budget, and what was prepared is kept. If even a "
            "whole budget is too short, the hint states how much is needed."
        ),
    ),
    "budget-over": Entry(
        "warning",
        "session",
        cause="the budget of the experiment was used up before all runs had started.",
        cure="the same command continues with the others.",
    ),
    "max-fail": Entry(
        "error",
        "session",
        cause="more runs or hosts failed than the session allows, so it was ended.",
        cure="see what failed first in `harness status` and in the logs; the same command continues the session.",
    ),
    "record-unreadable": Entry(
        "warning",
        "session",
        cause=(
            "a line of `records.jsonl` is damaged, or has impossible figures: it counts as not measured, so "
            "`harness run` measures it again. All other records are used."
        ),
        cure="nothing has to be done; remove the line (keep a copy) to remove this finding.",
    ),
    "job-left": Entry(
        "warning",
        "session",
        cause=(
            "a job has ended and was removed, but not all files that it wrote: a folder of its cache belongs to "
            "another user, or the disk does not allow it. The session continues."
        ),
        cure="remove the folder that the message names: it takes space on that disk.",
    ),
    "lock-left": Entry(
        "info",
        "session",
        cause="a host could not be reached when the session ended there, so its lock is still on the host.",
        cure="nothing: the next session takes over the lock of an ended session; or run `harness unlock INVENTORY`.",
    ),
    "cut-line": Entry(
        "info",
        "session",
        cause="a controller was killed while it wrote, and the incomplete last line was removed.",
        cure="nothing: that run is measured again.",
    ),
    "report-failed": Entry(
        "warning",
        "session",
        cause=(
            "the page could not be written after a round, because of a full disk or a bug in the report. No "
            "measurement is lost."
        ),
        cure="free space on the disk; `harness report SESSION` writes the page again from the records.",
    ),
}

FAMILY = Family(rank=70, title="The session", entries=ENTRIES)
