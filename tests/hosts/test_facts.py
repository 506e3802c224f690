"""Facts: every parser on what real machines wrote, and the one round trip that reads them."""

# mypy: disable-error-code="union-attr, operator, index"

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from harness.hosts.connection import Completed
from harness.hosts.facts import (
    Fact,
    Section,
    build_facts,
    facts_script,
    find_facts,
    list_facts,
    read_available_bytes,
    read_facts,
    read_sections,
)
from harness.hosts.facts import recording as recordings
from harness.hosts.facts.kinds import disks, gpus, memory, processor
from harness.hosts.local import LocalConnection
from harness.values.errors import HostNotReady

RECORDINGS = Path(__file__).parent.parent / "facts"
FACTS: dict[str, Fact[Any]] = {
    "".join(word.capitalize() for word in fact.name.split("_")): fact for fact in find_facts()
} | {"Disk": disks.disk_fact("scratch", "/")}
"""By the name of the folder that holds its recordings: that of the fact, ``CpuModel`` for ``cpu_model``."""
WHOLE = sorted((RECORDINGS / "whole").glob("*.json"))
"""Hosts as `harness facts --record` wrote them: what a user sends can be put there as it is."""
CASES = sorted(
    path.relative_to(RECORDINGS).as_posix() for path in RECORDINGS.glob("*/*.json") if path not in set(WHOLE)
)


def as_json(value: object) -> object:
    if hasattr(value, "model_dump"):
        return value.model_dump(mode="json")
    if dataclasses.is_dataclass(value):
        return dataclasses.asdict(value)  # type: ignore[arg-type]
    return [as_json(item) for item in value] if isinstance(value, tuple | list) else value


@pytest.mark.parametrize("case", CASES)
def test_parser_reads_recording(case: Any) -> None:
    recording = json.loads((RECORDINGS / case).read_text(encoding="utf-8"))
    fact = FACTS[case.split("/")[0]]
    assert recording["source"]
    assert recording["command"][0] == fact.command[0]
    assert as_json(fact.parse("\n".join(recording["output"]))) == recording["fact"]


@pytest.mark.parametrize("path", WHOLE, ids=[path.stem for path in WHOLE])
def test_parsers_read_a_host_that_was_recorded(path: Any) -> None:
    recording = json.loads(path.read_text(encoding="utf-8"))
    assert recording["format"] == recordings.FORMAT
    known = {fact.name: fact for fact in list_facts("/scratch")}
    sections = {}
    for name, one in recording["facts"].items():
        fact = known[name] if name in known else FACTS["Disk"]
        text = "\n".join(one["output"])
        assert as_json(fact.parse(text)) == one["fact"], name
        sections[name] = Section(name, tuple(one["command"]), one["returncode"], text)
    facts = build_facts(sections)
    assert facts.os.startswith("Debian GNU/Linux")
    assert facts.cpu_model in facts.hardware
    assert facts.ram_bytes > 0 and facts.usable_cpus and facts.uid and facts.disks["scratch"].total_bytes > 0


def test_three_debian_releases_were_recorded() -> None:
    # Testing calls itself by its next release's name, without a number.
    found = {json.loads(path.read_text(encoding="utf-8"))["facts"]["os"]["fact"] for path in WHOLE}
    assert {re.search(r"bookworm|trixie|forky", os_name)[0] for os_name in found} == {"bookworm", "trixie", "forky"}


def test_every_fact_has_recordings() -> None:
    recorded = {case.split("/")[0] for case in CASES}
    assert recorded == set(FACTS), "each fact wants a folder of recordings in tests/facts: docs/contributing/fact.md"


@pytest.mark.parametrize("fact", FACTS.values(), ids=FACTS.keys())
@pytest.mark.parametrize(
    "text", ["", "\n", "garbage", "nan inf", "a: b\nc d e\n: :\n0", "\0\0", "9" * 5000, "name\n,,,\n"]
)
def test_no_parser_raises_or_invents(fact: Any, text: Any) -> None:
    value = fact.parse(text)
    assert value not in (0, 0.0)
    if text.strip() in ("", "garbage") and fact is not processor.DEVICE_TREE_MODEL and fact is not processor.GOVERNOR:
        assert not value


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0-3,8\n", (0, 1, 2, 3, 8)), ("5", (5,)), ("3-1", None), ("0-99999999", None), ("x", None)],
)
def test_cpu_list(text: str, expected: Any) -> None:
    assert processor.parse_cpu_list(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("no_turbo 0", True), ("no_turbo 1", False), ("boost 1", True), ("no_turbo 1\nboost 1", False), ("boost ?", None)],
)
def test_turbo(text: str, expected: bool | None) -> None:
    # intel_pstate counts the other way round than cpufreq: Documentation/admin-guide/pm/intel_pstate.rst.
    assert processor.parse_turbo(text) is expected


def test_governors_that_differ_are_all_told() -> None:
    assert processor.parse_governor("performance\nperformance\n") == "performance"
    assert processor.parse_governor("powersave\nperformance\n") == "performance/powersave"


def test_two_kinds_of_cores_are_both_told() -> None:
    assert processor.parse_lscpu_model("Vendor ID: ARM\nModel name: Cortex-A55\nModel name: Cortex-A76\n") == (
        "ARM Cortex-A55 + Cortex-A76"
    )
    assert processor.parse_lscpu_model("Vendor ID: ARM\nModel name: -\n") is None


def test_gpu_values_that_the_driver_withholds_are_none() -> None:
    found = gpus.parse_nvidia_smi("uuid, name, memory.total [MiB]\n[N/A], NVIDIA GB10, [N/A]\n")
    assert found is not None
    assert (found[0].name, found[0].memory_bytes, found[0].driver, found[0].uuid) == ("NVIDIA GB10", None, None, None)


def test_a_compute_capability_is_the_drivers_or_by_name_where_the_driver_is_old() -> None:
    new = "name, compute_cap\nNVIDIA GeForce RTX 5090, 12.0\nNVIDIA New, 13.7\nNVIDIA Odd, [N/A]\n"
    assert [gpu.capability for gpu in gpus.parse_nvidia_smi(new) or ()] == ["12.0", "13.7", None]
    # Before driver 510 the field is refused, and the question without it comes next.
    refusal = 'Field "compute_cap" is not a valid field to query.\n\n'
    old = f"{refusal}name, driver_version\nTesla T4, 470.57.02\nX, 470.57.02\n"
    assert [(gpu.driver, gpu.capability) for gpu in gpus.parse_nvidia_smi(old) or ()] == [
        ("470.57.02", "7.5"),
        ("470.57.02", None),
    ]


def test_only_nvidia_display_devices_count() -> None:
    lines = "0x10de 0x2204 0x030000\n0x10de 0x1aef 0x040300\n0x8086 0x56a0 0x030000\n0x10de 0x20b5 0x030200\n"
    assert gpus.parse_pci_gpus(lines) == ("10de:2204", "10de:20b5")


@pytest.mark.parametrize(
    ("name", "rotational", "model", "kind"),
    [
        ("nvme0n1", "0", "Samsung SSD 990 PRO 2TB", "nvme"),
        ("sda", "0", "ATA Samsung SSD 870", "ssd"),
        ("sdb", "1", "ATA WDC WD40EFRX", "hdd"),
        ("vda", "1", "", "virtual"),
        ("sda", "1", "QEMU QEMU HARDDISK", "virtual"),
        ("nvme1n1", "0", "Amazon Elastic Block Store", "virtual"),
        ("loop7", "1", "", "virtual"),
        ("zram0", "0", "", "memory"),
        ("nbd0", "0", "", "network"),
        ("mmcblk0", "0", "", "ssd"),
        ("sdc", "?", "", "unknown"),
    ],
)
def test_kinds_of_devices(name: str, rotational: str, model: str, kind: str) -> None:
    assert disks.classify_device(name, rotational, model) == kind


@pytest.mark.parametrize(
    ("line", "devices", "kind", "free"),
    [
        ("server:/export/my data nfs4 100 40 60 40% /data", "", "network", 60),
        ("//nas/share cifs 100 40 60 40% /mnt", "", "network", 60),
        ("/dev/mapper/vg-lv xfs 100 40 60 40% /", "device nvme0n1 0 X\ndevice sda 1 Y", "hdd", 60),
        ("/dev/md0 ext4 100 40 60 40% /", "device nvme0n1 0 X\ndevice nvme1n1 0 Y", "nvme", 60),
        ("tank/data zfs 100 40 60 40% /tank", "", "unknown", 60),
        ("", "", "unknown", None),
    ],
)
def test_the_slowest_device_below_decides(line: str, devices: str, kind: str, free: int | None) -> None:
    disk = disks.parse_disk(f"path /x y\ndf {line}\n{devices}\n")
    assert disk is not None
    assert (disk.path, disk.kind, disk.free_bytes) == ("/x y", kind, free)


def test_cgroups_that_limit_nothing_leave_no_room_to_tell() -> None:
    assert memory.parse_cgroup_room("9223372036854771712 500 \nmax 500 10\n") is None
    assert memory.parse_cgroup_room("max 500 0\n1000 700 100\n5000 0 0\n") == 400


def test_all_file_pages_of_a_cgroup_can_be_taken_back() -> None:
    assert memory.parse_cgroup_room("1000 700 100 250\n") == 650
    assert memory.parse_cgroup_room("1000 700\n") == 300
    assert memory.parse_cgroup_room("max 700 100 250\n\n") is None


def test_real_facts_of_this_machine(tmp_path: Path) -> None:
    facts = read_facts(
        LocalConnection(),
        scratch=str(tmp_path / "not/made"),
        disks={"m": "/dev/shm"},
        data_folders={"d": str(tmp_path)},
    )
    assert facts.usable_cpus == tuple(sorted(os.sched_getaffinity(0)))
    assert facts.logical_cpus is not None
    assert facts.logical_cpus >= len(facts.usable_cpus)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    assert facts.ram_bytes == pages
    assert facts.available_bytes is not None
    assert 0 < facts.available_bytes <= facts.ram_bytes
    assert (facts.uid, facts.gid) == (os.getuid(), os.getgid())
    assert facts.kernel == os.uname().release
    assert facts.architecture == os.uname().machine
    assert facts.cpu_model
    assert facts.boot_id == Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    assert {"scratch", "m", "data:d"} <= set(facts.disks)
    statvfs = os.statvfs(tmp_path)
    assert facts.disks["scratch"].total_bytes == statvfs.f_blocks * statvfs.f_frsize
    assert facts.disks["scratch"].path == str(tmp_path / "not/made")
    assert facts.disks["m"].kind == "memory"
    assert facts.clock_offset_s is not None
    assert abs(facts.clock_offset_s) < 1
    assert facts.read_at is not None


def test_data_folders_may_be_a_plain_list(tmp_path: Path) -> None:
    assert f"disk:data:{tmp_path}" in {fact.name for fact in list_facts("/x", data_folders=[str(tmp_path)])}


def test_everything_is_one_round_trip() -> None:
    class Counting(LocalConnection):
        calls = 0

        def run(self, argv: Any, *, input: Any = None, timeout_s: float = 60.0, **options: Any) -> Any:
            self.calls += 1
            return super().run(argv, input=input, timeout_s=timeout_s, **options)

    connection = Counting()
    read_facts(connection, scratch="/tmp/harness-scratch")
    assert connection.calls == 1


def test_available_memory_alone() -> None:
    available = read_available_bytes(LocalConnection())
    assert available is not None
    assert available > 2**20


def fact(name: str, *command: str) -> Fact[str]:
    return Fact(name, command, lambda text: text)


def test_sections_hold_exactly_what_was_written() -> None:
    wanted = (
        fact("quotes", "printf", "%s", 'it\'s "$HOME" `id` \\n'),
        fact("lines", "printf", "a\\n\\nb\\n\\n"),
        fact("missing", "no-such-program-at-all"),
        fact("failing", "sh", "-c", "echo partly; exit 4"),
        fact("input", "cat"),
        fact("last", "echo", "end"),
    )
    sections = read_sections(LocalConnection(), wanted)
    assert sections["quotes"].output == 'it\'s "$HOME" `id` \\n'
    assert sections["lines"].output == "a\n\nb\n\n"
    assert sections["missing"] == Section("missing", ("no-such-program-at-all",), 127, "")
    assert (sections["failing"].returncode, sections["failing"].output) == (4, "partly\n")
    assert sections["input"].output == ""  # a command cannot eat the rest of the script
    assert sections["last"].output == "end\n"


def test_a_command_that_hangs_costs_only_its_own_fact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts_script, "COMMAND_TIMEOUT_S", 1)
    sections = read_sections(LocalConnection(), (fact("hung", "sleep", "60"), fact("next", "echo", "ok")))
    assert sections["hung"].returncode == 124
    assert sections["next"].output == "ok\n"


def test_a_cut_answer_loses_only_the_cut_section() -> None:
    facts = (fact("one", "x"), fact("two", "x"))
    text = "Welcome to ws01!\n--m one\n1\n\n--m= 0\n--m two\nhalf"
    assert set(facts_script.split_sections(text, facts, "--m")) == {"one"}
    assert facts_script.split_sections(text + "\n--m= 0\n", facts, "--m")["two"].output == "half"


class Answering(LocalConnection):
    def __init__(self, answer: Completed) -> None:
        super().__init__("ws01")
        self.answer = answer

    def run(self, argv: Any, *, input: Any = None, timeout_s: float = 60.0, **options: Any) -> Any:
        return self.answer


@pytest.mark.parametrize(
    "answer",
    [Completed(127, b"", b"sh: not found\n"), Completed(0, b"\xff\x00garbage" * 1000, b""), Completed(1, b"", b"")],
)
def test_a_host_that_answers_garbage_is_not_ready(answer: Any) -> None:
    with pytest.raises(HostNotReady) as raised:
        read_facts(Answering(answer), scratch="/x")
    assert raised.value.where == "ws01"
    assert raised.value.hint


def test_no_sections_give_no_facts_and_no_zeros() -> None:
    facts = build_facts({})
    values = facts.model_dump()
    assert all(value is None or value in ((), {}) for value in values.values())


def test_the_script_is_posix_shell() -> None:
    done = LocalConnection().run(["sh", "-n"], input=facts_script.build_script(list_facts("/a b'c"), "--m").encode())
    assert (done.returncode, done.stderr) == (0, b"")
