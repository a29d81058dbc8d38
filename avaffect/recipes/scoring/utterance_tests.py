"""Tests of two single runs by their utterances, for `compare`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from avaffect.core.progress import Progress
from avaffect.evaluation import classification, paired
from avaffect.evaluation.bootstrap import Score
from avaffect.evaluation.paired import Difference
from avaffect.recipes.scoring import class_pairs
from avaffect.recipes.scoring.class_pairs import PairedClasses, Units
from avaffect.recipes.scoring.confidence import DRAWS, FEW, SCORES, generator, warn_of_units
from avaffect.recipes.scoring.reports.comparison import Compared, ComparedRow, UtteranceTests

PERCENT = 95.0
ALL_SCORES = {**SCORES, "f1_micro": classification.f1_micro}


@dataclass(frozen=True)
class SingleRun:
    """The only run of predictions. pairs: id -> (gold class, predicted class)."""

    name: str
    classes: tuple[str, ...]
    pairs: Mapping[str, tuple[str, str]]
    units: Units


def single_run(of: PairedClasses) -> SingleRun | None:
    """None of several runs."""
    if len(of.pairs) > 1:
        return None
    (pairs,) = of.pairs.values()
    return SingleRun(of.name, of.classes, pairs, class_pairs.units(of))


def do_not_pair(first: SingleRun, second: SingleRun) -> str | None:
    """Why utterances of two runs cannot be compared, in words; None where they can."""
    if first.pairs.keys() != second.pairs.keys():
        return "they predict other utterances"
    unlike = [i for i, (true, _) in first.pairs.items() if true != second.pairs[i][0]]
    if unlike:
        return f"the gold classes of {len(unlike)} utterances differ, such as that of {unlike[0]}"
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
    classes = list(dict.fromkeys([*first.classes, *second.classes]))
    right = [
        [true == predicted for true, predicted in (run.pairs[i] for i in first.pairs)]
        for run in (first, second)
    ]
    better, worse = (
        sum(a and not b for a, b in zip(*sides, strict=True)) for sides in (right, right[::-1])
    )
    scores = {name: ALL_SCORES[name] for name in row.scores if name in ALL_SCORES}
    of_classes = {name: partial(_f1, place=classes.index(name)) for name in row.per_class}
    (one, other), counts = drawn.matrices([first.pairs, second.pairs], classes)

    def differences(wanted: Mapping[str, Score]) -> dict[str, Difference]:
        return paired.differences(one, other, wanted, PERCENT, DRAWS, generator(), counts)

    is_sure = drawn.count >= FEW
    return replace(
        row,
        scores=_with(row.scores, differences(scores), is_sure),
        per_class=_with(row.per_class, differences(of_classes), is_sure),
        utterances=UtteranceTests(
            over=drawn.over, units=drawn.count, draws=DRAWS, percent=PERCENT,
            mcnemar=paired.mcnemar(better, worse),
        ),
    )  # fmt: skip


def _f1(matrix: np.ndarray, place: int) -> float:
    return float(classification.f1(matrix)[place])


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
