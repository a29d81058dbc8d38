"""From an entry of the catalogue to a click command."""

from __future__ import annotations

import dataclasses
import inspect
import signal
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import click

from avaffect.cli import interruption, options
from avaffect.cli.bar import clock
from avaffect.cli.catalogue import Command, Input, imported
from avaffect.cli.console import ConsoleProgress
from avaffect.core import scope
from avaffect.core.errors import Preempted, UsageError
from avaffect.core.launch import launch
from avaffect.core.links import is_standard_output
from avaffect.settings.base import Resumable
from avaffect.settings.outputs import check_suffix

STANDARD_STREAM = Path("-")
# A command that took as long says how long, and where its output is.
LONG_S = 2.0


def make(command: Command) -> click.Command:
    """The subcommand: options from the settings class, then the call.

    If standard input would be read and is a terminal, the expected input and the help are printed
    instead of waiting.
    """
    settings_class = imported(command.settings)

    def callback(quiet: bool, verbose: bool, **values: Any) -> None:
        settings = options.build(settings_class, values)
        output = getattr(settings, "output", None)
        if output is not None and is_standard_output(output):
            settings = _without_output(settings, settings_class)
        if command.writes:
            check_suffix(settings.output, command.writes)
        if command.reads and _waits_on_terminal(getattr(settings, command.reads.field)):
            context = click.get_current_context()
            click.echo(_expected(command.name, command.reads), err=True)
            click.echo(f"\n{context.get_help()}", err=True)
            context.exit(2)
        # Ranks of one training say the same; other processes that a launcher starts do not.
        follows = settings_class.ranks and launch().follows
        progress = ConsoleProgress(quiet, verbose, follows)
        begun = time.monotonic()
        try:
            with scope.of_command(settings, progress):
                imported(command.call)(settings, progress)
            took = time.monotonic() - begun
            if took >= LONG_S:
                progress.close()
                progress.say(_done(took, getattr(settings, "output", None)))
        except Preempted as stop:
            if not follows:
                raise
            click.get_current_context().exit(stop.status)
        except interruption.Terminated as stop:
            if not isinstance(settings, Resumable):
                raise
            # Before the first step or after the last, a signal has the same status.
            name = signal.Signals(stop.number).name
            raise Preempted(f"stopped by {name}; the same command resumes") from stop
        finally:
            progress.close()

    return _Subcommand(
        command.name,
        inspect.cleandoc(getattr(settings_class, "examples", "")),
        params=[*options.parameters(settings_class), *_verbosity()],
        callback=callback,
        short_help=command.help,
        help=f"{command.help}\n\n{inspect.getdoc(settings_class)}",
        epilog=f"Manual: avaffect-{command.name}(1).",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


class _Subcommand(click.Command):
    """Help ends with examples, which are not wrapped."""

    def __init__(self, name: str, examples: str, **keywords: Any) -> None:
        super().__init__(name, **keywords)
        self._examples = examples

    def parse_args(self, context: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(context, args)
        except click.MissingParameter as error:
            # What is missing, beside its name.
            help = error.message or getattr(error.param, "help", None)
            raise click.MissingParameter(
                help, error.ctx, error.param, error.param_hint, error.param_type
            ) from error

    def format_epilog(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        if self._examples:
            with formatter.section("Examples"):
                formatter.write(textwrap.indent(self._examples + "\n", "  "))
        super().format_epilog(context, formatter)


def _verbosity() -> list[click.Option]:
    return [
        click.Option(["-q", "--quiet"], is_flag=True, help="Print warnings and errors alone."),
        click.Option(["-v", "--verbose"], is_flag=True, help="Print more; tracebacks of failures."),
    ]


def _expected(name: str, reads: Input) -> str:
    return (
        f"avaffect {name} reads {reads.content} from standard input, which is a terminal: give a "
        f"file, or a pipe: {reads.line.format(name)}"
    )


def _without_output(settings: Any, settings_class: type) -> Any:
    """`-o -` is standard output, for outputs that can be written there."""
    default = next(f for f in dataclasses.fields(settings_class) if f.name == "output").default
    if default is not None:
        raise UsageError("-o -: this output cannot be written to standard output; give a file")
    return dataclasses.replace(settings, output=None)


def _done(seconds: float, output: Path | None) -> str:
    """done in 1:23: er.safetensors, 3.7 MB"""
    words = f"done in {clock(seconds)}"
    if output is None or not output.exists():
        return words
    size = f", {output.stat().st_size / 1e6:.1f} MB" if output.is_file() else ""
    return f"{words}: {output}{size}"


def _waits_on_terminal(source: Any) -> bool:
    sources = source if isinstance(source, tuple) else (source,)
    return STANDARD_STREAM in sources and sys.stdin is not None and sys.stdin.isatty()
