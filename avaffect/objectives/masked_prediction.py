"""HuBERT's pretext task: say which hidden unit stands behind each masked frame."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Frames
from avaffect.models.heads import PredictionHead
from avaffect.models.hubert import Hubert
from avaffect.objectives.base import Context, Objective, Step
from avaffect.objectives.losses.masked_prediction import masked_prediction
from avaffect.objectives.masking import span_mask

WEIGHTS = {"masked": 1.0, "unmasked": 0.0, "features_penalty": 10.0}
"""HuBERT base; the large AV-HuBERT weighs unmasked frames 1."""


@dataclass(frozen=True)
class Masking:
    """Spans of `span` frames are hidden with `probability`, see objectives.masking."""

    probability: float = 0.8
    span: int = 10
    same_count: bool = True


@dataclass
class _Plan:
    """lengths (B,) frames, 0 for utterances without units; targets, mask, valid (B, T)"""

    lengths: Tensor
    targets: Tensor
    mask: Tensor
    valid: Tensor


def align_units(
    units: Tensor, lengths: Tensor, rate_hz: float, frame_rate_hz: float, steps: int
) -> Tensor:
    """units (B, U), lengths (B,) -> (B, steps) int64: the unit of each frame, -1 where none is.

    Frame t takes unit floor(t * rate_hz / frame_rate_hz): both streams share time zero.
    """
    # Rates are ratios of whole numbers: the margin keeps 2.9999999 from becoming 2.
    time = torch.arange(steps, device=units.device, dtype=torch.float64)
    index = torch.floor(time * (rate_hz / frame_rate_hz) + 1e-6).long()
    known = index[None] < lengths[:, None]
    if units.shape[1] == 0:
        return torch.full_like(known, -1, dtype=torch.long)
    aligned = units[:, index.clamp(max=units.shape[1] - 1)].long()
    return torch.where(known, aligned, -1)


class MaskedPrediction(Objective):
    """Cross-entropy of units (SAAML equation 6) plus a penalty on the size of local features.

    Reads batch.streams["units"] at batch.rates["units"]. Losses, each a sum and a count:
    masked            over masked frames that have a unit, weight 1
    unmasked          over the others, weight 0 (then it is only measured)
    features_penalty  mean square of the features before normalisation over valid frames, weight 10
    Utterances without units take no part. Masks are drawn on the CPU from context.generator.
    """

    def __init__(
        self,
        encoder: Hubert,
        head: PredictionHead,
        masking: Masking | None = None,
        weights: dict[str, float] | None = None,
        units: str = "units",
    ) -> None:
        super().__init__({**WEIGHTS, **(weights or {})})
        self.encoder = encoder
        self.head = head
        self.masking = masking or Masking()
        self.units = units

    def _plan(self, batch: Batch, generator: torch.Generator) -> _Plan:
        unit_lengths = batch.lengths[self.units]
        lengths = self.encoder.frame_count(batch.lengths) * (unit_lengths > 0)
        on_cpu = lengths.cpu()
        steps = max(1, int(on_cpu.max()))
        m = self.masking
        mask = span_mask(
            on_cpu, steps, generator, m.probability, m.span, same_count=m.same_count
        ).to(lengths.device)
        targets = align_units(
            batch.streams[self.units],
            unit_lengths,
            batch.rates[self.units],
            self.encoder.rate_hz,
            steps,
        )
        return _Plan(lengths, targets, mask, Frames(mask, lengths).valid)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        features, _ = self.encoder.features(batch.streams["waveform"], batch.lengths["waveform"])
        return self.from_features(features, batch, context)[0]

    def from_features(
        self, features: Tensor, batch: Batch, context: Context
    ) -> tuple[Step, Frames]:
        """The same from local features (B, T, C) of this batch; also the masked pass's frames."""
        plan = self._plan(batch, context.generator)
        features = features[:, : plan.mask.shape[1]]
        frames = self.encoder.contextualise(features, plan.lengths, plan.mask)
        step = Step({})
        for name, selected in (
            ("masked", plan.mask & plan.valid),
            ("unmasked", ~plan.mask & plan.valid),
        ):
            weighed = self.weights[name] != 0.0
            with torch.set_grad_enabled(weighed and torch.is_grad_enabled()):
                loss, right = masked_prediction(self.head, frames.values, plan.targets, selected)
            step.metrics[f"{name}_accuracy"] = right
            if weighed:
                step.losses[name] = loss
            else:
                step.metrics[name] = loss
        if self.weights["features_penalty"] != 0.0:
            squares = features.float().square() * plan.valid[..., None]
            step.losses["features_penalty"] = (
                squares.sum(),
                plan.valid.sum() * features.shape[2],
            )
        return step, frames

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        # A copy of the generator: `forward` will draw the same mask from the original.
        generator = torch.Generator()
        generator.set_state(context.generator.get_state())
        plan = self._plan(batch, generator)
        known = plan.valid & (plan.targets >= 0)
        counts = {
            "masked": known & plan.mask,
            "unmasked": known & ~plan.mask,
            "features_penalty": plan.valid,
        }
        scale = {"features_penalty": self.encoder.feature_dim}
        return {
            name: float(selected.sum()) * scale.get(name, 1)
            for name, selected in counts.items()
            if self.weights[name] != 0.0
        }
