"""The scale on which affect is annotated over time."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

# A value beyond is of another scale, or marks what is unknown.
SCALE = (-1.0, 1.0)


def beyond_scale(label: str, traces: Iterable[np.ndarray]) -> str | None:
    """A sentence where known values of traces (T, ...) lie beyond the scale, else None."""
    known = [values[~np.isnan(values)] for values in traces]
    least = min((values.min() for values in known if len(values)), default=0.0)
    largest = max((values.max() for values in known if len(values)), default=0.0)
    if least >= SCALE[0] and largest <= SCALE[1]:
        return None
    return (
        f"{label} reaches from {least:g} to {largest:g}, beyond {SCALE[0]:g}..{SCALE[1]:g}; a "
        "number that marks what is unknown must be left out (empty, NaN or null)"
    )
