"""Bootstrap your own latent (Grill et al. 2020): one view of a clip foretells what a teacher makes
of another."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.view_heads import Perceptron
from avaffect.models.visual import VisualEncoder
from avaffect.objectives.base import Context, Step
from avaffect.objectives.teacher import Taught, embedding_std, nothing, pooled
from avaffect.objectives.views import large_views


class Bootstrap(Taught):
    """2 - 2 cos of the prediction from one view and the teacher's projection of the other, both
    ways round; loss "byol", 0 to 8.

    Each clip is seen in two views, one draw for all of its frames; the encoder's frames are
    averaged over time, projected, and predicted from.

    hidden, outputs: of projector and predictor; by default 8 dim and dim / 2 (4,096 and 256 for
    ResNet-18). smallest: share of a picture that the smallest crop covers.
    """

    def __init__(
        self,
        encoder: VisualEncoder,
        momentum: float = 0.996,
        smallest: float = 0.08,
        hidden: int | None = None,
        outputs: int | None = None,
    ) -> None:
        hidden = hidden or 8 * encoder.dim
        outputs = outputs or encoder.dim // 2
        super().__init__(encoder, {"projector": Perceptron(encoder.dim, hidden, outputs)}, momentum)
        self.predictor = Perceptron(outputs, hidden, outputs)
        self.views = large_views(encoder, (smallest, 1.0))

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        if self.training and len(batch) < 2:
            return nothing(batch, "byol")
        lengths = batch.lengths["face"]
        clips = self.encoder.clips(batch.streams["face"])
        views = [view(clips, lengths, context.generator) for view in self.views]
        projected = [self.student["projector"](pooled(self.student, v, lengths)) for v in views]
        with torch.no_grad():
            targets = [self.teacher["projector"](pooled(self.teacher, v, lengths)) for v in views]
        distances = sum(
            distance(self.predictor(own), other) for own, other in zip(projected, targets[::-1])
        )
        return Step(
            {"byol": (distances.sum(), float(len(clips)))},
            {"embedding_std": embedding_std(projected[0])},
        )


def distance(predicted: Tensor, target: Tensor) -> Tensor:
    """predicted and target (B, D) -> (B,) 2 - 2 cos: the square distance of unit vectors
    (equation 2). Half precision is raised to float32."""
    dtype = torch.promote_types(predicted.dtype, torch.float32)
    with torch.autocast(predicted.device.type, enabled=False):
        return 2.0 - 2.0 * F.cosine_similarity(predicted.to(dtype), target.to(dtype), dim=1)
