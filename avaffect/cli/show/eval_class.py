"""Prints the scores of classes: tables, or JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from avaffect.cli.show.reports import show_reports
from avaffect.core.progress import Progress
from avaffect.settings.eval_class import EvalClassSettings


def show(settings: EvalClassSettings, progress: Progress) -> None:
    from avaffect.recipes.eval_class import ONE_TABLE, eval_class
    from avaffect.recipes.scoring.tables.classes import tables

    reports = eval_class(settings, progress)
    shown = [name for name in ONE_TABLE if getattr(settings, name)]
    if not (settings.output or settings.json or settings.dry_run):
        _warn_of_hidden(settings, shown, progress)
    show_reports(settings, reports, lambda style: tables(reports, style, shown))


def _warn_of_hidden(settings: EvalClassSettings, shown: Sequence[str], progress: Progress) -> None:
    """What was worked out, but is not in the one table that is printed."""
    from avaffect.recipes.scoring.class_extras import asked

    several = settings.format == "latex" or (settings.format != "csv" and sys.stdout.isatty())
    hidden = asked(settings)
    if not shown and (several or not settings.by):
        return
    if not shown:
        hidden.remove("--by")
    if hidden:
        table = f"--{shown[0].replace('_', '-')}" if shown else "--by"
        progress.warn(
            f"the table of {table} does not show {' and '.join(hidden)}: print all with --json, "
            "keep it with -o, or run the command once for each"
        )
