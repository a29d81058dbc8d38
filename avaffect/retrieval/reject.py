"""Exact softmax sampling whose cost does not grow with the pool.

A candidate is drawn uniformly from the pool and accepted with probability w = exp((S - 1) / T),
which is at most 1, as a cosine is. An accepted candidate is a draw from Eq. 5 of SAAML (Tran et
al., 2023). The cosine is float32 and clipped to 1, so that rounding cannot exceed the bound.

The accepted items are independent of the number of trials. A query may therefore be given up
because of its number of trials: its draws so far are kept, the rest is drawn by the other sampler,
and all of them follow Eq. 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from avaffect.core.progress import SILENT, Progress
from avaffect.core.rows import Matrix
from avaffect.retrieval.similarity import inverse_norms

CANDIDATES = 2**14
"""Candidates gathered at a time: 2 MiB in 32 dimensions, about a core's cache."""


@dataclass(frozen=True)
class Patience:
    """A query is given up if `start` + `each` x (draws so far) trials did not give all draws."""

    start: int
    each: int = 0


@dataclass(frozen=True)
class RejectDraws:
    """Draws by rejection.

    indices (A, draws) int64: the first `found` (A,) of each row are draws; the rest is undefined.
    log_normalizer, effective_size (A,): estimates; meaningless where found < draws.
    trials (A,): candidates tried.
    """

    indices: np.ndarray
    found: np.ndarray
    log_normalizer: np.ndarray
    effective_size: np.ndarray
    trials: np.ndarray


def acceptance(
    queries: np.ndarray, pool: Matrix, candidates: np.ndarray, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    """log w and w of `candidates` (n, m) for unit queries (n, d), (n, m) float32 each.

    Raises:
        VectorError: a candidate is zero or not finite.
    """
    # take gathers rows almost three times as fast as indexing does.
    rows = pool.take(candidates, axis=0).astype(np.float32, copy=False)
    logits = np.matmul(rows, queries[:, :, None])[:, :, 0]
    logits *= inverse_norms(rows, "pool", rows=candidates)
    np.minimum(logits, 1, out=logits)
    logits -= 1
    logits /= np.float32(temperature)
    return logits, np.exp(logits)


def reject_sample(
    queries: np.ndarray,
    pool: Matrix,
    *,
    temperature: float,
    draws: int,
    round_size: int,
    patience: Patience,
    random: np.random.Generator,
    progress: Progress = SILENT,
) -> RejectDraws:
    """Draw up to `draws` items with replacement for each unit query (A, d) from `pool` (B, d).

    Trials are made in rounds of `round_size` candidates for each query that lacks draws.

    The normaliser is B exp(1 / T) E[w]. Its estimate is the mean of w over all rounds but the last,
    or over the only round. It is unbiased: the mean of the first round is, as the size of a round
    is fixed beforehand, and this estimate averages it over the equally likely orders of the rounds
    (Rao-Blackwell). The mean over all trials is biased, as a query stops at a large w. E[w^2] is
    estimated in the same way; the effective size is B E[w]^2 / E[w^2], a ratio of two unbiased
    estimates.

    Raises:
        VectorError: a candidate is zero or not finite. Items that are not tried are not checked.
    """
    count = len(queries)
    indices = np.empty((count, draws), dtype=np.int64)
    found = np.zeros(count, dtype=np.int64)
    rounds = np.zeros(count, dtype=np.int64)
    means = np.zeros((4, count))  # of w and w^2: summed over the rounds, and in the last
    group = max(1, CANDIDATES // round_size)
    unfinished = np.arange(count)
    progress.start("sampling", total=count, unit="queries")
    while len(unfinished):
        for start in range(0, len(unfinished), group):
            some = unfinished[start : start + group]
            candidates = random.integers(0, len(pool), size=(len(some), round_size))
            logits, weights = acceptance(queries[some], pool, candidates, temperature)
            noise = random.standard_exponential(candidates.shape, dtype=np.float32)
            # P(noise > -log w) = w, without the coarse steps of a float32 uniform near zero.
            _keep(candidates, np.negative(noise, out=noise) < logits, some, indices, found)
            means[2, some] = weights.mean(axis=1)
            means[3, some] = np.einsum("nm,nm->n", weights, weights) / round_size
        means[:2, unfinished] += means[2:, unfinished]
        rounds[unfinished] += 1
        limit = patience.start + patience.each * found[unfinished]
        short = (found[unfinished] < draws) & (rounds[unfinished] * round_size < limit)
        progress.advance(len(unfinished) - int(short.sum()))
        unfinished = unfinished[short]
    progress.finish()
    log_normalizer, effective_size = _estimates(means, rounds, len(pool), temperature)
    return RejectDraws(indices, found, log_normalizer, effective_size, rounds * round_size)


def _keep(
    candidates: np.ndarray,
    accepted: np.ndarray,
    owners: np.ndarray,
    indices: np.ndarray,
    found: np.ndarray,
) -> None:
    """Append the first accepted candidates of each row to the draws of its query."""
    rows, columns = np.nonzero(accepted)
    per_row = np.bincount(rows, minlength=len(owners))
    before = np.cumsum(per_row) - per_row
    places = found[owners][rows] + np.arange(len(rows)) - before[rows]
    wanted = places < indices.shape[1]
    rows, columns = rows[wanted], columns[wanted]
    indices[owners[rows], places[wanted]] = candidates[rows, columns]
    found[owners] = np.minimum(found[owners] + per_row, indices.shape[1])


def _estimates(
    means: np.ndarray, rounds: np.ndarray, size: int, temperature: float
) -> tuple[np.ndarray, np.ndarray]:
    total, last = means[:2], means[2:]
    first, second = np.where(rounds == 1, last, (total - last) / np.maximum(rounds - 1, 1))
    # If all weights but those of the last round are rounded to 0: biased rather than infinite.
    blank = (first <= 0) | (second <= 0)
    first, second = np.where(blank, total / rounds, [first, second])
    with np.errstate(divide="ignore", invalid="ignore"):
        log_normalizer = np.log(size) + 1 / temperature + np.log(first)
        effective_size = size * first**2 / second
    return log_normalizer, effective_size
