"""The program: its commands, its options, its exit codes. Nothing heavy is imported before a command runs.

Commands are found by their files in ``commands``. What a command does is imported inside it:
`tests/cli/test_startup.py` holds every ``--help`` to that, `benchmarks/help_cpu.py` shows what it costs.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated

import typer

from harness.bench.protocol.plugins import load_constants
from harness.cli.group import CommandGroup, Commands, Program

_EPILOG = (
    "Exit codes: 0 nothing failed; 1 a case failed or a host was not ready; "
    "2 usage or configuration; 3 no host ready; 130 interrupted."
)

_COMPLETION = frozenset({"--show-completion", "--install-completion"})
_SHELLS = frozenset({"bash", "zsh", "fish", "powershell", "pwsh"})
_SHARED = frozenset({"-v", "--verbose", "--quiet"})

app = Program(
    name="harness",
    cls=CommandGroup,
    help=(
        "Measure which input pipeline to use on which machine: Keras and tf.data, with no "
        "cache, a memory cache or a file cache, under enforced memory limits.\n\n"
        "Start with:  harness init  ·  harness check inventory.yaml  ·  harness run inventory.yaml"
    ),
    epilog=_EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from harness import __version__

        typer.echo(f"harness {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Show more of what happens.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show only results, warnings and errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Keep what all commands share; the console itself is made when a command first needs it."""
    context.obj = {"verbose": verbose, "quiet": quiet}


for _commands in sorted(load_constants("harness.cli.commands", "COMMANDS", Commands), key=lambda one: one.rank):
    _commands.register(app)


def main() -> None:
    """Run the program and exit. No traceback reaches a user unless ``HARNESS_DEBUG`` is set."""
    # An interpreter that ends looks through all objects for garbage, several times: a fifth of what `facts` takes.
    atexit.register(gc.freeze)  # the first that is registered comes last
    _open_streams()
    arguments = lift_shared_options(sys.argv[1:])
    if any(word in _COMPLETION and shell in _SHELLS for word, shell in pairwise(arguments)):
        # Typer's own switch between "the shell that runs this" and "the shell that is named".
        os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    if os.environ.get("HARNESS_DEBUG"):
        app(args=arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup's choice stays
            signal.signal(number, signal.default_int_handler)
    try:
        app(args=arguments)
    except SystemExit:
        raise
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    except Exception as error:  # the last line of defence; the tree in harness/values/errors.py
        sys.exit(_explain(error))


def _open_streams() -> None:
    """A closed stdin, stdout or stderr is nowhere, and not the next file that is opened; no character is an error."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            with contextlib.suppress(OSError):
                os.fstat(number)
                continue  # open, and only Python does without it
            while (opened := os.open(os.devnull, os.O_RDWR)) < number:
                pass
            stream = os.fdopen(opened, "r" if number == 0 else "w", encoding="utf-8")
            setattr(sys, name, stream)
        elif number == 1 and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def lift_shared_options(arguments: Sequence[str]) -> list[str]:
    """Put ``-v`` and ``--quiet`` before the command's name: they work behind it, too."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    shared = [word for word in arguments[:end] if word in _SHARED]
    return [*shared, *(word for word in arguments[:end] if word not in _SHARED), *arguments[end:]]


def _explain(error: Exception) -> int:
    from harness.values.errors import HarnessError

    if isinstance(error, HarnessError):
        _say(f"error: {error}")
        return error.exit_code
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"error: {where}{error.strerror}\n  → see that it is there, may be read and written, and has room")
        return 2
    _say(
        f"error: something unforeseen happened: {type(error).__name__}: {error}\n"
        "  → set HARNESS_DEBUG=1 to see where, and report it with that text"
    )
    return 2


def _say(text: str) -> None:
    safe = "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
    sys.stderr.write(safe + "\n")
