"""Errors of predictions, where the gold is known."""

from __future__ import annotations

import torch
from torch import Tensor


def known_errors(prediction: Tensor, gold: Tensor, known: Tensor) -> Tensor:
    """Tensors (...), known bool -> prediction - gold (...) in float32 or more, 0 where it is not
    known; gold may be NaN there."""
    precise = torch.promote_types(prediction.dtype, torch.float32)
    # The difference itself would hand NaN back to the prediction.
    right = torch.where(known, gold.to(precise), prediction.detach().to(precise))
    return torch.where(known, prediction.to(precise) - right, 0.0)
