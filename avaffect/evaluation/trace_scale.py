"""The scale on which affect is annotated over time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

# A value beyond is on another scale, or marks an unknown value.
SCALE = (-1.0, 1.0)
# Values that stay this near to 0 are of a scale of their own.
NEAR = 0.1


def is_usual(values: np.ndarray) -> bool:
    """Whether known values (N,) are on the usual scale."""
    largest = float(np.abs(values).max())
    return SCALE[0] <= float(values.min()) and float(values.max()) <= SCALE[1] and largest > NEAR


def beyond_scale(
    label: str, traces: Iterable[np.ndarray], of_raters: Iterable[np.ndarray]
) -> str | None:
    """A message if known values of traces (T, ...) lie beyond the scale, otherwise None.

    of_raters: the raters' values (T, ...) of the traces; the evaluator weighted estimator may have
    negative weights, and exceed the values of all raters.
    """
    least, largest = _range(traces)
    if least >= SCALE[0] and largest <= SCALE[1]:
        return None
    words = f"{label} reaches from {least:g} to {largest:g}, beyond {SCALE[0]:g}..{SCALE[1]:g}"
    least, largest = _range(of_raters)
    if least >= SCALE[0] and largest <= SCALE[1]:
        return (
            f"{words}, but no rater does: --raters ewe has raters with negative weights; use "
            "ewe-loo, which has none"
        )
    return f"{words}; leave out numbers that mark unknown values (empty, NaN or null)"


def _range(traces: Iterable[np.ndarray]) -> tuple[float, float]:
    """Smallest and largest known value; 0 without any."""
    known = [found for values in traces if len(found := values[~np.isnan(values)])]
    return (
        min((float(values.min()) for values in known), default=0.0),
        max((float(values.max()) for values in known), default=0.0),
    )
