"""The concordance correlation coefficient of Lin (1989), as a loss."""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8


def concordance(prediction: Tensor, gold: Tensor, known: Tensor) -> Tensor:
    """CCC = 2 cov / (var + var + (mean - mean)^2) over the known values of all tensors (...).

    known: bool, of the same shape; what is not known weighs nothing, NaN or not. Biased variances;
    0 where nothing varies, or fewer than two values are known.
    """
    precise = torch.promote_types(prediction.dtype, torch.float32)
    weight = known.to(precise)
    count = weight.sum().clamp(min=1)
    x = torch.where(known, prediction.to(precise), 0.0)
    y = torch.where(known, gold.to(precise), 0.0)
    x_mean, y_mean = x.sum() / count, y.sum() / count
    x_centred, y_centred = (x - x_mean) * weight, (y - y_mean) * weight
    covariance = (x_centred * y_centred).sum() / count
    spread = (x_centred.square().sum() + y_centred.square().sum()) / count
    return 2 * covariance / (spread + (x_mean - y_mean).square() + EPSILON)
