"""Scores of predicted traces of continuous affect: CCC, Pearson, RMSE and MAE.

With means m, variances v and covariance c of a prediction x and gold y:

    CCC      2 c / (v_x + v_y + (m_x - m_y)^2), the concordance correlation coefficient; biased: v
             and c are divided by N, unbiased: by N - 1. 0 where one of the two is constant, NaN
             where both are constant and equal
    Pearson  c / sqrt(v_x v_y); NaN where one is constant
    RMSE     sqrt(mean (x - y)^2)
    MAE      mean |x - y|

Pairs with a NaN are left out. Several recordings are scored in two ways: pooled, with all of their
pairs as one trace (SEWA, AVEC's cross-cultural task), and by the mean of the recordings' scores
(RECOLA, AVEC 2018), which may be far lower, as pooled scores include differences between
recordings.

Everything is a function of a recording's `moments`, which add up over recordings.

Source: Lin, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45(1),
1989, whose estimator is the biased one. Equation 1 of SS-VAERR has a wrong sign.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from avaffect.core.record import Record
from avaffect.evaluation.classification import defined

SCORES = ("ccc", "pearson", "rmse", "mae")


@dataclass(frozen=True, kw_only=True)
class Agreement(Record):
    """Scores of a prediction and gold, or their means or deviations; None where undefined."""

    ccc: float | None
    pearson: float | None
    rmse: float | None
    mae: float | None


@dataclass(frozen=True, kw_only=True)
class CountedAgreement(Agreement):
    """count: of the pairs; None where runs differ in it."""

    count: int | None


@dataclass(frozen=True)
class Concordance:
    """pooled: as one trace; mean: of the recordings' own scores, where they are defined;
    recordings: id -> its own, of those that have a pair."""

    pooled: CountedAgreement
    mean: Agreement
    recordings: dict[str, CountedAgreement]


# Of a recording: pairs, the two means, sums of squares and products around them, and of errors.
_COUNT, _MEAN_X, _MEAN_Y, _XX, _YY, _XY, _ERROR, _SQUARE = range(8)

Pair = tuple[np.ndarray, np.ndarray]


def validate(prediction: np.ndarray, gold: np.ndarray) -> Pair:
    """Both as float64 (T,) without pairs with a NaN; possibly empty.

    Raises ValueError unless they are two traces of equal length, finite or NaN.
    """
    x, y = (np.asarray(values, dtype=np.float64) for values in (prediction, gold))
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"a prediction of shape {x.shape} for gold of shape {y.shape}")
    if np.isinf(x).any() or np.isinf(y).any():
        raise ValueError("a trace has an infinite value")
    known = ~(np.isnan(x) | np.isnan(y))
    return x[known], y[known]


def moments(prediction: np.ndarray, gold: np.ndarray) -> np.ndarray:
    """(8,) float64 moments of two traces (T,), which determine their scores; 0 without pairs.

    Raises ValueError as `validate` does.
    """
    x, y = validate(prediction, gold)
    if not len(x):
        return np.zeros(8)
    # Relative to the first value, so that a constant has no variance by rounding.
    mean_x, mean_y = x[0] + np.mean(x - x[0]), y[0] + np.mean(y - y[0])
    dx, dy, error = x - mean_x, y - mean_y, x - y
    return np.array(
        [len(x), mean_x, mean_y, dx @ dx, dy @ dy, dx @ dy, np.abs(error).sum(), error @ error]
    )


def pooled(recordings: np.ndarray, weights: np.ndarray | None = None) -> np.ndarray:
    """Moments of recordings as one trace: (K, 8) -> (8,).

    weights: (B, K), how often each recording counts -> (B, 8).
    """
    there = recordings[recordings[:, _COUNT] > 0]
    if not len(there):
        return np.zeros(8 if weights is None else (len(weights), 8))
    chosen = np.ones((1, len(there))) if weights is None else weights[:, recordings[:, _COUNT] > 0]
    # Sums around one recording's means keep precision for a large common offset.
    centre = there[0, [_MEAN_X, _MEAN_Y]]
    count = there[:, _COUNT]
    x, y = (there[:, [_MEAN_X, _MEAN_Y]] - centre).T
    total = chosen @ count
    some = np.maximum(total, 1)
    mean_x, mean_y = (chosen @ (count * d) / some for d in (x, y))
    found = np.stack(
        [
            total,
            centre[0] + mean_x,
            centre[1] + mean_y,
            np.maximum(chosen @ (there[:, _XX] + count * x * x) - total * mean_x * mean_x, 0),
            np.maximum(chosen @ (there[:, _YY] + count * y * y) - total * mean_y * mean_y, 0),
            chosen @ (there[:, _XY] + count * x * y) - total * mean_x * mean_y,
            chosen @ there[:, _ERROR],
            chosen @ there[:, _SQUARE],
        ],
        axis=1,
    )
    return found[0] if weights is None else found


def scores(found: np.ndarray, biased: bool = True) -> dict[str, np.ndarray]:
    """Every score of moments (..., 8): name -> (...), NaN where it is undefined."""
    count, mean_x, mean_y, xx, yy, xy, error, square = np.moveaxis(found, -1, 0)
    divisor = np.maximum(count if biased else count - 1, 1)
    spread = (xx + yy) / divisor + (mean_x - mean_y) ** 2
    return {
        "ccc": _ratio(2 * xy / divisor, spread),
        "pearson": np.clip(_ratio(xy, np.sqrt(xx) * np.sqrt(yy)), -1, 1),
        "rmse": np.sqrt(_ratio(square, count)),
        "mae": _ratio(error, count),
    }


def means_of_gold(found: np.ndarray) -> np.ndarray:
    """(...) of moments (..., 8): of a single pair, its gold value."""
    return np.asarray(found[..., _MEAN_Y])


def chance(found: np.ndarray) -> dict[str, float]:
    """Of moments (8,): what a constant prediction gives, the mean of the gold. Its correlation is
    undefined, that of values that have nothing to do with the gold is 0. Its MAE does not follow
    from moments."""
    deviation = np.sqrt(found[_YY] / max(found[_COUNT], 1))
    return {"ccc": 0.0, "pearson": 0.0, "rmse": float(deviation)}


def constant(found: np.ndarray) -> np.ndarray:
    """(...) bool of moments (..., 8): whether there are values, and x or y does not vary."""
    varies = (found[..., _XX] > 0) & (found[..., _YY] > 0)
    return (found[..., _COUNT] > 0) & ~varies


def ccc(prediction: np.ndarray, gold: np.ndarray, biased: bool = True) -> float:
    """The concordance correlation coefficient of two traces (T,); NaN where it is undefined."""
    return float(scores(moments(prediction, gold), biased)["ccc"])


def pearson(prediction: np.ndarray, gold: np.ndarray) -> float:
    """Pearson's correlation of two traces (T,); NaN where one of them is constant."""
    return float(scores(moments(prediction, gold))["pearson"])


def rmse(prediction: np.ndarray, gold: np.ndarray) -> float:
    """Root mean squared error of two traces (T,), in their own unit."""
    return float(scores(moments(prediction, gold))["rmse"])


def mae(prediction: np.ndarray, gold: np.ndarray) -> float:
    """Mean absolute error of two traces (T,), in their own unit."""
    return float(scores(moments(prediction, gold))["mae"])


def evaluate(recordings: Mapping[str, np.ndarray], biased: bool = True) -> Concordance:
    """All scores of recordings, id -> moments (8,).

    Raises ValueError where there is no pair at all.
    """
    table = np.stack(list(recordings.values())) if recordings else np.zeros((0, 8))
    if not table[:, _COUNT].any():
        raise ValueError("nothing to score: prediction and gold have no common time")
    own = scores(table, biased)
    return Concordance(
        pooled=_described(pooled(table), biased),
        mean=Agreement.from_dict({name: _mean_defined(values) for name, values in own.items()}),
        recordings={
            identifier: _described(table[k], biased)
            for k, identifier in enumerate(recordings)
            if table[k, _COUNT]
        },
    )


def resampled(
    recordings: np.ndarray, weights: np.ndarray, biased: bool = True
) -> dict[str, dict[str, np.ndarray]]:
    """Scores of resamples of recordings: moments (K, 8), weights (B, K) -> way -> score -> (B,).

    The ways are those of `evaluate`, pooled and mean; NaN where a score is undefined.
    """
    means = {}
    for name, own in scores(recordings, biased).items():
        known = ~np.isnan(own)
        means[name] = _ratio(weights[:, known] @ own[known], weights[:, known].sum(axis=1))
    return {"pooled": scores(pooled(recordings, weights), biased), "mean": means}


def _described(found: np.ndarray, biased: bool) -> CountedAgreement:
    values = {name: defined(float(value)) for name, value in scores(found, biased).items()}
    return CountedAgreement.from_dict({**values, "count": int(found[_COUNT])})


def _mean_defined(values: np.ndarray) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """NaN where the denominator is not above 0."""
    whole, part = np.asarray(denominator, dtype=np.float64), np.asarray(numerator)
    undefined = np.full(np.broadcast_shapes(whole.shape, part.shape), np.nan)
    return np.divide(part, whole, out=undefined, where=whole > 0)
