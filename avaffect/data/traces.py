"""Traces: a label's values at a constant rate from the start of the utterance.

Value k is at k / rate seconds. NaN is an unknown value.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Tolerance of times, in steps, as tables round them.
NEAR = 0.1
# Longest gap for interpolation, in steps of the coarser side; between further values it is unknown.
WIDEST_GAP = 2.0

# Times nearer than this share of a step are equal.
SAME_TIME = 1e-6


@dataclass(frozen=True)
class Traces:
    """A trace label of a store's utterances, in their order.

    Values are float32, (T,) if raters is 0, otherwise (T, raters); no steps if the label is
    missing.
    """

    rate_hz: float
    raters: int
    values: list[np.ndarray]


def resample(
    values: np.ndarray,
    rate_hz: float,
    new_rate_hz: float,
    count: int | None = None,
    ahead_s: float = 0.0,
) -> np.ndarray:
    """values (T, ...) at rate_hz -> (count, ...) float32 at new_rate_hz, by time stamps.

    Linear interpolation; NaN where a neighbour with weight is NaN, and after the end (the last
    value lasts for a step, so that a trace of T values lasts T / rate_hz). Without a count, as many
    values as the trace lasts. ahead_s: value k is that of ahead_s seconds after k / new_rate_hz.
    Raises ValueError for a rate that is not above 0.
    """
    if not (rate_hz > 0 and new_rate_hz > 0):
        raise ValueError(f"rates of {rate_hz:g} and {new_rate_hz:g} Hz: both must be above 0")
    steps = len(values)
    if count is None:
        count = max(0, round((steps / rate_hz - ahead_s) * new_rate_hz))
    if rate_hz == new_rate_hz and ahead_s == 0:
        found = np.full((count, *values.shape[1:]), np.nan, dtype=np.float32)
        found[:steps] = values[:count]
        return found
    if steps == 0:
        return np.full((count, *values.shape[1:]), np.nan, dtype=np.float32)
    times, new_times = np.arange(steps) / rate_hz, np.arange(count) / new_rate_hz
    return at_times(times, values, new_times + ahead_s, 1 / rate_hz).astype(np.float32)


def delayed(values: np.ndarray, rate_hz: float, delay_s: float) -> np.ndarray:
    """values (T, ...) -> (T, ...) float32: shifted to later times by delay_s seconds.

    The first value is repeated before them. Linear interpolation.
    """
    if delay_s == 0 or not len(values):
        return values.astype(np.float32)
    times = np.arange(len(values)) / rate_hz
    return at_times(times, values, np.maximum(times - delay_s, 0.0)).astype(np.float32)


def widest_gap(step: float, new_step: float) -> float:
    """Longest gap for interpolation: two steps of the coarser side."""
    return WIDEST_GAP * max(step, new_step) * (1 + SAME_TIME)


def at_times(
    times: np.ndarray, values: np.ndarray, new_times: np.ndarray, step_s: float | None = None
) -> np.ndarray:
    """values (T, ...) known at times (T,) seconds -> (N, ...) float64 at new_times (N,).

    times increase, T is 1 or more. Linear interpolation; NaN where a neighbour with weight is NaN,
    and between times more than two steps of the coarser side apart. The first and the last value
    extend for less than a step, then NaN. step_s: length of a step, by default the median of those
    in `times`.
    """
    known = np.asarray(values, dtype=np.float64)
    if step_s is None:
        step_s = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    low = np.clip(np.searchsorted(times, new_times, side="right") - 1, 0, max(len(times) - 2, 0))
    high = np.minimum(low + 1, len(times) - 1)
    gap = np.where(high > low, times[high] - times[low], 1.0)
    weight = np.clip((new_times - times[low]) / gap, 0, 1)
    weight[high == low] = 0.0
    weight = weight.reshape(-1, *[1] * (known.ndim - 1))
    # Times are rounded, and 0 * NaN is NaN: a neighbour without weight must not count.
    found = known[low] + (known[high] - known[low]) * weight
    found = np.where(weight < SAME_TIME, known[low], found)
    found = np.where(weight > 1 - SAME_TIME, known[high], found)
    new_step_s = float(np.median(np.diff(new_times))) if len(new_times) > 1 else 0.0
    between = (weight >= SAME_TIME) & (weight <= 1 - SAME_TIME)
    found[between.ravel() & (gap > widest_gap(step_s, new_step_s))] = np.nan
    grace = step_s * (1 - SAME_TIME)
    found[(new_times < times[0] - grace) | (new_times > times[-1] + grace)] = np.nan
    return found


def on_grid(times: np.ndarray, values: np.ndarray, rate_hz: float) -> np.ndarray:
    """values (T, ...) at increasing times (T,) seconds -> (count, ...) float32 at k / rate_hz.

    Linear interpolation. NaN where a neighbour with weight is NaN, before the first time, and
    between times more than two steps apart. The last value is that of the last time; values whose
    times are on the grid, up to rounding, are unchanged.
    """
    found = np.full((0, *values.shape[1:]), np.nan, dtype=np.float32)
    if not len(times) or times[-1] * rate_hz < -NEAR:
        return found
    places = times * rate_hz
    nearest = np.round(places)
    if np.abs(places - nearest).max() <= NEAR and (np.diff(nearest) > 0).all():
        places = nearest
    count = int(np.floor(places[-1] + NEAR)) + 1
    steps = np.diff(places)
    widest = widest_gap(float(np.median(steps)) if len(steps) else 1.0, 1.0)
    grid = np.arange(count, dtype=np.float64)
    high = np.searchsorted(places, grid - 1e-6).clip(max=len(places) - 1)
    low = np.maximum(high - (places[high] > grid + 1e-6), 0)
    distance = places[high] - places[low]
    weight = np.divide(grid - places[low], distance, out=np.zeros(count), where=distance > 0)
    known = (places[low] <= grid + NEAR) & (distance <= widest)
    weight = weight.clip(0, 1).reshape(-1, *[1] * (values.ndim - 1))
    # 0 * NaN is NaN: a neighbour without weight must not count.
    lower = np.where(weight < 1, values[low], 0.0)
    upper = np.where(weight > 0, values[high], 0.0)
    found = (lower * (1 - weight) + upper * weight).astype(np.float32)
    found[~known] = np.nan
    return found
