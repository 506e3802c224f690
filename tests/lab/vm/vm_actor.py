"""The benchmark of jobs in the virtual machine: does one thing to its memory, and copies what its cgroup says."""

import json
import mmap
import subprocess
import sys
from pathlib import Path

from ..launcher import cgroup

HUNGRY = """
import mmap
kept = []
while True:
    kept.append(mmap.mmap(-1, 4 << 20))
    kept[-1].write(b"x" * (4 << 20))
"""


def recorded() -> dict[str, str]:
    """The files from which a cgroup is found and read, by path."""
    own = cgroup.find_own()
    assert own is not None
    mounts = Path("/proc/self/mountinfo").read_text().splitlines()
    files = {
        "proc/cgroup": Path("/proc/self/cgroup").read_text(),
        "proc/mountinfo": "".join(f"{line}\n" for line in mounts if "cgroup" in line),
    }
    for level in own.levels():
        for path in sorted(Path(level).glob("memory.*")):
            try:
                files[f"fs{path}"] = path.read_text()
            except OSError:
                continue  # some are written only
    return files


def main(job: Path) -> None:
    """One job."""
    request = json.loads((job / "request.json").read_text())
    do = request["case"]["do"]
    if do == "oom":
        exec(HUNGRY)
    if do == "oom_grandchild":
        subprocess.run([sys.executable, "-c", HUNGRY], check=False)
    if do == "use":
        held = mmap.mmap(-1, 40 << 20)
        with (Path(request["paths"]["cache"]) / "file").open("wb") as stream:
            for _ in range(40):
                held.write(b"x" * (1 << 20))
                stream.write(b"y" * (1 << 20))
    (job / "results" / "recorded.json").write_text(json.dumps(recorded()))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
