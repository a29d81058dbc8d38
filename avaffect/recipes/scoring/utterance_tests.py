"""Tests of two single runs by their utterances, for `compare`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress, followed
from avaffect.data.manifest import Item
from avaffect.evaluation import classification, concordance, paired
from avaffect.evaluation.paired import Difference, McNemar
from avaffect.recipes.scoring import class_pairs
from avaffect.recipes.scoring.class_pairs import PairedClasses, Units
from avaffect.recipes.scoring.confidence import DRAWS, SCORES, generator, warn_of_units
from avaffect.recipes.scoring.reports.base import RunName
from avaffect.recipes.scoring.reports.classes import FEW_SPEAKERS
from avaffect.recipes.scoring.reports.comparison import Compared, ComparedRow, UtteranceTests
from avaffect.recipes.scoring.trace_scores import LabelMoments

PERCENT = 95.0
ALL_SCORES = {**SCORES, "f1_micro": classification.f1_micro}
# Weights of draws and utterances that are in memory at once.
CELLS = 1 << 24


@dataclass(frozen=True)
class SingleRun:
    """The only run of predictions `name`. gold: id -> class, or numbers of the labels."""

    name: str
    gold: Mapping[str, Any]
    units: Units


@dataclass(frozen=True)
class SingleRunOfClasses(SingleRun):
    """pairs: id -> (gold class, predicted class)."""

    classes: tuple[str, ...]
    pairs: Mapping[str, tuple[str, str]]


@dataclass(frozen=True)
class SingleRunOfNumbers(SingleRun):
    """moments: of each label, of one run."""

    moments: Mapping[str, LabelMoments]


def of_classes(of: PairedClasses) -> SingleRunOfClasses | None:
    """None of several runs."""
    if len(of.pairs) > 1:
        return None
    (pairs,) = of.pairs.values()
    gold = {identifier: true for identifier, (true, _) in pairs.items()}
    return SingleRunOfClasses(of.name, gold, class_pairs.units(of), of.classes, pairs)


def of_numbers(
    name: str, runs: Sequence[RunName], moments: Mapping[str, LabelMoments], items: Iterable[Item]
) -> SingleRunOfNumbers | None:
    """None of several runs."""
    if len(runs) > 1:
        return None
    gold: dict[str, dict[str, float]] = defaultdict(dict)
    for label, of in moments.items():
        for identifier, value in zip(of.ids, concordance.means_of_gold(of.moments[0]).tolist()):
            gold[identifier][label] = value
    return SingleRunOfNumbers(name, gold, class_pairs.units_of(gold, items), moments)


def do_not_pair(first: SingleRun, second: SingleRun) -> str | None:
    """Why utterances of two runs cannot be compared, in words; None where they can."""
    if type(first) is not type(second) or first.gold.keys() != second.gold.keys():
        return "they predict other utterances"
    unlike = [i for i, true in first.gold.items() if true != second.gold[i]]
    if unlike:
        return (
            "the true labels of "
            f"{count_of(len(unlike), 'utterance differs', 'utterances differ')}, such as that of "
            f"{unlike[0]}"
        )
    if min(first.units.count, second.units.count) < 2:
        return "they are of one speaker"
    return None


def tested(
    row: ComparedRow, first: SingleRun, second: SingleRun, progress: Progress
) -> ComparedRow:
    """The row with tests against the baseline's run, `second`, whose utterances are the same."""
    # Without names of speakers on one side, those of the other.
    drawn = min(first.units, second.units, key=lambda units: units.count)
    warn_of_units(f"{first.name} or {second.name}", drawn, progress)
    scores, per_class, mcnemar = row.scores, row.per_class, None
    is_sure = drawn.count >= FEW_SPEAKERS
    if isinstance(first, SingleRunOfClasses) and isinstance(second, SingleRunOfClasses):
        classes = list(dict.fromkeys([*first.classes, *second.classes]))
        matrices, counts = drawn.matrices([first.pairs, second.pairs], classes)
        one, other = matrices.single()
        wanted = [name for name in scores if name in ALL_SCORES]
        of_classes = [name for name in per_class if name in classes]
        places = [classes.index(name) for name in of_classes]

        def values(matrix: np.ndarray) -> np.ndarray:
            own = [ALL_SCORES[name](matrix) for name in wanted]
            return np.concatenate([own, classification.f1(matrix)[places]])

        found = paired.differences(
            one,
            other,
            range(len(wanted) + len(places)),
            values,
            PERCENT,
            DRAWS,
            generator(),
            counts,
        )
        own = {name: found[place] for place, name in enumerate(wanted) if place in found}
        scores = _with(scores, own, is_sure)
        own = {n: found[p] for p, n in enumerate(of_classes, len(wanted)) if p in found}
        per_class = _with(per_class, own, is_sure)
        mcnemar = _mcnemar(first, second)
    elif isinstance(first, SingleRunOfNumbers) and isinstance(second, SingleRunOfNumbers):
        scores = _with(scores, _of_numbers(first, second, drawn), is_sure)
    tests = UtteranceTests(
        over=drawn.over, units=drawn.count, draws=DRAWS, percent=PERCENT, mcnemar=mcnemar
    )
    return replace(row, scores=scores, per_class=per_class, utterances=tests)


def _mcnemar(first: SingleRunOfClasses, second: SingleRunOfClasses) -> McNemar:
    right = [
        [true == predicted for true, predicted in (run.pairs[i] for i in first.pairs)]
        for run in (first, second)
    ]
    better, worse = (
        sum(a and not b for a, b in zip(*sides, strict=True)) for sides in (right, right[::-1])
    )
    return paired.mcnemar(better, worse)


def _of_numbers(
    first: SingleRunOfNumbers, second: SingleRunOfNumbers, drawn: Units
) -> dict[str, Difference]:
    """label.score -> its difference, over all utterances of a draw as one trace."""
    random, found = generator(), defaultdict(list)
    shares = np.full(drawn.count, 1 / drawn.count)
    most = max(1, CELLS // max(len(first.gold), 1))
    starts = range(0, DRAWS, most)
    for start in followed(starts, "bootstrap", len(starts), "blocks of draws"):
        weights = random.multinomial(drawn.count, shares, size=min(most, DRAWS - start))
        for label in first.moments.keys() & second.moments.keys():
            ids = first.moments[label].ids
            own = weights[:, [drawn.place[identifier] for identifier in ids]]
            sides = [_in_order(run.moments[label], ids) for run in (first, second)]
            one, other = (concordance.resampled(side, own)["pooled"] for side in sides)
            for score, values in one.items():
                found[f"{label}.{score}"].append(values - other[score])
    described = {n: paired.difference(np.concatenate(v), PERCENT) for n, v in found.items()}
    return {name: of for name, of in described.items() if of is not None}


def _in_order(of: LabelMoments, ids: Sequence[str]) -> np.ndarray:
    """(K, 8) of the only run."""
    place = {identifier: row for row, identifier in enumerate(of.ids)}
    return np.asarray(of.moments[0][[place[identifier] for identifier in ids]])


def _with(
    scores: Mapping[str, Compared], found: Mapping[str, Difference], is_sure: bool
) -> dict[str, Compared]:
    """p of few speakers, who may all differ in one way by chance, would be far too small."""
    return {
        name: replace(of, low=new.low, high=new.high, p=new.p if is_sure else None)
        if (new := found.get(name)) is not None
        else of
        for name, of in scores.items()
    }
