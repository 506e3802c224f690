"""The lab as fixtures: brought up once for all tests, given back as it was after each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import outer_engine
import pytest
from bad_link import BadLink
from host_images import tiny_image
from host_states import restore
from lab_session import Controller, bad_links
from workstations import Host, HostSpec, Lab, sweep

SPECS = (
    HostSpec("ws1", "bookworm", 1536),
    HostSpec("ws2", "trixie", 1536),
    HostSpec("ws3", "forky", 2560, cpus="0", store="containerd"),
    HostSpec("ws4", "bookworm", 1024, cpus="0", disk_mb=900),
)
"""Small ones: the tests' image needs little. The third is of another hardware class than the first, with room for
TensorFlow. The fourth has a disk that is soon full."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where there can be no lab, its tests are skipped by name, with the reason."""
    wanted = [item for item in items if item.get_closest_marker("lab")]
    reason = outer_engine.why_not_now() if wanted else None
    for item in wanted if reason else ():
        item.add_marker(pytest.mark.skip(reason=f"no lab here: {reason}"))


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """Four workstations that have the tests' image already; those that test shipping take it away."""
    folder: Path = tmp_path_factory.mktemp("lab", numbered=True)
    sweep("test-")
    lab = Lab.up(SPECS, name=f"test-{os.getpid()}", folder=folder / "keys")
    try:
        yield lab
    finally:
        lab.down()


def at_once(act: Callable[[Host], object], lab: Lab) -> None:
    """Do something to every workstation, side by side."""
    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        list(pool.map(act, lab.hosts.values()))


@pytest.fixture(scope="session")
def image(lab: Lab) -> str:
    """The tests' image, on the controller's engine and on every workstation."""
    reference = tiny_image()
    at_once(lambda host: restore(host, reference), lab)
    return reference


@pytest.fixture
def links(lab: Lab) -> Iterator[dict[str, BadLink]]:
    """A bad link in front of each workstation, good at first."""
    with bad_links(lab, list(lab.hosts)) as made:
        yield made


@pytest.fixture
def session(lab: Lab, image: str, tmp_path: Path) -> Iterator[Callable[..., Controller]]:
    """Makes sessions of some hosts; afterwards the workstations are as they were, whatever the test did."""
    made: list[Controller] = []

    def make(*hosts: str, **fields: Any) -> Controller:
        folder = tmp_path / f"controller-{len(made)}"
        folder.mkdir()
        made.append(Controller(lab, folder, image, hosts, **fields))
        return made[-1]

    yield make
    for controller in made:
        controller.stop_all()
    at_once(lambda host: restore(host, image), lab)
