"""``harness advise``: look at a folder, choose what to measure, measure it as a session, and say what follows."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from harness.analysis.candidates import Lack, Trials, choose_trials
from harness.bench.protocol.atomic import read_text
from harness.inventory import load_inventory, read_parts, select_hosts
from harness.records.folder import EXPERIMENT_FILE, INVENTORY_FILE, SessionFolder, find_folder
from harness.records.recap import recap_session
from harness.report.answers import Answer, answer_sessions, say_answers, say_lack
from harness.report.writing import write_result
from harness.session.advise_options import AdviseOptions
from harness.session.run_options import RunOptions
from harness.values.errors import ConfigurationError
from harness.values.names import name_pipeline, name_value
from harness.values.units import format_bytes, format_duration
from harness.workflow.advise.looking import look_at_hosts
from harness.workflow.advise.question import Question, read_question
from harness.workflow.advise.written import change_budget, write_experiment
from harness.workflow.recap_screen import tell_recap
from harness.workflow.run.run import Measured, measure_session

if TYPE_CHECKING:
    from harness.console import Console

NAME = "advise"
_WRITTEN = "# Written by harness advise.\n"
"""The first line of code that is written: only such a file is written again."""


def give_advice(console: Console, options: AdviseOptions, *, write: Path | None, as_json: bool) -> int:
    """Answer what was asked; returns the exit code of the session. Raises HarnessError before anything was measured."""
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
    inventory = _place_inventory(folder, question, options)
    read = read_parts(load_inventory(inventory, options.limit), options.split, skip_unreadable=options.skip_unreadable)
    hosts = select_hosts(read, options.limit)
    rooms = look_at_hosts(console, hosts, question, inventory, forks=options.forks)
    trials = choose_trials(question.wish, rooms, question.time_s)
    if not trials.cases:
        raise _refuse_all(trials)
    experiment = _place_experiment(console, folder, question, trials, options)
    measured = measure_session(console, _run_options(options, inventory, experiment, folder))
    more = shlex.join(options.argv_to_continue)
    answers = answer_sessions([measured.session], trials.lacks, epochs=options.epochs, more=more)
    recap = recap_session(measured.session, is_live=False)
    if measured.exit_code:
        tell_recap(console, recap, measured.folder)
    if write is not None:
        _write_code(console, answers, write)
    missing = sorted({case.mode for case in trials.cases} - {answer.mode for answer in answers})
    if as_json:
        told = _as_json(answers, trials.lacks, measured, inventory, experiment, options)
        stood = [{"host": one.host, "state": one.state, "why": one.why, "next": one.next} for one in recap.hosts]
        console.result_json({**told, "not_measured": missing, "hosts": stood})
    else:
        _tell(console, answers, measured, inventory, experiment, is_written=write is not None)
        for mode in missing:
            name = name_value("mode", mode).capitalize()
            console.result(f"{name} was not measured in this time; this goes on:  {more}")
    return measured.exit_code


def _refuse_place(place: Path) -> None:
    """Raise ConfigurationError where code may not be written: there is no folder, or a file of the user's own."""
    if not place.parent.is_dir():
        raise ConfigurationError(f"there is no folder {place.parent}", where="--write", hint="name a file in one")
    if place.exists() and not (place.is_file() and read_text(place).startswith(_WRITTEN)):
        hint = "name another file, or move that one away"
        raise ConfigurationError(f"{place} is there already, and a file of your own", where="--write", hint=hint)


def _refuse_all(trials: Trials) -> ConfigurationError:
    """Return why nothing can be measured: no loader reads the data, or nothing fits into the memory."""
    if not trials.lacks:
        return ConfigurationError("no loader reads such data", hint="`harness loaders` shows what each reads")
    least = min(trials.lacks, key=lambda lack: lack.needed)
    need = f"even {name_pipeline(least.case)} needs about {format_bytes(least.needed)} of {least.of}"
    message = f"nothing fits: {need}, and has {format_bytes(least.available)}"
    return ConfigurationError(message, where="--memory", hint="give more, or make images (--size) or batches smaller")


def _place_inventory(folder: SessionFolder, question: Question, options: AdviseOptions) -> Path:
    """Return the inventory of a question: the user's own, or one that is written beside the session."""
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
    """Write what is measured beside the session; what it began with stays, but for the time that it may take now."""
    place, time_s = folder.path / EXPERIMENT_FILE, question.time_s
    if folder.exists() and place.is_file():
        write_result(change_budget(place.read_text(encoding="utf-8"), time_s), place, what="experiment")
        return place
    head = [
        f"What `{shlex.join(options.argv_to_continue)}` measures. To measure the same elsewhere, edit it and",
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
    """What is run for an answer: the command that goes on with it is the one that asked."""

    command: tuple[str, ...] = ()

    @property
    def argv_to_continue(self) -> tuple[str, ...]:
        """The command that goes on with this session."""
        return self.command


def _run_options(options: AdviseOptions, inventory: Path, experiment: Path, folder: SessionFolder) -> RunOptions:
    return _AdvisedRun(
        command=options.argv_to_continue,
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


def _tell(
    console: Console,
    answers: Sequence[Answer],
    measured: Measured,
    inventory: Path,
    experiment: Path,
    *,
    is_written: bool,
) -> None:
    """Print the answers, the code of each, and where the rest stands."""
    if not answers:
        return
    console.result("\n".join(say_answers(answers)))
    if not is_written:
        for recipe in dict.fromkeys(answer.recipe for answer in answers if answer.recipe is not None):
            console.result(f"\n{recipe.code or recipe.note}")
    console.note(f"measured with {inventory} and {experiment}")
    if measured.folder.report_file.exists():
        console.result(measured.folder.report_file.resolve().as_uri())


def _as_json(
    answers: Sequence[Answer],
    lacks: Sequence[Lack],
    measured: Measured,
    inventory: Path,
    experiment: Path,
    options: AdviseOptions,
) -> dict[str, object]:
    report = measured.folder.report_file
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
            for lack in lacks
        ],
        "more": shlex.join(options.argv_to_continue),
        "session": str(measured.folder.path),
        "report": report.resolve().as_uri() if report.exists() else None,
        "inventory": str(inventory),
        "experiment": str(experiment),
    }


def _write_code(console: Console, answers: Sequence[Answer], place: Path) -> None:
    """Write the code of the last answer (of training, where that was measured) to a file that runs as it is."""
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
