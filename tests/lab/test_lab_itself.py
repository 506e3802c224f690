"""The lab is what it says: else the faults in it would be none."""

from __future__ import annotations

import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest
from host_states import give_image, take_image
from workstations import Host, Lab

pytestmark = pytest.mark.lab


def ssh(lab: Lab, name: str, command: str) -> subprocess.CompletedProcess[str]:
    host = lab.hosts[name]
    known = lab.folder / f"known-{name}"
    known.write_text(f"[127.0.0.1]:{host.port} {host.host_key}\n")
    options = ["-o", "StrictHostKeyChecking=yes", "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes"]
    argv = ["ssh", "-F", "none", "-i", str(lab.key), "-p", str(host.port), *options, "bench@127.0.0.1", command]
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=60)


def test_each_has_its_own_sshd_and_engine(lab: Lab) -> None:
    versions, stores, keys = {}, {}, set()
    for name, host in lab.hosts.items():
        done = ssh(lab, name, "hostname; docker version --format '{{.Server.Version}}'; docker info -f '{{.Driver}}'")
        assert done.returncode == 0, done.stderr
        hostname, versions[name], stores[name] = done.stdout.split()
        assert hostname == name
        keys.add(host.fingerprint)
    assert len(keys) == len(lab.hosts)
    assert {version.split(".")[0] for version in versions.values()} >= {"20", "26", "28"}
    assert set(stores.values()) >= {"overlay2", "overlayfs"}


def test_sizes_are_those_asked_for_and_enforced(lab: Lab) -> None:
    for name, host in lab.hosts.items():
        seen = ssh(lab, name, "grep MemTotal /proc/meminfo; docker info -f '{{.MemTotal}} {{.NCPU}}'").stdout.split()
        assert int(seen[1]) == host.spec.memory_mb * 1024
        assert int(seen[3]) == host.spec.memory_mb * 2**20
        if host.spec.cpus:
            assert int(seen[4]) == 1
    small = lab.hosts["ws4"]
    assert int(small.exec("df", "--output=size", "-m", "/var/lib/docker").split()[1]) <= small.spec.disk_mb


def test_it_survives_a_loss_of_power_with_disk_and_key(lab: Lab, image: str) -> None:
    host = lab.hosts["ws4"]
    boot_before = host.docker("info", "-f", "{{.ID}}")
    host.kill()
    assert ssh(lab, "ws4", "true").returncode == 255
    host.start()
    assert ssh(lab, "ws4", "true").returncode == 0
    assert host.docker("info", "-f", "{{.ID}}") == boot_before
    assert image in host.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split()


def test_an_image_can_be_taken_away_and_given_back(lab: Lab, image: str) -> None:
    def take_and_give(host: Host) -> None:
        take_image(host)
        assert host.docker("images", "-q") == ""
        give_image(host, image)
        said = host.docker("run", "--rm", "--entrypoint", "python3", "-m", "100m", image, "-c", "print(6 * 7)")
        assert said == "42"
        assert host.leftovers() == []

    with ThreadPoolExecutor(len(lab.hosts)) as pool:
        list(pool.map(take_and_give, lab.hosts.values()))
