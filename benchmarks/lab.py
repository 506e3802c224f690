"""The lab beside other tools: facts beside Ansible's, shipping beside ``docker save | ssh docker load``, in turn.

Usage: ``python benchmarks/lab.py [--rounds 3] [--parts facts check ship top]`` (`make bench-lab`). Exit 1 where a
claim does not hold. Needs what the lab needs: root, Debian, a Docker Engine.

facts: `harness facts` of four hosts as a whole process, and connecting to them and reading their facts as `harness run`
begins, beside `ansible -m setup` (ansible-core from PyPI, in an environment of its own, with its usual settings:
connections are kept from one call to the next), in turn, at least seven times. Beside them, not judged, `ansible -m
ping`, and `setup` where Ansible connects anew, too.
check: `harness check` of each host alone and of all at once, in turn.
ship: the CPU image to three hosts at once, by `harness ship` and by three pipes at once; before each the hosts give it
back. What the first ship of an image costs once, filling the unpacked cache, stands apart.
top: an image with a layer of 10 MB on top of that is changed and shipped again, to one host after another: all Docker
versions and both image stores.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "lab"))

import outer_engine
from ending import clean_up_when_stopped
from lab_inventory import inventory_text
from workstations import Host, Lab, sweep, usual_hosts

from harness.ship.definition import image_definition, image_reference
from harness.ship.image import ensure_image
from harness.ship.transfer.cache import ImageCache

MOST_OF_SETUP = {"connect, facts": 0.20, "harness facts": 0.30}
MOST_ABOVE_SLOWEST_S = 0.5
LEAST_OF_PIPE = 1.3
TOP_BYTES = 10_000_000
MOST_TOP_BYTES = 1.2 * TOP_BYTES + 64 * 1024
MOST_TOP_S = 2.0
TOP = "harness-bench:top"
THREE = ("ws1", "ws2", "ws3")
HARNESS = (str(Path(sys.executable).with_name("harness")),)


@dataclass
class Bench:
    """A lab that is up, and how the three tools reach it."""

    lab: Lab
    folder: Path
    reference: str
    verdicts: list[tuple[str, bool]] = field(default_factory=list)

    @property
    def hosts(self) -> list[Host]:
        return list(self.lab.hosts.values())

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh_config"

    @property
    def environment(self) -> dict[str, str]:
        """A cache of its own for harness; for Ansible the host keys and a place for its kept connections.

        Both programs keep their compiled modules, as installed ones do, whatever is set for this benchmark.
        """
        return {
            **{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"},
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "ANSIBLE_SSH_EXTRA_ARGS": f"-F {self.ssh_config}",
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.folder / "control"),
            "ANSIBLE_LOCAL_TEMP": str(self.folder / "ansible"),
            "ANSIBLE_FORKS": "10",
        }

    def inventory(self, image: str) -> Path:
        """The inventory, which Ansible reads as it is."""
        file = self.folder / f"{image.replace(':', '-')}.yaml"
        file.write_text(inventory_text(self.lab, shared={"image": image}))
        return file

    def write_ssh_config(self) -> None:
        known = self.folder / "known_hosts"
        keys = [f"[127.0.0.1]:{host.port} {host.host_key.strip()}" for host in self.hosts]
        known.write_text("\n".join(keys) + "\n")
        lines = [f"Host {h.name}\n  HostName 127.0.0.1\n  Port {h.port}\n" for h in self.hosts]
        always = f"Host *\n  User bench\n  IdentityFile {self.lab.key}\n  UserKnownHostsFile {known}\n"
        self.ssh_config.write_text("".join(lines) + always)

    def run(self, argv: Sequence[str], codes: Sequence[int] = (0,), **more: str) -> str:
        """Run a program to its end, with more in its environment; exit where it ends with another code."""
        done = subprocess.run(list(argv), capture_output=True, text=True, check=False, env={**self.environment, **more})
        if done.returncode not in codes:
            sys.exit(f"{' '.join(argv)} ended with {done.returncode}:\n{(done.stdout + done.stderr)[-3000:]}")
        return done.stdout

    def judge(self, claim: str, *, holds: bool) -> None:
        """Say whether a claim holds."""
        self.verdicts.append((claim, holds))
        print(f"{'met' if holds else 'NOT MET'}: {claim}\n", flush=True)


@contextmanager
def lab_up() -> Iterator[Bench]:
    sweep("bench-")
    clean_up_when_stopped()
    with tempfile.TemporaryDirectory(prefix="harness-bench-") as name:
        folder = Path(name)
        lab = Lab.up(usual_hosts(), name=f"bench-{os.getpid()}", folder=folder / "keys")
        try:
            bench = Bench(lab, folder, image_reference(image_definition("cpu")))
            bench.write_ssh_config()
            yield bench
        finally:
            lab.down()


# -- facts -----------------------------------------------------------------------------------------------------------


LEAST_ROUNDS = 7
"""Of what takes a second or two."""

NEW_CONNECTIONS = "-C -o ControlMaster=no -o ControlPath=none"


def compare_facts(bench: Bench, rounds: int) -> None:
    ansible = ansible_program()
    inventory = str(bench.inventory(bench.reference))
    setup = [ansible, "all", "-i", inventory, "-m", "setup"]
    ways: dict[str, Callable[[], str]] = {
        "connect, facts": partial(bench.run, [sys.executable, __file__, "--alone", inventory]),
        "harness facts": partial(bench.run, [*HARNESS, "facts", inventory]),
        "ansible ping": partial(bench.run, [ansible, "all", "-i", inventory, "-m", "ping"]),
        "ansible setup": partial(bench.run, setup),
        "setup, anew": partial(bench.run, setup, ANSIBLE_SSH_ARGS=NEW_CONNECTIONS),
    }
    for act in ways.values():  # once unmeasured: files are read, and Ansible's connections are made
        act()
    took: dict[str, list[Cost]] = {way: [] for way in ways}
    for number in range(max(rounds, LEAST_ROUNDS)):
        for way in list(ways) if number % 2 == 0 else reversed(ways):
            said: list[str] = []
            cost = measure(bench, lambda act=ways[way], said=said: said.append(act()))  # type: ignore[misc]
            took[way].append(replace(cost, wall_s=float(said[0])) if way == "connect, facts" else cost)
    print_costs(f"facts of {len(bench.hosts)} hosts", took)
    print(f"  harness facts ÷ setup, anew: {median_ratio(took['harness facts'], took['setup, anew']):.2f}")
    for way, most in MOST_OF_SETUP.items():
        share = median_ratio(took[way], took["ansible setup"])
        bench.judge(f"{way} takes {share:.2f} of `ansible setup` (at most {most:.2f} wanted)", holds=share <= most)


def compare_check(bench: Bench, rounds: int) -> None:
    check = [*HARNESS, "check", str(bench.inventory(bench.reference))]
    ways = {host.name: [*check, "--limit", host.name] for host in bench.hosts} | {"all": check}
    took: dict[str, list[Cost]] = {way: [] for way in ways}
    for number in range(max(rounds, LEAST_ROUNDS) + 1):
        for way in list(ways) if number % 2 == 0 else reversed(ways):
            cost = measure(bench, partial(bench.run, ways[way], codes=(0, 1)))
            if number:  # once unmeasured: files are read
                took[way].append(cost)
    print_costs(f"check of {len(bench.hosts)} hosts", took)
    walls = {way: statistics.median(cost.wall_s for cost in costs) for way, costs in took.items()}
    above_s = walls.pop("all") - max(walls.values())
    bench.judge(
        f"check of all takes {above_s:.2f} s more than of the slowest (at most {MOST_ABOVE_SLOWEST_S} s wanted)",
        holds=above_s <= MOST_ABOVE_SLOWEST_S,
    )


def median_ratio(ours: Sequence[Cost], theirs: Sequence[Cost]) -> float:
    return statistics.median(one.wall_s / other.wall_s for one, other in zip(ours, theirs, strict=True))


def read_alone(inventory: Path) -> None:
    """Print the seconds that connecting and reading facts takes, as ``harness run`` does it for all hosts at once."""
    from harness.console import Console
    from harness.hosts.ssh import SSHConnection  # noqa: F401 - what is imported at the first connection, before the clock
    from harness.inventory import load_inventory, select_hosts
    from harness.workflow.host_links import Links
    from harness.workflow.reaching import reach

    hosts, links = select_hosts(load_inventory(inventory), None), Links(Console())
    with ThreadPoolExecutor(len(hosts)) as pool:
        begun = time.perf_counter()
        for reached in list(pool.map(lambda host: reach(host, links), hosts)):
            reached.close()
        print(time.perf_counter() - begun)


def ansible_program() -> str:
    """ansible-core in an environment of its own."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "harness" / "bench-ansible"
    program = cache / "bin" / "ansible"
    if not program.exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache)], check=True)
        subprocess.run([str(cache / "bin" / "pip"), "install", "--quiet", "ansible-core"], check=True)
    return str(program)


# -- shipping --------------------------------------------------------------------------------------------------------


def compare_shipping(bench: Bench, rounds: int) -> None:
    ship = [*HARNESS, "ship", str(bench.inventory(bench.reference)), "--limit", ",".join(THREE), "--json"]
    size = fill_cache(bench, bench.reference)

    def by_pipes() -> None:
        script = f"docker save {bench.reference} | ssh -F {bench.ssh_config} $0 docker load"
        with ThreadPoolExecutor(len(THREE)) as pool:
            list(pool.map(lambda host: bench.run(["bash", "-o", "pipefail", "-c", script, host]), THREE))

    ways: dict[str, Callable[[], object]] = {"harness ship": lambda: bench.run(ship), "save | load": by_pipes}
    took: dict[str, list[Cost]] = {way: [] for way in ways}
    for number in range(rounds):
        for way in list(ways) if number % 2 == 0 else reversed(ways):
            give_back(bench, THREE)
            took[way].append(measure(bench, ways[way]))
            print(f"  {way}: {len(THREE) * size / took[way][-1].wall_s / 1e6:.1f} MB/s", flush=True)
    print_costs(f"{size / 1e6:.0f} MB to {len(THREE)} hosts at once", took, moved=len(THREE) * size)
    pairs = zip(took["harness ship"], took["save | load"], strict=True)
    ratio = statistics.geometric_mean([pipe.wall_s / ours.wall_s for ours, pipe in pairs])
    bench.judge(
        f"shipping to three hosts is {ratio:.2f} × the pipe (at least 1.3 wanted)", holds=ratio >= LEAST_OF_PIPE
    )


def fill_cache(bench: Bench, reference: str) -> int:
    """Bytes of an image's layers; what filling the cache with it takes is told."""
    import docker

    client = docker.APIClient(timeout=900)
    if reference == bench.reference:
        ensure_image(client, "cpu", is_root=True)
    begun = time.monotonic()
    cache = ImageCache(bench.folder / "cache" / "harness" / "images")
    image = cache.fill_from_engine(client, reference)
    took_s = time.monotonic() - begun
    print(
        f"first fill of the cache: {image.bytes / 1e6:.0f} MB in {took_s:.1f} s, {image.bytes / took_s / 1e6:.0f} MB/s"
    )
    return image.bytes


def give_back(bench: Bench, names: Sequence[str]) -> None:
    for name in names:
        bench.lab.hosts[name].shell("docker images -q | sort -u | xargs -r docker rmi -f >/dev/null; sync")


# -- a changed top layer -----------------------------------------------------------------------------------------------


def reship_top(bench: Bench, rounds: int) -> None:
    inventory = str(bench.inventory(TOP))
    build_top(bench)
    fill_cache(bench, TOP)
    bench.run([*HARNESS, "ship", inventory])
    print(f"{'host':<6}{'Docker':<10}{'store':<12}{'how':<6}{'sent':>12}{'s':>7}")
    worst_bytes, worst_s = 0, 0.0
    for _ in range(rounds):
        build_top(bench)
        fill_cache(bench, TOP)
        for host in bench.hosts:
            said = bench.run([*HARNESS, "ship", inventory, "--limit", host.name, "--json"])
            event: Mapping[str, Any] = json.loads(said)[0]
            version = host.docker("version", "--format", "{{.Server.Version}}")
            words = f"{host.name:<6}{version[:9]:<10}{host.spec.store:<12}{event['method']:<6}"
            print(f"{words}{event['bytes_sent']:>12,}{event['seconds']:>7.2f}", flush=True)
            worst_bytes, worst_s = max(worst_bytes, event["bytes_sent"]), max(worst_s, event["seconds"])
    claim = f"a changed top layer of {TOP_BYTES:,} bytes: at most {worst_bytes:,} bytes and {worst_s:.2f} s"
    bench.judge(
        f"{claim} (1.2 × + 64 KiB and 2 s wanted)", holds=worst_bytes <= MOST_TOP_BYTES and worst_s <= MOST_TOP_S
    )


def build_top(bench: Bench) -> None:
    with tempfile.TemporaryDirectory() as context:
        (Path(context) / "top").write_bytes(os.urandom(TOP_BYTES))
        (Path(context) / "Dockerfile").write_text(f"FROM {bench.reference}\nCOPY top /top\n")
        outer_engine.run(["docker", "build", "-q", "-t", TOP, context])


# -- figures -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cost:
    """Of one run: wall time, and CPU seconds of its processes here, of this machine's engine, and of all hosts."""

    wall_s: float
    cpu_s: float
    hosts_cpu_s: float


def measure(bench: Bench, act: Callable[[], object]) -> Cost:
    here, hosts, begun = _own_cpu_s(), _hosts_cpu_s(bench), time.monotonic()
    act()
    wall_s = time.monotonic() - begun
    return Cost(wall_s, _own_cpu_s() - here, _hosts_cpu_s(bench) - hosts)


def _own_cpu_s() -> float:
    """Of all that this program has run to its end, and of the engine that images are saved from."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    total = used.ru_utime + used.ru_stime
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text().partition("(")[2].rpartition(")")
            is_ours = name == "dockerd" and not _is_contained(stat.parent)
        except OSError:
            continue
        if is_ours:
            total += sum(map(int, rest.split()[11:13])) / os.sysconf("SC_CLK_TCK")
    return total


def _is_contained(process: Path) -> bool:
    """Whether a process is one of a workstation's."""
    return (process / "ns" / "pid").readlink() != Path("/proc/self/ns/pid").readlink()


def _hosts_cpu_s(bench: Bench) -> float:
    """Of all that runs on the workstations, from their cgroups."""
    total = 0.0
    for host in bench.hosts:
        name = outer_engine.docker("inspect", "--format", "{{.Id}}", host.container)
        files = [Path(f"/sys/fs/cgroup/{part}/docker/{name}/cpuacct.usage") for part in ("cpuacct", "cpu,cpuacct")]
        found = next((file for file in files if file.exists()), None)
        if found is not None:
            total += int(found.read_text()) / 1e9
            continue
        said = Path(f"/sys/fs/cgroup/system.slice/docker-{name}.scope/cpu.stat").read_text()
        total += int(said.split()[1]) / 1e6
    return total


def print_costs(title: str, took: Mapping[str, Sequence[Cost]], moved: int = 0) -> None:
    print(title)
    for way, costs in took.items():
        walls = " ".join(f"{cost.wall_s:.2f}" for cost in costs)
        speed = ""
        if moved:
            rates = [moved / cost.wall_s / 1e6 for cost in costs]
            speed = f", {statistics.median(rates):.1f} MB/s in all"
        cpu_s = statistics.median(cost.cpu_s for cost in costs)
        hosts_s = statistics.median(cost.hosts_cpu_s for cost in costs)
        median_s = statistics.median(cost.wall_s for cost in costs)
        print(
            f"  {way:<14} median {median_s:6.2f} s ({walls}), CPU here {cpu_s:.1f} s, on hosts {hosts_s:.1f} s{speed}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parts: dict[str, Callable[[Bench, int], None]] = {
        "facts": compare_facts,
        "check": compare_check,
        "ship": compare_shipping,
        "top": reship_top,
    }
    parser.add_argument("--parts", nargs="+", choices=parts, default=list(parts))
    parser.add_argument("--alone", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.alone is not None:
        read_alone(asked.alone)
        return 0
    if reason := outer_engine.why_not_now():
        sys.exit(f"no lab here: {reason}")
    with lab_up() as bench:
        for name in asked.parts:
            parts[name](bench, asked.rounds)
    return 0 if all(holds for _, holds in bench.verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
