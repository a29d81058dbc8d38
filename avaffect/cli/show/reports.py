"""Prints reports: tables on a terminal, tab-separated in a pipe, CSV or LaTeX with --format, JSON
with --json."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Protocol

from avaffect.cli.console import print_table
from avaffect.core.latex import latex
from avaffect.core.table import Style, Table


class Reporting(Protocol):
    """Settings of a command that reports."""

    @property
    def output(self) -> object | None: ...
    @property
    def dry_run(self) -> bool: ...
    @property
    def json(self) -> bool: ...
    @property
    def format(self) -> str | None: ...


class Printed(Protocol):
    """A report."""

    def to_json(self) -> str: ...


def show_reports(
    settings: Reporting, reports: Sequence[Printed], tables: Callable[[Style], Sequence[Table]]
) -> None:
    """Reports that were written to a file are not printed. tables: those of the reports, in a
    style."""
    if settings.output is not None or settings.dry_run:
        return
    if settings.json:
        for report in reports:
            print(report.to_json())
        return
    print_tables(settings.format, tables)


def print_tables(form: str | None, tables: Callable[[Style], Sequence[Table]]) -> None:
    """form: a choice of --format; several tables of CSV or LaTeX are apart by an empty line."""
    if form in ("csv", "latex"):
        written = {"csv": Table.csv, "latex": latex}[form]
        found = tables(Style(for_people=form == "latex"))
        print("\n\n".join(written(table).rstrip("\n") for table in found))
        return
    for table in tables(Style(for_people=sys.stdout.isatty())):
        print_table(table)
