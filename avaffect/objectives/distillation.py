"""Self-distillation with no labels (DINO, Caron et al. 2021): match a teacher's output on large
crops from large and small crops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.view_heads import DistillationHead
from avaffect.models.visual import VisualEncoder
from avaffect.objectives.base import Context, Step
from avaffect.objectives.teacher import Taught, embedding_std, pooled
from avaffect.objectives.views import large_views, small_views
from avaffect.signal import ranks

LARGE, SMALL = (0.4, 1.0), (0.05, 0.4)
"""Shares of the picture that crops cover."""

FLAT = 0.99
"""Share of ln(outputs) above which an entropy counts as uniform, a loss as chance."""


@dataclass(frozen=True)
class DistillationConfiguration:
    """outputs             of the softmax; by default 8 dim (4,096 for ResNet-18)
    small_views         number, in addition to the two large ones
    momentum            of the teacher at the start of training; centre_momentum: of its centre
    student_temperature, teacher_temperature
    frozen_epochs       number of epochs in which the last layer is not trained
    head_norm           batch norm in the head
    crop_seconds        of the clips that are compared; None for whole ones
    """

    outputs: int | None = None
    small_views: int = 8
    momentum: float = 0.996
    centre_momentum: float = 0.9
    student_temperature: float = 0.1
    teacher_temperature: float = 0.04
    frozen_epochs: int = 1
    head_norm: bool = False
    crop_seconds: float | None = None


class Distillation(Taught):
    """Cross-entropy of the student's softmax of each view with the teacher's softmax of each other
    large view; the mean over these pairs is the loss "dino".

    The teacher's scores are centred by a running mean, which prevents a collapse to one output, and
    sharpened by a low temperature, which prevents a collapse to the uniform distribution. The
    metric "teacher_entropy" is the entropy of its softmax: ln(outputs) and 0 are the two collapses.
    """

    loss = "dino"
    centre: Tensor
    centred: Tensor

    def __init__(
        self, encoder: VisualEncoder, configuration: DistillationConfiguration | None = None
    ) -> None:
        s = configuration or DistillationConfiguration()
        dim = encoder.dim
        head = DistillationHead(dim, 4 * dim, dim // 2, s.outputs or 8 * dim, s.head_norm)
        super().__init__(encoder, {"head": head}, s.momentum, s.crop_seconds)
        self.configuration = s
        self.outputs = head.directions.out_features
        self.large = large_views(encoder, LARGE)
        self.small = small_views(encoder, SMALL, s.small_views)
        self.register_buffer("centre", torch.zeros(self.outputs))
        self.register_buffer("centred", torch.zeros((), dtype=torch.bool))

    def compared(self, clips: Tensor, lengths: Tensor, context: Context) -> Step:
        counts = [len(views) for views in (self.large, self.small) if views]
        sizes = [
            torch.cat([view(clips, lengths, context.generator) for view in views])
            for views in (self.large, self.small)
            if views
        ]
        head = head_of(self.student)
        # Views of one size pass the network together, as published.
        embedded = [
            head.embed(pooled(self.student, views, lengths.repeat(count)))
            for views, count in zip(sizes, counts)
        ]
        shape = len(clips), self.outputs
        scores = head.scores(torch.cat(embedded)).view(sum(counts), *shape)
        with torch.no_grad():
            seen = pooled(self.teacher, sizes[0], lengths.repeat(len(self.large)))
            teacher = head_of(self.teacher)
            raw = teacher.scores(teacher.embed(seen)).view(len(self.large), *shape)
            middle = _mean(raw)
            if self.training and not self.centred:
                self.centre.copy_(middle)
            targets = self.sharpened(raw)
            if self.training:
                self.centre.lerp_(middle, 1.0 - self.configuration.centre_momentum)
                self.centred.fill_(True)
            entropy = -torch.special.xlogy(targets, targets).sum(2)
        losses = cross_entropies(targets, scores / self.configuration.student_temperature)
        return Step(
            {"dino": (losses.sum(), float(len(clips)))},
            {
                "teacher_entropy": (entropy.sum(), float(entropy.numel())),
                "embedding_std": embedding_std(embedded[0][: len(clips)]),
            },
        )

    def sharpened(self, raw: Tensor) -> Tensor:
        """The teacher's scores (R, B, K) -> its softmax, centred and sharpened."""
        return F.softmax((raw - self.centre) / self.configuration.teacher_temperature, dim=2)

    def before_step(self, context: Context, phase: str = "main") -> None:
        """Drop the gradients of the last layer in the first epochs."""
        if context.epoch < self.configuration.frozen_epochs:
            head_of(self.student).directions.weight.grad = None

    def collapse(self, metrics: Mapping[str, float]) -> str | None:
        loss, entropy = metrics.get("dino", 0.0), metrics.get("teacher_entropy", 0.0)
        flat = f"ln({self.outputs}) = {math.log(self.outputs):.2f}"
        least = FLAT * math.log(self.outputs)
        if entropy > least:
            return (
                f"the teacher's output is uniform (teacher_entropy {entropy:.2f}, {flat} at most): "
                "the encoder has collapsed, or has not begun to learn"
            )
        found = super().collapse(metrics)
        if found is None and loss > least:
            return (
                f"the loss {loss:.2f} is not below chance ({flat}): the student has not learned to "
                f"predict the teacher yet (teacher_entropy {entropy:.2f})"
            )
        return found


def _mean(raw: Tensor) -> Tensor:
    """(R, B, K) -> (K,) over views and the clips of all ranks"""
    if ranks.part() is None:
        return raw.mean((0, 1))
    return ranks.total(raw.sum((0, 1))) / (len(raw) * ranks.size(raw.shape[1]))


def head_of(network: nn.ModuleDict) -> DistillationHead:
    """The head of a student or a teacher."""
    head = network["head"]
    assert isinstance(head, DistillationHead)
    return head


def cross_entropies(targets: Tensor, scores: Tensor) -> Tensor:
    """targets (R, B, K) probabilities of the first R views, scores (V, B, K) of all V -> (B,) mean
    cross-entropy over the pairs of different views (equation 3)."""
    logarithms = F.log_softmax(scores, dim=2)
    # The sum over all pairs less that over pairs of the same view.
    crossed = -(targets.sum(0) * logarithms.sum(0)).sum(1)
    same = -(targets * logarithms[: len(targets)]).sum((0, 2))
    return (crossed - same) / (len(targets) * (len(scores) - 1))
