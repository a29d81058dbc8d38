"""Mini-batch k-means (Sculley 2010) that resumes: its draws are a function of the seed and the
step, and its state can be saved between two steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from sklearn.cluster import kmeans_plusplus
from sklearn.metrics import pairwise_distances_argmin_min

from avaffect.core import seeds
from avaffect.core.allocation import check_blas_memory
from avaffect.core.progress import Progress
from avaffect.training.spool import Spool

# HuBERT and AV-HuBERT: mini-batches of 10,000 frames, 100 passes at most, an end after 100
# mini-batches without improvement.
BATCH_FRAMES = 10_000
PASSES = 100
PATIENCE = 100
# Of a k-means++ initialisation, as scikit-learn has it.
FIRST_BATCHES = 3
# Frames that are assigned at once.
BLOCK_FRAMES = 100_000


@dataclass
class KMeans:
    """centroids (K, D) float32; counts (K,) frames of each; inertia: sum of squared distances."""

    centroids: np.ndarray
    counts: np.ndarray
    inertia: float


def fit(
    frames: np.ndarray, clusters: int, initialisations: int, seed: int, starts: Spool, steps: Spool,
    blocks: Spool, progress: Progress,
) -> KMeans:  # fmt: skip
    """Clusters of frames (N, D) float32, N >= clusters: the best of some k-means++ initialisations
    by the distances of some frames, improved by mini-batches.

    starts, steps, blocks: where initialisations, the last step, and counts of frames are kept.
    Raises MemoryError where there is not enough to begin.
    """
    check_blas_memory()
    centroids = _initial(frames, clusters, initialisations, seed, starts, progress)
    centroids = _improve(frames, centroids, seed, steps, progress)

    def assign(numbers: np.ndarray) -> list[np.ndarray]:
        first = int(numbers[0]) * BLOCK_FRAMES
        labels, distances = _nearest(frames[first : first + BLOCK_FRAMES], centroids)
        counts = np.bincount(labels, minlength=clusters)
        return [np.append(counts, distances.sum(dtype=np.float64))]

    found = np.zeros(clusters + 1)
    count = -(-len(frames) // BLOCK_FRAMES)
    with progress.task("k-means: assignments", count, "blocks"):
        for number in range(count):
            found += blocks.of(np.array([number]), assign)[0]
            progress.advance()
    return KMeans(centroids, found[:-1].astype(np.int64), float(found[-1]))


def _nearest(frames: np.ndarray, centroids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the nearest centroid of each frame, and the squared distance."""
    return pairwise_distances_argmin_min(frames, centroids, metric="sqeuclidean")


def _initial(
    frames: np.ndarray, clusters: int, initialisations: int, seed: int, kept: Spool,
    progress: Progress,
) -> np.ndarray:  # fmt: skip
    """(K, D) centroids of the best initialisation."""
    size = min(len(frames), FIRST_BATCHES * max(BATCH_FRAMES, clusters))
    judges = frames[seeds.generator(seed, "k-means", "judges").integers(0, len(frames), size)]

    def initialise(numbers: np.ndarray) -> list[np.ndarray]:
        random = seeds.generator(seed, "k-means", "start", int(numbers[0]))
        chosen = frames[random.choice(len(frames), size, replace=False)]
        found, _ = kmeans_plusplus(
            chosen, clusters, random_state=int(random.integers(0, 2**31 - 1))
        )
        distance = _nearest(judges, found)[1].sum(dtype=np.float64)
        # float64 holds float32 exactly.
        return [np.append(found.ravel().astype(np.float64), distance)]

    best: np.ndarray | None = None
    with progress.task("k-means: initialisations", initialisations, "initialisations"):
        for number in range(initialisations):
            (row,) = kept.of(np.array([number]), initialise)
            best = row if best is None or row[-1] < best[-1] else best
            progress.advance()
    kept.close()
    assert best is not None
    return best[:-1].reshape(clusters, -1).astype(frames.dtype)


def _improve(
    frames: np.ndarray, centroids: np.ndarray, seed: int, kept: Spool, progress: Progress
) -> np.ndarray:
    """Centroids after mini-batches: each is the mean of all frames that were its own."""
    size = min(BATCH_FRAMES, len(frames))
    last = max(PASSES * len(frames) // size, 1)
    centroids = centroids.astype(np.float64)
    counts = np.zeros(len(centroids))
    # Steps done, smoothed distance, the least of these, steps without a lesser one.
    step, smooth, least, stalled = 0, np.inf, np.inf, 0
    found = kept.get([0])
    if found is not None:
        marks, rest = np.split(found[0], [4])
        step, stalled = int(marks[0]), int(marks[3])
        smooth, least = float(marks[1]), float(marks[2])
        counts, flat = np.split(rest.copy(), [len(counts)])
        centroids = flat.reshape(centroids.shape)
    rate = min(2 * size / (len(frames) + 1), 1.0)
    with progress.task("k-means: mini-batches", last, "mini-batches", step):
        while step < last and stalled < PATIENCE:
            with kept.flag.steps():
                random = seeds.generator(seed, "k-means", "step", step)
                batch = frames[random.integers(0, len(frames), size)]
                labels, distances = _nearest(batch, centroids.astype(frames.dtype))
                _move(centroids, counts, batch, labels)
                distance = float(distances.mean(dtype=np.float64))
                step += 1
                # The first batch tells of the initialisation.
                if step > 1:
                    smooth = distance if smooth == np.inf else smooth + rate * (distance - smooth)
                    stalled = 0 if smooth < least else stalled + 1
                    least = min(least, smooth)
                if kept.due:
                    marks = np.array([step, smooth, least, stalled])
                    kept.add([0], [np.concatenate([marks, counts, centroids.ravel()])])
            progress.advance(distance=distance)
    return centroids.astype(frames.dtype)


def _move(centroids: np.ndarray, counts: np.ndarray, batch: np.ndarray, labels: np.ndarray) -> None:
    """Take the frames of a batch into the means of their centroids, in place."""
    size = len(batch)
    members = csr_matrix((np.ones(size), (labels, np.arange(size))), shape=(len(centroids), size))
    fresh = np.bincount(labels, minlength=len(centroids))
    counts += fresh
    moved = fresh > 0
    sums = members[moved] @ batch.astype(np.float64)
    centroids[moved] += (sums - fresh[moved, None] * centroids[moved]) / counts[moved, None]
