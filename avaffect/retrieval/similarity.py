"""Cosine similarity between embeddings, block by block.

A pool is a two-dimensional NumPy array or memory map, float16 or float32. It is read and normalised
in blocks, so that memory does not grow with it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from avaffect.core.nouns import count_of
from avaffect.core.rows import Matrix

BLOCK_ROWS = 4096
"""Pool rows read, normalised and multiplied at a time."""

MATRIX_BYTES = 64 * 2**20
"""Bytes of one slab of the cosine matrix."""


class VectorError(ValueError):
    """A vector without a direction: `role` is "query" or "pool", `row` its index there."""

    def __init__(self, role: str, row: int):
        super().__init__(
            f"{role} vector {row} has no cosine: it is zero, not finite or beyond float32's range"
        )
        self.role = role
        self.row = row


def inverse_norms(
    vectors: np.ndarray, role: str, *, rows: np.ndarray | None = None, first: int = 0
) -> np.ndarray:
    """1 / ||v|| over the last axis of `vectors` (..., d).

    `rows` (...) are the rows of the vectors in the pool, for the error; by default `first`,
    `first` + 1, ...

    Raises:
        VectorError: a vector is zero or not finite.
    """
    squares = np.einsum("...d,...d->...", vectors, vectors)
    # Comparisons with NaN are false: this one test finds zeros, infinities and NaN.
    if not (squares.min(initial=np.inf) > 0 and squares.max(initial=0) < np.inf):
        bad = int(np.flatnonzero(~((squares > 0) & (squares < np.inf)))[0])
        raise VectorError(role, int(rows.flat[bad]) if rows is not None else first + bad)
    return 1 / np.sqrt(squares)


def unit_rows(
    vectors: np.ndarray,
    role: str = "query",
    first: int = 0,
    *,
    rows: np.ndarray | None = None,
) -> np.ndarray:
    """`vectors` (n, d) scaled to length one, float32.

    Raises:
        VectorError: a row is zero or not finite, see `inverse_norms`.
    """
    wide = np.asarray(vectors, dtype=np.float64 if role == "query" else np.float32)
    return (wide * inverse_norms(wide, role, first=first, rows=rows)[:, None]).astype(
        np.float32, copy=False
    )


def check_shapes(queries: np.ndarray, pool: Matrix) -> None:
    """Raise ValueError unless `queries` (A, d) and `pool` (B, d) can be compared."""
    for role, vectors in (("query", queries), ("pool", pool)):
        if vectors.ndim != 2:
            raise ValueError(f"the {role} embeddings have {vectors.ndim} axes, expected 2")
        if not len(vectors):
            raise ValueError(f"there are no {role} embeddings")
    if queries.shape[1] != pool.shape[1]:
        raise ValueError(
            f"the queries have {count_of(queries.shape[1], 'dimension')}, the pool has "
            f"{pool.shape[1]}: extract both with the same model"
        )


def pair_cosines(queries: np.ndarray, pool: Matrix, indices: np.ndarray) -> np.ndarray:
    """Cosine of each unit query (A, d) with the pool rows `indices` (A, k) -> (A, k) float32."""
    cosines = np.empty(indices.shape, dtype=np.float32)
    draws = np.ascontiguousarray(indices).reshape(-1)
    flat = cosines.reshape(-1)
    owners = np.repeat(np.arange(len(indices)), indices.shape[1])
    for start in range(0, len(draws), BLOCK_ROWS):
        chosen = draws[start : start + BLOCK_ROWS]
        rows = pool[chosen].astype(np.float32, copy=False)
        scale = inverse_norms(rows, "pool", rows=chosen)
        own = queries[owners[start : start + BLOCK_ROWS]]
        flat[start : start + BLOCK_ROWS] = np.einsum("nd,nd->n", rows, own) * scale
    return np.clip(cosines, -1, 1, out=cosines)


def cosine_rows(queries: np.ndarray, pool: Matrix) -> Iterator[tuple[int, np.ndarray]]:
    """The cosine matrix of `queries` (A, d) and `pool` (B, d) in slabs (first row, (n, B) float32).

    A slab holds about 64 MiB, and at least one row.

    Raises:
        ValueError: no embeddings, or different dimensions; VectorError, see `unit_rows`.
    """
    check_shapes(queries, pool)
    unit = torch.from_numpy(unit_rows(queries))
    height = max(1, MATRIX_BYTES // (4 * len(pool)))
    for first in range(0, len(unit), height):
        slab = torch.empty(min(height, len(unit) - first), len(pool))
        for start in range(0, len(pool), BLOCK_ROWS):
            block = torch.from_numpy(unit_rows(pool[start : start + BLOCK_ROWS], "pool", start))
            slab[:, start : start + len(block)] = unit[first : first + height] @ block.T
        yield first, slab.clamp_(-1, 1).numpy()


def top_k(queries: np.ndarray, pool: Matrix, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The `k` pool items most similar to each query, best first: cosines float32, indices int64.

    Both have shape (A, min(k, B)). Equal cosines are in the order of the pool; which of several
    equal ones at the last place are left out is undefined.

    Raises:
        ValueError: k < 1, no embeddings, or different dimensions; VectorError, see `unit_rows`.
    """
    check_shapes(queries, pool)
    if k < 1:
        raise ValueError(f"the number of neighbours is {k}; it must be at least 1")
    unit = torch.from_numpy(unit_rows(queries))
    k = min(k, len(pool))
    cosines, indices = [], []
    height = max(1, MATRIX_BYTES // (16 * (k + BLOCK_ROWS)))
    for first in range(0, len(unit), height):
        best, where = _top_k_of(unit[first : first + height], pool, k)
        # The first sort orders the items that are tied in the second, which is stable.
        where, order = where.sort(dim=1)
        best, order = best.gather(1, order).sort(dim=1, descending=True, stable=True)
        cosines.append(best.clamp_(-1, 1))
        indices.append(where.gather(1, order))
    return torch.cat(cosines).numpy(), torch.cat(indices).numpy()


def _top_k_of(unit: torch.Tensor, pool: Matrix, k: int) -> tuple[torch.Tensor, torch.Tensor]:
    best = torch.empty(len(unit), 0)
    where = torch.empty(len(unit), 0, dtype=torch.int64)
    for start in range(0, len(pool), BLOCK_ROWS):
        block = torch.from_numpy(unit_rows(pool[start : start + BLOCK_ROWS], "pool", start))
        found, place = (unit @ block.T).topk(min(k, len(block)), dim=1)
        best = torch.cat([best, found], dim=1)
        where = torch.cat([where, place + start], dim=1)
        if best.shape[1] > k:
            best, kept = best.topk(k, dim=1)
            where = where.gather(1, kept)
    return best, where
