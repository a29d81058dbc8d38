"""Scores of predicted classes and of a retrieval's pseudo-labels: one report per file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.data import artifacts
from avaffect.data.manifest import Manifest
from avaffect.evaluation import classification
from avaffect.evaluation.classification import SCORES, ClassScores, Confusion
from avaffect.evaluation.statistics import mean_and_std, mean_defined
from avaffect.recipes.common import work
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring import class_extras, class_pairs, gold_labels, gold_names, vote_scores
from avaffect.recipes.scoring.class_pairs import PairedClasses
from avaffect.recipes.scoring.confidence import intervals_of
from avaffect.recipes.scoring.reports.classes import ClassReport, ClassRun, RetrievalReport
from avaffect.recipes.scoring.retrieval_scores import score_retrieval
from avaffect.recipes.scoring.scored_items import shared_distances, training_statuses
from avaffect.settings.eval_class import EvalClassSettings
from avaffect.settings.scores import SHARED_DISTANCE


def report_of(
    path: Path, settings: EvalClassSettings, progress: Progress
) -> ClassReport | RetrievalReport:
    """The scores of one file of predictions or of a retrieval; see avaffect-eval-class(1).

    Raises DataError where it holds neither, no item has a gold label, an utterance is predicted
    twice in a run, or a label is none of the classes.
    """
    found = _read(path, settings)
    if found.content == "retrieval":
        made = work.record("eval-class", settings, _inputs(found, settings))
        return score_retrieval(found, str(path), made, settings, progress)
    return _scored(found, path, settings, progress)[0]


def scored_predictions(
    path: Path, settings: EvalClassSettings, progress: Progress
) -> tuple[ClassReport, PairedClasses]:
    """The scores of predictions, and what they are of. Raises as `report_of`."""
    return _scored(_read(path, settings), path, settings, progress)


def _read(path: Path, settings: EvalClassSettings) -> Manifest:
    if path.is_file() and artifacts.is_store(path):
        raise DataError(
            f"{path} is a store: predictions of classes are a manifest; score predicted traces "
            "with eval-ccc"
        )
    return class_pairs.read(path, settings)


def _inputs(found: Manifest, settings: EvalClassSettings) -> list[work.Input]:
    given = [] if found.path is None else [(found.content, found.path, found.content_id)]
    return [*given, *gold_names.inputs(settings.gold)]


def _scored(
    found: Manifest, path: Path, settings: EvalClassSettings, progress: Progress
) -> tuple[ClassReport, PairedClasses]:
    made = work.record("eval-class", settings, _inputs(found, settings))
    of = class_pairs.paired(found, settings, progress)
    every = [pair for run in of.pairs.values() for pair in run.values()]
    gold_labels.warn_of_doubts(of.name, every, progress)
    runs = _runs(of, settings)
    learned = _report_counts(of, progress)
    if of.gold is not None:
        gold_names.say_unscored(of.name, of.gold, len(of.utterances()), progress)
    means, spread = _over_runs(runs)
    per_class = _mean_per_class(runs, of.classes)
    report = ClassReport(
        file=str(path),
        target=of.label,
        split=of.split,
        accuracy=means["accuracy"],
        ua=means["ua"],
        f1_micro=means["f1_micro"],
        f1_macro=means["f1_macro"],
        kl=means.get("kl"),
        ce=means.get("ce"),
        shared_distance=means.get(SHARED_DISTANCE),
        per_class=per_class,
        confusion=Confusion.of(np.sum([run.confusion.matrix for run in runs], axis=0), of.classes),
        std=spread,
        count=len(of.utterances()),
        missing_gold=len(of.missing),
        seen=learned,
        chance=classification.chance([known.support or 0 for known in per_class.values()]),
        **_extras(of, settings, progress),
        runs=tuple(runs),
        provenance=made,
    )
    return report, of


def _extras(of: PairedClasses, settings: EvalClassSettings, progress: Progress) -> dict[str, Any]:
    """What was asked for beside the scores."""
    found: dict[str, Any] = {}
    if settings.confidence is not None:
        found["intervals"] = intervals_of(of, settings.confidence, progress)
    if settings.permutations:
        found["permutation"] = class_extras.permuted(of, settings.permutations, progress)
    if settings.calibration:
        found["calibration"] = class_extras.calibrated(of, settings, progress)
    if settings.by:
        found["groups"] = class_extras.grouped_scores(of, settings, progress)
    return found


def _report_counts(of: PairedClasses, progress: Progress) -> dict[str, int] | None:
    """How many utterances are scored, and warnings; how many were used in training, by status."""
    if len({frozenset(run) for run in of.pairs.values()}) > 1:
        progress.warn(f"{of.name}: its runs do not predict the same utterances")
    utterances = of.utterances()
    words = "" if of.split is None else f" of the split {of.split}"
    learned = training_statuses(of.found, of.items, utterances)
    warning = training_speakers.warning(learned, len(utterances))
    if warning is not None:
        progress.warn(f"{of.name}: {warning}")
    left_out = f"; {len(of.missing)} left out, without a gold label" if of.missing else ""
    progress.say(f"{of.name}: {count_of(len(utterances), 'utterance')}{words}{left_out}")
    return learned


def _runs(of: PairedClasses, settings: EvalClassSettings) -> list[ClassRun]:
    """The scores of each run, in order."""
    # The classes whose predicted shares are scored: those of --classes, else the classifier's.
    shares = settings.class_map.names or of.found.header.classes or ()
    votes = vote_scores.by_run(of.items, shares, of.gold, settings.class_map)
    distances = shared_distances(of.items)
    runs = []
    for name in sorted(of.pairs, key=lambda run: (str(type(run)), run)):
        true, predicted = zip(*of.pairs[name].values())
        matrix = classification.confusion_matrix(true, predicted, of.classes)
        own = votes.get(name)
        runs.append(ClassRun(
            run=name, **vars(classification.evaluate(matrix, of.classes)),
            **({} if own is None else vars(own)), shared_distance=distances.get(name),
        ))  # fmt: skip
    return runs


def _over_runs(runs: list[ClassRun]) -> tuple[dict[str, float], dict[str, float | None]]:
    """Means and standard deviations (None of one run) of the scores that all runs have."""
    means: dict[str, float] = {}
    spread: dict[str, float | None] = {}
    for score in (*SCORES, *vote_scores.SCORES, SHARED_DISTANCE):
        values = [getattr(run, score) for run in runs]
        if None not in values:
            means[score], std = mean_and_std(values)
            spread[score] = classification.defined(std)
    return means, spread


def _mean_per_class(runs: list[ClassRun], classes: Sequence[str]) -> dict[str, ClassScores]:
    """Means over runs of each class's defined scores."""
    return {
        name: ClassScores.from_dict(
            {
                score: mean_defined([getattr(run.per_class[name], score) for run in runs])
                for score in ("precision", "recall", "f1", "support")
            }
        )
        for name in classes
    }
