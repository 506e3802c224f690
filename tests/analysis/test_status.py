"""How an invocation ended, from every mix of evidence that was seen on real engines (and their documentation)."""

from __future__ import annotations

import pytest

from harness.analysis.status import Evidence, judge_ending

PROGRESS = [{"event": "progress", "epoch": 1, "step": 7, "images": 224, "t": 9.5}]
DONE = [*PROGRESS, {"event": "done"}]


def outcome(exit_code=None, signal=None, kills=0, timed_out=False, terminated=False):
    return {
        "child": {"exit_code": exit_code, "signal": signal},
        "memory": {"oom_kills": kills, "oom_at_s": 9.7 if kills else None},
        "timed_out": timed_out,
        "terminated": terminated,
    }


def judge(outcome=None, failure=None, events=(), phase="exited", exit_code=0, oom=None, error=None):
    return judge_ending(
        Evidence(outcome, failure, events, phase, exit_code=exit_code, engine_oom=oom, engine_error=error)
    )


@pytest.mark.parametrize(
    ("evidence", "status", "words"),
    [
        (dict(outcome=outcome(0), events=DONE), "ok", ""),
        # A child killed for memory while the supervisor lives on: the engine's own flag may be anything.
        (dict(outcome=outcome(signal=9, kills=1), events=PROGRESS), "oom", "epoch 1 after 224 images, 9.5 s"),
        (dict(outcome=outcome(signal=9, kills=1), events=PROGRESS, oom=True), "oom", "killed by the kernel"),
        (dict(outcome=outcome(signal=9, kills=None), events=PROGRESS, oom=True), "oom", "killed by the kernel"),
        # OOMKilled can be true with exit 0: a grandchild was killed.
        (dict(outcome=outcome(0, kills=1), events=DONE, oom=True), "oom", "a process of the benchmark"),
        # Near its limit a job may be kept alive by the kernel without getting anywhere: ended by the supervisor.
        (
            dict(
                outcome={
                    **outcome(signal=9),
                    "memory": {"oom_kills": 0, "thrashing": {"seconds": 20.1, "major_faults_per_s": 1020}},
                },
                events=PROGRESS,
            ),
            "oom",
            "got nowhere for 20.1 s",
        ),
        # SIGKILL without an OOM kill is somebody else's doing.
        (dict(outcome=outcome(signal=9), events=PROGRESS), "error", "SIGKILL"),
        (dict(exit_code=137, oom=False), "error", "killed from outside"),
        (dict(exit_code=137, oom=True), "oom", "before its first batch"),
        (dict(exit_code=255), "lost", "host or its engine"),
        (dict(phase="gone", exit_code=None), "lost", "no longer on the host"),
        (dict(outcome=outcome(signal=15, timed_out=True), events=PROGRESS), "timeout", "epoch 1"),
        (dict(outcome=outcome(1), failure={"kind": "oom", "message": "MemoryError"}), "oom", "refused and not killed"),
        (dict(outcome=outcome(1), failure={"kind": "gpu_oom", "message": "x"}), "oom", "GPU"),
        (dict(outcome=outcome(1), failure={"kind": "disk_full", "message": "full"}), "disk_full", "full"),
        (dict(outcome=outcome(1), failure={"kind": "gpu_missing", "message": "m"}), "error", "gpu_missing: m"),
        (dict(outcome=outcome(1), failure={"kind": "error", "message": "boom"}), "error", "boom"),
        (dict(outcome=outcome(3)), "error", "exit code 3"),
        (dict(outcome=outcome(0), events=PROGRESS), "error", "without saying that it was done"),
        (dict(outcome=outcome(0, terminated=True)), "error", "stopped from outside"),
        (dict(exit_code=1, error="write /x: no space left on device"), "disk_full", "no space left"),
    ],
)
def test_ending(evidence, status: str, words: str) -> None:
    ending = judge(**evidence)
    assert ending.status == status
    assert words in (ending.cause or "")


def test_evidence_keeps_what_was_seen() -> None:
    seen = judge(outcome=outcome(signal=9, kills=2), events=PROGRESS, oom=True).evidence
    assert seen["oom_kills"] == 2
    assert seen["engine_oom_killed"] is True
    assert (seen["last_epoch"], seen["last_step"], seen["last_images"]) == (1, 7, 224)
