"""Reports of scores: JSON objects, one on a line for each file that was scored."""

from __future__ import annotations

import json
from typing import Any

from avaffect.core.progress import Progress
from avaffect.recipes.common import publishing
from avaffect.settings.base import Common

Report = dict[str, Any]


def write_reports(
    settings: Common, reports: list[Report], progress: Progress, what: str | None = None
) -> None:
    """Write the reports into `settings.output`; without one, leave them to be printed.

    what: they are, in words; by default the scores of so many files.

    Raises OutputExistsError where it holds something else, unless forced; UsageError where it is an
    input.
    """
    what = what or f"the scores of {len(reports)} files"
    text = "".join(
        json.dumps(report, ensure_ascii=False, allow_nan=False) + "\n" for report in reports
    )
    inputs = [entry for report in reports for entry in report["provenance"]["inputs"]]
    publishing.publish(
        settings,
        {"inputs": inputs},
        text.encode(),
        progress,
        f"{'print' if settings.output is None else 'write'} {what}",
        "holds something else",
    )
