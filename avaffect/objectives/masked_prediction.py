"""HuBERT's pretext task: predict the hidden unit of each masked frame."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE, UNITS, WAVEFORM
from avaffect.models.encoder import (
    Corruption,
    Encoded,
    Encoder,
    FrameEncoder,
    Frames,
    in_time,
    maskable,
)
from avaffect.models.heads.units import PredictionHead, PredictionHeadConfiguration
from avaffect.objectives.base import Context, Needs, Pretraining, Step
from avaffect.objectives.losses.masked_prediction import masked_prediction
from avaffect.objectives.masking import span_mask, substitute_frames
from avaffect.objectives.modalities import drawn_modality
from avaffect.signal import ranks

FEWEST_FRAMES = 2
"""Shortest utterance in frames: a shorter one cannot be masked."""


@dataclass(frozen=True)
class Masking:
    """Masks: spans of `span` frames with `probability`, see objectives.masking.

    kind              "feature": fused frames are replaced by one embedding; "input": audio and
                      pictures are masked separately, before the encoder (AV-HuBERT's last
                      iteration), pictures by video_probability and video_span
    modality_dropout  probability that one modality of a batch is dropped: audio with probability
                      audio_dropout, otherwise video. An utterance keeps its only modality.
    """

    probability: float = 0.8
    span: int = 10
    same_count: bool = True
    kind: str = "feature"
    video_probability: float = 0.3
    video_span: int = 5
    modality_dropout: float = 0.0
    audio_dropout: float = 0.5


@dataclass(frozen=True)
class MaskedPredictionConfiguration:
    """units             number of outputs of the head
    masking           of the encoder's inputs or features
    unmasked_weight   of the loss on frames without mask: 0 in HuBERT base, 1 in AV-HuBERT large
    features_penalty  weight of the mean square of the local features
    """

    units: int
    masking: Masking = field(default_factory=Masking)
    unmasked_weight: float = 0.0
    features_penalty: float = 10.0


@dataclass
class Plan:
    """Masks and targets of one pass.

    lengths (B,) frames, 0 for utterances without units; targets, mask, valid (B, T). dropped: the
    stream that is dropped, and the rows (B,) bool without it.
    """

    lengths: Tensor
    targets: Tensor
    mask: Tensor
    valid: Tensor
    corruption: Corruption | None = None
    dropped: str | None = None
    rows: Tensor | None = None

    def apply(self, batch: Batch) -> Batch:
        return batch if self.dropped is None else batch.without(self.dropped, self.rows)


def align_units(
    units: Tensor, lengths: Tensor, rate_hz: float, frame_rate_hz: float, steps: int
) -> Tensor:
    """units (B, U), lengths (B,) -> (B, steps) int64: the unit of each frame, -1 without one.

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


class MaskedPrediction(Pretraining):
    """Cross-entropy of units (SAAML equation 6) plus a penalty on the size of local features.

    Reads batch.streams["units"] at batch.rates["units"], and the streams of `encoder`, any that is
    Maskable. Losses, each a sum and a count:
    masked            over masked frames with a unit, weight 1
    unmasked          over the other frames; with weight 0 it is a metric
    features_penalty  mean square of the features before normalisation over valid frames
    Utterances without units are not used. Masks are drawn on the CPU from context.generator.
    """

    loss = "masked"
    encoder: FrameEncoder
    # The head bears its published names.
    kept_as = ("head.", "")

    def __init__(self, encoder: Encoder, configuration: MaskedPredictionConfiguration) -> None:
        c = configuration
        super().__init__(
            {
                "masked": 1.0,
                "unmasked": c.unmasked_weight,
                "features_penalty": c.features_penalty,
            }
        )
        self.encoder = in_time(encoder, "masked prediction")
        final_dim = getattr(encoder.configuration, "final_dim", None)
        if final_dim is None:
            raise ValueError(f"masked prediction does not train a {type(encoder).__name__}")
        self.configuration = c
        self.head = PredictionHead(PredictionHeadConfiguration(encoder.dim, c.units, final_dim))
        self.masking = c.masking

    @property
    def needs(self) -> Needs:
        return Needs(FEWEST_FRAMES, {UNITS: 1})

    @property
    def hides_features_alone(self) -> bool:
        """Whether a pass starts from the same local features as one without masks."""
        return self.masking.kind == "feature" and self.masking.modality_dropout == 0.0

    def keep_modalities(self) -> None:
        self.masking = replace(self.masking, modality_dropout=0.0)

    def plan(self, batch: Batch, generator: torch.Generator) -> Plan:
        """Draw the masks of the pass over this batch."""
        m = self.masking
        dropped, rows = drawn_modality(batch, m.modality_dropout, m.audio_dropout, generator)
        seen = batch if dropped is None else batch.without(dropped, rows)
        unit_lengths = batch.lengths[UNITS]
        lengths = self.encoder.frame_count(seen.lengths) * (unit_lengths > 0)
        steps = max(1, ranks.longest(lengths))
        mask, corruption = self._mask(seen, lengths, steps, generator)
        targets = align_units(
            batch.streams[UNITS],
            unit_lengths,
            batch.rates[UNITS],
            self.encoder.rate_hz,
            steps,
        )
        valid = Frames(mask, lengths).valid
        return Plan(lengths, targets, mask, valid, corruption, dropped, rows)

    def _mask(
        self, batch: Batch, lengths: Tensor, steps: int, generator: torch.Generator
    ) -> tuple[Tensor, Corruption | None]:
        """(B, steps) frames to predict, and the corruption of the encoder's inputs."""
        m = self.masking
        on_cpu = lengths.cpu()
        mask = span_mask(on_cpu, steps, generator, m.probability, m.span, same_count=m.same_count)
        if m.kind == "feature":
            return mask.to(lengths.device), None
        nobody = torch.zeros_like(on_cpu)
        audio = mask & (batch.lengths.get(WAVEFORM, nobody).cpu() > 0)[:, None]
        video = (
            span_mask(
                on_cpu, steps, generator, m.video_probability, m.video_span, same_count=m.same_count
            )
            & (batch.lengths.get(FACE, nobody).cpu() > 0)[:, None]
        )
        source = substitute_frames(video, on_cpu, generator)
        device = lengths.device
        return (audio | video).to(device), Corruption(audio.to(device), source.to(device))

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        plan = self.plan(batch, context.generator)
        shown = plan.apply(self.view(batch, context))
        return self.from_plan(plan, maskable(self.encoder).features(shown, plan.corruption))

    def with_frames(
        self, batch: Batch, context: Context, phase: str = "main"
    ) -> tuple[Step, Encoded]:
        if not self.hides_features_alone:
            return super().with_frames(batch, context, phase)
        # Both passes start from the same local features: they are computed once.
        plan = self.plan(batch, context.generator)
        features = maskable(self.encoder).features(self.view(batch, context))
        step = self.from_plan(plan, features)
        return step, maskable(self.encoder).contextualise(features)

    def from_plan(self, plan: Plan, features: Frames) -> Step:
        """The step of a plan from the local features (B, T, C) of its batch."""
        shown = Frames(features.values[:, : plan.mask.shape[1]], plan.lengths)
        hidden = plan.mask if self.masking.kind == "feature" else None
        frames = maskable(self.encoder).contextualise(shown, hidden).values
        step = Step({})
        for name, selected in (
            ("masked", plan.mask & plan.valid),
            ("unmasked", ~plan.mask & plan.valid),
        ):
            weighed = self.weights[name] != 0.0
            with torch.set_grad_enabled(weighed and torch.is_grad_enabled()):
                loss, right = masked_prediction(self.head, frames, plan.targets, selected)
            step.metrics[f"{name}_accuracy"] = right
            if weighed:
                step.losses[name] = loss
            else:
                step.metrics[name] = loss
        if self.weights["features_penalty"] != 0.0:
            squares = shown.values.float().square() * plan.valid[..., None]
            count = plan.valid.sum() * maskable(self.encoder).feature_dim
            step.losses["features_penalty"] = (squares.sum(), count)
        return step

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        # A copy of the generator: `forward` will draw the same plan from the original.
        generator = torch.Generator()
        generator.set_state(context.generator.get_state())
        plan = self.plan(batch, generator)
        known = plan.valid & (plan.targets >= 0)
        counts = {
            "masked": known & plan.mask,
            "unmasked": known & ~plan.mask,
            "features_penalty": plan.valid,
        }
        scale = {"features_penalty": maskable(self.encoder).feature_dim}
        return {
            name: float(selected.sum()) * scale.get(name, 1)
            for name, selected in counts.items()
            if self.weights[name] != 0.0
        }
