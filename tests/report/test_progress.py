from __future__ import annotations

from pathlib import Path
from typing import Any

from builder import SessionBuilder, make_case, make_oom, make_record

from harness.records.progress import complete_rounds
from harness.report.composition import describe_progress
from harness.report.failures import repeat_command, view_failures
from harness.report.source import read_source
from harness.values.names import CaseNames


def session_of(builder: Any, tmp_path: Path) -> Any:
    (session,) = read_source(builder.write(tmp_path / builder.name))
    return session


def cases() -> Any:
    return make_case(loader="keras-idg"), make_case()


def test_a_round_is_complete_when_every_host_has_all_of_it(tmp_path: Path) -> None:
    builder = SessionBuilder(rounds=5)
    for host, rounds in (("a", 3), ("b", 2)):
        for number in range(1, rounds + 1):
            builder.add(*(make_record(case, host=host, round=number) for case in cases()))
    builder.add(make_record(cases()[0], host="b", round=3))
    session = session_of(builder, tmp_path)
    assert complete_rounds(session) == 2
    assert describe_progress([session]) == "2 of 5 rounds so far"


def test_an_announced_round_is_as_long_as_announced(tmp_path: Path) -> None:
    builder = SessionBuilder(rounds=1).add(make_record(cases()[0]))
    builder.add_event("RoundStarted", host="ws01", round=1, order=["x", "y"])
    builder.add_event("RoundStarted", host="ws01", round=1, order=["y"])
    builder.add_event("RoundStarted", host=None, round="?", order=7)
    assert complete_rounds(session_of(builder, tmp_path)) == 0


def test_what_was_skipped_was_decided(tmp_path: Path) -> None:
    builder = SessionBuilder(rounds=1).add(
        make_record(cases()[0]), make_record(cases()[1], status="skipped", epochs=())
    )
    builder.add_event("RoundStarted", host="ws01", round=1, order=["x", "y"])
    assert describe_progress([session_of(builder, tmp_path)]) == "1 of 1 round"


def test_more_rounds_than_are_asked_for_now_are_not_part_of_fewer(tmp_path: Path) -> None:
    builder = SessionBuilder(rounds=2)
    for number in (1, 2, 3):
        builder.add(*(make_record(case, round=number) for case in cases()))
    assert describe_progress([session_of(builder, tmp_path)]) == "3 rounds"


def test_auto_promises_three_rounds_and_then_as_many_as_it_takes(tmp_path: Path) -> None:
    said = []
    for rounds in (2, 3, 5):
        builder = SessionBuilder(f"auto-{rounds}", rounds="auto")
        for number in range(1, rounds + 1):
            builder.add(*(make_record(case, round=number) for case in cases()))
        said.append(describe_progress([session_of(builder, tmp_path)]))
    assert said == ["2 of 3 rounds so far", "3 rounds", "5 rounds"]


def test_nothing_measured_and_nothing_promised(tmp_path: Path) -> None:
    builder = SessionBuilder()
    builder.description["experiment"]["rounds"] = "many"
    assert describe_progress([session_of(builder, tmp_path)]) == "0 rounds"


def failures_of(builder: Any, folder: Path) -> Any:
    return view_failures([session_of(builder, folder)], CaseNames(record.case for record in builder.records))


def test_failures_that_are_alike_are_one(tmp_path: Path) -> None:
    builder = SessionBuilder()
    for number in (1, 2, 3):
        builder.add(make_oom(make_case(cache="memory"), step=20 + number, round=number))
        builder.add(make_record(make_case(), status="error", cause="no", epochs=(), round=number))
        builder.add(make_record(make_case(loader="keras-idg"), round=number))
    found, left_out = failures_of(builder, tmp_path)
    assert [failure.mark.text for failure in found] == ["error", "out of memory"]
    assert [failure.case for failure in found] == [
        "tfdata, no cache, limit 1.5 GB",
        "tfdata, memory cache, limit 1.5 GB",
    ]
    assert found[1].where == "ws01, rounds 1, 2, 3"
    assert ("OOM kills counted by the cgroup", "1") in found[1].evidence
    assert "21/100" in found[1].log and left_out == []


def test_of_very_many_failures_some_are_left_out(tmp_path: Path) -> None:
    builder = SessionBuilder()
    builder.add(*(make_oom(make_case(batch_size=size)) for size in range(1, 71)))
    found, left_out = failures_of(builder, tmp_path)
    assert (len(found), len(left_out)) == (60, 10)
    shown = {failure.case for failure in found} | {line.partition(": ")[2].partition(" (")[0] for line in left_out}
    assert shown == {f"tfdata, no cache, limit 1.5 GB, batch size {size}" for size in range(1, 71)}
    assert all(line.startswith("⊠ out of memory: ") and line.endswith(" (ws01, round 1)") for line in left_out)


def test_the_command_is_the_sessions_own_narrowed_to_the_case(tmp_path: Path) -> None:
    builder = SessionBuilder()
    argv = ["/usr/bin/harness", "-v", "run", "my lab.yaml", "--fresh", "--only", "x", "--only=y", "--limit", "gpu:!a"]
    builder.add_event("SessionStarted", session="s", folder="f", resumed=False, done=0, planned=2, argv=argv)
    error, oom = make_record(make_case(), status="error", epochs=()), make_oom(make_case(cache="memory"))
    session = session_of(builder.add(error, oom), tmp_path)
    expected = f"harness run 'my lab.yaml' --limit 'gpu:!a' --only {error.case_id} --rerun-failed"
    assert repeat_command(session, error) == expected
    assert repeat_command(session, oom).endswith(f"--only {oom.case_id} --fresh")


def test_without_the_sessions_command_the_inventory_is_named(tmp_path: Path) -> None:
    record = make_record(make_case(), status="error", epochs=())
    session = session_of(SessionBuilder().add(record), tmp_path)
    assert repeat_command(session, record) == f"harness run inventory/lab.yaml --only {record.case_id} --rerun-failed"
