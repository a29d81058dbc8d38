"""A share of the data: how results change with its size (Shukla et al. 2021, section 7.7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avaffect.core import seeds


def chosen_share(
    ids: Sequence[str], fraction: float, seed: int, classes: np.ndarray | None = None
) -> np.ndarray:
    """(N,) bool: round(fraction N) utterances, at least one, drawn by seed and id alone.

    A smaller share is part of a larger one, and which utterances are drawn does not depend on their
    order. With classes (N,) int64 the share is drawn from each class, at least one of each.
    """
    if fraction == 1:
        return np.ones(len(ids), dtype=bool)
    draws = np.array([seeds.derive(seed, "fraction", identifier) for identifier in ids])
    groups = np.zeros(len(ids), dtype=np.int64) if classes is None else classes
    chosen = np.zeros(len(ids), dtype=bool)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        count = max(1, round(fraction * len(rows)))
        chosen[rows[np.argsort(draws[rows], kind="stable")[:count]]] = True
    return chosen
