"""The program: commands, shared options and exit codes. Nothing heavy is imported before a command runs.

Each file in ``commands`` registers its commands. A command imports its implementation inside its function:
`tests/cli/test_startup.py` checks this for every ``--help``, `benchmarks/help_cpu.py` measures the cost.
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
from harness.cli.completion import complete_shared_options
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
        "Start with:  harness advise FOLDER  ·  or  harness init  ·  harness check inventory.yaml"
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
    verbose: Annotated[bool, typer.Option("-v", "--verbose", help="Print more detail.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Print only results, warnings and errors.")] = False,
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_print_version)
    ] = False,
) -> None:
    """Store the shared options; the console is created when a command first needs it."""
    context.obj = {"verbose": verbose, "quiet": quiet}


complete_shared_options()
for _commands in sorted(load_constants("harness.cli.commands", "COMMANDS", Commands), key=lambda one: one.rank):
    _commands.register(app)


def main() -> None:
    """Run the program and exit. No traceback reaches a user unless ``HARNESS_DEBUG`` is set."""
    # At exit the interpreter runs the garbage collector several times: a fifth of the time that `facts` takes.
    atexit.register(gc.freeze)  # registered first, so it runs last
    _open_streams()
    arguments = lift_shared_options(sys.argv[1:])
    if any(word in _COMPLETION and shell in _SHELLS for word, shell in pairwise(arguments)):
        # Complete for the shell that is named, not for the one that runs this.
        os.environ["_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION"] = "1"
    if os.environ.get("HARNESS_DEBUG"):
        app(args=arguments)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # a signal that nohup ignores stays ignored
            signal.signal(number, signal.default_int_handler)
    is_json = "--json" in arguments[: arguments.index("--") if "--" in arguments else None]
    try:
        # In standalone mode Click would print usage errors itself, as text.
        code = app(args=arguments, standalone_mode=not is_json)
        sys.exit(code if isinstance(code, int) else 0)
    except SystemExit:
        raise
    except KeyboardInterrupt:
        _say("interrupted")
        sys.exit(130)
    except BrokenPipeError:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    except Exception as error:  # the last resort; harness/values/errors.py has the hierarchy
        sys.exit(_explain(error, is_json=is_json))


def _open_streams() -> None:
    """Open closed standard streams on the null device, and let stdout escape what it cannot encode.

    Otherwise the next file that is opened would get the number of a closed stream.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        if stream is None:
            with contextlib.suppress(OSError):
                os.fstat(number)
                continue  # open, but Python has no stream for it
            while (opened := os.open(os.devnull, os.O_RDWR)) < number:
                pass
            stream = os.fdopen(opened, "r" if number == 0 else "w", encoding="utf-8")
            setattr(sys, name, stream)
        elif number == 1 and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def lift_shared_options(arguments: Sequence[str]) -> list[str]:
    """Move ``-v`` and ``--quiet`` before the command's name, so that they also work after it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    shared = [word for word in arguments[:end] if word in _SHARED]
    return [*shared, *(word for word in arguments[:end] if word not in _SHARED), *arguments[end:]]


def _explain(error: Exception, *, is_json: bool) -> int:
    """Print why a command failed (with ``--json`` also on stdout, as JSON) and return its exit code."""
    from harness.values.errors import ConfigurationError, HarnessError, ask_for_help

    format_message = getattr(error, "format_message", None)  # Click's exceptions for a wrong command line have it
    if callable(format_message):
        told: HarnessError = ConfigurationError(str(format_message()), hint="see the command's --help")
    else:
        told = error if isinstance(error, HarnessError) else ask_for_help(error)
    _say(f"error: {told}")
    if is_json:
        _print_json(told.as_json())
    return told.exit_code


def _print_json(value: object) -> None:
    import json

    with contextlib.suppress(OSError):  # stdout may be what failed
        sys.stdout.write(json.dumps(value, indent=2, sort_keys=True) + "\n")
        sys.stdout.flush()


def _say(text: str) -> None:
    safe = "".join(one if one.isprintable() or one == "\n" else ascii(one)[1:-1] for one in text)
    sys.stderr.write(safe + "\n")
