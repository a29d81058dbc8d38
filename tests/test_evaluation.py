"""Class scores, clustering quality and statistics: by hand, by identities, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn import metrics

from avaffect.evaluation import classification, clustering, statistics

CLASSES = ["anger", "fear", "neutral"]
MATRIX = np.array([[3, 0, 1], [1, 2, 1], [0, 0, 2]])


def labels_of(matrix: np.ndarray) -> tuple[list[str], list[str]]:
    pairs = [
        (CLASSES[g], CLASSES[p]) for g in range(3) for p in range(3) for _ in range(matrix[g, p])
    ]
    return [g for g, _ in pairs], [p for _, p in pairs]


def test_confusion_counts_gold_by_prediction() -> None:
    found = classification.confusion_matrix(*labels_of(MATRIX), CLASSES)
    np.testing.assert_array_equal(found, MATRIX)


def test_scores_by_hand() -> None:
    found = classification.evaluate(MATRIX, CLASSES)
    assert found.accuracy == pytest.approx(7 / 10)
    assert found.ua == pytest.approx((3 / 4 + 2 / 4 + 2 / 2) / 3)
    assert found.f1_micro == pytest.approx(7 / 10)
    assert found.f1_macro == pytest.approx((6 / 8 + 4 / 6 + 4 / 6) / 3)
    assert found.per_class["fear"].to_dict() == {
        "precision": pytest.approx(1.0),
        "recall": pytest.approx(0.5),
        "f1": pytest.approx(4 / 6),
        "support": 4,
    }
    assert found.per_class["neutral"].precision == pytest.approx(0.5)
    assert found.confusion.to_dict() == {"classes": CLASSES, "matrix": MATRIX.tolist()}
    assert found.count == 10


def test_perfect_and_constant_predictions() -> None:
    perfect = classification.evaluate(np.diag([5, 2, 1]), CLASSES)
    assert [getattr(perfect, score) for score in classification.SCORES] == [1, 1, 1, 1]
    constant = classification.evaluate(np.array([[5, 0, 0], [2, 0, 0], [1, 0, 0]]), CLASSES)
    assert constant.accuracy == pytest.approx(5 / 8)
    assert constant.ua == pytest.approx(1 / 3)
    assert constant.f1_macro == pytest.approx(2 * 5 / (5 + 8) / 3)
    assert constant.per_class["fear"].precision is None


def test_a_class_absent_from_gold_does_not_lower_ua_but_its_false_alarms_lower_f1() -> None:
    absent = classification.evaluate(np.array([[3, 0, 1], [0, 4, 0], [0, 0, 0]]), CLASSES)
    assert absent.ua == pytest.approx((3 / 4 + 1) / 2)
    assert absent.per_class["neutral"].to_dict() == {
        "precision": 0.0, "recall": None, "f1": 0.0, "support": 0,
    }  # fmt: skip
    assert absent.f1_macro == pytest.approx((6 / 7 + 1 + 0) / 3)
    nowhere = classification.evaluate(np.array([[3, 1, 0], [0, 4, 0], [0, 0, 0]]), CLASSES)
    assert nowhere.per_class["neutral"].f1 is None
    assert nowhere.f1_macro == pytest.approx((6 / 7 + 8 / 9) / 2)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from(CLASSES), st.sampled_from(CLASSES)), min_size=1))
def test_scores_agree_with_scikit_learn(pairs: list[tuple[str, str]]) -> None:
    gold, predicted = zip(*pairs)
    matrix = classification.confusion_matrix(gold, predicted, CLASSES)
    found = classification.evaluate(matrix, CLASSES)
    assert found.accuracy == pytest.approx(metrics.accuracy_score(gold, predicted))
    occurring = sorted(set(gold))
    assert found.ua == pytest.approx(
        metrics.recall_score(gold, predicted, labels=occurring, average="macro", zero_division=0)
    )
    for average in ("micro", "macro"):
        expected = metrics.f1_score(gold, predicted, average=average, zero_division=0)
        assert getattr(found, f"f1_{average}") == pytest.approx(expected)
    columns = metrics.precision_recall_fscore_support(
        gold, predicted, labels=CLASSES, zero_division=np.nan
    )
    for index, name in enumerate(CLASSES):
        for score, column in zip(("precision", "recall"), columns):
            value = getattr(found.per_class[name], score)
            np.testing.assert_allclose(np.nan if value is None else value, column[index])
    assert found.f1_micro == pytest.approx(found.accuracy)


@pytest.mark.parametrize(
    ("gold", "predicted", "classes", "words"),
    [
        ([], [], CLASSES, "nothing to score"),
        (["anger"], ["anger", "fear"], CLASSES, "1 gold label for 2 predictions"),
        (["anger"], ["joy"], CLASSES, "prediction 'joy' is not one of the classes"),
        (["joy"], ["anger"], CLASSES, "gold label 'joy' is not one of the classes"),
        (["anger"], ["anger"], ["anger", "anger"], "occurs twice"),
    ],
)
def test_bad_labels_are_refused(gold, predicted, classes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        classification.confusion_matrix(gold, predicted, classes)


@pytest.mark.parametrize(
    ("matrix", "words"),
    [(np.zeros((2, 2)), "nothing to score"), (np.ones((2, 3)), "square"), (-np.eye(2), "negative")],
)
def test_bad_matrices_are_refused(matrix: np.ndarray, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        classification.evaluate(matrix, ["a", "b"])


def test_davies_bouldin_by_hand() -> None:
    # Scatters 1 and 2, centroids 10 apart: (1 + 2) / 10 for both classes.
    vectors = np.array([[-1.0, 0], [1, 0], [10, -2], [10, 2]])
    assert clustering.davies_bouldin_index(vectors, np.array([0, 0, 1, 1])) == pytest.approx(0.3)


def test_nearest_neighbour_by_hand_and_by_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    # The length of a vector does not count, and no vector is its own neighbour.
    vectors = np.array([[1, 0], [100, 1], [0, 1], [-0.1, 5], [1, 0.2]])
    labels = np.array([0, 0, 1, 1, 1])
    assert clustering.nearest_neighbour_accuracy(vectors, labels) == pytest.approx(4 / 5)
    random = np.random.default_rng(0)
    vectors, labels = random.normal(size=(50, 3)), random.integers(0, 3, 50)
    right = 0
    for i in range(50):
        others = [j for j in range(50) if j != i]
        cosines = [
            vectors[i] @ vectors[j] / np.linalg.norm(vectors[i]) / np.linalg.norm(vectors[j])
            for j in others
        ]
        right += labels[others[int(np.argmax(cosines))]] == labels[i]
    monkeypatch.setattr(clustering, "BLOCK_ROWS", 7)
    assert clustering.nearest_neighbour_accuracy(vectors, labels) == right / 50


@pytest.mark.parametrize(
    ("vectors", "labels", "words"),
    [
        (np.ones((3, 2)), np.array([0, 0, 0]), "two or more classes"),
        (np.ones((3, 2)), np.array([0, 1]), "for 3 vectors"),
        (np.array([[1, np.nan], [1, 1]]), np.array([0, 1]), "not finite"),
        (np.array([[0.0, 0], [1, 1]]), np.array([0, 1]), "vector 0 is zero"),
    ],
)
def test_bad_clusters_are_refused(vectors, labels, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        clustering.nearest_neighbour_accuracy(vectors, labels)


def test_effective_rank() -> None:
    # Singular values 3, 1: shares .75, .25 (their squares' would be .9, .1).
    by_hand = np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25)))
    matrix = np.diag([3.0, 1.0])
    assert clustering.effective_rank(matrix, centre=False) == pytest.approx(by_hand)
    orthogonal = np.vstack([np.eye(4), -np.eye(4)])
    assert clustering.effective_rank(orthogonal) == pytest.approx(4)
    assert clustering.effective_rank(7 * orthogonal + 100) == pytest.approx(4)
    line = np.outer(np.arange(9.0), [1, 2, 3])
    assert clustering.effective_rank(line) == pytest.approx(1)
    assert clustering.effective_rank(np.full((9, 3), 0.1)) == 0
    assert clustering.effective_rank(np.full((9, 3), 0.1), centre=False) == pytest.approx(1)
    with pytest.raises(ValueError, match="not finite"):
        clustering.effective_rank(np.array([[np.inf, 1]]))


def test_mean_and_std() -> None:
    assert statistics.mean_and_std([1, 2, 6]) == (3, pytest.approx(7**0.5))
    mean, spread = statistics.mean_and_std([4.0])
    assert mean == 4 and np.isnan(spread)
    with pytest.raises(ValueError, match="no values"):
        statistics.mean_and_std([])


def test_paired_t_test_agrees_with_scipy() -> None:
    first, second = [0.61, 0.58, 0.66, 0.7], [0.55, 0.57, 0.6, 0.69]
    found = statistics.paired_t_test(first, second)
    expected = stats.ttest_rel(first, second)
    assert (found.t, found.p, found.degrees) == (
        pytest.approx(expected.statistic), pytest.approx(expected.pvalue), 3,
    )  # fmt: skip
    assert found.difference == pytest.approx(0.035)
    swapped = statistics.paired_t_test(second, first)
    assert (swapped.t, swapped.p) == (pytest.approx(-found.t), pytest.approx(found.p))


def test_paired_t_test_at_its_edges() -> None:
    equal = statistics.paired_t_test([1, 2], [1, 2])
    assert (equal.t, equal.p) == (0, 1)
    shifted = statistics.paired_t_test([1, 2], [2, 3])
    assert (shifted.t, shifted.p) == (-np.inf, 0)
    with pytest.raises(ValueError, match="cannot be paired"):
        statistics.paired_t_test([1, 2], [1])
    with pytest.raises(ValueError, match="two pairs"):
        statistics.paired_t_test([1], [1])


def test_welch_t_test_agrees_with_scipy_and_at_its_edges() -> None:
    first, second = [0.61, 0.58, 0.66, 0.7], [0.55, 0.57, 0.5]
    found = statistics.welch_t_test(first, second)
    expected = stats.ttest_ind(first, second, equal_var=False)
    assert (found.t, found.p, found.degrees) == (
        pytest.approx(expected.statistic), pytest.approx(expected.pvalue),
        pytest.approx(expected.df),
    )  # fmt: skip
    assert found.difference == pytest.approx(np.mean(first) - np.mean(second))
    flat = statistics.welch_t_test([1, 1], [2, 2, 2])
    assert (flat.t, flat.p, flat.degrees) == (-np.inf, 0, 3)
    assert statistics.welch_t_test([1, 1], [1, 1]).p == 1
    with pytest.raises(ValueError, match="two scores"):
        statistics.welch_t_test([1, 2], [1])
