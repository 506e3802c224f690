"""The console's lines for each kind of event. Imported with the first event: most commands have none."""

from __future__ import annotations

from collections.abc import Mapping
from functools import singledispatch

from harness.analysis.outcomes import read_outcome, say_counts
from harness.analysis.signs import LOOKS
from harness.bench.protocol.unusual_files import OUTCOMES
from harness.console.console import Console
from harness.values import event as happened
from harness.values.text import plural
from harness.values.units import format_bytes, format_duration

MOST_EXAMPLES = 3
"""Files that are named for each kind of unusual image."""

_OUTCOME_WIDTH = max(len(look.word) for look in LOOKS.values())


_Timed = happened.SessionStarted | happened.InvocationStarted | happened.InvocationRunning | happened.InvocationFinished


def _time_left(event: _Timed) -> str:
    """Return the time that is left on the host; empty if nothing is left or the time is not known."""
    return f", about {format_duration(event.left_s)} left" if event.left_s else ""


@singledispatch
def show(event: happened.Event, console: Console) -> None:
    """Show an event; kinds without a function below are not shown."""


@show.register
def _command_started(event: happened.CommandStarted, console: Console) -> None:
    console.note(f"session {event.session} {'continues' if event.resumed else 'begins'} ({event.folder})")


@show.register
def _session_started(event: happened.SessionStarted, console: Console) -> None:
    where = "" if event.host is None else f"{event.host}: "
    counts = _say_counts(event.counts)
    done = f"{event.done} of {event.planned} runs done{': ' + counts if counts else ''}"
    console.note(f"{where}{done}{_time_left(event)}")


@show.register
def _host_state(event: happened.HostStateChanged, console: Console) -> None:
    state = event.state.replace("_", " ")
    text = f"{event.host}: {state}" + (f": {event.message}" if event.message else "")
    if event.state == "ready":
        console.note(text)
    else:
        console.alarm(text + (f"\n  → {event.hint}" if event.hint else ""))


@show.register
def _host_renamed(event: happened.HostRenamed, console: Console) -> None:
    console.note(f"{event.host}: {plural(event.records, 'run')} of {event.old} carried over")


@show.register
def _link_lost(event: happened.LinkLost, console: Console) -> None:
    console.alarm(f"{event.host}: no answer since {event.since}: {event.reason}; a job that runs there continues")


@show.register
def _link_back(event: happened.LinkBack, console: Console) -> None:
    console.note(f"{event.host}: answers again, after {format_duration(event.seconds)}")


@show.register
def _host_waiting(event: happened.HostWaiting, console: Console) -> None:
    console.note(f"{event.host}: waiting: {event.reason}")


@show.register
def _engine_chosen(event: happened.EngineChosen, console: Console) -> None:
    console.note(f"{event.host}: engine {event.engine} ({event.version}): {event.reason}")


@show.register
def _image_ready(event: happened.ImageReady, console: Console) -> None:
    """Report an image that was built on the host; ``ImageShipped`` reports others, ``EngineChosen`` names each."""
    if event.method == "built":
        took = f" in {format_duration(event.seconds)}" if event.seconds else ""
        console.note(f"{event.host}: image built{took}")


@show.register
def _image_shipped(event: happened.ImageShipped, console: Console) -> None:
    kind = "environment" if event.method == "wheels" else "image"
    if event.method == "present":
        console.note(f"{event.host}: {kind} {event.image} is already there")
    else:
        console.note(f"{event.host}: {kind} {event.image} {_ship_words(event)}")
    _ship_notes(console, event)


@show.register
def _image_cached(event: happened.ImageCached, console: Console) -> None:
    size, took = format_bytes(event.bytes), format_duration(event.seconds)
    console.note(f"unpacked {event.image} into the cache, once for all hosts: {size} in {took}")


@show.register
def _data_shipped(event: happened.DataShipped, console: Console) -> None:
    if event.files:
        console.note(f"{event.host}: data set {event.data}: {event.files} files {_ship_words(event)}")
    else:
        console.note(f"{event.host}: data set {event.data} is already there")
    _ship_notes(console, event)


_SENT = {"thin": "sent in part", "full": "sent whole", "wheels": "created from wheels"}


def _ship_words(event: happened.ImageShipped | happened.DataShipped) -> str:
    """Return how an image or a data set arrived: bytes needed, sent and saved, time and speed."""
    method = event.method if isinstance(event, happened.ImageShipped) else "sent"
    took = f"in {format_duration(event.seconds)}"
    if method == "pulled":
        return f"pulled from the registry {took}"
    parts = [f"needed {format_bytes(event.bytes_needed)}", f"sent {format_bytes(event.bytes_sent)}"]
    parts.append(f"saved {format_bytes(event.bytes_saved)}")
    speed = f", {event.mb_per_s:.0f} MB/s" if event.mb_per_s is not None else ""
    return f"{_SENT.get(method, method)}: {', '.join(parts)} {took}{speed}"


def _ship_notes(console: Console, event: happened.ImageShipped | happened.DataShipped) -> None:
    for note in event.notes:
        console.note(f"{event.host}: during the transfer: {note}")


@show.register
def _data_ready(event: happened.DataReady, console: Console) -> None:
    size = f"{event.images} images, {event.bytes / 1e6:.0f} MB"
    console.note(f"{event.host}: data set {event.data} {event.how}: {size}, fingerprint {event.fingerprint[:12]}")
    before = f"{event.host}: data set {event.data}:"
    for sentence in event.said:
        console.note(f"{before} {sentence}")
    if event.skipped:
        where = f"see left-out/{event.host}/{event.data}.tsv in the session's folder"
        console.note(f"{before} {plural(event.skipped, 'image')} left out that not every loader can read; {where}")
    named = {each[0]: each[1:] for each in event.examples if each}
    for name, outcome in OUTCOMES.items():
        if count := event.odd.get(name):
            examples = ", ".join(named.get(name, ())[:MOST_EXAMPLES])
            first = f" (such as {examples})" if examples else ""
            console.note(f"{before} {count} {name.replace('_', ' ')}{first}: {outcome}")


@show.register
def _round_started(event: happened.RoundStarted, console: Console) -> None:
    console.detail(f"{event.host}: round {event.round}: {plural(len(event.order), 'run')}")


@show.register
def _round_added(event: happened.RoundAdded, console: Console) -> None:
    most = f" of 3–{event.most}" if event.most else ""
    count = "" if event.open is None else f"open: {plural(event.open, 'comparison')}: "
    console.note(f"{event.host}: round {event.rounds}{most}, {count}{event.reason}")


@show.register
def _cases_skipped(event: happened.CasesSkipped, console: Console) -> None:
    look = LOOKS["skipped"]
    count = f"{plural(event.invocations, 'run')} of {plural(event.cases, 'case')}"
    console.note(f"{event.host}: {look.sign} {look.word}: {count}: {event.reason}")


@show.register
def _invocation_started(event: happened.InvocationStarted, console: Console) -> None:
    how = " (was already running)" if event.adopted else ""
    place = f"{event.host}  {_say_done(event)}  round {event.round}"
    console.live(f"{place}  {event.label}{how}{_time_left(event)}")
    console.detail(f"{event.host}: {event.label} starts{how}")


@show.register
def _invocation_running(event: happened.InvocationRunning, console: Console) -> None:
    begun = event.started
    place = f"{begun.host}  {_say_done(begun)}  round {begun.round}"
    console.live(f"{place}  {begun.label}  running for {format_duration(event.elapsed_s)}{_time_left(event)}")


@show.register
def _invocation_finished(event: happened.InvocationFinished, console: Console) -> None:
    took = format_duration(event.seconds) if event.seconds is not None else ""
    outcome = read_outcome(event.outcome, event.reason)
    place = f"[{_say_done(event)}] {event.host} round {event.round}"
    text = f"{place}  {outcome.look.sign} {outcome.text:<{_OUTCOME_WIDTH}}  {event.label}  {took}"
    if event.is_announced:
        console.detail(text.rstrip())
        return
    console.outcome(text.rstrip() + _time_left(event), outcome)
    if event.why and outcome.kind != "degraded":
        console.note(f"    {event.why}")
    elif event.why:
        console.detail(f"    {event.why}")


@show.register
def _finding(event: happened.SessionFinding, console: Console) -> None:
    text = f"{event.host + ': ' if event.host else ''}{event.message}\n  → {event.hint}"
    if event.severity == "error":
        console.alarm(text)
    elif event.severity == "warning":
        console.warning(text)
    else:
        console.note(text)


@show.register
def _progress(event: happened.Progress, console: Console) -> None:
    share = f" {event.fraction:.0%}" if event.fraction is not None else ""
    where = f"{event.host}: " if event.host else ""
    console.progress(where + event.what.partition(":")[0], f"{where}{event.what}{share}")


def _say_done(event: happened.InvocationStarted | happened.InvocationFinished) -> str:
    """Return ``4/12``, or ``4/12, +3 repeats`` if disturbed runs are to be repeated."""
    repeats = f", +{plural(event.repeats, 'repeat')}" if event.repeats else ""
    return f"{event.done}/{event.planned}{repeats}"


def _say_counts(counts: Mapping[str, int]) -> str:
    return say_counts({kind: counts[kind] for kind in LOOKS if kind in counts})
