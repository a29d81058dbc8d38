"""The scores of everything that was given: predictions are scored, reports read."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from avaffect.core.errors import DataError, UsageError
from avaffect.core.headers import ProjectorHeader
from avaffect.data import artifacts
from avaffect.data.manifest import Manifest
from avaffect.data.store.reader import Store
from avaffect.recipes.reporting.context import Context
from avaffect.recipes.reporting.parts import Note, Part
from avaffect.recipes.scoring import gold_traces, report_files, scalar_scores
from avaffect.recipes.scoring.class_scores import report_of
from avaffect.recipes.scoring.reports import embeddings
from avaffect.recipes.scoring.reports.base import Report
from avaffect.recipes.scoring.reports.classes import ClassReport
from avaffect.recipes.scoring.reports.embeddings import EmbeddingReport
from avaffect.recipes.scoring.reports.ranking import RankReport
from avaffect.recipes.scoring.reports.traces import ScalarReport, TraceReport
from avaffect.recipes.scoring.scored_items import OF_CLASSES, kinds_of
from avaffect.settings.eval_ccc import EvalCccSettings
from avaffect.settings.eval_class import EvalClassSettings

R = TypeVar("R", bound=Report)
# What `compare` puts side by side.
COMPARED = (ClassReport, TraceReport, ScalarReport, RankReport, EmbeddingReport)


@dataclass
class Scored:
    """reports: each with the file that it is of; notes: of each file, what could not be scored and
    warnings."""

    reports: list[tuple[Path, Report]] = field(default_factory=list)
    notes: dict[Path, list[Part]] = field(default_factory=lambda: defaultdict(list))

    def of(self, kind: type[R]) -> list[R]:
        """The reports of a kind."""
        return [report for _, report in self.reports if isinstance(report, kind)]

    def comparable(self) -> dict[str, list[Path]]:
        """Content of reports -> the files that `compare` reads, where there are several."""
        found: dict[str, list[Path]] = defaultdict(list)
        for path, report in self.reports:
            read = isinstance(report, COMPARED) and not artifacts.is_store(path)
            if read and path not in found[report.content]:
                found[report.content].append(path)
        return {content: paths for content, paths in found.items() if len(paths) > 1}


def score(context: Context) -> Scored:
    """All reports: of predictions, of retrievals with gold labels, of traces with gold, and those
    that were given."""
    found, given = Scored(), context.given

    def attempt(path: Path, reports: Callable[..., Iterable[Report]], *arguments: object) -> None:
        try:
            found.reports += [(path, report) for report in reports(*arguments)]
        except (DataError, UsageError) as error:
            context.progress.warn(f"{path} is not scored: {error}")
            found.notes[path].append(Note(f"{path} is not scored: {error}", is_warning=True))
        found.notes[path] += context.quiet.notes()

    for manifest in given.predictions:
        attempt(Path(manifest.name), _predictions, context, manifest)
    for manifest in given.retrievals:
        attempt(Path(manifest.name), _classes, context, manifest)
    for store in given.stores:
        if is_predicted(store):
            attempt(store.path, _traces, context, store)
    for path in given.reports:
        attempt(path, report_files.read, path)
    for path, header in given.checkpoints:
        if isinstance(header, ProjectorHeader) and header.metrics.get(embeddings.SPLIT):
            attempt(path, _projector, path)
    found.reports = _each_once(found.reports)
    return found


def _each_once(reports: Sequence[tuple[Path, Report]]) -> list[tuple[Path, Report]]:
    """Predictions beside their own report are one: the file of the predictions, which `compare`
    tests by utterance, with the scores of the report, which may have more."""
    kept: list[tuple[Path, Report]] = []
    for path, report in reports:
        twin = next((n for n, (_, other) in enumerate(kept) if _are_twins(other, report)), None)
        if twin is None:
            kept.append((path, report))
        else:
            kept[twin] = (kept[twin][0], report)
    return kept


def _are_twins(report: Report, other: Report) -> bool:
    if not isinstance(report, ClassReport) or not isinstance(other, ClassReport):
        return False
    first, second = (
        ({entry["content_id"] for entry in one.provenance["inputs"]}, one.target, one.confusion,
         len(one.runs))
        for one in (report, other)
    )  # fmt: skip
    return first == second


def _predictions(context: Context, found: Manifest) -> list[Report]:
    assert found.path is not None
    kinds = {*kinds_of(found.header).values()}
    reports: list[Report] = []
    if not kinds or kinds & {*OF_CLASSES}:
        reports += _classes(context, found)
    if scalar_scores.KIND in kinds:
        settings = EvalCccSettings(predictions=(found.path,))
        reports.append(scalar_scores.report_of(found.path, settings, context.quiet))
    return reports


def _classes(context: Context, found: Manifest) -> list[Report]:
    assert found.path is not None
    of_pool = found.content == "retrieval"
    settings = EvalClassSettings(
        predictions=(found.path,),
        gold=context.settings.gold if of_pool else (),
        label=_pool_label(context, found) if of_pool else None,
    )
    return [report_of(found.path, settings, context.quiet)]


def _projector(path: Path) -> list[Report]:
    return [embeddings.read(path)]


def _pool_label(context: Context, found: Manifest) -> str | None:
    """As eval-class spells it: the queries' label, and its name in the gold."""
    other, own = context.settings.label, found.header.made_with.label
    return other if other is None or own in (None, other) else f"{own}={other}"


def is_predicted(store: Store) -> bool:
    """Whether a store holds predicted traces."""
    return store.provenance.get("command") == "predict"


def _traces(context: Context, store: Store) -> list[Report]:
    settings = EvalCccSettings(predictions=(store.path,), gold=gold_of(context, store))
    return list(context.commands.eval_ccc(settings, context.quiet))


def gold_of(context: Context, predicted: Store) -> tuple[Path, ...]:
    """Where the true traces of predictions are: what was given and holds any, else a store of the
    lineage that holds traces of the same names and is no prediction.

    Raises DataError where there is none.
    """
    given = tuple(path for path in context.settings.gold if _holds_traces(path))
    if given:
        return given
    names = {name for name, spec in predicted.labels.items() if spec.kind == "trace"}
    stores = {str(s.path): s for s in (*context.media_stores, *context.given.stores)}
    for store in stores.values():
        own = {name for name, spec in store.labels.items() if spec.kind == "trace"}
        if names <= own and not is_predicted(store) and {*predicted.ids} & {*store.ids}:
            return (store.path,)
    raise DataError("no store behind it has gold traces; name one with --gold")


def _holds_traces(path: Path) -> bool:
    """Gold of retrieved utterances holds none."""
    try:
        return bool(gold_traces.read(path).ids)
    except DataError:
        return False
