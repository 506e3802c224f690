"""Facts about NVIDIA GPUs: those with a working driver, those on the PCI bus, and how containers can get them."""

from __future__ import annotations

from harness.hosts.facts.fact import Fact, parse_int
from harness.values.cuda import capability_of, parse_capability
from harness.values.facts import GpuFacts

_MISSING = ("[n/a]", "n/a", "[not supported]", "[insufficient permissions]", "[unknown error]", "")


def parse_nvidia_smi(text: str) -> tuple[GpuFacts, ...] | None:
    """Parse ``nvidia-smi --query-gpu=… --format=csv`` by its header; None where no driver answers.

    The output counts memory in MiB. A value that the driver does not report (``[N/A]``) is None. Drivers before 510
    do not report the compute capability; it is then derived from the GPU's name.
    """
    lines = [line for line in text.splitlines() if line.strip()]
    start = next((i for i, line in enumerate(lines) if "name" in _columns(line)), None)
    if start is None:
        return None
    columns = _columns(lines[start])
    gpus = []
    for line in lines[start + 1 :]:
        fields = [field.strip() for field in line.split(",")]
        if len(fields) != len(columns):
            continue
        row = {
            column: None if field.lower() in _MISSING else field for column, field in zip(columns, fields, strict=True)
        }
        if row["name"] is None:
            continue
        said = parse_capability(row.get("compute_cap"))
        memory = parse_int((row.get("memory.total") or "").removesuffix("MiB"), most=2**30)
        gpus.append(
            GpuFacts(
                name=row["name"],
                memory_bytes=None if memory is None else memory * 2**20,
                driver=row.get("driver_version"),
                uuid=row.get("uuid"),
                capability=capability_of(row["name"]) if said is None else str(said),
            )
        )
    return tuple(gpus)


def parse_pci_gpus(text: str) -> tuple[str, ...] | None:
    """Parse lines of vendor, device and class; return NVIDIA display devices on the PCI bus as ``vendor:device``."""
    found = []
    for line in text.splitlines():
        fields = line.split()
        # PCI class 03xx is display controllers; 0x10de is NVIDIA's vendor number.
        if len(fields) == 3 and fields[0] == "0x10de" and fields[2].startswith("0x03"):
            found.append(f"{fields[0][2:]}:{fields[1][2:]}")
    return tuple(found)


def parse_nvidia_runtime(text: str) -> str | None:
    """Return how a container can get a GPU: ``runtime``, ``cdi``, both joined by a comma, or None."""
    words = text.split()
    ways = [way for way in ("runtime", "cdi") if way in words]
    return ", ".join(ways) or None


def _columns(header: str) -> list[str]:
    """Return the column names of a header, without the units in brackets."""
    return [column.strip().split(" [")[0] for column in header.split(",")]


_PCI_SCRIPT = """
for d in /sys/bus/pci/devices/*; do
  [ -r "$d/class" ] && echo "$(cat "$d/vendor") $(cat "$d/device") $(cat "$d/class")"
done
"""
_RUNTIME_SCRIPT = """
command -v nvidia-container-runtime-hook nvidia-container-runtime >/dev/null && echo runtime
grep -qs nvidia.com/gpu /etc/cdi/* /var/run/cdi/* && echo cdi
"""

_FIELDS = "name,memory.total,driver_version,uuid"
_SMI_SCRIPT = f"""
nvidia-smi --query-gpu={_FIELDS},compute_cap --format=csv || nvidia-smi --query-gpu={_FIELDS} --format=csv
"""

GPUS = Fact("gpus", ("sh", "-c", _SMI_SCRIPT), parse_nvidia_smi)
PCI_GPUS = Fact("pci_gpus", ("sh", "-c", _PCI_SCRIPT), parse_pci_gpus)
NVIDIA_RUNTIME = Fact("nvidia_runtime", ("sh", "-c", _RUNTIME_SCRIPT), parse_nvidia_runtime)
