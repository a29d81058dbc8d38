"""Mean squared error over known values (SS-VAERR, equation 2)."""

from __future__ import annotations

from torch import Tensor

from avaffect.objectives.losses.known_errors import known_errors


def mean_squared_error(prediction: Tensor, gold: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Tensors (...), known bool -> (sum over the known values, their count); gold may be NaN where
    it is not known"""
    return known_errors(prediction, gold, known).square().sum(), known.sum()
