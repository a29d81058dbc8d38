"""Training with a teacher that is a moving average of the student: shared by BYOL and DINO."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE
from avaffect.models.visual import VisualEncoder
from avaffect.objectives.base import Context, Needs, ParameterGroup, Pretraining, Step
from avaffect.objectives.groups import decayed_groups
from avaffect.signal import ranks

FEWEST_FRAMES = 5
"""Shortest clip in pictures: the temporal kernel of the encoder's stem."""

COLLAPSED_STD = 0.05
"""Deviation of embeddings over a batch below which they count as equal."""


Network = TypeVar("Network", bound=nn.Module)


class Taught(Pretraining):
    """A student, which is trained, and a teacher of the same shape, its moving average.

    student: the encoder and its heads, by name. The teacher starts as a copy and is updated after
    each step: theta' = tau theta' + (1 - tau) theta, with tau from `momentum` to 1 by a cosine over
    training; the buffers of batch norm are copied from the student. The teacher's parameters are
    buffers: they are not optimised, and are part of a saved state.

    Clips of fewer than FEWEST_FRAMES pictures are not used. In training a batch of one clip is not
    used either, as batch norm needs several.

    crop_s: length in seconds of the clips that are compared.
    """

    # Batch norm and DINO's centre are of the batch: the loss of a clip depends on the others.
    coupled = True
    gathers = True

    def __init__(
        self,
        encoder: VisualEncoder,
        heads: Mapping[str, nn.Module],
        momentum: float,
        crop_s: float | None,
    ) -> None:
        super().__init__({self.loss: 1.0})
        self.student = nn.ModuleDict({"encoder": encoder, **heads})
        self.teacher = teacher_of(self.student)
        self.momentum = momentum
        self.crop_s = crop_s

    @property
    def needs(self) -> Needs:
        return Needs(FEWEST_FRAMES, crop_s=self.crop_s)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        lengths, faces = batch.lengths[FACE], batch.streams[FACE]
        shown = lengths >= FEWEST_FRAMES
        if not bool(shown.all()):
            faces, lengths = faces[shown], lengths[shown]
        with ranks.among(shown):
            if ranks.size(len(faces)) < (2 if self.training else 1):
                return Step({self.loss: (torch.zeros((), device=faces.device), 0.0)})
            return self.compared(self.encoder.clips(faces), lengths, context)

    def compared(self, clips: Tensor, lengths: Tensor, context: Context) -> Step:
        """The step of the clips that are used: (B', T, H, W) for `embed`, lengths (B',)."""
        raise NotImplementedError

    @property
    def encoder(self) -> VisualEncoder:
        return encoder_of(self.student)

    def after_step(self, context: Context, phase: str = "main") -> None:
        follow(self.teacher, self.student, momentum_at(self.momentum, context.progress))

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        return decayed_groups(self)

    def collapse(self, metrics: Mapping[str, float]) -> str | None:
        """A message if the embeddings of all clips are equal; otherwise None."""
        found = metrics.get("embedding_std", 1.0)
        if found < COLLAPSED_STD:
            return (
                f"the embeddings of different clips are equal (embedding_std {found:.3f}; 1: "
                "spread in all directions): the encoder has collapsed"
            )
        return None


def pooled(network: nn.ModuleDict, views: Tensor, lengths: Tensor) -> Tensor:
    """The encoder's mean over time: views (B, T, H, W) -> (B, dim), of a student or a teacher."""
    return encoder_of(network).embed(views, lengths).mean()


def encoder_of(network: nn.ModuleDict) -> VisualEncoder:
    """The encoder of a student or a teacher."""
    encoder = network["encoder"]
    assert isinstance(encoder, VisualEncoder)
    return encoder


def teacher_of(student: Network) -> Network:
    """A copy whose parameters are buffers with the same names."""
    teacher = copy.deepcopy(student)
    for module in teacher.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                del module._parameters[name]
                module.register_buffer(name, parameter.detach().clone())
    return teacher


@torch.no_grad()
def follow(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
    """teacher = momentum teacher + (1 - momentum) student; of buffers a copy."""
    own = dict(teacher.named_buffers())
    for name, parameter in student.named_parameters():
        own[name].lerp_(parameter, 1.0 - momentum)
    for name, buffer in student.named_buffers():
        own[name].copy_(buffer)


def momentum_at(first: float, progress: float) -> float:
    """tau = 1 - (1 - first) (cos(pi progress) + 1) / 2 (Grill et al. 2020, section 3.2)."""
    return 1.0 - (1.0 - first) * (math.cos(math.pi * progress) + 1.0) / 2.0


def embedding_std(embedded: Tensor) -> tuple[Tensor | float, float]:
    """embedded (B, D) -> the mean over dimensions of the standard deviation of unit vectors over
    the batch, times sqrt(D): 1 if they are spread uniformly in all directions, 0 if they are equal
    (Chen and He 2021, section 4.1); and a count, 0 for a batch of one."""
    embedded = ranks.whole(embedded.detach())
    if len(embedded) < 2:
        return 0.0, 0.0
    unit = nn.functional.normalize(embedded.float(), dim=1)
    return unit.std(dim=0, correction=0).mean() * math.sqrt(unit.shape[1]), 1.0
