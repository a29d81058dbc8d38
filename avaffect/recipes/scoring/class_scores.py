"""Scores of predicted classes and of a retrieval's pseudo-labels: one report a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.progress import Progress
from avaffect.data import artifacts, manifest
from avaffect.data.manifest import Item, Manifest
from avaffect.evaluation import classification
from avaffect.evaluation.classification import SCORES
from avaffect.evaluation.statistics import mean_and_std, mean_defined
from avaffect.recipes.common import work
from avaffect.recipes.common.reports import Report
from avaffect.recipes.downstream import training_speakers
from avaffect.recipes.scoring import class_tables, gold_labels, vote_scores
from avaffect.recipes.scoring.class_tables import TablePredictions
from avaffect.recipes.scoring.gold_labels import Gold
from avaffect.recipes.scoring.retrieval_scores import score_retrieval
from avaffect.recipes.scoring.scored_items import OF_CLASSES, of_label, of_split, seen_of
from avaffect.settings.class_map import ClassMap
from avaffect.settings.eval_class import EvalClassSettings


def report_of(path: Path, settings: EvalClassSettings, progress: Progress) -> Report:
    """The scores of one file of predictions or of a retrieval; see avaffect-eval-class(1).

    Raises DataError where it holds neither, nothing in it has a true label, an utterance is
    predicted twice in a run, or a label is none of the classes.
    """
    if path.is_file() and artifacts.is_store(path):
        raise DataError(
            f"{path} is a store: predictions of classes are a manifest; score predicted traces "
            "with eval-ccc"
        )
    found = _read(path, settings)
    score = _score_predictions if found.content == "predictions" else score_retrieval
    scores = score(found, settings, progress)
    made = work.record("eval-class", settings, _inputs(found, settings))
    return {"file": str(path), "content": found.content, **scores, "provenance": made}


def _inputs(found: Manifest, settings: EvalClassSettings) -> list[work.Input]:
    given = [] if found.path is None else [(found.content, found.path, found.content_id)]
    return [*given, *gold_labels.inputs(settings.gold)]


def _read(path: Path, settings: EvalClassSettings) -> Manifest:
    if not artifacts.is_table(path):
        return manifest.read(path, expect=("predictions", "retrieval"))
    name, other = gold_labels.asked(settings.label)
    return class_tables.predictions(
        path, name, other, gold_labels.DEFAULT_LABEL, bool(settings.gold), settings.id_column
    )


def _score_predictions(
    found: Manifest, settings: EvalClassSettings, progress: Progress
) -> dict[str, Any]:
    """The scores of a manifest of predictions; see avaffect-eval-class(1) for the keys."""
    name, other = gold_labels.asked(settings.label)
    found = of_label(found, name, OF_CLASSES)
    label = name or found.header.get("target") or gold_labels.DEFAULT_LABEL
    if isinstance(found, TablePredictions):
        label = found.header["target"]
    gold = None
    if settings.gold:
        gold = gold_labels.read(settings.gold, other or name, label, settings.id_column)
        found = class_tables.matched(found, gold, progress)
    items, split = of_split(found, settings.split)
    pairs, missing = _pairs(found, items, settings.class_map, gold)
    classes = _classes(found, settings.class_map, pairs)
    every = [pair for run in pairs.values() for pair in run.values()]
    gold_labels.warn_of_doubts(found.name, every, progress)
    votes = {} if settings.gold or settings.classes else vote_scores.by_run(found, items)
    runs = [
        {"run": run, **_score_run(found, pairs[run], classes), **votes.get(run, {})}
        for run in sorted(pairs, key=lambda run: (str(type(run)), run))
    ]
    scored = {frozenset(run) for run in pairs.values()}
    if len(scored) > 1:
        progress.warn(f"{found.name}: its runs do not predict the same utterances")
    utterances = frozenset().union(*scored)
    words = "" if split is None else f" of the split {split}"
    learned = seen_of(found, items, utterances)
    warning = training_speakers.warning(learned, len(utterances))
    if warning is not None:
        progress.warn(f"{found.name}: {warning}")
    left_out = f"; {len(missing)} left out, without a true label" if missing else ""
    progress.say(f"{found.name}: {len(utterances)} utterances{words}{left_out}")
    return {
        "target": label,
        "split": split,
        **_over_runs(runs, classes),
        "count": len(utterances),
        "missing_gold": len(missing),
        "seen": learned,
        "runs": runs,
    }


Pairs = dict[Any, dict[str, tuple[str, str]]]


def _pairs(
    found: Manifest, items: list[Item], classes: ClassMap, gold: Gold | None
) -> tuple[Pairs, set[str]]:
    """run -> id -> (true class, predicted class), and the ids that have no true class."""
    pairs: Pairs = {}
    missing: set[str] = set()
    for item in items:
        identifier, predicted = item.get("id"), item.get("prediction")
        if not isinstance(identifier, str) or not isinstance(predicted, str):
            raise DataError(
                f"{found.name}: an item has no id or no predicted class: {json.dumps(item)[:120]}"
            )
        true = classes.renamed(item.get("gold") if gold is None else gold.get(identifier))
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
        raise DataError(
            f"{found.name}: none of its {len(items)} predictions has a true label to be scored "
            "by; name a store or a corpus manifest with --gold"
        )
    return pairs, missing


def _classes(found: Manifest, chosen: ClassMap, pairs: Pairs) -> list[str]:
    """The classes in order: as chosen, else the classifier's, else all that occur."""
    if chosen:
        return list(chosen.names)
    if found.header.get("classes"):
        return list(found.header["classes"])
    occurring = {name for run in pairs.values() for pair in run.values() for name in pair}
    return gold_labels.in_order(occurring)


def _score_run(
    found: Manifest, run: dict[str, tuple[str, str]], classes: list[str]
) -> dict[str, Any]:
    known = set(classes)
    for identifier, pair in run.items():
        for what, name in zip(("true class", "prediction"), pair):
            if name not in known:
                raise DataError(
                    f"{found.name}: {name!r}, the {what} of {identifier}, is none of the classes "
                    f"({', '.join(classes)}); choose or merge classes with --classes"
                )
    true, predicted = zip(*run.values())
    matrix = classification.confusion_matrix(true, predicted, classes)
    return classification.evaluate(matrix, classes)


def _over_runs(runs: list[dict[str, Any]], classes: list[str]) -> dict[str, Any]:
    """Means over runs and their standard deviations; counts of the confusion matrix are sums."""
    scores = [*SCORES, *(score for score in vote_scores.SCORES if all(score in r for r in runs))]
    spread = {score: mean_and_std([run[score] for run in runs]) for score in scores}
    matrix = np.sum([run["confusion"]["matrix"] for run in runs], axis=0)
    return {
        **{score: mean for score, (mean, _) in spread.items()},
        "per_class": {
            name: {
                key: mean_defined([run["per_class"][name][key] for run in runs])
                for key in runs[0]["per_class"][name]
            }
            for name in classes
        },
        "confusion": {"classes": classes, "matrix": matrix.tolist()},
        "std": {score: classification.defined(std) for score, (_, std) in spread.items()},
    }
