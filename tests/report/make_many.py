"""Makes a session of many records, and the page of it; prints seconds, peak memory and sizes. For a test and by hand:
``python make_many.py FOLDER HOSTS LOADERS LIMITS ROUNDS``."""

import json
import sys
import time
from pathlib import Path
from typing import Any

from builder import SessionBuilder, make_case, make_facts, make_oom, make_record

from harness.report.page import write_report

GB = 10**9


def build(hosts: int, settings: int, limits: int, rounds: int) -> SessionBuilder:
    """``hosts`` of four kinds × ``settings`` × ``limits`` × four pipelines × ``rounds``."""
    builder = SessionBuilder("many-00000001", rounds=rounds)
    for host in range(hosts):
        facts = make_facts(f"kind {host % 4}", boot=f"boot-{host}")
        builder.add_host(f"ws{host:03}", facts)
        for number in range(1, rounds + 1):
            at: dict[str, Any] = {"host": f"ws{host:03}", "facts": facts, "round": number}
            for setting in range(settings):
                size = (64 + 32 * setting, 64 + 32 * setting)
                for place in range(limits):
                    case: dict[str, Any] = {"image_size": size, "memory_limit": (place + 1) * GB}
                    builder.add(make_record(make_case(loader="keras-idg", **case), rate=30, per_cpu=350, **at))
                    builder.add(make_record(make_case(**case), rate=80, per_cpu=350, **at))
                    builder.add(make_record(make_case(cache="file", **case), rate=140, per_cpu=900, **at))
                    memory = make_case(cache="memory", **case)
                    builder.add(make_oom(memory, **at) if place < limits / 2 else make_record(memory, rate=150, **at))
    return builder


def read_peak_bytes() -> int:
    """Return the peak of this program alone: getrusage's begins with that of the process that started it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def main(folder: str, *counts: str) -> None:
    """Write the session and its page, and say what it cost."""
    builder = build(*map(int, counts))
    source = builder.write(Path(folder) / builder.name)
    count = len(builder.records)
    del builder
    begun, cpu_begun = time.perf_counter(), time.process_time()
    page = write_report([source], source / "report.html")
    said = {
        "records": count,
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_s": round(time.process_time() - cpu_begun, 1),
        "peak_bytes": read_peak_bytes(),
        "page_bytes": page.stat().st_size,
        "beside": sorted(path.name for path in source.iterdir() if path.name.startswith("report-")),
    }
    sys.stdout.write(json.dumps(said) + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
