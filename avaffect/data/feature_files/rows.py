"""Rows of features of one utterance, as they are in files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rows:
    """name: the id from the file; values: (K, D) float32 of the rows that meet the conditions, NaN
    where missing; kept: (T,) bool, which of all rows those are; times: (T,) float64 seconds or
    frame numbers, strictly rising, None where the file has neither; dropped: number of rows that do
    not meet the conditions, those with the time of another included; where: file and line."""

    name: str
    values: np.ndarray
    kept: np.ndarray
    times: np.ndarray | None
    dropped: int
    where: str


def as_float32(values: np.ndarray) -> np.ndarray:
    """float32; numbers beyond its range become infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float32)
