"""The concordance correlation coefficient of Lin (1989), as a loss (SS-VAERR, equations 1 and 6).

Equation 1 of the paper has a wrong sign of the means.
"""

from __future__ import annotations

import torch
from torch import Tensor

EPSILON = 1e-8


def concordance(prediction: Tensor, gold: Tensor, known: Tensor) -> Tensor:
    """CCC = 2 cov / (var + var + (mean - mean)^2) over the known values of all tensors (...).

    known: bool, of the same shape; unknown values are ignored, NaN or not. Biased variances; 0 if
    nothing varies, or fewer than two values are known.
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


def concordance_loss(prediction: Tensor, gold: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """(1 - CCC, 1) over all known values; both 0 if fewer than two are known.

    From 0 to 2, as SS-VAERR weights it; half of it is the loss of Shukla et al. 2021.
    """
    value = concordance(prediction, gold, known)
    counted = (known.sum() > 1).to(value.dtype)
    return (1 - value) * counted, counted
