"""How a run ended, from every mix of evidence that was seen on real engines (and their documentation)."""

from __future__ import annotations

from typing import Any

import pytest

from harness.analysis.record_status import Evidence, judge_ending

PROGRESS = [{"event": "progress", "epoch": 1, "step": 7, "images": 224, "t": 9.5}]
DONE = [*PROGRESS, {"event": "done"}]


def outcome(
    exit_code: Any = None, signal: Any = None, kills: int | None = 0, timed_out: bool = False, terminated: bool = False
) -> dict[str, Any]:
    return {
        "child": {"exit_code": exit_code, "signal": signal},
        "memory": {"oom_kills": kills, "oom_at_s": 9.7 if kills else None},
        "timed_out": timed_out,
        "terminated": terminated,
    }


def judge(
    outcome: Any = None,
    failure: Any = None,
    events: Any = (),
    phase: str = "exited",
    exit_code: int = 0,
    oom: Any = None,
    error: Any = None,
) -> Any:
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
            "made no progress for 20.1 s",
        ),
        # SIGKILL without an OOM kill is somebody else's doing.
        (dict(outcome=outcome(signal=9), events=PROGRESS), "error", "SIGKILL"),
        (dict(exit_code=137, oom=False), "error", "killed from outside"),
        (dict(exit_code=137, oom=True), "oom", "before its first batch"),
        (dict(exit_code=255), "lost", "host or its engine"),
        (dict(exit_code=143), "lost", "without evidence"),
        (dict(exit_code=0), "lost", "without evidence"),
        (dict(exit_code=1), "error", "its supervisor ended with exit code 1 and wrote no outcome"),
        (dict(phase="gone", exit_code=None), "lost", "no longer on the host"),
        (dict(outcome=outcome(signal=15, timed_out=True), events=PROGRESS), "timeout", "epoch 1"),
        (dict(outcome=outcome(1), failure={"kind": "oom", "message": "MemoryError"}), "oom", "was refused"),
        (dict(outcome=outcome(1), failure={"kind": "gpu_oom", "message": "x"}), "oom", "GPU"),
        (dict(outcome=outcome(1), failure={"kind": "disk_full", "message": "full"}), "disk_full", "full"),
        (dict(outcome=outcome(1), failure={"kind": "gpu_missing", "message": "m"}), "error", "gpu_missing: m"),
        (dict(outcome=outcome(1), failure={"kind": "error", "message": "boom"}), "error", "boom"),
        (dict(outcome=outcome(3)), "error", "exit code 3"),
        (dict(outcome=outcome(0), events=PROGRESS), "error", "without reporting that it was done"),
        (dict(outcome=outcome(0, terminated=True)), "lost", "stopped from outside"),
        (dict(exit_code=1, error="write /x: no space left on device"), "disk_full", "no space left"),
    ],
)
def test_ending(evidence: Any, status: str, words: str) -> None:
    ending = judge(**evidence)
    assert ending.status == status
    assert words in (ending.cause or "")


def test_evidence_keeps_what_was_seen() -> None:
    seen = judge(outcome=outcome(signal=9, kills=2), events=PROGRESS, oom=True).evidence
    assert seen["oom_kills"] == 2
    assert seen["engine_oom_killed"] is True
    assert (seen["last_epoch"], seen["last_step"], seen["last_images"]) == (1, 7, 224)


NODE = "{{function_node __wrapped__IteratorGetNext_output_types_2_device_/job:localhost/device:CPU:0}} "
IN_USER_CODE = (
    'in user code:\n\n    File "/harness/payload/own/mine.py", line 13, in load  *\n        return f(image)\n\n'
    "    ValueError: Dimension 0 in both shapes must be equal, but are 64 and 32. Shapes are [64,96,3] and [32,32,3]. "
    "for '{{node EnsureShape}} = EnsureShape[T=DT_FLOAT, shape=[64,96,3]](x)' with input shapes: [32,32,3].\n"
)


@pytest.mark.parametrize(
    ("kind", "name", "text", "words"),
    [
        ("error", "ValueError", IN_USER_CODE, "two shapes do not match: [64,96,3] and [32,32,3]"),
        (
            "error",
            "InvalidArgumentError",
            NODE + "Cannot batch tensors with different shapes in component 0. First element had shape [97,129,3] and "
            "element 1 had shape [99,139,3]. [Op:IteratorGetNext] name: ",
            "its images have different shapes, [97,129,3] and [99,139,3], so they cannot be batched (are all of them "
            "resized?)",
        ),
        (
            "data",
            "InvalidArgumentError",
            NODE + "Error in user-defined function passed to ParallelMapDatasetV2:1 transformation with iterator: "
            "Iterator::Root::Prefetch::BatchV2: Unknown image file format. One of JPEG, PNG, GIF, BMP required.\n\t "
            "[[{{node DecodeJpeg}}]] [Op:IteratorGetNext] name: ",
            "data: it cannot read an image: Unknown image file format. One of JPEG, PNG, GIF, BMP required.",
        ),
        (
            "data",
            "NotFoundError",
            NODE + "/harness/mounts/data/cat/1.jpg; No such file or directory\n\t [[{{node ReadFile}}]]",
            "data: it looks for a file that does not exist: cat/1.jpg",
        ),
        (
            "error",
            "UnknownError",
            NODE + "KeyError: 'a\\tb\\x1b[31m'\nTraceback (most recent call last):\n\n  File \"x.py\", line 1\n",
            "it raised KeyError: 'a b '",
        ),
        ("error", "RuntimeError", "x" * 5000, "it raised RuntimeError: " + "x" * 239 + "…"),
        ("error", "BenchmarkFailure", "epoch 1 delivered 3 of 13 images", "epoch 1 delivered 3 of 13 images"),
        (
            "oom",
            "MemoryError",
            "MemoryError",
            "an allocation within the limit was refused: it raised MemoryError",
        ),
    ],
)
def test_a_failure_is_said_in_plain_words(kind: str, name: str, text: str, words: str) -> None:
    failure = {"kind": kind, "type": name, "message": text}
    assert judge(outcome=outcome(1), failure=failure).cause == words


@pytest.mark.parametrize("left", [None, outcome(signal=15, terminated=True)])
@pytest.mark.parametrize(("done", "words"), [("timeout", "Slurm ended it"), ("lost", "its node failed")])
def test_what_an_engine_did_with_a_job_is_its_status(left: Any, done: Any, words: str) -> None:
    ending = judge_ending(Evidence(left, None, PROGRESS, "exited", engine_error=words, ended_by_engine=done))  # type: ignore[arg-type]
    assert ending.status == done and ending.cause == f"{words}; in epoch 1 after 224 images, 9.5 s after its start"


def test_what_was_done_before_an_engine_ended_the_job_counts() -> None:
    done = Evidence(outcome(0), None, DONE, "exited", engine_error="cancelled", ended_by_engine="lost")  # type: ignore[arg-type]
    assert judge_ending(done).status == "ok"
