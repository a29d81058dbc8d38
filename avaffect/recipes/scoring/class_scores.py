"""Scores of predicted classes and of a retrieval's pseudo-labels: one report per file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.core.provenance import Provenance
from avaffect.data import artifacts, manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.evaluation import classification
from avaffect.evaluation.classification import SCORES, ClassScores, Confusion
from avaffect.evaluation.statistics import mean_and_std, mean_defined
from avaffect.recipes.common import work
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring import class_tables, gold_labels, scored_items, vote_scores
from avaffect.recipes.scoring.class_tables import TablePredictions
from avaffect.recipes.scoring.confidence import intervals_of
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.recipes.scoring.reports.classes import (
    ClassReport,
    ClassRun,
    Intervals,
    RetrievalReport,
)
from avaffect.recipes.scoring.retrieval_scores import score_retrieval
from avaffect.recipes.scoring.scored_items import (
    OF_CLASSES,
    of_label,
    of_split,
    shared_distances,
    training_statuses,
)
from avaffect.recipes.scoring.vote_scores import Gold, VoteScores, true_classes
from avaffect.settings.class_map import ClassMap
from avaffect.settings.eval_class import EvalClassSettings
from avaffect.settings.scores import SHARED_DISTANCE


def report_of(
    path: Path, settings: EvalClassSettings, progress: Progress
) -> ClassReport | RetrievalReport:
    """The scores of one file of predictions or of a retrieval; see avaffect-eval-class(1).

    Raises DataError where it holds neither, no item has a gold label, an utterance is predicted
    twice in a run, or a label is none of the classes.
    """
    if path.is_file() and artifacts.is_store(path):
        raise DataError(
            f"{path} is a store: predictions of classes are a manifest; score predicted traces "
            "with eval-ccc"
        )
    found = _read(path, settings)
    made = work.record("eval-class", settings, _inputs(found, settings))
    if found.content == "retrieval":
        return score_retrieval(found, str(path), made, settings, progress)
    return _score_predictions(found, str(path), made, settings, progress)


def _inputs(found: Manifest, settings: EvalClassSettings) -> list[work.Input]:
    given = [] if found.path is None else [(found.content, found.path, found.content_id)]
    return [*given, *gold_labels.inputs(settings.gold)]


def _read(path: Path, settings: EvalClassSettings) -> Manifest:
    if not artifacts.is_table(path):
        given = bool(settings.gold)
        return manifest.read(
            path, ("predictions", "retrieval"), lambda item: scored_items.needed(item, given)
        )
    name, other = gold_labels.label_names(settings.label)
    return class_tables.predictions(
        path, name, other, gold_labels.DEFAULT_LABEL, bool(settings.gold), settings.id_column
    )


def _score_predictions(
    found: Manifest,
    file: str,
    made: Provenance,
    settings: EvalClassSettings,
    progress: Progress,
) -> ClassReport:
    name, other = gold_labels.label_names(settings.label)
    found = of_label(found, name, OF_CLASSES)
    label = name or found.header.target or gold_labels.DEFAULT_LABEL
    if isinstance(found, TablePredictions):
        label = found.header.target or label
    gold = None
    if settings.gold:
        gold = gold_labels.read(settings.gold, other or name, label, settings.id_column)
        found = class_tables.matched(found, gold, progress)
    items, split = of_split(found, settings.split)
    pairs, missing = _pairs(found, items, settings.class_map, gold)
    classes = _classes(found, settings.class_map, pairs)
    every = [pair for run in pairs.values() for pair in run.values()]
    gold_labels.warn_of_doubts(found.name, every, progress)
    votes = vote_scores.by_run(items, _scored(found, settings), gold, settings.class_map)
    distances = shared_distances(items)
    runs = [
        _score_run(found, run, pairs[run], classes, votes.get(run), distances.get(run))
        for run in sorted(pairs, key=lambda run: (str(type(run)), run))
    ]
    scored = {frozenset(run) for run in pairs.values()}
    if len(scored) > 1:
        progress.warn(f"{found.name}: its runs do not predict the same utterances")
    utterances = frozenset().union(*scored)
    words = "" if split is None else f" of the split {split}"
    learned = training_statuses(found, items, utterances)
    warning = training_speakers.warning(learned, len(utterances))
    if warning is not None:
        progress.warn(f"{found.name}: {warning}")
    left_out = f"; {len(missing)} left out, without a gold label" if missing else ""
    progress.say(f"{found.name}: {len(utterances)} utterances{words}{left_out}")
    means, spread = _over_runs(runs)
    return ClassReport(
        file=file,
        target=label,
        split=split,
        accuracy=means["accuracy"],
        ua=means["ua"],
        f1_micro=means["f1_micro"],
        f1_macro=means["f1_macro"],
        kl=means.get("kl"),
        ce=means.get("ce"),
        shared_distance=means.get(SHARED_DISTANCE),
        per_class=_mean_per_class(runs, classes),
        confusion=Confusion.of(np.sum([run.confusion.matrix for run in runs], axis=0), classes),
        std=spread,
        count=len(utterances),
        missing_gold=len(missing),
        seen=learned,
        intervals=_intervals(found, items, pairs, classes, settings, progress),
        runs=tuple(runs),
        provenance=made,
    )


def _intervals(
    found: Manifest, items: list[Item], pairs: Pairs, classes: list[str],
    settings: EvalClassSettings, progress: Progress,
) -> Intervals | None:  # fmt: skip
    if settings.confidence is None:
        return None
    return intervals_of(found.name, items, pairs, classes, settings.confidence, progress)


Pairs = dict[RunName, dict[str, tuple[str, str]]]


def _pairs(
    found: Manifest, items: list[Item], classes: ClassMap, gold: Gold | None
) -> tuple[Pairs, set[str]]:
    """run -> id -> (gold class, predicted class), and the ids without a gold class."""
    known = None if gold is None else true_classes(gold, classes)
    pairs: Pairs = {}
    missing: set[str] = set()
    for item in items:
        identifier, predicted = item.get("id"), item.get("prediction")
        if not isinstance(identifier, str) or not isinstance(predicted, str) or not predicted:
            raise DataError(
                f"{found.name}: an item has no id or no predicted class: {json.dumps(item)[:120]}"
            )
        true = classes.renamed(item.get("gold")) if known is None else known.get(identifier)
        if true is None:
            missing.add(identifier)
            continue
        run = pairs.setdefault(item.get("run", 0), {})
        if identifier in run:
            raise DataError(
                f"{found.name}: {identifier} is predicted twice in run {item.get('run', 0)}"
            )
        run[identifier] = (true, classes.renamed(predicted) or predicted)
    if not pairs:
        tied = sum(vote_scores.votes_of(item, gold) is not None for item in items)
        why = (
            f"the votes of {tied} are tied, and the others have none"
            if tied
            else "name a store or a corpus manifest with --gold"
        )
        raise DataError(
            f"{found.name}: none of its {len(items)} predictions has a gold class to be scored by; "
            + why
        )
    return pairs, missing


def _scored(found: Manifest, settings: EvalClassSettings) -> Sequence[str]:
    """The classes whose predicted shares are scored: those of --classes, else the classifier's."""
    return settings.class_map.names or found.header.classes or ()


def _classes(found: Manifest, chosen: ClassMap, pairs: Pairs) -> list[str]:
    """The classes in order: those of --classes, else the classifier's, else all that occur."""
    if chosen:
        return list(chosen.names)
    if found.header.classes:
        return list(found.header.classes)
    occurring = {name for run in pairs.values() for pair in run.values() for name in pair}
    return gold_labels.in_order(occurring)


def _score_run(
    found: Manifest,
    name: RunName,
    run: dict[str, tuple[str, str]],
    classes: list[str],
    votes: VoteScores | None,
    distance: float | None,
) -> ClassRun:
    known = set(classes)
    for identifier, pair in run.items():
        for what, of in zip(("gold class", "prediction"), pair):
            if of not in known:
                raise DataError(
                    f"{found.name}: {of!r}, the {what} of {identifier}, is none of the classes "
                    f"({', '.join(classes)}); choose or merge classes with --classes"
                )
    true, predicted = zip(*run.values())
    scores = classification.evaluate(
        classification.confusion_matrix(true, predicted, classes), classes
    )
    of_votes = {} if votes is None else vars(votes)
    return ClassRun(run=name, **vars(scores), **of_votes, shared_distance=distance)


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


def _mean_per_class(runs: list[ClassRun], classes: list[str]) -> dict[str, ClassScores]:
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
