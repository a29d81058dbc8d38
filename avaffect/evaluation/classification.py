"""Scores of class predictions, every one a function of the confusion matrix.

`confusion_matrix` validates labels and counts; `evaluate` gives all scores at once. With n_gp the
count of utterances of class g that were predicted as p (g rows, p columns), N their sum:

    accuracy     sum_c n_cc / N; the "A" of SAAML (Tran et al., 2023), elsewhere weighted accuracy
    UA           mean of the recalls of the classes that occur in gold; SAAML's "UA", elsewhere
                 unweighted average recall or balanced accuracy
    precision    n_cc / sum_g n_gc; undefined (NaN) for a class that is never predicted
    recall       n_cc / sum_p n_cp; undefined for a class that does not occur in gold
    F1           2 n_cc / (sum_g n_gc + sum_p n_cp), the harmonic mean of the two; 0 for a class
                 that occurs in one of gold and predictions, undefined for one that is in neither
    F1 micro     F1 over all classes' counts together; equal to accuracy, as each utterance has one
                 class and one prediction
    F1 macro     mean of the defined F1

Source of the definitions: Sokolova and Lapalme, A systematic analysis of performance measures for
classification tasks, Information Processing and Management 45(4), 2009, Table 3. Classes that
occur nowhere never lower a mean: a classifier of seven classes can be scored on a corpus of four.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from avaffect.core.nouns import count_of
from avaffect.core.record import Record

SCORES = ("accuracy", "ua", "f1_micro", "f1_macro")


@dataclass(frozen=True, kw_only=True)
class Confusion(Record):
    """matrix (C, C): entry g, p counts the utterances of class g that were predicted as p."""

    classes: tuple[str, ...]
    matrix: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, matrix: np.ndarray, classes: Sequence[str]) -> Confusion:
        """matrix: (C, C) counts, or mass."""
        return cls(classes=tuple(classes), matrix=tuple(map(tuple, matrix.tolist())))


@dataclass(frozen=True, kw_only=True)
class ClassScores(Record):
    """Scores of one class; support: its count in gold. None where undefined."""

    precision: float | None
    recall: float | None
    f1: float | None
    support: float | None


@dataclass(frozen=True, kw_only=True)
class Classification(Record):
    """All scores of predictions; count: how many there are."""

    accuracy: float
    ua: float
    f1_micro: float
    f1_macro: float
    per_class: dict[str, ClassScores]
    confusion: Confusion
    count: int


def validate(matrix: np.ndarray) -> None:
    """Raise ValueError unless `matrix` is a square matrix of counts that counts something."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ValueError(f"a confusion matrix must be square; its shape is {matrix.shape}")
    if (matrix < 0).any():
        raise ValueError("a confusion matrix has counts; this one has negative entries")
    if not matrix.sum():
        raise ValueError("there is nothing to score")


def confusion_matrix(
    gold: Sequence[str], predictions: Sequence[str], classes: Sequence[str]
) -> np.ndarray:
    """(C, C) int64: entry g, p counts the utterances of class g that were predicted as p.

    Raises ValueError if there is nothing to score, the numbers of gold labels and predictions
    differ, a class occurs twice, or a label is not one of the classes.
    """
    if len(gold) != len(predictions):
        raise ValueError(
            f"{count_of(len(gold), 'gold label')} for {count_of(len(predictions), 'prediction')}"
        )
    if not len(gold):
        raise ValueError("there is nothing to score")
    index_of = {name: index for index, name in enumerate(classes)}
    if len(index_of) < len(classes):
        raise ValueError(f"a class occurs twice: {', '.join(classes)}")
    for what, labels in (("gold label", gold), ("prediction", predictions)):
        unknown = sorted({str(label) for label in labels if label not in index_of})
        if unknown:
            raise ValueError(
                f"the {what} {unknown[0]!r} is not one of the classes ({', '.join(classes)})"
            )
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    rows, columns = ([index_of[label] for label in labels] for labels in (gold, predictions))
    np.add.at(matrix, (rows, columns), 1)
    return matrix


def accuracy(matrix: np.ndarray) -> float:
    """The share of correctly predicted utterances."""
    validate(matrix)
    return float(np.trace(matrix) / matrix.sum())


def unweighted_accuracy(matrix: np.ndarray) -> float:
    """UA: the mean recall of the classes that occur in gold."""
    validate(matrix)
    return float(np.nanmean(recall(matrix)))


def unweighted_accuracy_error(matrix: np.ndarray) -> float:
    """The standard error of UA over utterances, sqrt(sum_c r_c (1 - r_c) / n_c) / C for the C
    classes that occur: each recall r_c is a share of n_c utterances, estimated as (n_cc + 1) /
    (n_c + 2), so that one of a few utterances, 0 or 1, is not taken for certain (Laplace)."""
    validate(matrix)
    there = matrix.sum(axis=1) > 0
    support = matrix.sum(axis=1)[there]
    share = (np.diag(matrix)[there] + 1) / (support + 2)
    return float(np.sqrt((share * (1 - share) / support).sum()) / there.sum())


def precision(matrix: np.ndarray) -> np.ndarray:
    """(C,) float64; NaN for a class that is never predicted."""
    return _ratio(np.diagonal(matrix), matrix.sum(axis=0))


def recall(matrix: np.ndarray) -> np.ndarray:
    """(C,) float64; NaN for a class that does not occur in gold."""
    return _ratio(np.diagonal(matrix), matrix.sum(axis=1))


def f1(matrix: np.ndarray) -> np.ndarray:
    """(C,) float64; NaN for a class that occurs in neither gold nor predictions."""
    return _ratio(2 * np.diagonal(matrix), matrix.sum(axis=0) + matrix.sum(axis=1))


def f1_micro(matrix: np.ndarray) -> float:
    """F1 of the counts of all classes together."""
    validate(matrix)
    return float(2 * np.trace(matrix) / (matrix.sum(axis=0) + matrix.sum(axis=1)).sum())


def f1_macro(matrix: np.ndarray) -> float:
    """The mean F1 of the classes that occur in gold or predictions."""
    validate(matrix)
    return float(np.nanmean(f1(matrix)))


def chance(support: Sequence[float]) -> dict[str, float]:
    """Score -> what predictions reach at best that know how frequent classes are, and nothing of an
    utterance; support (C,): their counts in gold.

    Accuracy and F1 micro: of always the most frequent class. UA: 1 / C of the C classes that occur,
    of any guess. F1 macro: 1 / C, of guesses as frequent as the classes; of always the most
    frequent class it is lower.
    """
    there = np.count_nonzero(support)
    most = float(max(support) / sum(support))
    found = {"accuracy": most, "ua": 1 / there, "f1_micro": most, "f1_macro": 1 / there}
    return {name: float(value) for name, value in found.items()}


def evaluate(matrix: np.ndarray, classes: Sequence[str]) -> Classification:
    """All scores of a confusion matrix; what is undefined is None."""
    validate(matrix)
    columns = zip(precision(matrix), recall(matrix), f1(matrix), matrix.sum(axis=1).tolist())
    return Classification(
        accuracy=accuracy(matrix),
        ua=unweighted_accuracy(matrix),
        f1_micro=f1_micro(matrix),
        f1_macro=f1_macro(matrix),
        per_class={
            name: ClassScores(
                precision=defined(right), recall=defined(found), f1=defined(both), support=support
            )
            for name, (right, found, both, support) in zip(classes, columns)
        },
        confusion=Confusion.of(matrix, classes),
        count=int(matrix.sum()),
    )


def defined(value: float) -> float | None:
    """None for NaN, which JSON does not have."""
    return None if np.isnan(value) else float(value)


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    undefined = np.full(len(numerator), np.nan)
    return np.divide(numerator, denominator, out=undefined, where=denominator > 0)
