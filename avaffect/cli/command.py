"""Makes a subcommand out of a settings class and a recipe."""

from __future__ import annotations

import dataclasses
import inspect
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from avaffect.cli import interruption, options
from avaffect.cli.console import ConsoleProgress
from avaffect.cli.main import COMMANDS
from avaffect.core.errors import Preempted, UsageError
from avaffect.core.launch import launch
from avaffect.core.progress import Progress
from avaffect.core.signals import PREEMPTION_SIGNALS
from avaffect.settings.base import Resumable
from avaffect.settings.outputs import check_suffix

STANDARD_STREAM = Path("-")
# What commands write, where that does not depend on their inputs.
WRITES = {
    **dict.fromkeys(("manifest", "synth", "split", "select", "seal", "retrieve"), "manifest"),
    **dict.fromkeys(("preprocess", "augment-noise", "extract", "similarity"), "store"),
    **dict.fromkeys(("cluster", "import", "train-projector", "adapt", "finetune"), "checkpoint"),
    **dict.fromkeys((name for name in COMMANDS if name.startswith("pretrain-")), "checkpoint"),
    **dict.fromkeys(("eval-class", "eval-ccc", "compare"), "report"),
}
# What they read from standard input, and a line that gives it.
_CORPUS = "a manifest of a corpus", "avaffect manifest CORPUS DIR | avaffect {}"
_RETRIEVAL = "a manifest of a retrieval", "avaffect retrieve --query A.h5 --pool B.h5 | avaffect {}"
READS = {
    "split": _CORPUS,
    "select": _CORPUS,
    "preprocess": _CORPUS,
    "seal": ("what a filter left of a manifest", "jq -c FILTER M.jsonl | avaffect {}"),
    "adapt": _RETRIEVAL,
    "gallery": _RETRIEVAL,
    "eval-class": (
        "a manifest of predictions", "avaffect predict A.h5 --model ER.safetensors | avaffect {}"
    ),
    "eval-ccc": ("a manifest of traces", "cat M.jsonl | avaffect {} --gold GOLD"),
    "compare": ("reports", "avaffect eval-class A.jsonl B.jsonl --json | avaffect {}"),
}  # fmt: skip


def command(
    name: str,
    settings_class: type,
    call: Callable[[Any, Progress], None],
    reads_stdin: str | None = None,
) -> click.Command:
    """The subcommand `name`: options from `settings_class`, then `call(settings, progress)`.

    reads_stdin names the field whose value `-` (also its default) means standard input; on a
    terminal, where nothing is piped in, a sentence on what is expected and help are shown instead
    of waiting in silence.
    """

    def callback(quiet: bool, verbose: bool, **values: Any) -> None:
        settings = options.build(settings_class, values)
        if getattr(settings, "output", None) == STANDARD_STREAM:
            settings = _without_output(settings, settings_class)
        if name in WRITES:
            check_suffix(settings.output, WRITES[name])
        if reads_stdin and _waits_on_terminal(getattr(settings, reads_stdin)):
            context = click.get_current_context()
            click.echo(f"{_expected(name)}\n\n{context.get_help()}", err=True)
            context.exit(2)
        progress = ConsoleProgress(quiet or launch().follows, verbose)
        try:
            call(settings, progress)
        except interruption.Terminated as stop:
            if stop.number not in PREEMPTION_SIGNALS or not isinstance(settings, Resumable):
                raise
            # Before the first step or after the last, a scheduler's signal means the same.
            heard = signal.Signals(stop.number).name
            raise Preempted(f"stopped by {heard}; the same command resumes") from stop
        finally:
            progress.close()

    shared = [
        click.Option(["-q", "--quiet"], is_flag=True, help="Say nothing but warnings and errors."),
        click.Option(["-v", "--verbose"], is_flag=True, help="Say more; tracebacks of failures."),
    ]
    return click.Command(
        name,
        params=[*options.parameters(settings_class), *shared],
        callback=callback,
        short_help=COMMANDS[name],
        help=f"{COMMANDS[name]}\n\n{inspect.getdoc(settings_class)}",
        epilog=f"Manual: avaffect-{name}(1).",
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )


def _expected(name: str) -> str:
    what, line = READS[name]
    return (
        f"avaffect {name} reads {what} from standard input, and here that is a terminal: name the "
        f"file, or pipe it in: {line.format(name)}"
    )


def _without_output(settings: Any, settings_class: type) -> Any:
    """`-o -` is standard output, for what can be written there."""
    default = next(f for f in dataclasses.fields(settings_class) if f.name == "output").default
    if default is not None:
        raise UsageError("-o -: this cannot be written to standard output; name a file")
    return dataclasses.replace(settings, output=None)


def _waits_on_terminal(source: Any) -> bool:
    sources = source if isinstance(source, tuple) else (source,)
    return STANDARD_STREAM in sources and sys.stdin is not None and sys.stdin.isatty()
