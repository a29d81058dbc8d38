"""Scores of predictions: tables beside what chance gives, confusion matrices, runs compared."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.core.table import Style, Table
from avaffect.evaluation.classification import Confusion as Counts
from avaffect.recipes.reporting import charts
from avaffect.recipes.reporting.context import Context, few
from avaffect.recipes.reporting.parts import (
    Cell,
    Chart,
    Confusion,
    Folded,
    Note,
    Part,
    Section,
    SideBySide,
    TablePart,
)
from avaffect.recipes.reporting.scored import Scored
from avaffect.recipes.scoring.reports.base import Report
from avaffect.recipes.scoring.reports.classes import ClassReport, RetrievalReport
from avaffect.recipes.scoring.reports.comparison import Comparison
from avaffect.recipes.scoring.reports.ranking import RankReport
from avaffect.recipes.scoring.reports.traces import ScalarReport, TraceReport
from avaffect.recipes.scoring.reports.vectors import VectorReport
from avaffect.recipes.scoring.tables import classes, comparison, ranking, traces, vectors
from avaffect.settings.compare import CompareSettings
from avaffect.settings.scores import score_words

PEOPLE = Style(for_people=True)
R = TypeVar("R", bound=Report)
# Of reports whose classes are not folded.
MOST_SHOWN = 4
# Of all confusion matrices of a label.
MOST_CELLS = 50_000
# Of classes, before those of each class.
TABLES = ("scores", "intervals", "permutation", "calibration", "groups")


def section(context: Context, scored: Scored) -> Section | None:
    """The scores of all predictions and reports, then their comparison, then the classes of each;
    None without any."""
    of_classes: dict[str, list[ClassReport]] = defaultdict(list)
    for report in scored.of(ClassReport):
        of_classes[report.target].append(report)
    parts: list[Part] = []
    for reports in of_classes.values():
        parts += context.attempt("scores of classes", _class_scores, reports)
    parts += _tables("traces", scored.of(TraceReport), traces.tables)
    parts += _tables("numbers", scored.of(ScalarReport), traces.tables)
    parts += _tables("rankings", scored.of(RankReport), ranking.tables)
    parts += _tables("classes in vectors", scored.of(VectorReport), vectors.tables)
    for one in scored.of(Comparison):
        parts += _shown(one)
    parts += _compared(context, scored)
    for reports in of_classes.values():
        parts += context.attempt("confusion of classes", _classes, reports)
    retrievals = {Path(found.name) for found in context.given.retrievals}
    parts += few([n for path, of in scored.notes.items() if path not in retrievals for n in of])
    return Section("scores", "Scores", tuple(parts)) if parts else None


def _tables(
    of: str, reports: list[R], tables: Callable[[list[R], Style], Sequence[Table]]
) -> list[Part]:
    return [TablePart(_titled(t, of)) for t in tables(reports, PEOPLE)] if reports else []


def _titled(table: Table, of: str) -> Table:
    return replace(table, title=f"{table.title} of {of}")


def _class_scores(reports: Sequence[ClassReport]) -> Iterator[Part]:
    """Each of few reports of one label in a sentence, then tables of all."""
    for report in reports if len(reports) <= MOST_SHOWN else ():
        yield Note(in_words(report))
    for table in classes.tables(reports, PEOPLE, TABLES):
        yield TablePart(_titled(table, reports[0].target))


def in_words(report: ClassReport) -> str:
    """UA, its interval and chance, for who reads one line alone."""
    held, part = report.intervals, "" if report.split is None else f" of the split {report.split}"
    words = f"{Path(report.file).name}: unweighted accuracy (UA) of {report.target} {report.ua:.3f}"
    if held is not None and "ua" in held.bounds:
        low, high = held.bounds["ua"]
        words += f", between {low:.3f} and {high:.3f} with {held.percent:g} % confidence over "
        words += f"{held.units} {held.over}" + ", too few for that" * held.narrow
    words += f", on {count_of(report.count, 'utterance')}{part}"
    if report.chance is not None:
        words += f"; chance gives {report.chance['ua']:.3f}"
    return words + "."


def _classes(reports: Sequence[ClassReport]) -> Iterator[Part]:
    """A confusion matrix of each report of one label, and the scores of its classes."""
    corner = classes.CORNERS["predictions"]
    cells = np.cumsum([len(report.confusion.classes) ** 2 for report in reports])
    few = sum((cells <= MOST_CELLS).tolist())
    shown = [
        confusion(report.confusion, f"Confusion, {Path(report.file).name}", corner)
        for report in reports[:few]
    ]
    yield SideBySide(tuple(shown[:MOST_SHOWN]))
    if len(shown) > MOST_SHOWN:
        yield Folded("More confusion matrices", (SideBySide(tuple(shown[MOST_SHOWN:])),))
    if len(reports) > few:
        yield Note(
            f"Confusion matrices left out: {len(reports) - few}; all have {cells[-1]} cells. "
            "`avaffect eval-class --plot` draws them."
        )
    (table,) = classes.tables(reports, PEOPLE, ("per_class",))
    part = TablePart(_titled(table, reports[0].target))
    yield part if len(reports) <= MOST_SHOWN else Folded(part.table.title, (part,))


def confusion(counts: Counts, title: str, corner: str) -> Confusion:
    """A matrix with the share of each row."""
    rows = tuple(tuple(Cell(int(n), n / (sum(row) or 1)) for n in row) for row in counts.matrix)
    return Confusion(title, corner, tuple(counts.classes), rows)


def _compared(context: Context, scored: Scored) -> Iterator[Part]:
    """Predictions, reports and projectors of one kind side by side, where there are several."""
    for paths in scored.comparable().values():
        yield from context.attempt("the comparison", _comparison, context, paths)


def _comparison(context: Context, paths: Sequence[Path]) -> Iterator[Part]:
    stems = Counter(path.stem for path in paths)
    named = tuple(Path(f"{p}={p}") if stems[p.stem] > 1 else p for p in paths)
    wanted = context.settings.baseline
    baseline = wanted if wanted in {*stems, *map(str, paths)} else None
    settings = CompareSettings(reports=named, baseline=baseline)
    yield from _shown(context.commands.compare(settings, context.quiet))


def _shown(found: Comparison) -> Iterator[Part]:
    """The table of a comparison, and the means of each score as a drawing."""
    yield TablePart(comparison.table(found, PEOPLE))
    for score in found.scores:
        of = [(row.name, row.scores[score]) for row in found.rows]
        rows = [charts.Row(n, s.mean, s.std or 0.0) for n, s in of if s.mean is not None]
        if len(rows) > 1:
            words = score_words(score)
            several = any(row.std for row in rows)
            title = f"{words}, mean and standard deviation over runs" if several else words
            label = f"{title}: " + ", ".join(f"{row.name} {row.mean:.3f}" for row in rows)
            yield Chart(title, charts.dots(rows, words, label))


def retrieval(report: RetrievalReport) -> Iterator[Part]:
    """Tables and the confusion of a retrieval's labels."""
    first, *others = classes.tables([report], PEOPLE, ("scores", "shared", "per_class"))
    yield TablePart(first)
    corner = classes.CORNERS["retrieval"]
    matrix = confusion(report.confusion, "Labels of queries and draws", corner)
    yield SideBySide((matrix, *map(TablePart, others)))
