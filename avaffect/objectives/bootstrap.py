"""Bootstrap your own latent (BYOL, Grill et al. 2020): predict a teacher's representation of one
view of a clip from another view."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.models.view_heads import Perceptron
from avaffect.models.visual import VisualEncoder
from avaffect.objectives.base import Context, Step
from avaffect.objectives.teacher import Taught, embedding_std, pooled
from avaffect.objectives.views import large_views


@dataclass(frozen=True)
class BootstrapConfiguration:
    """momentum        of the teacher at the start of training
    smallest_crop   smallest share of a picture that a crop covers
    hidden, outputs  of projector and predictor; by default 8 dim and dim / 2 of the encoder (4,096
                    and 256 for ResNet-18)
    crop_seconds    of the clips that are compared; None for whole ones
    """

    momentum: float = 0.996
    smallest_crop: float = 0.08
    hidden: int | None = None
    outputs: int | None = None
    crop_seconds: float | None = None


class Bootstrap(Taught):
    """2 - 2 cos of the prediction from one view and the teacher's projection of the other, in both
    directions; loss "byol", 0 to 8.

    Each clip has two views, each with one draw for all of its frames. The encoder's frames are
    averaged over time and projected; the predictor maps the result to the teacher's projection.
    """

    loss = "byol"

    def __init__(
        self, encoder: VisualEncoder, configuration: BootstrapConfiguration | None = None
    ) -> None:
        c = configuration or BootstrapConfiguration()
        hidden = c.hidden or 8 * encoder.dim
        outputs = c.outputs or encoder.dim // 2
        projector = Perceptron(encoder.dim, hidden, outputs)
        super().__init__(encoder, {"projector": projector}, c.momentum, c.crop_seconds)
        self.configuration = c
        self.predictor = Perceptron(outputs, hidden, outputs)
        self.views = large_views(encoder, (c.smallest_crop, 1.0))

    def compared(self, clips: Tensor, lengths: Tensor, context: Context) -> Step:
        views = [view(clips, lengths, context.generator) for view in self.views]
        projected = [self.student["projector"](pooled(self.student, v, lengths)) for v in views]
        with torch.no_grad():
            targets = [self.teacher["projector"](pooled(self.teacher, v, lengths)) for v in views]
        first, second = (
            distance(self.predictor(own), other) for own, other in zip(projected, targets[::-1])
        )
        return Step(
            {"byol": ((first + second).sum(), float(len(clips)))},
            {"embedding_std": embedding_std(projected[0])},
        )


def distance(predicted: Tensor, target: Tensor) -> Tensor:
    """predicted and target (B, D) -> (B,) 2 - 2 cos: the squared distance of unit vectors
    (equation 2). Half precision is converted to float32."""
    dtype = torch.promote_types(predicted.dtype, torch.float32)
    with torch.autocast(predicted.device.type, enabled=False):
        return 2.0 - 2.0 * F.cosine_similarity(predicted.to(dtype), target.to(dtype), dim=1)
