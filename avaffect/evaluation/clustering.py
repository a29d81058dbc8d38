"""Clustering of labels in an embedding, and the effective rank of its features."""

from __future__ import annotations

import numpy as np

from avaffect.core.nouns import count_of

BLOCK_ROWS = 1024


def validate(vectors: np.ndarray, labels: np.ndarray) -> None:
    """Raise ValueError unless vectors (N, D) are finite and labels (N,) two classes or more."""
    if vectors.ndim != 2:
        raise ValueError(f"vectors have shape {vectors.shape}; expected (N, D)")
    if labels.shape != (len(vectors),):
        raise ValueError(f"labels of shape {labels.shape} for {count_of(len(vectors), 'vector')}")
    if not np.isfinite(vectors).all():
        raise ValueError("a vector is not finite")
    if len(np.unique(labels)) < 2:
        raise ValueError("two or more classes are needed")


def davies_bouldin_index(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Davies-Bouldin index of classes in vectors (N, D), Euclidean; lower is better, 0 is best.

    Mean over classes i of max_j (s_i + s_j) / d_ij, with s the mean distance of a class to its
    centroid and d the distance of centroids: Davies and Bouldin, A cluster separation measure,
    IEEE PAMI 1(2), 1979. Raises ValueError as `validate`, or where each vector is its own class.
    """
    from sklearn.metrics import davies_bouldin_score

    validate(vectors, labels)
    return float(davies_bouldin_score(vectors, labels))


def nearest_neighbour_accuracy(vectors: np.ndarray, labels: np.ndarray) -> float:
    """Leave-one-out accuracy of the nearest other vector's label, by cosine; of ties, the first.

    vectors (N, D), labels (N,). Memory grows with N, not with N x N. Raises ValueError as
    `validate`, or where a vector is zero.
    """
    validate(vectors, labels)
    unit = _directions(vectors)
    right = 0
    for start in range(0, len(unit), BLOCK_ROWS):
        cosines = unit[start : start + BLOCK_ROWS] @ unit.T
        rows = np.arange(len(cosines))
        cosines[rows, start + rows] = -np.inf
        nearest = cosines.argmax(axis=1)
        right += int((labels[nearest] == labels[start + rows]).sum())
    return right / len(unit)


def nearest_label_accuracy(
    vectors: np.ndarray, labels: np.ndarray, known: np.ndarray, known_labels: np.ndarray
) -> float:
    """Accuracy of the label of the nearest of other vectors, by cosine; of ties, the first.

    vectors (N, D), labels (N,); known (M, D), known_labels (M,). Memory as above. Raises ValueError
    where a vector is zero.
    """
    unit, others = _directions(vectors), _directions(known)
    right = 0
    for start in range(0, len(unit), BLOCK_ROWS):
        block = slice(start, start + BLOCK_ROWS)
        nearest = (unit[block] @ others.T).argmax(axis=1)
        right += int((known_labels[nearest] == labels[block]).sum())
    return right / len(unit)


def nearest_centroid_accuracy(
    vectors: np.ndarray, labels: np.ndarray, known: np.ndarray, known_labels: np.ndarray
) -> float:
    """Accuracy of the label whose mean of other vectors' directions is nearest, by cosine.

    Arguments and errors as above; ValueError, too, where the directions of a label cancel out.
    """
    classes, places = np.unique(known_labels, return_inverse=True)
    sums = np.zeros((len(classes), known.shape[1]))
    np.add.at(sums, places, _directions(known))
    return nearest_label_accuracy(vectors, labels, sums, classes)


def _directions(vectors: np.ndarray) -> np.ndarray:
    """(N, D) float64 of length 1"""
    wide = np.asarray(vectors, dtype=np.float64)
    norms = np.linalg.norm(wide, axis=1, keepdims=True)
    if not norms.all():
        raise ValueError(f"vector {int(np.flatnonzero(norms == 0)[0])} is zero: it has no cosine")
    return wide / norms


def effective_rank(features: np.ndarray, centre: bool = True) -> float:
    """Effective rank of features (N, D): exp of the entropy of the normalised singular values.

    erank = exp(-sum_k p_k ln p_k), p_k = sigma_k / sum_j sigma_j: Roy and Vetterli, The effective
    rank: a measure of effective dimensionality, EUSIPCO 2007, Definition 1 (the singular values
    themselves, not their squares). Between 1 and min(N, D); 0 if all features are equal. With
    `centre` the mean is subtracted first, so that a common offset does not count as a direction.
    Raises ValueError for features that are not finite or not a matrix.
    """
    if features.ndim != 2 or not features.size:
        raise ValueError(f"features have shape {features.shape}; expected (N, D)")
    wide = np.asarray(features, dtype=np.float64)
    if not np.isfinite(wide).all():
        raise ValueError("a feature is not finite")
    # Rounding errors of equal features must not count as a direction.
    smallest = np.linalg.norm(wide) * max(wide.shape) * np.finfo(np.float64).eps
    singular = np.linalg.svd(wide - wide.mean(axis=0) if centre else wide, compute_uv=False)
    singular = singular[singular > smallest]
    if not len(singular):
        return 0.0
    shares = singular / singular.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
