"""A prepared host: what is known of it before its first run. Made by preparation, read by planner and runner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from harness.analysis.protection import DiskReserve
from harness.engine.interface import Mount
from harness.engine.jobs import HostData, JobHost
from harness.values.case import Case
from harness.values.engine_names import EngineFacts
from harness.values.facts import Facts
from harness.values.rehearsal import Rehearsal
from harness.values.stages import StageCosts
from harness.values.weights import WeightsFile, weights_key
from harness.values.work import WorkProof, work_key


@dataclass(frozen=True, kw_only=True)
class HostSetup(JobHost):
    """A host that is ready to measure.

    ``memory_available`` is what ``memory_limit: none`` means here, in bytes, fixed for all rounds. ``missing_data``
    gives the reason for each absent data set; ``weights`` are files, and ``missing_weights`` reasons, by
    ``weights_key``. ``samework`` are the results of the same-work check, by ``work_key``; ``rehearsals`` those of trial
    runs, by ``setting_key``; ``stage_costs`` the cost of an image in each stage of a loader, by ``stage_key``.
    """

    engine_facts: EngineFacts
    facts: Facts
    memory_available: int
    data: Mapping[str, HostData] = field(default_factory=dict)
    missing_data: Mapping[str, str] = field(default_factory=dict)
    memory_reserve: int | None = None
    disk_reserve: DiskReserve = None
    weights: Mapping[str, WeightsFile] = field(default_factory=dict)
    missing_weights: Mapping[str, str] = field(default_factory=dict)
    samework: Mapping[str, WorkProof] = field(default_factory=dict)
    rehearsals: Mapping[str, Rehearsal] = field(default_factory=dict)
    stage_costs: Mapping[str, StageCosts] = field(default_factory=dict)

    def proof_of(self, case: Case) -> WorkProof | None:
        """Return the result of the same-work check of a case's loader; None if it was not checked."""
        data = self.data.get(case.data)
        return None if data is None else self.samework.get(work_key(case, data.kind))

    def is_refuted(self, case: Case) -> bool:
        """Whether a case's loader failed the same-work check, and is not measured."""
        proof = self.proof_of(case)
        return proof is not None and proof.fails

    def weights_of(self, case: Case) -> WeightsFile | None:
        """Return the weights file that a case's model starts from; None for random initialisation."""
        key = weights_key(case)
        return None if key is None else self.weights.get(key)

    def mounts_of(self, case: Case) -> tuple[Mount, ...]:
        """Return the mounts through which a job reads a case's data and weights."""
        data, weights = self.data[case.data], self.weights_of(case)
        return data.mounts if weights is None else (*data.mounts, Mount("weights", weights.path))

    @property
    def environment(self) -> dict[str, object]:
        """The fields about the engine and host that every record of this host has."""
        return {
            "engine": self.engine_facts.engine,
            "engine_version": self.engine_facts.version,
            "interpreter": self.engine_facts.interpreter or None,
            "engine_storage": self.engine_facts.storage,
            "cgroup_version": self.engine_facts.cgroup_version or self.facts.cgroup_version,
            "image": self.image,
            "kernel": self.facts.kernel,
            "host_available_bytes": self.memory_available,
            "offered": {"cpus": len(self.cpus), "gpus": len(self.gpus)},
        }
