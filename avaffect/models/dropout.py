"""Dropout that draws its random numbers four at a time on the CPU.

torch draws a number for each element, which takes a sixth of a training step in bfloat16; a 64-bit
number divided in four serves four elements at a fifth of the cost.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.signal import ranks

_STEPS = 2**16


def dropout(x: Tensor, probability: float, training: bool = True) -> Tensor:
    """x with elements zeroed at random and the others scaled to keep the mean.

    x (B, ...). On the CPU the probability is rounded to a 65536th; draws come from torch's CPU
    generator, the same for an utterance however ranks share a batch.
    """
    if not training or probability == 0.0:
        return x
    if x.device.type != "cpu":
        return F.dropout(x, probability)
    dropped = round(probability * _STEPS)
    if dropped == _STEPS:
        return x * 0.0

    def drawn(rows: int) -> Tensor:
        shape = (rows, *x.shape[1:])
        words = torch.randint(-(2**63), 2**63 - 1, ((math.prod(shape) + 3) // 4,))
        return words.view(torch.int16)[: math.prod(shape)].view(shape)

    kept = ranks.draw(len(x), drawn) >= dropped - _STEPS // 2
    return x * kept.to(x.dtype).mul_(_STEPS / (_STEPS - dropped))


class Dropout(nn.Module):
    def __init__(self, probability: float) -> None:
        super().__init__()
        self.probability = probability

    def forward(self, x: Tensor) -> Tensor:
        return dropout(x, self.probability, self.training)


def torch_dropout(x: Tensor, probability: float) -> Tensor:
    """torch's own, (B, ...); on the CPU the same however ranks share a batch."""
    if ranks.part() is None or x.device.type != "cpu":
        return F.dropout(x, probability)

    def drawn(rows: int) -> Tensor:
        return F.dropout(x.new_ones(rows, *x.shape[1:]), probability)

    return x * ranks.draw(len(x), drawn)


class TorchDropout(nn.Dropout):
    """`torch_dropout` in training."""

    def forward(self, x: Tensor) -> Tensor:
        return torch_dropout(x, self.p) if self.training else x
