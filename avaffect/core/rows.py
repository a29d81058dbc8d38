"""The rows of several arrays as those of one, without a copy of them: embeddings in many files."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


class Rows:
    """Arrays (n_i, D), or memory maps, one below the other: (N, D), read as an array is by slices
    of rows and by their numbers. What is read is a copy, unless it lies within one part.

    A read of numbers costs a sort of them and a pass over the parts: many small parts are slower.
    """

    ndim = 2

    def __init__(self, parts: Sequence[np.ndarray]) -> None:
        """Raises ValueError unless all parts have two axes and one width."""
        if not parts or any(part.ndim != 2 for part in parts):
            raise ValueError("rows are of arrays with two axes")
        if len({part.shape[1] for part in parts}) > 1:
            raise ValueError(f"parts of {[part.shape[1] for part in parts]} columns have no rows")
        self.parts = tuple(parts)
        self.starts = np.cumsum([0, *(len(part) for part in parts)])
        self.dtype = np.result_type(*parts)
        self.shape = int(self.starts[-1]), parts[0].shape[1]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, wanted: slice | Sequence[int] | np.ndarray) -> np.ndarray:
        if not isinstance(wanted, slice):
            return self.take(np.asarray(wanted, dtype=np.int64))
        start, stop, step = wanted.indices(len(self))
        if step != 1:
            return self.take(np.arange(start, stop, step))
        first, last = np.searchsorted(self.starts, [start, stop - 1], side="right") - 1
        found = [self.parts[0][:0]]
        for place in range(first, last + 1) if start < stop else ():
            begin = int(self.starts[place])
            found.append(self.parts[place][max(0, start - begin) : stop - begin])
        there = [part for part in found if len(part)]
        return there[0] if len(there) == 1 else np.concatenate(there or found)

    def take(self, indices: np.ndarray, axis: int = 0) -> np.ndarray:
        """The rows `indices` (...) -> (..., D). Raises IndexError for rows beyond the last."""
        if axis:
            raise ValueError("rows are taken, not columns")
        flat = indices.reshape(-1)
        if flat.size and (flat.min() < 0 or flat.max() >= len(self)):
            raise IndexError(f"rows {flat.min()} to {flat.max()} of {len(self)}")
        # In the order of rows, the rows of a part are together, and near each other in memory.
        order = np.argsort(flat)
        ordered = flat[order]
        ends = np.searchsorted(ordered, self.starts)
        found = np.empty((len(flat), self.shape[1]), dtype=self.dtype)
        for place in np.flatnonzero(np.diff(ends)).tolist():
            here = slice(int(ends[place]), int(ends[place + 1]))
            part, own = self.parts[place], ordered[here] - self.starts[place]
            if part.dtype == self.dtype:
                # Rows that are there need no check, which would take a copy.
                part.take(own, axis=0, out=found[here], mode="clip")
            else:
                found[here] = part.take(own, axis=0)
        # A gather takes a fraction of the time of writing rows to their places.
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return found.take(back, axis=0).reshape(*indices.shape, self.shape[1])


Matrix = np.ndarray | Rows
