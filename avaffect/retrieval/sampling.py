"""Retrieval by softmax sampling: Eq. 5 of SAAML (Tran et al., 2023), exact at any pool size.

    P(j | i) = exp(S_ij / T) / sum_k exp(S_ik / T),  S = cosine

`sample` draws from two sets of embeddings by one of two samplers, both exact; `auto` selects one
by counts on a seeded sample of the pool, not by timings, so that a seed gives one result.
`sample_similarity` draws from precomputed similarities.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypedDict

import numpy as np
import torch

from avaffect.core.progress import SILENT, Progress
from avaffect.core.rows import Matrix, Rows
from avaffect.core.seeds import generator
from avaffect.retrieval.reject import Patience, reject_sample
from avaffect.retrieval.similarity import check_shapes, pair_cosines, unit_rows
from avaffect.retrieval.stream import pick, stream_sample
from avaffect.settings.retrieve import SAMPLERS, SMALLEST_TEMPERATURE

TRIAL_COST = 67
"""Cost of a rejection trial in streamed pairs, measured on one core at d = 32: a trial is a random
read of a row, a streamed pair a share of a matrix product and an exponential."""

PILOT_ITEMS = 4096
PILOT_QUERIES = 256

OVERRUN = 4
"""`auto` gives a query up after this many times the trials that cost as much as streaming it."""

ROUND_SHARE = 0.25
"""Size of a round as a share of the trials that a query is expected to need: smaller rounds waste
fewer trials after the last draw, larger ones run in fewer calls."""

SMALLEST_ROUND = 32
LARGEST_ROUND = 2**14

ROW_BYTES = 32 * 2**20


@dataclass(frozen=True)
class Pilot:
    """The plan of `auto`: expected costs of the samplers.

    Attributes:
        items, queries: sizes of the samples of the pool and of the queries.
        acceptance: median over these queries of rejection's acceptance rate.
        trials: expected cost of rejection, in mean trials a query; for a query that would be given
            up, the trials until then and the cost of streaming it.
        limit: the trials that cost as much as streaming: |B| / 67.
    """

    items: int
    queries: int
    acceptance: float
    trials: float
    limit: float

    @property
    def sampler(self) -> str:
        """The cheaper sampler."""
        return "reject" if self.trials < self.limit else "stream"


@dataclass(frozen=True)
class Retrieved:
    """Draws with replacement for A queries.

    Attributes:
        indices: rows of the pool, (A, draws) int64, in the order drawn: any prefix is a sample.
        similarity: S of each draw, (A, draws) float32.
        log_normalizer: log sum_k exp(S_ik / T), (A,) float64.
        effective_size: 1 / sum_k P(k | i)^2, (A,) float64: the size of a uniform distribution
            with the same sum of squares.
        exact: whether the last two are exact or estimated from trials, (A,) bool.
        sampler: "stream" or "reject"; with "reject", queries with `exact` were given up by
            rejection and completed by streaming.
        pilot: the plan of `auto`; None if no plan was needed.
    """

    indices: np.ndarray
    similarity: np.ndarray
    log_normalizer: np.ndarray
    effective_size: np.ndarray
    exact: np.ndarray
    sampler: str
    pilot: Pilot | None = None


class Options(TypedDict):
    """Arguments of both samplers."""

    temperature: float
    draws: int
    seed: int
    progress: Progress


def sample(
    queries: np.ndarray,
    pool: Matrix,
    *,
    temperature: float,
    draws: int,
    sampler: str = "auto",
    seed: int = 0,
    threads: int | None = None,
    progress: Progress = SILENT,
) -> Retrieved:
    """Draw `draws` pool items for each query from softmax(cosine / T), exactly.

    The draws depend on the seed, the queries in their order, the pool, the temperature, the number
    of draws and the sampler alone, up to the rounding of float32 products: this may differ between
    machines and numbers of threads, and changes about one draw in 10^6.
    Memory beyond the pool and the result is below 256 MiB, for any number of queries and items.

    Args:
        queries: embeddings (A, d), of any length but zero.
        pool: embeddings (B, d), likewise; an array, a memory map, or the rows of several, which
            give the same draws as one, float32 or float16.
        temperature: T, at least 1e-4.
        sampler: "stream" reads the whole pool and gives exact normalisers; "reject" reads the
            items that it tries, estimates the normalisers, and streams for the queries that it
            gives up; "auto" selects the cheaper one.
        threads: torch's threads for streaming; None: unchanged.

    Raises:
        ValueError: an argument is out of its range, or the dimensions of queries and pool differ;
            VectorError, with role and row, for a vector that is zero or not finite (`reject`
            checks only the pool items that it tries).
    """
    queries = np.asarray(queries)
    pool = pool if isinstance(pool, Rows) else np.asarray(pool)
    check_shapes(queries, pool)
    _check_options(temperature, draws)
    if sampler not in SAMPLERS:
        raise ValueError(f"unknown sampler {sampler!r}: choose from {', '.join(SAMPLERS)}")
    unit = unit_rows(queries)
    options = Options(temperature=temperature, draws=draws, seed=seed, progress=progress)
    with _torch_threads(threads):
        pilot: Pilot | None = None
        if sampler != "stream":
            pilot = plan(unit, pool, temperature=temperature, draws=draws, seed=seed)
        if pilot is None or (sampler == "auto" and pilot.sampler == "stream"):
            drawn = stream_sample(unit, pool, **options)
            parts = (drawn.indices, drawn.log_normalizer, drawn.effective_size)
            exact, ran = np.ones(len(unit), dtype=bool), "stream"
        else:
            parts, exact = _reject_then_stream(unit, pool, pilot, sampler == "auto", options)
            ran = "reject"
    return Retrieved(
        indices=parts[0],
        similarity=pair_cosines(unit, pool, parts[0]),
        log_normalizer=parts[1],
        effective_size=parts[2],
        exact=exact,
        sampler=ran,
        pilot=pilot,
    )


def plan(unit: np.ndarray, pool: Matrix, *, temperature: float, draws: int, seed: int) -> Pilot:
    """Estimate the cost of rejection on a seeded sample of pool and queries.

    Raises:
        VectorError: a pool item of the sample is zero or not finite.
    """
    random = generator(seed, "retrieval", "pilot")
    if len(pool) > PILOT_ITEMS:
        items = random.integers(0, len(pool), size=PILOT_ITEMS)
    else:
        items = np.arange(len(pool))
    chosen = unit
    if len(unit) > PILOT_QUERIES:
        chosen = unit[random.choice(len(unit), size=PILOT_QUERIES, replace=False)]
    rows = unit_rows(pool[items], "pool", rows=items)
    weights = np.exp((np.minimum(chosen @ rows.T, 1) - 1) / np.float32(temperature))
    accepted = weights.mean(axis=1, dtype=np.float64)
    limit = len(pool) / TRIAL_COST
    with np.errstate(divide="ignore"):
        expected = draws / accepted
    cost = np.where(expected > OVERRUN * limit, (OVERRUN + 1) * limit, expected)
    return Pilot(len(items), len(chosen), float(np.median(accepted)), float(cost.mean()), limit)


def _reject_then_stream(
    unit: np.ndarray, pool: Matrix, pilot: Pilot, planned: bool, options: Options
) -> tuple[tuple[np.ndarray, np.ndarray, np.ndarray], np.ndarray]:
    """Rejection, then streaming for the queries that it gave up."""
    draws, seed = options["draws"], options["seed"]
    expected = draws / max(pilot.acceptance, 1e-9)
    rejected = reject_sample(
        unit,
        pool,
        temperature=options["temperature"],
        draws=draws,
        round_size=int(np.clip(ROUND_SHARE * expected, SMALLEST_ROUND, LARGEST_ROUND)),
        patience=_patience(len(pool), planned),
        random=generator(seed, "retrieval", "reject"),
        progress=options["progress"],
    )
    parts = (rejected.indices, rejected.log_normalizer, rejected.effective_size)
    exact = rejected.found < draws
    if exact.any():
        streamed = stream_sample(unit[exact], pool, **options)
        missing = np.arange(draws) >= rejected.found[exact, None]
        parts[0][exact] = np.where(missing, streamed.indices, parts[0][exact])
        parts[1][exact] = streamed.log_normalizer
        parts[2][exact] = streamed.effective_size
    return parts, exact


def _patience(size: int, planned: bool) -> Patience:
    """When to give a query up: early if `auto` chose rejection, late if the user did."""
    if planned:
        return Patience(start=max(LARGEST_ROUND, OVERRUN * size // TRIAL_COST))
    late = max(LARGEST_ROUND, size)
    return Patience(start=late, each=late)


def sample_similarity(
    similarity: np.ndarray,
    indices: np.ndarray | None = None,
    *,
    temperature: float,
    draws: int,
    seed: int = 0,
    progress: Progress = SILENT,
) -> Retrieved:
    """Draw exactly from softmax(similarity / T) over the columns of a matrix (A, K).

    `indices` (A, K) are the pool items of the entries, as given by `similarity.top_k`; by default
    column j is item j. For a top k, draws, normaliser and effective size are those of the
    distribution restricted to these k items: no substitute for that of the pool at T = 0.1.

    Raises:
        ValueError: an argument is out of its range, the matrix is empty or not finite.
    """
    _check_options(temperature, draws)
    if similarity.ndim != 2 or 0 in similarity.shape:
        raise ValueError(f"the similarity matrix is empty: its shape is {similarity.shape}")
    if indices is not None and indices.shape != similarity.shape:
        raise ValueError(
            f"similarities of shape {similarity.shape} with indices of shape {indices.shape}"
        )
    random = generator(seed, "retrieval", "similarity")
    count, width = similarity.shape
    drawn = np.empty((count, draws), dtype=np.int64)
    values = np.empty((count, draws), dtype=np.float32)
    log_normalizer, effective_size = np.empty(count), np.empty(count)
    height = max(1, ROW_BYTES // (8 * (width + draws)))
    progress.start("sampling", total=count, unit="queries")
    for start in range(0, count, height):
        rows = np.asarray(similarity[start : start + height], dtype=np.float64)
        if not np.isfinite(rows).all():
            bad = start + int(np.flatnonzero(~np.isfinite(rows).all(axis=1))[0])
            raise ValueError(f"row {bad} of the similarity matrix is not finite")
        logits = torch.from_numpy(rows / temperature)
        here = slice(start, start + len(rows))
        total = torch.logsumexp(logits, dim=1)
        log_normalizer[here] = total.numpy()
        effective_size[here] = torch.exp(2 * total - torch.logsumexp(2 * logits, dim=1)).numpy()
        owners = torch.arange(len(rows)).repeat_interleave(draws)
        uniforms = torch.from_numpy(random.random(len(rows) * draws))
        columns = pick(logits, owners, uniforms).view(len(rows), draws).numpy()
        values[here] = np.take_along_axis(rows, columns, axis=1)
        drawn[here] = columns
        if indices is not None:
            drawn[here] = np.take_along_axis(np.asarray(indices[here]), columns, axis=1)
        progress.advance(len(rows))
    progress.finish()
    exact = np.ones(count, dtype=bool)
    return Retrieved(drawn, values, log_normalizer, effective_size, exact, "matrix")


def _check_options(temperature: float, draws: int) -> None:
    if not SMALLEST_TEMPERATURE <= temperature < np.inf:
        raise ValueError(
            f"the temperature is {temperature}; it must be at least {SMALLEST_TEMPERATURE:g}"
        )
    if draws < 1:
        raise ValueError(f"the number of draws is {draws}; it must be at least 1")


@contextmanager
def _torch_threads(threads: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    if threads is None or threads == before:
        yield
        return
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)
