"""What `eval-class` adds to scores on demand: a permutation test, calibration, groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from avaffect.core import seeds
from avaffect.core.errors import DataError, UsageError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.evaluation import calibration, classification, distributions, permutation
from avaffect.evaluation.calibration import Calibration
from avaffect.evaluation.classification import SCORES
from avaffect.evaluation.permutation import PermutationTest
from avaffect.recipes.scoring import confidence, fields
from avaffect.recipes.scoring.class_pairs import SPEAKER, SPEAKERS, PairedClasses, units
from avaffect.recipes.scoring.fields import Field
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.recipes.scoring.reports.classes import GroupScores
from avaffect.settings.eval_class import EvalClassSettings

# p of fewer random permutations is too coarse.
FEWEST_PERMUTATIONS = 100
# Scores of a group with fewer utterances say little: an accuracy of 30 has an error of 0.09.
FEW_UTTERANCES = 30
# A sum of probabilities, as far as they are rounded.
MOST_SUMMED = 1.01
# id -> (gold class, predicted class)
Run = dict[str, tuple[str, str]]


def check(settings: EvalClassSettings) -> None:
    """Raises UsageError for too few permutations."""
    if 0 < settings.permutations < FEWEST_PERMUTATIONS:
        raise UsageError(
            f"--permutations {settings.permutations}: {FEWEST_PERMUTATIONS} or more are needed "
            "for a p below 0.01"
        )


def asked(settings: EvalClassSettings) -> list[str]:
    """The options, of those here, that are given."""
    given = {
        "--confidence": settings.confidence is not None, "--permutations": settings.permutations,
        "--calibration": settings.calibration, "--by": settings.by,
    }  # fmt: skip
    return [option for option, is_given in given.items() if is_given]


def permuted(of: PairedClasses, draws: int, progress: Progress) -> PermutationTest:
    """Within speakers where predictions name them all, else among all utterances."""
    grouped = units(of)
    within = grouped.over == SPEAKERS
    ids = list(grouped.place)
    index = {name: place for place, name in enumerate(of.classes)}
    gold_of = {i: true for run in of.pairs.values() for i, (true, _) in run.items()}
    gold = np.array([index[gold_of[i]] for i in ids])
    predicted = np.array([
        [index[run[i][1]] if i in run else -1 for i in ids] for run in of.pairs.values()
    ])  # fmt: skip
    groups = np.array([grouped.place[i] if within else 0 for i in ids])
    if not within:
        progress.warn(
            f"{of.name} does not name each utterance's speaker: labels are permuted among all "
            "utterances, and p is too small where predictions depend on the speaker"
        )
    random = seeds.generator(0, "permutation")
    p, exact, count = permutation.permutation_test(
        gold, predicted, groups, len(of.classes), confidence.SCORES, draws, random
    )
    if exact and count < FEWEST_PERMUTATIONS:
        how = count_of(count, "arrangement") + " within speakers" * within
        progress.warn(f"{of.name}: the labels have {how}, so that no p is below {1 / count:.2g}")
    return PermutationTest(
        p=p, exact=exact, arrangements=count, within=SPEAKERS if within else "all utterances",
        units=grouped.count if within else 1,
    )  # fmt: skip


def calibrated(of: PairedClasses, settings: EvalClassSettings, progress: Progress) -> Calibration:
    """Raises DataError where predictions have no probabilities, or what is none."""
    index = {name: place for place, name in enumerate(of.classes)}
    chosen = settings.class_map
    rows: dict[RunName, list[tuple[list[float], int, int]]] = {run: [] for run in of.pairs}
    lacking = above = other = 0
    for item in of.items:
        run = item.get("run", 0)
        pair = of.pairs.get(run, {}).get(item["id"])
        if pair is None:
            continue
        shares = chosen.summed(item["scores"]) if item.get("scores") else {}
        row = [float(shares.get(name, 0.0)) for name in of.classes]
        if not any(row):
            lacking += 1
            continue
        outside = [value for value in row if not 0 <= value <= MOST_SUMMED]
        if outside:
            raise DataError(
                f"{of.name}: a probability of {item['id']} is {outside[0]:g}, not between 0 and 1: "
                "logarithms and scores before softmax are none"
            )
        above += sum(row) > MOST_SUMMED
        # Before --classes merges any: a merged class may be more probable than that of the most.
        given = item["scores"]
        other += given.get(item["prediction"], 0.0) < max(given.values())
        rows[run].append((row, index[pair[0]], index[pair[1]]))
    if not all(rows.values()):
        raise DataError(
            f"{of.name}: --calibration needs the probabilities of the classes: `scores` of items, "
            "which predict writes; of a table, columns called as the classes"
        )
    if lacking:
        progress.warn(
            f"{of.name}: {count_of(lacking, 'prediction')} without probabilities left out"
        )
    if above:
        progress.warn(
            f"{of.name}: the probabilities of {count_of(above, 'prediction')} add up to more than "
            "1: they are no distribution over the classes, and the Brier score means little"
        )
    if other:
        progress.warn(
            f"{of.name}: the predicted class of {count_of(other, 'utterance')} is not the most "
            "probable one: are the columns of probabilities called as their classes?"
        )
    parts = []
    for known in rows.values():
        probabilities, gold, predicted = (np.array(side) for side in zip(*known, strict=True))
        if chosen:
            # Without the classes that were left out.
            probabilities = distributions.shares(probabilities)
        try:
            parts.append(calibration.evaluate(probabilities, gold, predicted))
        except ValueError as error:
            raise DataError(f"{of.name}: {error}") from error
    return calibration.together(parts)


def grouped_scores(
    of: PairedClasses, settings: EvalClassSettings, progress: Progress
) -> dict[str, tuple[GroupScores, ...]]:
    """Field -> the scores of each of its values. Raises DataError for a field that nothing has."""
    ids = list(dict.fromkeys(i for run in of.pairs.values() for i in run))
    files = [*settings.gold, *fields.behind(of.found, progress)]
    scored = set(ids)
    speakers = {i["id"]: i.get(SPEAKER) for i in of.items if i["id"] in scored}
    found = {}
    for field in fields.read(settings.by, ids, of.items, files, settings.id_column):
        runs = [_by_value(run, field) for run in of.pairs.values()]
        groups = [
            _group(of.classes, value, [run[value] for run in runs if value in run], speakers)
            for value in field.values
        ]
        found[field.name] = tuple(groups)
        few = [group.value for group in groups if group.few]
        fields.warn_of_groups(of.name, field, few, FEW_UTTERANCES, progress)
    return found


def _by_value(run: Mapping[str, tuple[str, str]], field: Field) -> dict[str, Run]:
    found: dict[str, Run] = {}
    for identifier, pair in run.items():
        found.setdefault(field.value_of[identifier], {})[identifier] = pair
    return found


def _group(
    classes: Sequence[str], value: str, runs: Sequence[Run], speakers: Mapping[str, str | None]
) -> GroupScores:
    matrices: list[np.ndarray] = []
    for run in runs:
        true, predicted = zip(*run.values())
        matrices.append(classification.confusion_matrix(true, predicted, classes))
    there = {identifier for run in runs for identifier in run}
    named = {speakers.get(i) for i in there}
    scores = [classification.evaluate(matrix, classes) for matrix in matrices]
    means: dict[str, Any] = {
        name: float(np.mean([getattr(of_run, name) for of_run in scores])) for name in SCORES
    }
    return GroupScores(
        value=value,
        count=len(there),
        speakers=None if None in named or "" in named else len(named),
        few=len(there) < FEW_UTTERANCES,
        **means,
        chance=classification.chance(_support(matrices)),
    )


def _support(matrices: Sequence[np.ndarray]) -> list[float]:
    return [float(count) for count in np.mean(matrices, axis=0).sum(axis=1)]
