"""What `harness check` says of the Python of a host, and of jobs that end with the last logout."""

from __future__ import annotations

from dataclasses import replace

from harness.analysis.checks import judge_host
from harness.analysis.host_check import Check
from harness.values.engine_names import EngineFacts
from harness.values.facts import Facts

USED = EngineFacts(
    "process",
    "2.21.0",
    image_digest="d" * 64,
    can_limit_memory=True,
    can_limit_swap=True,
    can_limit_cpus=True,
    uses_images=False,
    interpreter="CPython 3.12.4 (/opt/tf/bin/python)",
)


def checks(name: str, used: EngineFacts, facts: Facts | None = None, *, is_remote: bool = True) -> list[Check]:
    found = judge_host(Facts(load_1m=0.0) if facts is None else facts, used, is_remote=is_remote)
    return [check for check in found if check.id == name]


def test_it_is_named_with_its_version_and_its_tensorflow() -> None:
    (check,) = checks("python", USED)
    assert check.outcome == "ok"
    assert check.message == "CPython 3.12.4 (/opt/tf/bin/python) with TensorFlow 2.21.0"
    assert checks("python", replace(USED, interpreter="")) == []


def test_packages_that_single_loaders_need_are_a_warning() -> None:
    (check,) = checks("python", replace(USED, lacks=("grain", "simplejpeg")))
    assert check.outcome == "warning" and "; grain and simplejpeg are not installed for it" in check.message
    assert check.cure == "loaders that need them fail here: install what is missing there"


def test_an_environment_that_is_to_come_is_no_failure() -> None:
    coming = replace(USED, image_digest=None, to_come="environment cpu-3.12-x86_64-0123")
    (check,) = checks("python", coming)
    assert check.message.startswith("CPython 3.12.4 (/opt/tf/bin/python) has no TensorFlow; the environment cpu-")
    assert check.outcome == "unproven" and "the environment cpu-3.12-x86_64-0123 is not sent yet" in check.message
    assert check.cure == "`harness run` or `harness ship` sends it"
    assert checks("image", coming) == []


def test_a_user_who_does_not_linger_is_told_how_to() -> None:
    scoped = replace(USED, ends_with_user=True)
    away, stays = Facts(lingers=False, kills_at_logout=False), Facts(lingers=True, kills_at_logout=True)
    (check,) = checks("logout", scoped, away)
    assert check.outcome == "warning" and "`loginctl enable-linger`" in str(check.cure)
    (check,) = checks("logout", scoped, stays)
    assert check.outcome == "ok"
    assert checks("logout", scoped, away, is_remote=False) == [], "no link is there to be lost"
    assert checks("logout", scoped, Facts()) == [], "no systemd, or root"


def test_processes_of_no_scope_are_ended_only_where_logind_is_told_to() -> None:
    assert checks("logout", USED, Facts(lingers=False, kills_at_logout=False)) == []
    (check,) = checks("logout", USED, Facts(lingers=False, kills_at_logout=True))
    assert check.outcome == "warning"
    contained = replace(USED, engine="docker", uses_images=True, interpreter="")
    assert checks("logout", contained, Facts(lingers=False, kills_at_logout=True)) == []
    rootless = replace(contained, ends_with_user=True)
    assert len(checks("logout", rootless, Facts(lingers=False, kills_at_logout=False))) == 1
