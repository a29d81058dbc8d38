"""Permutation tests, calibration and chance of class scores, against loops and scikit-learn."""

from __future__ import annotations

import tracemalloc
from itertools import permutations

import numpy as np
import pytest
from scipy import stats

from avaffect.evaluation import calibration, classification, permutation
from avaffect.evaluation.permutation import MOST_EXACT, permutation_test

SCORES = {"ua": classification.unweighted_accuracy, "accuracy": classification.accuracy}


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def matrix(gold: np.ndarray, predicted: np.ndarray, classes: int) -> np.ndarray:
    found = np.zeros((classes, classes), dtype=int)
    for true, guess in zip(gold, predicted):
        if guess >= 0:
            found[true, guess] += 1
    return found


def test_every_arrangement_within_speakers_is_counted_once() -> None:
    gold = np.array([0, 1, 0, 2, 1, 1, 0, 2])
    speakers = np.array([5, 5, 5, 5, 2, 2, 2, 2])
    predicted = np.array([[0, 1, 1, 2, 1, 1, 0, 0], [0, 0, 0, 2, 1, -1, 0, 2]])
    p, exact, count = permutation_test(gold, predicted, speakers, 3, SCORES, 100, generator())
    arrangements = [
        np.array([*first, *second])
        for first in set(permutations(gold[:4].tolist()))
        for second in set(permutations(gold[4:].tolist()))
    ]
    assert exact and count == len(arrangements) == 12 * 12
    for name, score in SCORES.items():

        def mean(of: np.ndarray, score: classification.Any = score) -> float:
            return np.mean([score(matrix(of, run, 3)) for run in predicted])

        higher = sum(mean(of) >= mean(gold) - 1e-9 for of in arrangements)
        assert p[name] == pytest.approx(higher / count)


@pytest.mark.parametrize("cells", [permutation.MOST_CELLS, 500])
def test_random_arrangements_against_shuffled_labels(
    cells: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tables with fixed sums are drawn, rather than labels: the share is that of shuffles, also
    where some draws at a time are in memory."""
    monkeypatch.setattr(permutation, "MOST_CELLS", cells)
    random = generator(1)
    gold, speakers = random.integers(0, 3, 60), np.sort(random.integers(0, 5, 60))
    predicted = np.where(random.random((2, 60)) < 0.12, gold, random.integers(0, 3, (2, 60)))
    predicted[0, 7] = -1
    p, exact, count = permutation_test(gold, predicted, speakers, 3, SCORES, 4000, random)
    assert not exact and count == 4000
    observed = np.mean([SCORES["accuracy"](matrix(gold, run, 3)) for run in predicted])
    higher = 0
    for _ in range(4000):
        shuffled = gold.copy()
        for speaker in range(5):
            rows = np.flatnonzero(speakers == speaker)
            shuffled[rows] = gold[random.permutation(rows)]
        found = np.mean([SCORES["accuracy"](matrix(shuffled, run, 3)) for run in predicted])
        higher += found >= observed - 1e-9
    assert 0.002 < p["accuracy"] < 0.9
    assert p["accuracy"] == pytest.approx(higher / 4000, abs=4 * np.sqrt(0.25 / 4000 * 2))


def test_memory_of_permutations_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrices of all draws would take 16 MB."""
    monkeypatch.setattr(permutation, "MOST_CELLS", 100_000)
    random = generator(2)
    gold, predicted = random.integers(0, 100, (2, 12))
    tracemalloc.start()
    try:
        permutation_test(gold, predicted[None], np.zeros(12), 100, SCORES, 200, random)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()


def test_two_classes_of_one_speaker_are_fishers_exact_test() -> None:
    gold, predicted = np.array([0] * 6 + [1] * 7), np.array([0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 0, 1])
    p, exact, _ = permutation_test(
        gold, predicted[None], np.zeros(13, dtype=int), 2, SCORES, 100, generator()
    )
    expected = stats.fisher_exact(matrix(gold, predicted, 2), alternative="greater").pvalue
    assert exact and p["accuracy"] == pytest.approx(expected)


def test_a_classifier_that_knows_the_speaker_alone_is_no_better_than_chance() -> None:
    """Speakers are angry or calm nine times of ten, and it tells speakers apart."""
    random = generator(2)
    speakers = np.repeat(np.arange(8), 50)
    gold = np.where(random.random(400) < 0.9, speakers % 2, 1 - speakers % 2)
    predicted = (speakers % 2)[None]
    within, _, _ = permutation_test(gold, predicted, speakers, 2, SCORES, 500, random)
    among, _, _ = permutation_test(gold, predicted, speakers * 0, 2, SCORES, 500, random)
    assert among["ua"] == pytest.approx(1 / 501) and within["ua"] == 1


def test_p_under_chance_is_even() -> None:
    random = generator(3)
    found = []
    for _ in range(200):
        gold, predicted = random.integers(0, 2, (2, 40))
        p, *_ = permutation_test(gold, predicted[None], np.arange(40) % 4, 2, SCORES, 99, random)
        found.append(p["accuracy"] <= 0.05)
    assert stats.binomtest(sum(found), 200, 0.05, alternative="greater").pvalue > 0.001


def test_many_utterances_take_no_more_time_than_few() -> None:
    """A table of sums is drawn, whose size is that of the classes."""
    random = generator(4)
    gold, predicted = random.integers(0, 4, (2, 200_000))
    _, exact, count = permutation_test(
        gold, predicted[None], np.zeros(200_000, dtype=int), 4, SCORES, 100, random
    )
    assert not exact and count == 100 < MOST_EXACT


def test_calibration_against_a_loop() -> None:
    random = generator(5)
    probabilities = random.dirichlet([0.4] * 4, 300)
    gold, predicted = random.integers(0, 4, 300), probabilities.argmax(axis=1)
    found = calibration.evaluate(probabilities, gold, predicted)
    error = brier = 0.0
    for place in range(10):
        low, high = place / 10, (place + 1) / 10
        rows = [n for n in range(300) if low < probabilities[n, predicted[n]] <= high]
        assert found.bins[place].count == len(rows)
        if rows:
            right = np.mean([predicted[n] == gold[n] for n in rows])
            sure = np.mean([probabilities[n, predicted[n]] for n in rows])
            error += len(rows) / 300 * abs(right - sure)
            assert found.bins[place].accuracy == pytest.approx(right)
            assert found.bins[place].confidence == pytest.approx(sure)
        else:
            assert found.bins[place].accuracy is None
    for n in range(300):
        brier += sum((probabilities[n, c] - (gold[n] == c)) ** 2 for c in range(4)) / 300
    assert (found.ece, found.brier) == (pytest.approx(error), pytest.approx(brier))
    assert found.accuracy == pytest.approx(np.mean(gold == predicted))


def test_the_brier_score_of_two_classes_against_scikit_learn() -> None:
    from sklearn.metrics import brier_score_loss

    random = generator(6)
    positive, gold = random.random(100), random.integers(0, 2, 100)
    both = np.stack([1 - positive, positive], axis=1)
    found = calibration.evaluate(both, gold, both.argmax(axis=1))
    assert found.brier == pytest.approx(2 * brier_score_loss(gold, positive))


def test_certain_and_impossible_probabilities() -> None:
    sure = calibration.evaluate(np.eye(3), np.arange(3), np.arange(3))
    assert (sure.ece, sure.brier, sure.bins[-1].count) == (0, 0, 3)
    wrong = calibration.evaluate(np.eye(3), np.array([1, 2, 0]), np.arange(3))
    assert (wrong.ece, wrong.brier) == (1, 2)
    # A probability of 0.5 is in the bin up to 0.5.
    even = calibration.evaluate(np.full((3, 2), 0.5), np.array([0, 1, 0]), np.array([0, 0, 0]))
    assert (even.bins[4].count, even.bins[4].high, even.bins[5].count) == (3, 0.5, 0)
    for probabilities in (np.array([[1.2, -0.2]]), np.empty((0, 2))):
        rows = np.zeros(len(probabilities), dtype=int)
        with pytest.raises(ValueError):
            calibration.evaluate(probabilities, rows, rows)


def test_runs_together() -> None:
    random = generator(7)
    parts = []
    for count in (40, 40):
        probabilities = random.dirichlet([1, 1, 1], count)
        gold = random.integers(0, 3, count)
        parts.append(calibration.evaluate(probabilities, gold, probabilities.argmax(axis=1)))
    both = calibration.together(parts)
    assert both.ece == pytest.approx(np.mean([part.ece for part in parts])) and both.count == 40
    for place, one in enumerate(both.bins):
        counts = [part.bins[place].count for part in parts]
        assert one.count == sum(counts)
        right = sum((part.bins[place].accuracy or 0) * part.bins[place].count for part in parts)
        if one.count:
            assert one.accuracy == pytest.approx(right / sum(counts))


def test_chance_is_what_guesses_reach() -> None:
    support = [60, 30, 10, 0]
    found = classification.chance(support)
    gold = np.repeat(np.arange(4), support)
    always = matrix(gold, np.zeros(100, dtype=int), 4)
    assert found["accuracy"] == classification.accuracy(always) == found["f1_micro"]
    assert found["ua"] == pytest.approx(classification.unweighted_accuracy(always))
    random = generator(8)
    guesses = [matrix(gold, random.permutation(gold), 4) for _ in range(400)]
    means = {
        "ua": np.mean([classification.unweighted_accuracy(m) for m in guesses]),
        "f1_macro": np.mean([classification.f1_macro(m) for m in guesses]),
    }
    assert found["ua"] == pytest.approx(means["ua"], abs=0.01)
    assert found["f1_macro"] == pytest.approx(means["f1_macro"], abs=0.01)
    assert found["f1_macro"] > classification.f1_macro(always)
