"""Bad input, and bad moments, as a user meets them: one clear error, its exit code, and nothing left behind."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from user import User, assert_plain, end, wait_until

pytestmark = [
    pytest.mark.whole,
    pytest.mark.skipif(os.geteuid() != 0, reason="limited cases need to make cgroups, and other users to be"),
]


@pytest.fixture(scope="module")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One scratch for all users: what was made and proven once is there for the next."""
    return tmp_path_factory.mktemp("scratch")


@pytest.fixture
def user(tmp_path: Path, scratch: Path) -> User:
    return User(tmp_path, scratch).write()


def make_folder(root: Path, classes: tuple[str, ...] = ("a", "b"), images: int = 2) -> Path:
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(images):
            Image.new("RGB", (40, 30), (90 * number, 60 * index, 9)).save(root / name / f"{index}.jpg")
    return root


# -- stopped in the middle ---------------------------------------------------------------------------------------------


@pytest.mark.cgroup
@pytest.mark.parametrize(("number", "group"), [(signal.SIGINT, True), (signal.SIGTERM, False)])
def test_stopped_in_the_middle_leaves_nothing_and_goes_on(user: User, number: int, group: bool) -> None:
    user.experiment("experiment.yaml", cache=["none", "file"])
    user.hold()
    process = user.start()
    wait_until(lambda: len(user.executions()) == 1)
    code, out, err = end(process, number, group=group)
    assert code == 130
    assert "stopping" in err
    assert "harness run inventory.yaml --experiment experiment.yaml" in err  # how to go on
    assert user.left() == []
    assert user.records() == []
    assert out == ""  # no record, no report
    user.let_go()
    done = user.run()
    assert done.returncode == 0, done.stderr
    assert_plain(done)
    assert set(Counter(record["invocation"] for record in user.records()).values()) == {1}
    assert {record["status"] for record in user.records()} == {"ok"}
    assert done.stdout.splitlines()[-1].startswith("file://")
    assert user.left() == []


@pytest.mark.cgroup
def test_stopped_while_a_data_set_is_made(tmp_path: Path) -> None:
    """The preparation of a large set takes hours: a stop is heard in it."""
    data = "{generate: {profile: coco, images: 9000, seed: 1}}"
    user = User(tmp_path, tmp_path / "scratch").write(data=data)
    process = user.start()
    wait_until(lambda: list(user.scratch.glob("data/*/*")))
    code, _, err = end(process, group=True)
    assert code == 130, err
    assert "continue later with" in err
    assert user.left() == []
    assert user.sessions() == []
    assert not list(user.scratch.glob("data/*/generated.json"))  # nothing that looks finished


@pytest.mark.cgroup
def test_two_sessions_at_once(user: User) -> None:
    """The second is refused with who holds the machine since when; clean and unlock respect the first."""
    user.experiment("other.yaml", batch_size=4)
    user.hold()
    process = user.start()
    wait_until(lambda: len(user.executions()) == 1)
    try:
        other = user.run(experiment="other.yaml")
        assert other.returncode == 3
        held = user.sessions()[0].name
        assert_plain(other, ["here: locked: another session measures", held, "since 20", "harness unlock"])
        same = user.run()
        assert same.returncode == 2
        assert_plain(same, ["another `harness run` is working on this session", "harness status"])
        assert json.loads(user.give("status", "--json").stdout)["is_live"] is True
        assert gone(user.give("clean", "inventory.yaml", "--json").stdout) == []
        kept = user.give("unlock", "inventory.yaml")  # without a terminal nothing is asked, and nothing done
        assert (kept.returncode, "still locked: held by" in kept.stdout) == (1, True)
    finally:
        user.let_go()
        process.communicate(timeout=120)
    assert process.returncode == 0
    assert user.left() == []


def gone(said: str) -> list[dict[str, Any]]:
    """What `clean` removed, of all that it listed."""
    return [one for one in json.loads(said) if not one["stays"]]


@pytest.mark.cgroup
def test_what_a_dead_session_left_is_cleaned(user: User) -> None:
    user.experiment("experiment.yaml", cache="file")
    user.hold()
    process = user.start()
    wait_until(lambda: len(user.executions()) == 1)
    process.kill()
    process.communicate()
    assert user.left() != []
    kept = user.give("clean", "inventory.yaml", "--json")
    assert gone(kept.stdout) == []  # its job still runs, and the next controller adopts it
    assert "was kept: the session or its job is still running" in kept.stderr
    user.let_go()
    wait_until(lambda: not any("bench.supervisor.supervisor" in one for one in user.left()))
    listed = json.loads(user.give("clean", "inventory.yaml", "--dry-run", "--json").stdout)
    assert {one["what"] for one in listed} >= {"process job", "lock"}
    (user.scratch / "harness-cache-harness-0-0-1").mkdir()
    assert user.left() != []
    cleaned = user.give("clean", "inventory.yaml")
    assert (cleaned.returncode, "cache folder" in cleaned.stdout) == (0, True)
    assert user.left() == []
    assert user.run().returncode == 0
    assert {record["status"] for record in user.records()} == {"ok"}


@pytest.mark.cgroup
def test_what_failed_is_done_again_only_when_asked_for(user: User) -> None:
    user.experiment("experiment.yaml", cache=["none", "file"])
    (user.control / "fail").touch()
    first = user.run("--only", "cache=file")
    assert first.returncode == 1
    assert_plain(first, ["exit code 3", "--rerun-failed"])
    assert {record["status"] for record in user.records()} == {"error"}
    (user.control / "fail").unlink()
    count = len(user.records())
    assert user.run("--only", "cache=file").returncode == 1
    assert len(user.records()) == count
    again = user.run("--only", "cache=file", "--rerun-failed")
    assert again.returncode == 0, again.stderr
    assert {record["attempt"] for record in user.records()[count:]} == {2}
    assert {record["case"]["cache"] for record in user.records()} == {"file"}
    assert user.run("--fresh", "--only", "cache=file").returncode == 0
    assert len(user.sessions()) == 2


@pytest.mark.cgroup
def test_a_loader_that_does_other_work_is_never_shown_as_ok(user: User) -> None:
    user.experiment("experiment.yaml", loader=["tfdata", "tfdata-tuned"])
    (user.control / "differs").write_text("tfdata-tuned")
    done = user.run()
    assert done.returncode == 1
    name = "tfdata-tuned, no cache, limit 700 MB"
    listed = f"✗ invalid: does other work  {name}  (here, round 1): tfdata-tuned does not do the same work"
    lines = done.stderr.splitlines()
    (line,) = (line for line in lines if line.startswith(listed))
    assert_plain(done, [line])
    assert not [line for line in lines if "tfdata-tuned" in line and ("✓" in line or " ok" in line)]
    (counts,) = (line for line in lines if re.match(r"\S+ \(experiment\): ended; ", line))
    assert re.search(r"; (\d ok, )?(\d ok|\d disturbed), 1 invalid$", counts), counts
    sign = '<span class="sign" aria-hidden="true">✗</span>'
    page = (user.sessions()[0] / "report.html").read_text()
    assert f'<h3><span class="mark bad">{sign} invalid: does other work</span>{name}</h3>' in page
    assert ", 1 invalid" in user.give("status").stdout
    again = user.run()
    assert again.returncode == 1
    assert re.search(r"runs done: .*1 invalid", again.stderr), again.stderr


# -- kill -9 with TensorFlow -------------------------------------------------------------------------------------------


def kill_again_and_again(user: User, *, delays_s: tuple[float, ...]) -> None:
    """SIGKILL some time after the first case began, and again; then to the end, and look."""
    begun = 0
    for delay_s in delays_s:
        process = user.start()

        def is_time(wanted: int = begun, process: subprocess.Popen[str] = process) -> bool:
            return len(user.events("InvocationStarted")) > wanted or process.poll() is not None

        wait_until(is_time, seconds=400, what="no case began")
        time.sleep(delay_s)
        process.kill()
        process.communicate()
        begun = len(user.events("InvocationStarted"))
    done = user.run()
    assert done.returncode == 0, done.stderr
    assert_plain(done)
    records = user.records()
    assert {record["status"] for record in records} == {"ok"}
    assert set(Counter(record["invocation"] for record in records).values()) == {1}
    assert {record["case"]["cache"] for record in records} == {"none", "file"}
    assert {record["attempt"] for record in records} == {1}
    assert [epoch["images"] for record in records for epoch in record["epochs"]] == [24] * len(records)
    assert user.left() == []


@pytest.mark.cgroup
@pytest.mark.tensorflow
def test_killed_with_tensorflow_on_the_process_engine(tmp_path: Path, scratch: Path) -> None:
    user = User(tmp_path, scratch, is_real=True).write(cache=["none", "file"])
    kill_again_and_again(user, delays_s=(0.2, 2.0, 1.0))


@pytest.fixture(scope="module")
def image() -> str:
    """The CPU image, built where the engine has it not."""
    if subprocess.run(["docker", "version"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no Docker Engine answers")
    words = [sys.executable, "-c", "from harness.cli import main; main()", "image", "build", "cpu"]
    built = subprocess.run(words, capture_output=True, text=True, check=False, timeout=1500)
    if built.returncode != 0:
        pytest.skip(f"the CPU image cannot be built here: {built.stderr[-500:]}")
    return built.stdout.split()[0]


@pytest.mark.docker
@pytest.mark.tensorflow
@pytest.mark.timeout(1800)
def test_killed_with_tensorflow_on_the_docker_engine(tmp_path: Path, scratch: Path, image: str) -> None:
    user = User(tmp_path, scratch, is_real=True).write(engine="docker", cache=["none", "file"])
    volumes = docker("volume", "ls", "-q")
    kill_again_and_again(user, delays_s=(0.2, 2.0))
    key = json.loads((user.sessions()[0] / "session.json").read_text())["id"]
    assert key not in docker("ps", "-a", "--format", "{{.Labels}}")
    assert set(docker("volume", "ls", "-q").split()) <= set(volumes.split()) | foreign_volumes()


def docker(*words: str, address: str | None = None) -> str:
    place = ["-H", address] if address else []
    return subprocess.run(["docker", *place, *words], capture_output=True, text=True, check=True).stdout


def foreign_volumes() -> set[str]:
    """Volumes that somebody's container uses right now."""
    names = docker("ps", "-aq").split()
    shown = docker("inspect", "--format", "{{range .Mounts}}{{.Name}} {{end}}", *names) if names else ""
    return set(shown.split())


# -- engines that do not answer ----------------------------------------------------------------------------------------


@pytest.mark.cgroup
@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("unix:///nowhere.sock", "there is no Docker socket"),
        ("tcp://127.0.0.1:1", "nothing listens"),
        ("garbage", "no Docker engine answers at garbage"),
    ],
)
def test_docker_host_points_nowhere(user: User, address: str, words: str) -> None:
    user.write(engine="docker")
    done = user.run(DOCKER_HOST=address)
    assert done.returncode == 3
    assert_plain(done, ["here: not ready", words, "DOCKER_HOST", "engine: process"])
    assert user.sessions() == []
    asked = user.give("clean", "inventory.yaml", DOCKER_HOST=address)
    assert "no Docker Engine answers" in asked.stderr


@pytest.mark.cgroup
def test_docker_host_points_nowhere_and_any_engine_will_do(user: User) -> None:
    user.write(engine="auto")
    done = user.run(DOCKER_HOST="unix:///nowhere.sock", CONTAINER_HOST="unix:///nowhere.sock")
    assert done.returncode == 0, done.stderr
    silent = ["no Docker Engine answers (DOCKER_HOST is set)", "no Podman service answers (CONTAINER_HOST is set)"]
    assert_plain(done, [f"warning: here: {', '.join(silent)}; using `process`"])
    assert {record["engine"] for record in user.records()} == {"process"}


@pytest.mark.docker
@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_daemon_that_dies_in_the_middle(tmp_path: Path, image: str) -> None:
    """A second daemon, in a network of its own (it would take away the first one's bridge), dies and comes back."""
    daemon = Daemon(Path(tempfile.mkdtemp(prefix="harness-d-", dir="/tmp")))  # a socket's path must be short
    user = User(tmp_path, tmp_path / "scratch", is_real=True).write(engine="docker", epochs=900)
    try:
        daemon.start()
        daemon.load(image)
        process = user.start("--link-patience", "3s", DOCKER_HOST=daemon.address)
        wait_until(lambda: user.events("InvocationStarted"), seconds=300)
        time.sleep(1.0)
        daemon.kill()
        _, err = process.communicate(timeout=200)
        assert process.returncode == 3, err
        assert "here: unreachable: lost the connection to the Docker engine" in err
        assert "then run the same command again" in err
        for bad in ("Traceback", "unexpected error"):
            assert bad not in err
        assert user.records() == []
        daemon.start()
        cleaned = user.give("clean", "inventory.yaml", "--json", DOCKER_HOST=daemon.address)
        assert "docker job" in {one["what"] for one in json.loads(cleaned.stdout)}, cleaned.stderr
        assert docker("ps", "-aq", address=daemon.address) == ""
        assert user.left() == []
    finally:
        daemon.kill()
        daemon.remove()


class Daemon:
    """A Docker daemon of our own, with everything that it has in one folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.address = f"unix://{folder}/d.sock"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        (self.folder / "pid").unlink(missing_ok=True)
        own = ["--data-root", "root", "--exec-root", "exec", "--pidfile", "pid"]
        words = [str(self.folder / word) if not word.startswith("--") else word for word in own]
        self._process = subprocess.Popen(
            ["unshare", "--net", "dockerd", *words, "-H", self.address, "--bridge=none", "--iptables=false"],
            stdout=(self.folder / "log").open("ab"),
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        asked = ["docker", "-H", self.address, "version"]
        wait_until(lambda: subprocess.run(asked, capture_output=True, check=False).returncode == 0, seconds=60)

    def load(self, image: str) -> None:
        with subprocess.Popen(["docker", "save", image], stdout=subprocess.PIPE) as saved:
            subprocess.run(["docker", "-H", self.address, "load", "-q"], stdin=saved.stdout, check=True)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def remove(self) -> None:
        """End all that a killed daemon leaves: its shims name this folder, its containers are their children."""
        shims = {pid for pid, words, _ in all_processes() if f"{self.folder}/" in words and "containerd" in words}
        for pid in [pid for pid, _, parent in all_processes() if parent in shims] + list(shims):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        mounts = [line.split()[1] for line in Path("/proc/self/mounts").read_text().splitlines()]
        for point in [point for point in mounts if point.startswith(f"{self.folder}/")]:
            subprocess.run(["umount", "-l", point], check=False)
        shutil.rmtree(self.folder, ignore_errors=True)


def all_processes() -> list[tuple[int, str, int]]:
    """Number, command line and parent of each."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError):
            words = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            found.append((int(path.name), words, int((path / "stat").read_text().rpartition(")")[2].split()[1])))
    return found


# -- other users -------------------------------------------------------------------------------------------------------


@pytest.fixture
def nobody() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs ``harness`` as the user nobody, on a Python that this user may read."""
    root, packages = Path(__file__).parents[2], Path(pytest.__file__).parents[1]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{root}:{packages}", "PYTHONDONTWRITEBYTECODE": "1"}
    wanted = f"{sys.version_info[0]}.{sys.version_info[1]}"
    drop = ["setpriv", "--reuid", "nobody", "--regid", "nogroup", "--clear-groups"]
    for python in (sys.executable, "/usr/bin/python3", f"/usr/local/bin/python{wanted}"):
        asked = f"import sys, yaml, harness.cli.app; assert sys.version_info[:2] == {sys.version_info[:2]}"
        words = [*drop, python, "-c", asked]
        if subprocess.run(words, env=environment, capture_output=True, check=False).returncode == 0:
            break
    else:
        pytest.skip("no Python here that the user nobody could run this with")

    def give(user: User, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        for path in (user.folder, *user.folder.parents[:3]):
            path.chmod(0o777 if path == user.folder else 0o755)
        command = [*drop, python, str(Path(__file__).parent / "user.py"), str(user.lock), "-", *words]
        home = {"HOME": str(user.folder)}
        return subprocess.run(
            command, cwd=user.folder, env={**environment, **home, **more}, capture_output=True, text=True, check=False
        )

    return give


def test_a_socket_that_is_not_allowed(tmp_path: Path, nobody: Callable[..., subprocess.CompletedProcess[str]]) -> None:
    import socket

    user = User(tmp_path, tmp_path / "scratch").write(engine="docker")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "d.sock"))
        (tmp_path / "d.sock").chmod(0o600)
        done = nobody(user, "run", "inventory.yaml", "--experiment", "experiment.yaml",
                      DOCKER_HOST=f"unix://{tmp_path}/d.sock")  # fmt: skip
    assert done.returncode == 3
    assert_plain(done, ["is not accessible to nobody", "usermod -aG docker nobody"])


def test_what_may_not_be_read_or_written(
    tmp_path: Path, nobody: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    data = make_folder(tmp_path / "data")
    user = User(tmp_path, tmp_path / "scratch").write(data=f"{{folder: {data}}}")
    run = ("run", "inventory.yaml", "--experiment", "experiment.yaml")
    (tmp_path / "closed").mkdir(mode=0o755)
    for words, told in (
        ((*run, "--output", "closed"), "this folder cannot be created: Permission denied"),
        (("init", "closed"), "cannot write: Permission denied"),
        (("data", "make", "closed/set", "--images", "3"), "Permission denied"),
    ):
        done = nobody(user, *words)
        assert done.returncode == 2, done.stderr
        assert_plain(done, [told, "→"])
    inventory = (tmp_path / "inventory.yaml").read_text()
    (tmp_path / "closed.yaml").write_text(inventory.replace(str(user.scratch), str(tmp_path / "closed" / "scratch")))
    checked = nobody(user, "check", "closed.yaml")
    assert (checked.returncode, "this user may not write there" in checked.stdout) == (3, True)
    (data / "a" / "1.jpg").chmod(0)
    described = nobody(user, "data", "describe", "data")
    assert described.returncode == 2
    assert_plain(described, ["error: 1 of 4 files", "a/1.jpg: Permission denied"])
    (data / "a").chmod(0)
    done = nobody(user, "data", "describe", "data")
    assert done.returncode == 2
    assert_plain(done, ["cannot read the folder", "data/a: Permission denied", "read and enter it"])
    session = tmp_path / "reports" / "inventory-experiment-0"
    session.mkdir(parents=True)
    (session / "session.json").write_text(json.dumps({"format": 1, "name": session.name}))
    (session / "records.jsonl").touch(mode=0o600)
    for word in ("status", "export"):
        done = nobody(user, word, str(session))
        assert done.returncode == 2
        assert_plain(done, ["records.jsonl", "ermission denied"])


# -- data sets ---------------------------------------------------------------------------------------------------------


def no_folder(root: Path) -> str:
    return f"{{folder: {root}}}"


def truncated(root: Path) -> str:
    path = make_folder(root) / "a" / "1.jpg"
    path.write_bytes(path.read_bytes()[:300])
    return f"{{folder: {root}}}"


def half_a_coco_file(root: Path) -> str:
    make_folder(root)
    (root / "instances.json").write_text('{"images": [{"id": 1, "file_')
    return f"{{images: {root}/a, annotations: {root}/instances.json}}"


def no_annotations(root: Path) -> str:
    make_folder(root)
    images = [{"id": 0, "file_name": "0.jpg", "width": 40, "height": 30}]
    content = {"images": images, "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    (root / "instances.json").write_text(json.dumps(content))
    return f"{{images: {root}/a, annotations: {root}/instances.json}}"


def zero_images(root: Path) -> str:
    (root / "a").mkdir(parents=True)
    return f"{{folder: {root}}}"


@pytest.mark.cgroup
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (no_folder, ["there is no folder"]),
        (truncated, ["1 of 4 files", "a/1.jpg: it is truncated or damaged", "--skip-unreadable"]),
        (half_a_coco_file, ["cannot be read as an instances JSON", "instances_train2017.json"]),
        (no_annotations, ["has no images"]),
        (zero_images, ["has no images"]),
    ],
)
def test_a_data_set_that_cannot_be_measured(
    user: User, tmp_path: Path, make: Callable[[Path], str], words: list[str]
) -> None:
    """It fails its check with the name of what is wrong, before any measuring."""
    user.write(data=make(tmp_path / "set"))
    done = user.run()
    assert done.returncode == 2, done.stderr
    assert_plain(done, ["here: not ready: ", *words, "→"])
    assert "here: not ready: here:" not in done.stderr
    assert user.executions() == []
    assert user.sessions() == []  # an empty session must not stand in the way of a real one
    assert user.left() == []


@pytest.mark.cgroup
@pytest.mark.tensorflow
def test_one_image_of_one_class_with_a_name_to_fear(tmp_path: Path, scratch: Path) -> None:
    name = "ünï ☃ 猫 \x1b[31m <b>&amp; '\"\n --rf"
    data = make_folder(tmp_path / "set", (name,), images=1)
    user = User(tmp_path, scratch, is_real=True).write(data=f"{{folder: '{data}'}}")
    done = user.run()
    assert done.returncode == 0, done.stderr
    assert_plain(done)
    assert {record["epochs"][0]["images"] for record in user.records()} == {1}
    assert "\x1b" not in user.give("data", "describe", str(data)).stdout


@pytest.mark.cgroup
def test_weights_that_are_nowhere(user: User) -> None:
    user.experiment("experiment.yaml", mode="train", model={"name": "mobilenet", "weights": "imagenet"})
    done = user.run(HOME=str(user.folder))
    assert done.returncode == 2
    assert_plain(done, ["weights: imagenet: no file", "mobilenet_", "weights: none"])
    assert user.executions() == []
    planned = user.give("plan", "inventory.yaml", "--experiment", "experiment.yaml", HOME=str(user.folder))
    assert planned.returncode == 2
    (said,) = set(re.findall(r"weights: imagenet: no file \S+ that can be read", done.stderr))
    assert_plain(planned, ["here (not ready; engine process 2.", said, f"skipped: {said}"])


# -- disks -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(make_disk: Callable[[str], Path]) -> Path:
    return make_disk("20m")


FILLER = """
import sys, time
from pathlib import Path
from typing import Any
place = Path(sys.argv[1])
def is_measured(path):
    return "rehearse" not in path.parent.name and "stages" not in path.parent.name
while not any(path.stat().st_size for path in place.glob("harness-cache-*/*") if is_measured(path)):
    time.sleep(0.01)
with (place / "foreign").open("wb", buffering=0) as stream:
    while True:
        stream.write(bytes(65536))
"""


@pytest.mark.cgroup
@pytest.mark.tensorflow
def test_a_small_disk_and_one_that_fills(tmp_path: Path, scratch: Path, small_disk: Path) -> None:
    """What cannot fit is skipped in numbers; what fills up all the same is disk_full, and the disk is left clean."""
    user = User(tmp_path, scratch, is_real=True)
    user.write(data="{generate: {profile: dogs-and-cats, images: 200, seed: 1}}", cache="file", cache_disk="small")
    inventory = tmp_path / "inventory.yaml"
    disks = f"harness:\n        disks: {{small: {small_disk}}}\n        disk_reserve: 0\n"
    inventory.write_text(inventory.read_text().replace("harness:\n", disks))
    user.experiment("large.yaml", cache="file", cache_disk="small", image_size=256)
    large = user.run(experiment="large.yaml")
    assert large.returncode == 0, large.stderr  # planned, announced, skipped
    assert_plain(large, ["its cache does not fit", "available", "required", "missing"])
    assert {record["status"] for record in user.records()} == {"skipped"}
    user.experiment("middle.yaml", cache="file", cache_disk="small", image_size=80)
    filler = subprocess.Popen([sys.executable, "-c", FILLER, str(small_disk)], stderr=subprocess.DEVNULL)
    try:
        full = user.run(experiment="middle.yaml")
    finally:
        filler.kill()
        filler.wait()
    assert full.returncode == 1, full.stderr
    assert_plain(full, ["▣ disk full", "the disk is full: ", "--rerun-failed"])
    assert "{{function_node" not in full.stderr
    assert "disk_full" in {record["status"] for record in user.records()}
    assert [path.name for path in small_disk.iterdir()] == ["foreign"]


@pytest.mark.cgroup
def test_a_session_folder_on_a_disk_that_is_full(user: User, small_disk: Path) -> None:
    user.hold()
    process = user.start("--output", str(small_disk / "out"))
    wait_until(lambda: len(user.executions()) == 1)
    (small_disk / "foreign").touch()
    with (small_disk / "foreign").open("wb", buffering=0) as stream:
        try:
            while stream.write(bytes(4096)):
                pass
        except OSError:
            pass
    user.let_go()
    _, err = process.communicate(timeout=120)
    assert process.returncode == 2, err
    assert "cannot write: No space left on device" in err
    assert "it continues" in err
    assert "Traceback" not in err
    assert "unexpected error" not in err
    (small_disk / "foreign").unlink()
    done = user.run("--output", str(small_disk / "out"))
    assert done.returncode == 0, done.stderr
    assert len(user.executions()) == len(set(user.executions()))  # what had finished was not done again
    assert user.left() == []


# -- damaged sessions --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, scratch: Path) -> User:
    """Somebody whose session has ended well."""
    user = User(tmp_path_factory.mktemp("finished"), scratch).write()
    done = user.run()
    assert done.returncode == 0, done.stderr
    return user


@pytest.mark.cgroup
@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("session.json", b"{", ["session.json cannot be read", "--fresh"]),
        ("session.json", b'{"format": 99}', ["session.json has format 99"]),
        ("session.json", b'{"format": 1}', ["session.json is damaged"]),
        ("session.json", b'{"format": 1, "hosts": 7}', ["session.json is damaged", "hosts"]),
    ],
)
def test_a_damaged_session(finished: User, name: str, content: bytes, words: list[str]) -> None:
    """It is said before any host is asked, and what is there stays as it is."""
    (path,) = [session / name for session in finished.sessions()]
    before = path.read_bytes()
    path.write_bytes(content)
    try:
        done = finished.run()
        assert done.returncode == 2
        assert_plain(done, ["error: ", *words, "→"])
        assert "here:" not in done.stderr
        assert path.read_bytes() == content
    finally:
        path.write_bytes(before)


@pytest.mark.cgroup
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"garbage", ["records.jsonl:1: ", "is not JSON", "remove this line"]),
        (b"[" * 10_000, ["records.jsonl:1: ", "deeper than", "remove this line"]),
        (b'{"a": 1}', ["records.jsonl:1: ", "does not fit the format", "measured again"]),
        (b'{"a": NaN}', ["records.jsonl:1: ", "measured again"]),
    ],
)
def test_a_damaged_record_costs_itself(finished: User, content: bytes, words: list[str]) -> None:
    """It is named, what it belonged to is measured anew, and every command reads the rest."""
    session = finished.sessions()[0]
    path, executed = session / "records.jsonl", len(finished.executions())
    whole = path.read_bytes()
    damaged = json.loads(whole.splitlines()[0])["invocation"]  # a busy machine may have had each repeated
    others = [line for line in whole.splitlines() if json.loads(line)["invocation"] != damaged]
    path.write_bytes(b"\n".join([content, *others, b""]))
    try:
        done = finished.run()
        assert done.returncode == 0
        assert_plain(done, words)
        (anew,) = [name for name in finished.executions()[executed:] if name.endswith("-1")]
        assert damaged in anew
        lines = path.read_bytes().splitlines()
        assert lines[: len(others) + 1] == [content, *others]
        assert json.loads(lines[len(others) + 1])["invocation"] == damaged
        assert (session / "report.html").is_file()
    finally:
        path.write_bytes(whole)


@pytest.mark.cgroup
def test_a_line_that_was_cut_off(finished: User) -> None:
    path = finished.sessions()[0] / "records.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + b'{"format": 1, "sess')
    done = finished.run("--quiet")
    assert done.returncode == 0
    assert path.read_bytes() == before
    assert done.stdout.splitlines()[-1].startswith("file://")
    assert done.stderr == ""  # --quiet, and nothing is wrong


@pytest.mark.cgroup
def test_a_folder_of_something_else_is_never_taken_away(user: User) -> None:
    """Not even where no host was ready, and an empty session is removed."""
    precious = user.folder / "reports" / "mine" / "thesis.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("years of work")
    user.write(data=f"{{folder: {user.folder}/nowhere}}")
    done = user.run("--name", "mine")
    assert done.returncode == 2
    assert_plain(done, ["contains other files: thesis.txt", "--name"])
    assert precious.read_text() == "years of work"
    for name in ("../mine", "", "a\nb", "."):
        refused = user.run("--name", name)
        assert (refused.returncode, "cannot be the name of a session" in refused.stderr) == (2, True)
