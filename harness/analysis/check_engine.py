"""Checks of the engine: whether it answers, has the image and enforces limits. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from harness.analysis.host_check import Check, LimitProbe, Refused
from harness.values.engine_names import NO_WORDS, PAGE_BYTES, EngineFacts
from harness.values.errors import ImageUnavailable
from harness.values.facts import Facts
from harness.values.text import join_words
from harness.values.units import format_bytes

_SWAP_CURE = (
    "boot with `swapaccount=1` (cgroup v1: GRUB_CMDLINE_LINUX in /etc/default/grub, `sudo update-grub`, reboot), "
    "use cgroup v2, or turn swap off with `sudo swapoff -a`"
)


def check_engine(
    facts: Facts, used: EngineFacts | None, refused: Sequence[Refused], probe: LimitProbe | None
) -> Iterator[Check]:
    """Check the engine that a session would use here, after the preferred ones that cannot be used."""
    if used is None and not refused:
        yield Check("engine", "", "unproven", "no engine was checked")
    passed = ""
    for name, error in refused:
        subject = "image" if isinstance(error, ImageUnavailable) else "engine"
        if used is None:
            yield Check(subject, name, "failure", error.message, error.hint)
        elif subject == "engine" and not used.words.caution:  # nothing is lost: the engine in use is as good
            passed += f"; {name} is not used: {error.message}"
        else:
            yield Check(subject, name, "warning", f"{used.words.instead}: {error.message}", error.hint)
    if used is None:
        return
    stored = f", storage {used.storage}" if used.storage else ""
    yield Check("engine", used.engine, "ok", f"{used.engine} {used.version}{stored}{passed}")
    if used.to_come:
        cure = "`harness run` or `harness ship` sends it"
        yield Check(
            "python", "", "unproven", f"{used.interpreter} has no TensorFlow; the {used.to_come} is not sent yet", cure
        )
    else:
        yield _check_image(used)
    if used.interpreter and not used.to_come:
        yield _check_python(used)
    yield _check_cgroup(facts, used)
    yield _check_limit(used, probe)
    yield _check_swap(facts, used, probe)
    yield _check_cpus(facts, used)


def _check_image(used: EngineFacts) -> Check:
    if used.image_digest is not None:
        none = "" if used.uses_images else "none is used: jobs run with "
        return Check("image", used.engine, "ok", f"{none}{used.words.image} {used.image_digest[:19]}")
    if not used.uses_images:
        return Check("image", used.engine, "failure", "it did not report what it would run", used.words.evidence)
    cure = "`harness run` or `harness image build` makes it"
    return Check("image", used.engine, "unproven", "the image is not on the host yet", cure)


def _check_python(used: EngineFacts) -> Check:
    said = f"{used.interpreter} with TensorFlow {used.version}"
    if not used.lacks:
        return Check("python", "", "ok", said)
    message = f"{said}; {join_words(used.lacks)} {'is' if len(used.lacks) == 1 else 'are'} not installed for it"
    cure = f"loaders that need {'it' if len(used.lacks) == 1 else 'them'} fail here: install what is missing there"
    return Check("python", "", "warning", message, cure)


def _check_cgroup(facts: Facts, used: EngineFacts) -> Check:
    version = used.cgroup_version or facts.cgroup_version
    if version is None:
        cure = "boot without `cgroup_disable=memory`; on ARM boards with `cgroup_enable=memory`"
        return Check("cgroup", "", "warning", "no memory controller of control groups is mounted", cure)
    return Check("cgroup", "", "ok", f"cgroup v{version}")


def _check_limit(used: EngineFacts, probe: LimitProbe | None) -> Check:
    if not used.can_limit_memory:
        why = f": {'; '.join(used.reasons)}" if used.reasons else ""
        message = f"memory cannot be limited, so cases with a memory limit will be skipped{why}"
        return Check("memory-limit", "", "warning", message, used.limit_cure or used.words.limit_cure)
    if probe is None:
        return Check(
            "memory-limit",
            "",
            "unproven",
            f"{used.engine} reports that it limits memory; no job has tried it",
            "`harness check --ship` tries it with a job",
        )
    return judge_probe(probe, used.words.evidence)


def judge_probe(probe: LimitProbe, evidence: str = NO_WORDS.evidence) -> Check:
    """Judge whether a limit holds: it must be read back as asked *and* the job that exceeded it must be killed.

    ``evidence`` is where to look if it does not hold.
    """
    asked = format_bytes(probe.asked_bytes)
    cure = f"see {evidence}, and the log of the probe"
    if probe.effective_bytes is not None and probe.effective_bytes > probe.asked_bytes + PAGE_BYTES:
        message = f"a limit of {asked} became {format_bytes(probe.effective_bytes)}: the engine does not enforce limits"
        return Check("memory-limit", "", "failure", message, cure)
    if probe.was_killed and probe.effective_bytes is not None:
        message = f"a limit of {asked} is enforced ({probe.enforced_by}): a job that exceeded it was killed"
        return Check("memory-limit", "", "ok", message)
    if probe.was_killed:
        message = f"a job that exceeded {asked} was killed, but the limit could not be read back in the container"
        return Check("memory-limit", "", "warning", message, cure)
    message = f"a limit of {asked} did not hold: {probe.failure or 'a job that exceeded it was not killed'}"
    return Check("memory-limit", "", "failure", message, cure)


def _check_swap(facts: Facts, used: EngineFacts, probe: LimitProbe | None) -> Check:
    if facts.swap_bytes == 0:
        return Check("swap", "", "ok", "the machine has no swap")
    size = "swap of unknown size" if facts.swap_bytes is None else f"{format_bytes(facts.swap_bytes)} of swap"
    if probe is not None and probe.swap_limit_bytes is not None:
        if probe.swap_limit_bytes <= probe.asked_bytes:
            return Check("swap", "", "ok", f"{size}, counted within limits (read back)")
        allowed = format_bytes(probe.swap_limit_bytes - probe.asked_bytes)
        return Check("swap", "", "warning", f"a limited job may use {allowed} of swap beside its limit", _SWAP_CURE)
    if used.can_limit_swap:
        return Check("swap", "", "ok", f"{size}, counted within limits")
    return Check("swap", "", "warning", f"{size} is not counted within limits: a limited job may swap", _SWAP_CURE)


def check_logout(facts: Facts, used: EngineFacts | None) -> Iterator[Check]:
    """Check whether jobs survive a lost connection: systemd may end a user's processes after the last logout."""
    if used is None or facts.lingers is None:
        return
    if not used.ends_with_user and (used.uses_images or not facts.kills_at_logout):
        return
    if facts.lingers:
        yield Check("logout", "", "ok", "lingering is enabled for this user: jobs continue when the connection is lost")
        return
    message = "lingering is not enabled for this user: systemd ends jobs some seconds after the connection is lost"
    cure = "run `loginctl enable-linger` there as this user (or `sudo loginctl enable-linger USER`)"
    yield Check("logout", "", "warning", message, cure)


def _check_cpus(facts: Facts, used: EngineFacts) -> Check:
    usable, logical = len(facts.usable_cpus), facts.logical_cpus
    if not used.can_limit_cpus:
        why = f": {'; '.join(used.reasons)}" if used.reasons else ""
        return Check(
            "cpus", "", "warning", f"jobs cannot be bound to CPUs{why}", "check that the cpuset controller is mounted"
        )
    if not usable or logical is None:
        return Check("cpus", "", "unproven", "the number of CPUs could not be read")
    if usable < logical:
        message = f"this user may use {usable} of {logical} CPUs"
        return Check("cpus", "", "warning", message, "see `taskset -p $$` and the cpuset of this user")
    return Check("cpus", "", "ok", f"{logical} CPUs")
