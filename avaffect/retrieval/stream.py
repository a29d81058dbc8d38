"""Exact softmax sampling in one pass over the pool.

The pool is divided into blocks. The pass keeps only the sum of exp(S / T) of each block and query.
A draw selects a block in proportion to these sums, computes this block again, and selects an item
in proportion to exp(S / T) within it. The product of both probabilities is Eq. 5 of SAAML (Tran et
al., 2023), P(j | i) = exp(S_ij / T) / sum_k exp(S_ik / T), with its exact normaliser; the |A| x |B|
matrix is never built.

Cosines and exponentials are float32; sums of blocks and the cumulative sums from which draws are
made are float64.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from avaffect.core.progress import SILENT, Progress
from avaffect.core.rows import Matrix
from avaffect.core.seeds import generator
from avaffect.retrieval.similarity import unit_rows

TILE_ROWS = 1024
"""Pool rows multiplied at a time: with TILE_QUERIES, a tile of logits that fits a core's cache."""

TILE_QUERIES = 256

FEW_DRAWS = 8
"""Up to this many draws a query, blocks are as large as a tile; with more draws, smaller blocks
save time in computing the drawn blocks again."""

SMALL_BLOCK = 256

CHUNK_QUERIES = 2048
"""Queries that share one pass over the pool, if their tables of block sums fit TABLE_BYTES."""

TABLE_BYTES = 64 * 2**20

CHUNK_DRAWS = 2**19

UNSHIFTED_TEMPERATURE = 0.05
"""From this temperature up |S / T| is at most 20: exp(S / T), its square and the sums of a block
are far inside float32's range, and a pass for the largest logit is not needed."""


@dataclass(frozen=True)
class StreamDraws:
    """Draws of a stream: `indices` (A, draws) int64; `log_normalizer`, `effective_size` (A,)."""

    indices: np.ndarray
    log_normalizer: np.ndarray
    effective_size: np.ndarray


def stream_sample(
    queries: np.ndarray,
    pool: Matrix,
    *,
    temperature: float,
    draws: int,
    seed: int,
    progress: Progress = SILENT,
) -> StreamDraws:
    """Draw `draws` items with replacement for each unit query (A, d) from `pool` (B, d).

    A query's draws depend on the seed, its place among the queries, the pool, the temperature and
    the number of draws, not on the number of queries that share a pass.

    Raises:
        VectorError: a pool vector is zero or not finite.
    """
    logit_queries = torch.from_numpy((queries / np.float32(temperature)).astype(np.float32))
    block = TILE_ROWS if draws <= FEW_DRAWS else SMALL_BLOCK
    blocks = -(-len(pool) // block)
    chunk = max(1, min(CHUNK_QUERIES, TABLE_BYTES // (8 * blocks), CHUNK_DRAWS // draws))
    starts = range(0, len(queries), chunk)
    stream = _Stream(pool, block, temperature < UNSHIFTED_TEMPERATURE)
    block_random = generator(seed, "retrieval", "stream", "block")
    item_random = generator(seed, "retrieval", "stream", "item")
    indices = np.empty((len(queries), draws), dtype=np.int64)
    log_normalizer, effective_size = np.empty(len(queries)), np.empty(len(queries))
    progress.start("sampling", total=len(starts) * blocks, unit="blocks")
    for start in starts:
        some = logit_queries[start : start + chunk]
        log_sums, log_squares = _log_sums(some, stream, progress)
        table, log_total = _cumulative(log_sums)
        here = slice(start, start + len(some))
        log_normalizer[here] = log_total.numpy()
        effective_size[here] = torch.exp(2 * log_total - log_squares).numpy()
        uniforms = torch.from_numpy(block_random.random((len(some), draws)))
        drawn = torch.searchsorted(table, uniforms, right=True).clamp_(max=blocks - 1)
        del table, log_sums
        uniforms = torch.from_numpy(item_random.random((len(some), draws)))
        indices[here] = _draw_in_blocks(some, stream, drawn, uniforms).numpy()
    progress.finish()
    return StreamDraws(indices, log_normalizer, effective_size)


@dataclass(frozen=True)
class _Stream:
    """A pool (B, d), the size of its blocks, and whether logits need a shift before exp."""

    pool: Matrix
    block: int
    shifted: bool

    def read(self, start: int, stop: int) -> torch.Tensor:
        return torch.from_numpy(unit_rows(self.pool[start:stop], "pool", start))

    def spans(self) -> Iterator[tuple[int, int]]:
        """Tiles of whole blocks, then the remaining blocks one by one."""
        size = len(self.pool)
        whole = size - size % TILE_ROWS
        for start in range(0, whole, TILE_ROWS):
            yield start, start + TILE_ROWS
        for start in range(whole, size, self.block):
            yield start, min(start + self.block, size)


def _log_sums(
    queries: torch.Tensor, stream: _Stream, progress: Progress
) -> tuple[torch.Tensor, torch.Tensor]:
    """log sum exp(S / T) per query and block (n, blocks), and log sum exp(2 S / T) per query."""
    blocks = -(-len(stream.pool) // stream.block)
    log_sums = torch.empty(len(queries), blocks, dtype=torch.float64)
    log_squares = torch.full((len(queries),), -torch.inf, dtype=torch.float64)
    scratch = torch.empty(min(TILE_QUERIES, len(queries)) * TILE_ROWS)
    for start, stop in stream.spans():
        items = stream.read(start, stop).T
        first = start // stream.block
        count = max(1, (stop - start) // stream.block)
        sums, norms = torch.empty(len(queries), count), torch.empty(len(queries))
        shifts = torch.zeros(len(queries), 1)
        for begin in range(0, len(queries), TILE_QUERIES):
            here = slice(begin, begin + TILE_QUERIES)
            some = queries[here]
            logits = scratch[: len(some) * (stop - start)].view(len(some), stop - start)
            torch.mm(some, items, out=logits)
            if stream.shifted:
                torch.amax(logits, dim=1, keepdim=True, out=shifts[here])
                logits.sub_(shifts[here])
            weights = logits.exp_()
            torch.sum(weights.view(len(some), count, -1), dim=2, out=sums[here])
            torch.linalg.vector_norm(weights, dim=1, out=norms[here])
        wide = shifts.double()
        log_sums[:, first : first + count] = sums.double().log_() + wide
        squares = 2 * (norms.double().log_() + wide[:, 0])
        torch.logaddexp(log_squares, squares, out=log_squares)
        progress.advance(count)
    return log_sums, log_squares


def _cumulative(log_sums: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Cumulative probabilities along each row, in place, and the log of each row's total."""
    peak = log_sums.amax(dim=1, keepdim=True)
    weights = log_sums.sub_(peak).exp_()
    total = weights.sum(dim=1, keepdim=True)
    table = torch.cumsum(weights.div_(total), dim=1, out=weights)
    return table, (peak + total.log())[:, 0]


def _draw_in_blocks(
    queries: torch.Tensor, stream: _Stream, drawn: torch.Tensor, uniforms: torch.Tensor
) -> torch.Tensor:
    """One item in each drawn block: `drawn` and `uniforms` (n, draws) -> indices (n, draws).

    Blocks are processed one by one for all queries, so that a block is read once, and computed once
    for each query that drew it.
    """
    draws = drawn.shape[1]
    blocks, order = drawn.reshape(-1).sort(stable=True)
    uniforms = uniforms.reshape(-1)[order]
    items = torch.empty_like(blocks)
    wanted, counts = torch.unique_consecutive(blocks, return_counts=True)
    end = 0
    for block, count in zip(wanted.tolist(), counts.tolist()):
        begin, end = end, end + count
        start = block * stream.block
        rows, row_of = torch.unique_consecutive(
            torch.div(order[begin:end], draws, rounding_mode="floor"), return_inverse=True
        )
        logits = queries[rows] @ stream.read(start, start + stream.block).T
        items[begin:end] = start + pick(logits, row_of, uniforms[begin:end])
    indices = torch.empty_like(items)
    indices[order] = items
    return indices.view(-1, draws)


def pick(logits: torch.Tensor, row_of: torch.Tensor, uniforms: torch.Tensor) -> torch.Tensor:
    """A column of softmax(logits) (n, w) for each draw: rows `row_of` (m,), float64 uniforms (m,).

    The cumulative probabilities of row r are shifted by r, so that one sorted table serves all
    draws. In float64 this costs 2^-53 x n of a uniform number's precision, below 10^-12 here.
    """
    table, _ = _cumulative(logits.double())
    offsets = torch.arange(len(table), dtype=torch.float64)
    table = table.add_(offsets[:, None])
    places = torch.searchsorted(table.view(-1), uniforms + row_of, right=True)
    return (places - row_of * table.shape[1]).clamp_(0, table.shape[1] - 1)
