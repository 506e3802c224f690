"""``harness advise`` for other machines: a folder is sent, a folder there is read, an inventory is asked."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from lab_session import DATA, Controller, Ended
from workstations import Lab

pytestmark = [pytest.mark.lab, pytest.mark.lab_full]

Make = Callable[..., Controller]
SMALL = ("--set", "harness.analysis.protection:MEMORY_RESERVE_BYTES=134217728")
"""A reserve for hosts that are smaller than any that people have."""


def know(controller: Controller, lab: Lab) -> None:
    """Write what a user has in ``~/.ssh`` who has logged in there before."""
    place = controller.folder / "home" / ".ssh"
    place.mkdir(parents=True)
    hosts = [lab.hosts[name] for name in controller.hosts]
    entries = [
        f"Host {host.name}\n  HostName 127.0.0.1\n  Port {host.port}\n  IdentityFile {lab.key}" for host in hosts
    ]
    (place / "config").write_text("\n".join(entries))
    keys = [f"[127.0.0.1]:{host.port} {' '.join(host.host_key.split()[:2])}" for host in hosts]
    (place / "known_hosts").write_text("\n".join(keys) + "\n")


def advise(controller: Controller, *words: str) -> Ended:
    """Ask for an answer in a minute, enough for a round of jobs that take a moment; returns what was printed."""
    driver = (*SMALL, "--image", controller.image)
    asked = ("advise", *words, "--time", "1min", "--allow-busy")
    return controller.end(controller.start_command(*asked, driver=driver))


def assert_answered(controller: Controller, ended: Ended, folder: str) -> None:
    """Each host has measured; what was found, what to do and the code to paste were said."""
    assert ended.code == 0, ended.said
    for host in controller.hosts:
        assert f"{host}: " in ended.stderr and "of memory available" in ended.stderr, ended.said
        assert {record.status for record in controller.records(host)} == {"ok"}, ended.said
    assert f'IMAGES = "{folder}"' in ended.stdout, ended.said
    assert controller.session().report_file.as_uri() in ended.stdout, ended.said
    controller.assert_nothing_left()


def test_a_folder_of_this_machine_is_sent_once(session: Make, lab: Lab) -> None:
    controller = session("ws1")
    know(controller, lab)
    photos = controller.folder / "my photos"
    for number in range(10):
        path = photos / ("a", "b")[number % 2] / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes([number]) * 100)
    (photos / "Thumbs.db").touch()
    words = (str(photos), "--host", "bench@ws1")
    refused = advise(controller, *words)
    assert refused.code == 2 and "; or send it: this command with --ship" in refused.stderr, refused.said
    assert not controller.output.exists(), "a refused question leaves no folder"
    sent = advise(controller, *words, "--ship")
    there = "/home/bench/.cache/harness/shipped/my-photos/files"
    assert_answered(controller, sent, there)
    assert f"{photos}: 10 images, 1 kB (100 B per image); sent to hosts that lack these images" in sent.stderr, (
        sent.said
    )
    assert "left out because they do not belong to the set: `Thumbs.db` (1 file)" in sent.stderr, sent.said
    (photos / "a" / "new.jpg").write_bytes(b"new")
    again = advise(controller, *words, "--ship")
    assert again.code == 0 and controller.kinds("ws1").count("DataShipped") == 1, again.said
    inventory = Path("reports") / controller.session().name / "inventory.yaml"
    cure = f"to send what is new:  harness ship {inventory} --data my-photos"
    assert f"these are the 10 images that were sent before; {cure}" in again.stderr, again.said


def test_a_folder_of_the_other_machine_is_read_there(session: Make, lab: Lab) -> None:
    controller = session("ws1")
    know(controller, lab)
    answered = advise(controller, "--host", f"bench@ws1:{DATA}")
    assert_answered(controller, answered, DATA)
    assert f"{DATA}: 10 images" in answered.stderr, answered.said
    assert "one folder of images per class: 2 classes (a, b), 10 images" in answered.stderr, answered.said
    files = [str(controller.session().path / name) for name in ("inventory.yaml", "experiment.yaml")]
    plan = controller.end(
        controller.start_command("plan", files[0], "--experiment", files[1], "--offline", "--json", driver=SMALL)
    )
    assert plan.code == 0 and json.loads(plan.stdout), plan.said


def test_the_hosts_of_an_inventory_are_asked(session: Make) -> None:
    controller = session("ws1", "ws2")
    controller.write()
    answered = advise(controller, str(controller.inventory), "--data", "photos")
    assert_answered(controller, answered, DATA)
    assert answered.stderr.count(f"{DATA}: 10 images, 1 kB (") == 1, "what is alike is said once"
    assert controller.session().name.startswith("photos-advise-")
