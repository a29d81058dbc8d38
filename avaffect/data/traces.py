"""Traces: a label's values over time, evenly spaced from the utterance's beginning on.

Value k stands at k / rate seconds. NaN is a value that is not known.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Traces:
    """A trace label of a store's utterances, in their order.

    raters 0: values are (T,); else (T, raters). float32; no steps where the label is missing.
    """

    rate_hz: float
    raters: int
    values: list[np.ndarray]


def mean_of_raters(values: np.ndarray) -> np.ndarray:
    """(T, raters) or (T,) -> (T,) float32: the mean of the raters known at each time.

    NaN where none is.
    """
    if values.ndim == 1:
        return values.astype(np.float32)
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis=1, dtype=np.float64)
    count = known.sum(axis=1)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)


def resample(
    values: np.ndarray, rate_hz: float, new_rate_hz: float, count: int | None = None
) -> np.ndarray:
    """values (T, ...) at rate_hz -> (count, ...) float32 at new_rate_hz, by time stamps.

    Linear between neighbours; NaN where a neighbour with any weight is NaN and past the last value
    (half a step of grace: a trace of T values lasts T / rate_hz). Without a count, as many values
    as the trace lasts. Raises ValueError for a rate that is not above 0.
    """
    if not (rate_hz > 0 and new_rate_hz > 0):
        raise ValueError(f"rates {rate_hz:g} and {new_rate_hz:g} Hz: both are above 0")
    steps = len(values)
    if count is None:
        count = round(steps * new_rate_hz / rate_hz)
    if rate_hz == new_rate_hz:
        found = np.full((count, *values.shape[1:]), np.nan, dtype=np.float32)
        found[:steps] = values[:count]
        return found
    place = np.arange(count) * (rate_hz / new_rate_hz)
    if steps == 0:
        return np.full((count, *values.shape[1:]), np.nan, dtype=np.float32)
    # The last value holds until the next would come.
    beyond = place >= steps
    place = np.minimum(place, steps - 1)
    low = np.floor(place + 1e-9).astype(np.int64)
    weight = np.clip(place - low, 0, 1)
    weight[weight < 1e-9] = 0.0
    high = np.minimum(low + 1, steps - 1)
    weight = weight.reshape(-1, *[1] * (values.ndim - 1))
    # 0 * NaN is NaN: a neighbour without weight must not count.
    upper = np.where(weight > 0, values[high], 0.0)
    found = values[low] * (1 - weight) + upper * weight
    found[beyond] = np.nan
    return found.astype(np.float32)
