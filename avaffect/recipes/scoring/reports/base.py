"""Common fields of all reports, and their files: JSON objects, one line for each scored file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from avaffect.core import filekind, plain_json
from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance, identity
from avaffect.core.record import Record
from avaffect.recipes.common import publishing
from avaffect.settings.base import Common

# A number, or the name of a run in a table of predictions.
RunName = int | str
# Fields that follow from others, and that earlier versions did not write.
DERIVED = ("chance",)
# Kinds of files that were to be reports.
DAMAGED = (filekind.REPORT, filekind.EMPTY, filekind.BLANK)


@dataclass(frozen=True, kw_only=True)
class Report(Record):
    """file        that was scored; None of several
    content     kind of the scored data: predictions, retrieval, traces, ...
    provenance  settings and inputs
    """

    file: str | None = None
    content: str
    provenance: Provenance = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able; the provenance, which is long, at the end."""
        found = super().to_dict()
        provenance = found.pop("provenance")
        return {**found, "provenance": provenance}

    def to_json(self) -> str:
        """One line."""
        return json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False)


@dataclass(frozen=True, kw_only=True)
class Numbered(Record):
    """run: its name."""

    run: RunName


def write_reports(
    settings: Common, reports: Sequence[Report], progress: Progress, what: str | None = None
) -> None:
    """Write the reports into `settings.output`; without one, they are left to be printed.

    what: the reports in words; by default the scores of so many files.

    Raises OutputExistsError where it holds other data, DataError where it is damaged, unless
    forced; UsageError where it is an input.
    """
    what = what or f"the scores of {count_of(len(reports), 'file')}"
    publishing.publish(
        settings,
        {"inputs": [entry for report in reports for entry in report.provenance["inputs"]]},
        "".join(report.to_json() + "\n" for report in reports).encode(),
        progress,
        plan=f"{'print' if settings.output is None else 'write'} {what}",
        differs="holds other scores",
        is_same=lambda path: _contents(path) == [_content(report.to_dict()) for report in reports],
    )


def _contents(path: Path) -> list[Any] | None:
    """The JSON of the reports in a file; None where it holds other data.

    Raises DataError where it is empty, or starts like a report and is none.
    """
    try:
        found = [_content(plain_json.parse(line)) for line in path.read_text("utf-8").splitlines()]
    except (ValueError, TypeError, KeyError, AttributeError):
        found = []
    if not found and filekind.kind_of(path) in DAMAGED:
        raise DataError(f"{path} is a damaged report: delete it, or overwrite it with --force")
    return found or None


def _content(report: dict[str, Any]) -> Any:
    """A report without the fields that depend on version or folder."""
    known = {key: value for key, value in report.items() if key not in DERIVED}
    return {**known, "provenance": identity(report["provenance"])}
