"""Reports of scores: JSON objects, one on a line for each file that was scored."""

from __future__ import annotations

import json
import os
from typing import Any

from avaffect.core.atomic import write_text
from avaffect.core.errors import OutputExistsError
from avaffect.core.progress import Progress
from avaffect.data import artifacts
from avaffect.settings.base import Common

Report = dict[str, Any]


def write_reports(
    settings: Common, reports: list[Report], progress: Progress, what: str | None = None
) -> None:
    """Write the reports into `settings.output`; without one, leave them to be printed.

    what: they are, in words; by default the scores of so many files.

    A report is made in no time: whether the output is current shows once it is there. Raises
    OutputExistsError where it holds something else, unless forced; UsageError where it is an input.
    """
    output, what = settings.output, what or f"the scores of {len(reports)} files"
    if output is not None:
        for report in reports:
            artifacts.check_output(output, report["provenance"])
    text = "".join(
        json.dumps(report, ensure_ascii=False, allow_nan=False) + "\n" for report in reports
    )
    if output is None:
        if settings.dry_run:
            progress.say(f"would print {what}")
    elif output.is_file() and output.read_text(encoding="utf-8", errors="replace") == text:
        os.utime(output)
        progress.say(f"{output} is up to date")
    elif output.exists() and not settings.force:
        raise OutputExistsError(
            f"{output} exists and holds something else; name another output, or overwrite it with "
            "--force"
        )
    elif settings.dry_run:
        progress.say(f"would write {what} into {output}")
    else:
        write_text(output, text)
