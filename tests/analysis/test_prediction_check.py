"""Predicted beside measured: what differs by more than it should is a finding, and makes no measurement worse."""

from __future__ import annotations

import pytest
from factory import plain_record

from harness.analysis.prediction_check import check_prediction
from harness.analysis.validity import judge_record
from harness.values.case import Case
from harness.values.prediction import Fit, Interval, Prediction
from harness.values.record import Memory, Record

MB = 10**6
PEAK = Interval(low=380 * MB, expected=400 * MB, high=440 * MB)
UNTIL = Interval(low=160, expected=192, high=224)


def make(
    fit: Fit,
    *,
    status: str = "ok",
    peak_mb: int = 410,
    limit_mb: int = 450,
    until: Interval | None = None,
    **seen: object,
) -> Record:
    """A record of 320 images with a cache in memory; ``seen`` is evidence."""
    case = Case(data="d", loader="tfdata", cache="memory", memory_limit=limit_mb * MB)
    predicted = Prediction(
        images=320, cache_bytes=1, disk_bytes=0, peak_memory_bytes=PEAK, fit=fit, reason="", images_until_oom=until,
        whole_set=None, basis="rehearsal", duration_s=1.0,
    )  # fmt: skip
    return plain_record(
        case,
        status=status,
        evidence={"oom_kills": int(status == "oom"), **seen},
        predictions=predicted,
        memory=Memory(limit_asked=limit_mb * MB, limit_effective=limit_mb * MB, peak_anon=peak_mb * MB, swap_used=0),
    )


def off(record: Record) -> list[str]:
    _, findings = judge_record(record)
    return [finding.message for finding in findings if finding.id == "prediction-off"]


def test_what_came_as_predicted_is_no_finding() -> None:
    assert off(make("fits")) == []
    assert off(make("may not fit", until=UNTIL)) == []
    assert off(make("may not fit", status="oom", until=UNTIL, last_epoch=1, last_images=200)) == []
    assert off(make("does not fit", status="oom", until=UNTIL, last_epoch=1, last_images=256)) == [], (
        "a batch is allowed"
    )


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (make("fits", status="oom", last_epoch=2, last_images=64), "predicted to fit in 450 MB, but ran out of memory"),
        (make("does not fit", until=UNTIL), "predicted not to fit in 450 MB, but did"),
        (make("fits", peak_mb=365), "380 MB to 440 MB of memory were predicted, but 365 MB measured"),
        (make("fits", peak_mb=470, limit_mb=420), "380 MB to 440 MB of memory were predicted, but 470 MB measured"),
        (
            make("does not fit", status="oom", until=UNTIL, last_epoch=1, last_images=96),
            "predicted to run out of memory after 160 to 224 images, but did after 96",
        ),
        (
            make("does not fit", status="oom", until=UNTIL, last_epoch=2, last_images=32),
            "predicted to run out of memory after 160 to 224 images, but did after 320",
        ),
    ],
)
def test_what_did_not_come_as_predicted_is_said_and_lowers_no_validity(record: Record, said: str) -> None:
    (message,) = off(record)
    assert said in message and message.endswith("(by a trial run)")
    validity, findings = judge_record(record)
    assert [finding.severity for finding in findings if finding.id == "prediction-off"] == ["info"]
    without, _ = judge_record(record.model_copy(update={"predictions": None}))
    assert validity == without


def test_a_peak_that_a_generous_limit_explains_is_no_finding() -> None:
    """tf.data keeps batches ahead in up to half of what a limit leaves."""
    assert off(make("fits", peak_mb=470, limit_mb=470)) == []
    assert off(make("fits", peak_mb=900, limit_mb=1400)) == []
    assert len(off(make("fits", peak_mb=1000, limit_mb=1400))) == 1


def test_what_says_nothing_of_memory_is_not_judged() -> None:
    assert check_prediction(make("fits", status="timeout")) is None
    assert check_prediction(make("fits", status="oom", failure_kind="gpu_oom")) is None
    assert check_prediction(make("fits").model_copy(update={"predictions": None})) is None
    check = check_prediction(make("does not fit", status="oom", until=UNTIL))
    assert check is not None and (check.has_died, check.died_after) == (True, 0), "it never came to a batch"
