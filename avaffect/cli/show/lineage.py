"""Prints what artifacts were made from: a table, or a Makefile."""

from __future__ import annotations

import sys

from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.settings.lineage import LineageSettings


def show(settings: LineageSettings, progress: Progress) -> None:
    from avaffect.cli.console import print_table
    from avaffect.recipes.common.lineage_tables import goals, table
    from avaffect.recipes.common.makefiles import makefile
    from avaffect.recipes.lineage import lineage

    found = lineage(settings, progress)
    if settings.make:
        sys.stdout.write(makefile(found, goals(settings.files)))
    else:
        print_table(table(found))
    progress.say(f"{count_of(len(found), 'file')} of {count_of(len(settings.files), 'lineage')}")
