"""Every command that asks hosts, run in this process over the lab of fakes: exit code, output, and what was heard."""

from __future__ import annotations

import contextlib
import io
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fake_lab import Lab

from harness.console import Console
from harness.session.run_options import RunOptions, SessionOptions
from harness.workflow.local.show_status import show_status
from harness.workflow.machines.check_hosts import check_hosts
from harness.workflow.machines.clean import CleanOptions, clean_hosts, unlock_hosts
from harness.workflow.machines.ship_hosts import ShipOptions, ship_hosts
from harness.workflow.machines.show_facts import record_facts, show_facts
from harness.workflow.plan.plan import show_plan
from harness.workflow.run.run import run_session


@dataclass(frozen=True)
class Done:
    """A command that ended."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def said(self) -> str:
        return self.out + self.err


def _check(lab: Lab, console: Console) -> int:
    return check_hosts(
        console, lab.inventory, limit=None, engine=None, ship=False, base_image=None, forks=2, as_json=False
    )


def _facts(lab: Lab, console: Console) -> int:
    return show_facts(console, lab.inventory, limit=None, forks=2, as_json=False)


def _record(lab: Lab, console: Console) -> int:
    return record_facts(console, lab.inventory, limit=None, folder=lab.folder / "recordings", forks=2)


def _clean(lab: Lab, console: Console) -> int:
    options = CleanOptions(data=True, yes=True)
    return clean_hosts(console, lab.inventory, options, limit=None, forks=2, as_json=False)


def _unlock(lab: Lab, console: Console) -> int:
    return unlock_hosts(console, lab.inventory, limit=None, yes=True, forks=2)


def _plan(lab: Lab, console: Console) -> int:
    options = SessionOptions(inventory=lab.inventory, experiment=str(lab.experiment), output=lab.folder / "reports")
    return show_plan(console, options, is_offline=False, as_json=False)


def _run(lab: Lab, console: Console) -> int:
    options = RunOptions(
        inventory=lab.inventory, experiment=str(lab.experiment), output=lab.folder / "reports", forks=2
    )
    code = run_session(console, options)
    show_status(console, None, lab.folder / "reports", as_json=False)
    return code


def _ship(lab: Lab, console: Console) -> int:
    source = lab.folder / "pets"
    options = ShipOptions(inventory=lab.inventory, data=("pets",), source=source, forks=2)
    return ship_hosts(console, options, as_json=False)


def _ship_image(lab: Lab, console: Console) -> int:
    return ship_hosts(console, ShipOptions(inventory=lab.inventory, forks=2), as_json=False)


COMMANDS: dict[str, Callable[[Lab, Console], int]] = {
    "check": _check,
    "facts": _facts,
    "record": _record,
    "clean": _clean,
    "unlock": _unlock,
    "plan": _plan,
    "run": _run,
    "ship": _ship_image,
    "ship data": _ship,
}
"""``run`` shows its status afterwards; ``trust`` speaks with sshd alone, and has its own test."""


def make_pets(folder: Path) -> None:
    """Put a small data set where ``ship`` finds it."""
    from PIL import Image

    for name in ("cat", "dog"):
        (folder / "pets" / name).mkdir(parents=True)
        Image.new("RGB", (8, 6)).save(folder / "pets" / name / "0.jpg")


def run_command(name: str, lab: Lab) -> Done:
    """Run a command over the lab."""
    out, err = io.StringIO(), io.StringIO()
    begun = time.monotonic()
    with lab.open(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = COMMANDS[name](lab, Console())
    return Done(code, out.getvalue(), err.getvalue(), time.monotonic() - begun)
