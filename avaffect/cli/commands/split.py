"""`avaffect split`."""

from __future__ import annotations

import click

from avaffect.cli.command import command as make_command
from avaffect.core.progress import Progress
from avaffect.settings.split import SplitSettings


def _call(settings: SplitSettings, progress: Progress) -> None:
    from avaffect.recipes.split import split

    split(settings, progress)


def _three_numbers(option: click.Parameter) -> click.Parameter:
    """`--ratios 70 10 20`: one option of three values, where a tuple elsewhere means repetition."""
    if option.name != "ratios" or not isinstance(option, click.Option):
        return option
    return click.Option(
        option.opts, type=float, nargs=3, default=None, metavar=option.metavar, help=option.help,
        callback=lambda context, parameter, value: value or (),
    )  # fmt: skip


command = make_command("split", SplitSettings, _call, reads_stdin="source")
command.params = [_three_numbers(parameter) for parameter in command.params]
