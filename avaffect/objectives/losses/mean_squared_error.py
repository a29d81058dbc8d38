"""Mean squared error over known values (SS-VAERR, equation 2)."""

from __future__ import annotations

import torch
from torch import Tensor


def mean_squared_error(prediction: Tensor, gold: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Tensors (...), known bool -> (sum over the known values, their count); unknown gold may be
    NaN."""
    precise = torch.promote_types(prediction.dtype, torch.float32)
    # The gradient of the difference would be NaN for unknown values.
    right = torch.where(known, gold.to(precise), prediction.detach().to(precise))
    error = torch.where(known, prediction.to(precise) - right, 0.0)
    return error.square().sum(), known.sum()
