"""The `avaffect` command: finds the subcommand, runs it, turns errors into exit statuses.

Subcommands are imported only when they are called, and none of them imports torch before its work
starts: help is as fast as that of a plain click program.
"""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from typing import Any

import click

from avaffect import __version__
from avaffect.cli import catalogue, interruption
from avaffect.core import descriptors, errors, faults
from avaffect.core.launch import launch
from avaffect.core.near import nearest
from avaffect.core.shown import on_one_line
from avaffect.core.writing import OF_WRITING, message

# Beside those of the catalogue.
HELP = "help"
# click's variable, which shells set to ask what may follow.
COMPLETION = "_AVAFFECT_COMPLETE"


class _ReaderGone(Exception):
    """The reader of standard output has ended."""


class Group(click.Group):
    """The commands of the catalogue, each made when it is called."""

    def list_commands(self, context: click.Context) -> list[str]:
        return [*catalogue.every(), HELP]

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        if name == HELP:
            from avaffect.cli import help

            return help.command()
        found = catalogue.find(name)
        if found is None:
            return None
        from avaffect.cli.command import make

        return make(found)

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except BrokenPipeError as error:
            # click would exit with 1.
            raise _ReaderGone from error

    def resolve_command(self, context: click.Context, args: list[str]) -> Any:
        try:
            return super().resolve_command(context, args)
        except click.exceptions.NoSuchCommand as error:
            near = nearest(args[0], self.list_commands(context))
            more = "" if near is None else f" Did you mean {near}?"
            raise click.UsageError(f"No such command {args[0]!r}.{more}", error.ctx) from None

    def shell_complete(self, context: click.Context, incomplete: str) -> list[Any]:
        # click would make every command for its help.
        from avaffect.cli.candidates import of_commands

        return [*of_commands(incomplete), *click.Command.shell_complete(self, context, incomplete)]

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        groups = catalogue.grouped()
        # One column for all groups.
        width = max(len(command.name) for group in groups.values() for command in group)
        for title, commands in groups.items():
            with formatter.section(title):
                formatter.write_dl([(each.name.ljust(width), each.help) for each in commands])


@click.group(
    cls=Group,
    name="avaffect",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Turn recordings of people into affect-aware representations.",
    epilog="Where to begin: avaffect help. The manual of a command: avaffect help COMMAND. Data "
    "goes to standard output, messages to standard error.",
)
@click.version_option(__version__, prog_name="avaffect")
def group() -> None:
    pass


# Of standard output: it may also have been closed from the start (core/descriptors.py).
OF_OUTPUT = (*OF_WRITING, errno.EBADF)
UNREADABLE = (FileNotFoundError, FileExistsError, NotADirectoryError, IsADirectoryError,
              PermissionError)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Entry point. Never returns: exits with the status that avaffect(1) documents."""
    try:
        # First, as the next opened file would get the number of a closed descriptor.
        descriptors.open_missing()
        status = run(arguments)
        interruption.finish()
    except (interruption.Terminated, KeyboardInterrupt) as stop:
        # Before, between or after the two.
        interruption.finish()
        status = interruption.status_of(stop) or errors.FAILURE
    sys.exit(status)


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit status."""
    # Imports make many objects and no garbage: collection at the default of 700 takes a fifth of
    # start-up.
    gc.set_threshold(10_000)
    interruption.install()
    # OpenMP threads that spin while they wait slow down other processes on shared cores.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Those of NumPy's OpenBLAS spin for 2^26 cycles from their start, which is as long as the
    # import of NumPy takes.
    os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", "20")
    # torch's warnings on its use (DDP's on unused parameters) do not concern the user.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    if COMPLETION in os.environ:
        from avaffect.cli import completion

        completion.install()
    try:
        # Without standalone mode click returns the status of an early exit (help on a terminal).
        status = group.main(args=arguments, prog_name="avaffect", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else errors.DONE
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        error.show()
        return errors.USAGE if isinstance(error, click.UsageError) else error.exit_code
    except (KeyboardInterrupt, click.Abort):
        return errors.INTERRUPTED
    except interruption.Terminated as stop:
        name = signal.Signals(stop.number).name
        _say(f"stopped by {name}; run the same command again")
        return errors.PREEMPTED
    except (BrokenPipeError, _ReaderGone):
        _abandon_stdout()
        return errors.BROKEN_PIPE
    except errors.AvaffectError as error:
        _say(str(error))
        if isinstance(error, errors.WriteError):
            _abandon_full_stdout()
        return error.status
    except MemoryError as error:
        if _wants_traceback():
            raise
        said = f" ({error})" if str(error) else ""
        _say(f"out of memory{said}; give this command more memory, and run it again")
        return errors.FAILURE
    except OSError as error:
        if _wants_traceback():
            raise
        _say(_words(error))
        if error.errno in OF_OUTPUT:
            _abandon_full_stdout()
        return errors.BAD_DATA if isinstance(error, UNREADABLE) else errors.FAILURE
    except Exception as error:
        return _unexpected(error)


def _unexpected(error: Exception) -> int:
    """The status of a command that an exception ended, which may hide that of a signal."""
    stopped = interruption.status_of(error)
    if stopped is not None:
        _say("stopped by a signal; run the same command again")
        return stopped
    if _wants_traceback():
        raise
    if isinstance(error, ImportError) and faults.memory_lacks():
        _say(f"out of memory ({error}); give this command more memory, and run it again")
        return errors.FAILURE
    if launch().processes > 1 and faults.is_of_ranks(error):
        _say(f"{faults.RANK_LOST} ({str(error).splitlines()[0]})")
        return errors.FAILURE
    _say(f"unexpected {type(error).__name__}: {error} (-v shows where)")
    return errors.FAILURE


def _say(message: str) -> None:
    """One line on standard error, whatever the names in it hold."""
    print(f"avaffect: {on_one_line(message)}", file=sys.stderr)


def _words(error: OSError) -> str:
    """The message of an error; errors of writing without a file name are of standard output."""
    if error.filename:
        return f"{error.filename}: {error.strerror}"
    if error.errno in OF_OUTPUT:
        return message(None, error.errno)
    advice = faults.ADVICE.get(error.errno or 0)
    return f"{error.strerror}: {advice}, and run the same command again" if advice else str(error)


def _wants_traceback() -> bool:
    return "-v" in sys.argv or "--verbose" in sys.argv


def _abandon_stdout() -> None:
    """Keep the interpreter from flushing into a broken pipe at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _abandon_full_stdout() -> None:
    """Keep the interpreter from flushing to a full disk at exit."""
    try:
        sys.stdout.flush()
    except OSError:
        _abandon_stdout()
