"""Rows of features of one utterance, as files hold them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rows:
    """name: the id that the file gives; values: (K, D) float32 of the rows that meet the
    conditions, NaN where missing; kept: (T,) bool, which of all rows those are; times: (T,) float64
    seconds, each later than the one before, or numbers of frames, None where the file has neither;
    dropped: how many rows do not meet the conditions, those at one time with another included;
    where: file and line."""

    name: str
    values: np.ndarray
    kept: np.ndarray
    times: np.ndarray | None
    dropped: int
    where: str


def as_float32(values: np.ndarray) -> np.ndarray:
    """float32; a number that it cannot hold is infinite."""
    with np.errstate(over="ignore"):
        return np.asarray(values, dtype=np.float32)
