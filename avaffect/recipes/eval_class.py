"""`eval-class`: score predictions of classes, or the pseudo-labels of a retrieval."""

from __future__ import annotations

from avaffect.core.errors import UsageError
from avaffect.core.progress import SILENT, Progress
from avaffect.recipes.common import pictures
from avaffect.recipes.scoring import class_extras, class_plots
from avaffect.recipes.scoring.class_scores import report_of
from avaffect.recipes.scoring.reports.base import write_reports
from avaffect.recipes.scoring.reports.classes import ClassReport, RetrievalReport
from avaffect.settings.eval_class import EvalClassSettings

ONE_TABLE = ("runs", "per_class", "confusion")


def eval_class(
    settings: EvalClassSettings, progress: Progress = SILENT
) -> list[ClassReport | RetrievalReport]:
    """Score each file: one report per file, also written to `settings.output`.

    Raises DataError where a file holds neither predictions nor a retrieval, no item has a gold
    label, an utterance is predicted twice in a run, or a label is none of the classes.
    """
    if sum(getattr(settings, name) for name in (*ONE_TABLE, "json")) > 1:
        raise UsageError("--runs, --per-class, --confusion and --json exclude each other")
    class_extras.check(settings)
    pictures.check(settings.plot)
    pictures.check(settings.plot_reliability, "--plot-reliability")
    reports = [report_of(path, settings, progress) for path in settings.predictions]
    kinds = {report.content for report in reports}
    if len(kinds) > 1:
        raise UsageError("predictions and retrievals have different scores: give them one by one")
    if settings.runs and kinds == {"retrieval"}:
        raise UsageError("--runs goes with predictions; a retrieval has no runs")
    asked = class_extras.asked(settings)
    if asked and kinds == {"retrieval"}:
        raise UsageError(f"{' and '.join(asked)}: only of predictions, not of a retrieval")
    class_plots.write(settings, reports, progress)
    write_reports(settings, reports, progress)
    return reports
