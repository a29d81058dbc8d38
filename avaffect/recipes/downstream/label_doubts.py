"""Labels that cannot be right: refused, or named in a warning."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from avaffect.core.errors import DataError
from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.recipes.common.work import some_of

# Sums of shares that were rounded differ from 1 by less.
ROUNDED = 0.02
# A number so many interquartile ranges from the middle half of all is on another scale, or marks an
# unknown value.
FAR = 10.0


def check_votes(label: str, ids: Sequence[str], votes: np.ndarray, where: str) -> None:
    """Raises DataError for votes (N, C) that are negative or infinite; NaN are missing."""
    wrong = (np.isinf(votes) | (votes < 0)).any(axis=1)
    if wrong.any():
        raise DataError(
            f"{where}: votes of {label} are negative or infinite ({_named(ids, wrong)}): they are "
            "numbers of raters, or shares, from 0 on"
        )


def warn_of_sums(
    label: str, ids: Sequence[str], votes: np.ndarray, where: str, progress: Progress
) -> None:
    """Of votes (N, C) that are no whole numbers, and do not sum to 1 as shares do."""
    total = votes.sum(axis=1)
    whole = (votes == np.round(votes)).all(axis=1)
    off = ~np.isnan(total) & ~whole & (np.abs(total - 1.0) > ROUNDED)
    if off.any():
        progress.warn(
            f"{where}: shares of {label} do not sum to 1 ({_named(ids, off)}; the first to "
            f"{total[off][0]:.3g}): they are divided by their sum"
        )


def check_numbers(
    label: str, ids: Sequence[str], values: np.ndarray, where: str, progress: Progress
) -> None:
    """Raises DataError for infinite values (N,); warns of those far from all others. NaN are
    missing."""
    infinite = np.isinf(values)
    if infinite.any():
        raise DataError(
            f"{where}: {label} is infinite ({_named(ids, infinite)}); leave an unknown number out"
        )
    known = values[~np.isnan(values)]
    if not len(known):
        return
    low, high = np.percentile(known, [25, 75])
    reach = FAR * (high - low)
    far = (values < low - reach) | (values > high + reach)
    if reach > 0 and far.any():
        progress.warn(
            f"{where}: {label} is outside of its scale ({_named(ids, far)}; the first is "
            f"{values[far][0]:g}, where half of all are from {low:g} to {high:g}); leave out "
            "numbers that mark unknown values"
        )


def warn_of_lengths(
    label: str, ids: Sequence[str], unfitting: np.ndarray, progress: Progress
) -> None:
    """Of recordings (N,) bool that last longer or shorter than their label over time."""
    if unfitting.any():
        progress.warn(
            f"{label} lasts longer or shorter than what is read of {_named(ids, unfitting)}: both "
            "begin at 0, and what goes beyond the other is left out"
        )


def check_segments(
    label: str, ids: Sequence[str], single: np.ndarray, labelled: np.ndarray, progress: Progress
) -> None:
    """Of a label that is ranked: counts the recordings with values, labelled (N,) bool, that are
    read as one segment, single (N,) bool. Raises DataError where all are."""
    alone = single & labelled
    if not alone.any():
        return
    if (alone == labelled).all():
        raise DataError(
            f"{label}: each of {count_of(int(alone.sum()), 'recording')} is read as one segment, "
            "and there is nothing to rank; extract with a shorter --segment"
        )
    progress.warn(f"{label}: one segment, and nothing to rank, has {_named(ids, alone)}")


def _named(ids: Sequence[str], rows: np.ndarray) -> str:
    names = [ids[row] for row in np.flatnonzero(rows).tolist()]
    return f"{count_of(len(names), 'utterance')}: {some_of(names)}"
