"""``harness advise``: look at a folder, choose what to measure, measure it as a session, and print the answer."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.candidates import Trials, choose_trials
from harness.bench.protocol.atomic import read_text
from harness.inventory import load_inventory, read_parts, select_hosts
from harness.records.folder import EXPERIMENT_FILE, INVENTORY_FILE, SessionFolder, find_folder
from harness.records.recap import Recap, recap_session
from harness.report.answers import Answer, answer_sessions, say_answers, say_lack
from harness.report.writing import write_result
from harness.session.advise_options import AdviseOptions
from harness.session.run_options import RunOptions, in_minutes
from harness.values.errors import ConfigurationError, HarnessError
from harness.values.event import SessionFinding
from harness.values.names import name_pipeline, name_value
from harness.values.units import format_bytes, format_duration
from harness.workflow.advise.looking import look_at_hosts
from harness.workflow.advise.question import Question, read_question
from harness.workflow.advise.written import change_budget, write_experiment
from harness.workflow.recap_screen import tell_recap
from harness.workflow.run.run import Measured, measure_session, say_removed

if TYPE_CHECKING:
    from harness.console import Console

NAME = "advise"
_WRITTEN = "# Written by harness advise.\n"
"""The first line of a file of code: only a file that begins so is overwritten."""


def give_advice(console: Console, options: AdviseOptions, *, write: Path | None, as_json: bool) -> int:
    """Answer a question and return the exit code of its session. Raises HarnessError before anything was measured."""
    question = read_question(options)
    if write is not None:
        _refuse_place(write)
    folder = find_folder(
        options.output,
        inventory=question.name,
        experiment=NAME,
        digest=question.digest,
        name=None,
        is_fresh=options.is_fresh,
    )
    folder.refuse_foreign()
    made: tuple[Path, ...] = folder.list_absent()
    cures: list[str] = []
    is_measured = False
    try:
        advised = _measure(console, folder, question, options)
        cures, is_measured = [host.next for host in advised.recap.hosts], True
        return _answer(console, advised, options, write=write, as_json=as_json)
    except HarnessError as error:
        cures = [error.hint or ""]
        raise
    finally:
        if not folder.exists():
            _take_back(folder, made, cures)
            if is_measured and not folder.path.exists():
                console.note(say_removed(folder))


@dataclass(frozen=True)
class _Advised:
    """The cases that were chosen for a question, their session, and the files that it was made from.

    ``more`` is the command that measures more.
    """

    trials: Trials
    measured: Measured
    recap: Recap
    inventory: Path
    experiment: Path
    more: str


def _measure(console: Console, folder: SessionFolder, question: Question, options: AdviseOptions) -> _Advised:
    """Look at the hosts, choose what to measure and measure it as a session. Raises HarnessError."""
    inventory = _place_inventory(folder, question, options)
    read = read_parts(load_inventory(inventory, options.limit), options.split, skip_unreadable=options.skip_unreadable)
    hosts = select_hosts(read, options.limit)
    rooms = look_at_hosts(console, hosts, question, inventory, forks=options.forks)
    trials = choose_trials(question.wish, rooms, question.time_s)
    if not trials.cases:
        raise _refuse_all(trials)
    experiment = _place_experiment(console, folder, question, trials, options)
    asked = _run_options(options, inventory, experiment, folder)
    measured = measure_session(console, asked)
    recap = recap_session(measured.session, is_live=False)
    needed_s = max((found.needed_s or 0.0 for found in measured.session.events_of(SessionFinding)), default=0.0)
    more = asked.say_how_to_continue(needed_s if needed_s > question.time_s else None)
    return _Advised(trials, measured, recap, inventory, experiment, more)


def _take_back(folder: SessionFolder, made: Sequence[Path], cures: Sequence[str]) -> None:
    """Remove what was written for a session that was not begun, unless a cure names the inventory beside it."""
    inventory = folder.path / INVENTORY_FILE
    if any(str(inventory) in cure for cure in cures):
        return
    with contextlib.suppress(OSError):  # where nothing could be written, nothing is there
        for name in (INVENTORY_FILE, EXPERIMENT_FILE):
            (folder.path / name).unlink(missing_ok=True)
        folder.remove(made)


def _answer(console: Console, advised: _Advised, options: AdviseOptions, *, write: Path | None, as_json: bool) -> int:
    """Print the answers, or write them; returns the exit code of the session."""
    trials, measured, recap = advised.trials, advised.measured, advised.recap
    answers = answer_sessions([measured.session], trials.lacks, epochs=options.epochs, more=advised.more)
    if measured.exit_code:
        tell_recap(console, recap, measured.folder)
    if write is not None:
        _write_code(console, answers, write)
    missing = sorted({case.mode for case in trials.cases} - {answer.mode for answer in answers})
    if as_json:
        hosts = [{"host": one.host, "state": one.state, "why": one.why, "next": one.next} for one in recap.hosts]
        printed = _as_json(answers, advised)
        console.result_json({**printed, "not_measured": missing, "hosts": hosts})
    else:
        _print(console, answers, advised, is_written=write is not None)
        for mode in missing:
            name = name_value("mode", mode).capitalize()
            console.result(f"{name} was not measured in this time; to measure it:  {advised.more}")
    return measured.exit_code


def _refuse_place(place: Path) -> None:
    """Raise ConfigurationError where ``--write`` names no folder, or a file that this command did not write."""
    if not place.parent.is_dir():
        raise ConfigurationError(f"there is no folder {place.parent}", where="--write", hint="name another place")
    if place.exists() and not (place.is_file() and read_text(place).startswith(_WRITTEN)):
        hint = "name another file, or move that one away"
        raise ConfigurationError(f"{place} exists and was not written by this command", where="--write", hint=hint)


def _refuse_all(trials: Trials) -> ConfigurationError:
    """Return the error for a question without a case: no loader reads the data, or nothing fits memory or disk."""
    if not trials.lacks:
        return ConfigurationError("no loader reads such data", hint="`harness loaders` shows what each reads")
    least = min(trials.lacks, key=lambda lack: lack.needed)
    need = f"even {name_pipeline(least.case)} needs about {format_bytes(least.needed)} of {least.of}"
    message = f"nothing fits: {need}, and {format_bytes(least.available)} is available"
    cure = "give more memory" if least.of == "memory" else "free space on the disk"
    where = "--memory" if least.of == "memory" else None
    hint = f"{cure}, or make images (--size) or batches (--batch) smaller"
    return ConfigurationError(message, where=where, hint=hint)


def _place_inventory(folder: SessionFolder, question: Question, options: AdviseOptions) -> Path:
    """Return the inventory of a question: the user's file, or one that is written into the session's folder."""
    if question.inventory is not None:
        return question.inventory
    place = folder.path / INVENTORY_FILE
    head = (
        f"# The machines and data of `{shlex.join(options.argv_to_continue)}`.\n"
        "# To measure on others, add them here, as docs/inventory.md says.\n"
    )
    if not (folder.exists() and place.is_file()):
        folder.make()
        write_result(head + question.inventory_text, place, what="inventory")
    return place


def _place_experiment(
    console: Console, folder: SessionFolder, question: Question, trials: Trials, options: AdviseOptions
) -> Path:
    """Write the experiment into the session's folder; of one that is there already only the budget is changed."""
    place, time_s = folder.path / EXPERIMENT_FILE, question.time_s
    if folder.exists() and place.is_file():
        write_result(change_budget(place.read_text(encoding="utf-8"), time_s), place, what="experiment")
        return place
    head = [
        f"The cases of `{shlex.join(options.argv_to_continue)}`. To measure them elsewhere, edit this file, then:",
        f"  harness run INVENTORY --experiment {shlex.quote(str(place))}",
    ]
    text = write_experiment(
        trials.cases,
        name=NAME,
        description=f"Which pipeline should we use for {question.name}?",
        notes=[say_lack(lack) for lack in trials.lacks],
        time_s=time_s,
        head=head,
    )
    write_result(text, place, what="experiment")
    tried = ", ".join(dict.fromkeys(name_pipeline(case) for case in trials.cases))
    console.note(f"measuring for at most {format_duration(time_s)}: {tried}")
    return place


@dataclass(frozen=True)
class _AdvisedRun(RunOptions):
    """The options of the session of a question: the command that continues it is ``harness advise``."""

    asked: AdviseOptions = field(default_factory=AdviseOptions)

    @property
    def argv_to_continue(self) -> tuple[str, ...]:
        """The command that continues this session."""
        return self.asked.argv_to_continue

    def say_how_to_continue(self, seconds: float | None = None) -> str:
        """Return the command that continues this session; ``seconds`` is the time that it needs."""
        asked = self.asked if seconds is None else replace(self.asked, time=in_minutes(seconds))
        return shlex.join(asked.argv_to_continue)


def _run_options(options: AdviseOptions, inventory: Path, experiment: Path, folder: SessionFolder) -> RunOptions:
    return _AdvisedRun(
        asked=options,
        inventory=inventory,
        experiment=str(experiment),
        name=folder.name,
        output=options.output,
        limit=options.limit,
        engine=options.engine,
        rerun_failed=options.rerun_failed,
        allow_busy=options.allow_busy,
        ship_data=options.ship,
        forks=options.forks,
        skip_stages=True,
        split=options.split,
        skip_unreadable=options.skip_unreadable,
    )


def _print(console: Console, answers: Sequence[Answer], advised: _Advised, *, is_written: bool) -> None:
    """Print the answers, the code of each unless it was written to a file, and the files that were used."""
    if not answers:
        return
    console.result("\n".join(say_answers(answers)))
    if not is_written:
        for recipe in dict.fromkeys(answer.recipe for answer in answers if answer.recipe is not None):
            console.result(f"\n{recipe.code or recipe.note}")
    console.note(f"measured with {advised.inventory} and {advised.experiment}")
    report = advised.measured.folder.report_file
    if report.exists():
        console.result(report.resolve().as_uri())


def _as_json(answers: Sequence[Answer], advised: _Advised) -> dict[str, object]:
    """Return the answers for programs, with what does not fit and the files that were used."""
    folder, report = advised.measured.folder, advised.measured.folder.report_file
    is_begun = folder.exists()
    return {
        "answers": [answer.as_json() for answer in answers],
        "does_not_fit": [
            {
                "pipeline": name_pipeline(lack.case),
                "host": lack.host,
                "of": lack.of,
                "needed_bytes": lack.needed,
                "available_bytes": lack.available,
                "instead": None if lack.instead is None else name_pipeline(lack.instead),
                "instead_needed_bytes": lack.instead_needed,
            }
            for lack in advised.trials.lacks
        ],
        "more": advised.more,
        "session": str(folder.path) if is_begun else None,
        "report": report.resolve().as_uri() if report.exists() else None,
        "inventory": str(advised.inventory) if is_begun else None,
        "experiment": str(advised.experiment) if is_begun else None,
    }


def _write_code(console: Console, answers: Sequence[Answer], place: Path) -> None:
    """Write the code of an answer, of training where that was measured, to a file that runs as it is."""
    from harness.report.recipes.recipe import add_main

    recipes = [answer.recipe for answer in _wanted_first(answers) if answer.recipe is not None]
    recipe = next((recipe for recipe in recipes if recipe.code), None)
    if recipe is None:
        why = next((recipe.note for recipe in recipes), "nothing was measured that could be advised")
        console.warning(f"{place} was not written: {why}")
        return
    write_result(_WRITTEN + add_main(recipe.code), place, what="code", option="--write")
    console.note(f"{recipe.name} written to {place}: python {shlex.quote(str(place))}")


def _wanted_first(answers: Sequence[Answer]) -> list[Answer]:
    """Return the answers of training before those of loading."""
    return sorted(answers, key=lambda answer: answer.case is None or answer.case.mode != "train")
