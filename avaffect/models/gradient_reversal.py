"""Functions that are the identity forwards and change the gradient backwards."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


class _ScaleGradient(torch.autograd.Function):
    @staticmethod
    def forward(context: Any, x: Tensor, factor: float) -> Tensor:
        context.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient * context.factor, None


def scale_gradient(x: Tensor, factor: float) -> Tensor:
    """x itself; its gradient is multiplied by `factor`."""
    return x if factor == 1.0 else _ScaleGradient.apply(x, factor)


def reverse_gradient(x: Tensor, strength: float) -> Tensor:
    """Gradient reversal layer: x itself; its gradient is multiplied by -strength.

    Ganin and Lempitsky 2015, equation 14.
    """
    return scale_gradient(x, -strength)


def reversal_strength(progress: float) -> float:
    """2 / (1 + exp(-10 p)) - 1 for training progress p in 0..1 (Ganin and Lempitsky 2015, 5.2)."""
    return 2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0
