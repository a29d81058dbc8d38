"""Numbers on a scale that raters gave, in the tables of corpora."""

from __future__ import annotations

import math
from pathlib import Path

from avaffect.core.errors import DataError


def number_on_scale(
    path: Path, line: int, name: str, text: str, scale: tuple[float, float]
) -> float | None:
    """The number in a field of a table; None where it is empty or NaN.

    Raises DataError, with file and line, for what is no number and for one outside of the scale.
    """
    if not text.strip():
        return None
    try:
        value = float(text)
    except ValueError as error:
        raise DataError(f"{path}, line {line}: {name} is {text!r}, which is no number") from error
    if math.isnan(value):
        return None
    low, high = scale
    if not low <= value <= high:
        raise DataError(
            f"{path}, line {line}: {name} is {value:g}; its scale is {low:g} to {high:g}"
        )
    return value
