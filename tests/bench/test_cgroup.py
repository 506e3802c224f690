"""Reading a cgroup from inside: the real one of this process, and both versions' files."""

# mypy: disable-error-code="operator"

from __future__ import annotations

import os
from pathlib import Path

import pytest

from harness.bench.launcher import cgroup, confine

# Read from real kernels, fields that nothing reads left out. Version 1: Linux 6.18, a job under a limit of
# 64 MiB after it was killed for exceeding it, and a cgroup without a limit that holds running programs.
V1_KILLED = """cache 8192
rss 0
shmem 0
hierarchical_memory_limit 67108864
hierarchical_memsw_limit 67108864
total_cache 8192
total_rss 0
total_shmem 0
total_swap 0
"""
V1_OOM = "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n"
V1_RUNNING = """cache 9236480
rss 13586432
shmem 9084928
hierarchical_memory_limit 9223372036854771712
hierarchical_memsw_limit 9223372036854771712
total_cache 1059835904
total_rss 24346624
total_shmem 9084928
total_swap 0
"""

# Version 2: Linux 6.1 (Debian 12), the same job after the same end.
V2_KILLED = {
    "memory__stat": "anon 0\nfile 77824\nkernel 20480\nshmem 77824\nfile_mapped 0\nslab 17480\npgfault 8969\n",
    "memory__events": "low 0\nhigh 0\nmax 35\noom 1\noom_kill 1\noom_group_kill 0\n",
    "memory__current": "258048\n",
    "memory__max": "67108864\n",
    "memory__peak": "67108864\n",
    "memory__swap__current": "0\n",
    "memory__swap__max": "0\n",
}


def write(folder: Path, **files: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


def proc(folder: Path, own: str, mounts: str) -> str:
    return str(write(folder / "proc", cgroup=own, mountinfo=mounts))


def test_this_process_is_in_a_cgroup_that_can_be_read() -> None:
    own = cgroup.find_own()
    if own is None:
        pytest.skip("no memory controller is visible here")
    reading = own.read()
    assert reading.anon > 0 and os.getpid() in own.processes()
    assert own.name in ("cgroup-v1", "cgroup-v2")


@pytest.mark.cgroup
@pytest.mark.skipif(not confine.try_limit()["can_limit"], reason="no memory cgroup can be made here")
def test_a_limit_is_read_back_from_a_real_cgroup() -> None:
    version, path = confine.place_cgroup(f"harness-test-{os.getpid()}")
    os.mkdir(path)
    try:
        group = cgroup.Cgroup(version, path, path)
        assert confine.set_limit(version, path, 64 * 2**20) == []
        assert group.limit_bytes() == 64 * 2**20
        assert group.swap_limit_bytes() == 64 * 2**20
        assert group.read().oom_kills == 0 and group.processes() == []
    finally:
        os.rmdir(path)


def test_version_1_after_a_kill(tmp_path: Path) -> None:
    folder = write(
        tmp_path,
        memory__stat=V1_KILLED,
        memory__oom_control=V1_OOM,
        memory__usage_in_bytes="98304\n",
        memory__max_usage_in_bytes="67108864\n",
    )
    group = cgroup.Cgroup(1, str(folder), str(folder))
    assert group.read() == (0, 98304, 0, 1)
    assert (group.limit_bytes(), group.swap_limit_bytes(), group.peak_bytes()) == (67108864, 67108864, 67108864)


def test_version_1_without_a_limit_counts_children_and_shared_memory(tmp_path: Path) -> None:
    group = cgroup.Cgroup(1, str(write(tmp_path, memory__stat=V1_RUNNING)), str(tmp_path))
    assert group.limit_bytes() is None and group.swap_limit_bytes() is None
    assert group.read() == (24346624 + 9084928, None, 0, None)


def test_version_1_without_swap_accounting(tmp_path: Path) -> None:
    lines = [line for line in V1_RUNNING.splitlines() if "memsw" not in line and "swap" not in line]
    group = cgroup.Cgroup(1, str(write(tmp_path, memory__stat="\n".join(lines))), str(tmp_path))
    assert group.swap_limit_bytes() is None and group.read().swap is None


def test_version_2_after_a_kill(tmp_path: Path) -> None:
    group = cgroup.Cgroup(2, str(write(tmp_path, **V2_KILLED)), str(tmp_path))
    assert group.read() == (77824, 258048, 0, 1)
    assert (group.limit_bytes(), group.swap_limit_bytes(), group.peak_bytes()) == (67108864, 67108864, 67108864)


def test_version_2_takes_the_least_limit_of_all_levels(tmp_path: Path) -> None:
    write(tmp_path / "a", memory__max="50000000\n", memory__swap__max="max\n")
    write(tmp_path / "a/b", memory__max="67108864\n", memory__swap__max="0\n")
    group = cgroup.Cgroup(2, str(tmp_path / "a/b"), str(tmp_path))
    assert (group.limit_bytes(), group.swap_limit_bytes()) == (50000000, 50000000)
    (tmp_path / "a/memory.max").write_text("max\n")
    (tmp_path / "a/b/memory.max").write_text("max\n")
    assert group.limit_bytes() is None and group.swap_limit_bytes() is None


@pytest.mark.parametrize(
    ("own", "mounts", "folder", "version"),
    [
        pytest.param(
            "4:memory:/docker/abc\n0::/docker/abc\n",
            "33 25 0:31 /docker/abc /cg/memory ro master:13 - cgroup cgroup rw,memory\n",
            "cg/memory",
            1,
            id="v1-in-a-container-that-sees-host-paths",
        ),
        pytest.param(
            "4:memory:/user/job\n0::/\n",
            "34 25 0:31 / /cg/memory rw shared:15 - cgroup cgroup rw,memory\n"
            "35 25 0:32 / /cg/unified rw - cgroup2 cgroup2 rw\n",
            "cg/memory/user/job",
            1,
            id="v1-hybrid-on-a-host",
        ),
        pytest.param(
            "0::/\n",
            "637 636 0:30 / /cg ro,nosuid - cgroup2 cgroup rw,nsdelegate,memory_recursiveprot\n",
            "cg",
            2,
            id="v2-in-a-container",
        ),
        pytest.param(
            "0::/user.slice/job.scope\n",
            "35 24 0:30 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
            "cg/user.slice/job.scope",
            2,
            id="v2-on-a-host",
        ),
        pytest.param(
            "0::/../../elsewhere\n",
            "35 24 0:30 / /cg rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n",
            "cg",
            2,
            id="v2-outside-of-its-namespace",
        ),
    ],
)
def test_the_own_cgroup_is_found(tmp_path: Path, own: str, mounts: str, folder: str, version: int) -> None:
    probe = {"memory__usage_in_bytes": "1"} if version == 1 else {"memory__current": "1"}
    write(tmp_path / folder, **probe)
    found = cgroup.find_own(proc(tmp_path, own, mounts), prefix=str(tmp_path))
    assert found is not None
    assert (found.version, found.folder) == (version, str(tmp_path / folder))


def test_none_where_there_is_nothing(tmp_path: Path) -> None:
    assert cgroup.find_own(proc(tmp_path, "", "")) is None
    assert cgroup.find_own(str(tmp_path / "absent")) is None
    assert cgroup.find_job({cgroup.SHARED_VARIABLE: "shared"}) is None


def test_swap_of_the_machine(tmp_path: Path) -> None:
    path = write(tmp_path, meminfo="MemTotal:       24684084 kB\nSwapTotal:       2048 kB\n") / "meminfo"
    assert cgroup.swap_total_bytes(str(path)) == 2048 * 1024
    assert cgroup.swap_total_bytes(str(tmp_path / "absent")) is None
