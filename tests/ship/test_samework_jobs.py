"""The jobs that prove same work: what is kept on a host, and what one loader that ends its job costs the others."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from harness.engine.interface import Payload
from harness.engine.jobs import JobHost
from harness.hosts.local import LocalConnection
from harness.ship import same_work_proof
from harness.ship.same_work_proof import Variants, prove_work
from harness.values.case import Case
from harness.values.errors import DataError
from harness.values.work import WorkProof, unproven

LOADERS = ("tfdata", "grain", "mine.py:make", "crashes.py:make")
VARIANTS = {name: (Case(data="d", loader=name), "folder") for name in LOADERS}
WRONG = {"is_proven": True, "problems": ["its pictures are upside down"]}


@pytest.fixture
def host(tmp_path: Path) -> JobHost:
    payload = Payload("d" * 64, b"one archive", {"own/mine.py": "1", "own/crashes.py": "2"})
    engine: Any = None
    return JobHost(
        host="here", connection=LocalConnection("here"), engine=engine, image="", image_digest="1",
        payload=payload, disks={"scratch": str(tmp_path)}, cpus=(0,),
    )  # fmt: skip


def prove(on: JobHost, variants: Variants) -> dict[str, WorkProof]:
    return prove_work(on, variants, lambda _text, _share: None)


def play(monkeypatch: pytest.MonkeyPatch, crashing: Sequence[str], wrong: Sequence[str] = ()) -> list[list[str]]:
    """Answer jobs, and note which loaders each of them tried."""
    jobs: list[list[str]] = []

    def answer(_on: JobHost, _task: str, said: Any, *_more: Any, **_named: Any) -> dict[str, Any]:
        loaders = [one["case"]["loader"] for one in said["variants"]]
        jobs.append(loaders)
        if set(loaders) & set(crashing):
            raise DataError("the job ended with signal 11", where="here")
        found = {name: WRONG if name in wrong else {"is_proven": True, "problems": []} for name in loaders}
        return {"variants": {one["key"]: found[one["case"]["loader"]] for one in said["variants"]}}

    monkeypatch.setattr(same_work_proof, "run_preparation", answer)
    return jobs


def test_a_loader_that_ends_the_job_leaves_only_itself_unproven(host: JobHost, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = play(monkeypatch, crashing=["crashes.py:make"], wrong=["mine.py:make"])
    found = prove(host, VARIANTS)
    assert jobs == [list(LOADERS), ["tfdata", "grain"], ["mine.py:make"], ["crashes.py:make"]]
    assert found["tfdata"] == found["grain"] == WorkProof(is_proven=True)
    assert found["mine.py:make"].problems == ("its pictures are upside down",)
    assert found["crashes.py:make"] == unproven("the job ended with signal 11")


def test_only_what_is_proven_is_kept(host: JobHost, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = play(monkeypatch, crashing=[], wrong=["mine.py:make"])
    assert prove(host, VARIANTS)["mine.py:make"].fails
    again = prove(host, VARIANTS)
    assert jobs == [list(LOADERS), ["mine.py:make"]]
    assert again["mine.py:make"].fails and again["crashes.py:make"].is_proven


def test_another_file_of_a_users_own_is_another_loader(
    host: JobHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = play(monkeypatch, crashing=[])
    prove(host, VARIANTS)
    payload = Payload("d" * 64, b"another archive", {**host.payload.own, "own/mine.py": "3"})
    mended = replace(host, payload=payload)
    prove(mended, VARIANTS)
    assert jobs == [list(LOADERS), list(LOADERS)]
    assert len(list((tmp_path / "samework").glob("*.json"))) == 2


def test_all_of_them_unproven_where_no_job_runs(host: JobHost, monkeypatch: pytest.MonkeyPatch) -> None:
    jobs = play(monkeypatch, crashing=["tfdata"])
    builtin = {name: VARIANTS[name] for name in ("tfdata", "grain")}
    assert prove(host, builtin) == dict.fromkeys(builtin, unproven("the job ended with signal 11"))
    assert jobs == [["tfdata", "grain"]]
