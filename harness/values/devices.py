"""Accelerators with published training speed, after which an emulated one can be named, each with its source."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class PublishedDevice:
    """An accelerator that trains ``model``, in ``step_s`` seconds for a batch of ``batch`` images.

    ``source`` is the benchmark and its round, ``file`` the configuration in its repository with these figures.
    """

    model: str
    batch: int
    step_s: float
    source: str
    file: str

    @property
    def images_per_second(self) -> float:
        """The training speed, to a tenth of an image per second."""
        return round(self.batch / self.step_s, 1)

    @property
    def words(self) -> str:
        """The source as ``ResNet-50, MLPerf Storage v2.0: resnet50_h100.yaml``."""
        return f"{self.model}, {self.source}: {self.file}"


DEVICES = {
    "b200": PublishedDevice("RetinaNet", 24, 0.04755, "MLPerf Storage v3.0", "retinanet_b200.yaml"),
    "mi355": PublishedDevice("RetinaNet", 32, 0.0634, "MLPerf Storage v3.0", "retinanet_mi355.yaml"),
    "h100": PublishedDevice("ResNet-50", 400, 0.224, "MLPerf Storage v2.0", "resnet50_h100.yaml"),
    "a100": PublishedDevice("ResNet-50", 400, 0.435, "MLPerf Storage v2.0", "resnet50_a100.yaml"),
}
"""Devices by name; the files are in ``configs/dlio/workload`` of https://github.com/mlcommons/storage."""
