"""Prints what a corpus is like: tables on a terminal, a row for each utterance in a pipe, JSON with
--json."""

from __future__ import annotations

import csv
import sys
from typing import TYPE_CHECKING

from avaffect.cli.show.reports import show_reports
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress, followed
from avaffect.core.shown import on_one_line
from avaffect.settings.explore import ExploreSettings

if TYPE_CHECKING:
    from avaffect.recipes.explore import Explored


def show(settings: ExploreSettings, progress: Progress) -> None:
    from avaffect.recipes.explore import explore

    found = explore(settings, progress)
    if found is None:
        return
    _print(settings, found)
    progress.say(f"{settings.source}: {count_of(len(found.groups), 'utterance')} looked at")


def _print(settings: ExploreSettings, found: Explored) -> None:
    from avaffect.recipes.exploring import tables

    whole = settings.json or settings.format == "latex" or settings.output is not None
    if whole or (settings.format != "csv" and sys.stdout.isatty()):
        show_reports(settings, [found.report], lambda style: tables.tables(found.report, style))
        return
    groups = found.groups.tolist()
    rows = tables.rows(found.utterances, found.sounds, groups)
    if not sys.stdout.isatty():
        rows = followed(rows, "print", len(groups), "rows")
    if settings.format == "csv":
        sink = csv.writer(sys.stdout, lineterminator="\n")
        sink.writerow(tables.columns(found.utterances))
        sink.writerows(rows)
        return
    print("\t".join(map(on_one_line, tables.columns(found.utterances))))
    for row in rows:
        print("\t".join(map(on_one_line, row)))
