"""Mean absolute error over known values."""

from __future__ import annotations

from torch import Tensor

from avaffect.objectives.losses.known_errors import known_errors


def mean_absolute_error(prediction: Tensor, gold: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """As `mean_squared_error`."""
    return known_errors(prediction, gold, known).abs().sum(), known.sum()
