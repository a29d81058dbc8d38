"""What the commands that score predictions over time have in common: a report of each source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from avaffect.core.progress import Progress
from avaffect.recipes.common import work
from avaffect.recipes.scoring import gold_traces
from avaffect.recipes.scoring.gold_traces import TraceSource
from avaffect.recipes.scoring.reports.base import write_reports
from avaffect.recipes.scoring.reports.ranking import RankReport
from avaffect.recipes.scoring.reports.traces import TraceReport
from avaffect.settings.base import Common

Reported = TypeVar("Reported", TraceReport, RankReport)


def reports_of(
    command: str,
    settings: Common,
    predictions: Sequence[Path],
    gold: Sequence[TraceSource],
    score: Callable[[str, TraceSource], Reported],
    progress: Progress,
    further: Sequence[work.Input] = (),
) -> list[Reported]:
    """The reports of `predictions`, also written to `settings.output`.

    score: a path as it was given and what was read from it -> its report, without gold and
    provenance; further: inputs beside predictions and gold.
    """
    identities = tuple(sorted(source.content_id for source in gold))
    reports = []
    for path in predictions:
        predicted = gold_traces.read(path)
        inputs = [("predictions", predicted), *(("gold", source) for source in gold)]
        made = work.record(
            command,
            settings,
            [(role, found.path, found.content_id) for role, found in inputs if found.path],
            further,
        )
        reports.append(replace(score(str(path), predicted), gold=identities, provenance=made))
    write_reports(settings, reports, progress)
    return reports
