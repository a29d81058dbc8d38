"""Contrastive Predictive Coding (van den Oord et al. 2018): future frames against negatives."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder, FrameEncoder, Frames, in_time, maskable
from avaffect.objectives.base import Context, Needs, Pretraining, Step
from avaffect.objectives.losses.info_nce import draw_distinct, info_nce
from avaffect.settings.pretrain_cpc import SOURCES
from avaffect.signal import ranks


@dataclass(frozen=True)
class ContrastivePredictionConfiguration:
    """ahead           number of future frames that are predicted
    negatives       number for each of them
    negatives_from  "clip" or "batch", from which they are drawn
    """

    ahead: int = 12
    negatives: int = 128
    negatives_from: str = "clip"


class ContrastivePrediction(Pretraining):
    """InfoNCE of the next `ahead` local features, each among `negatives` others; loss
    "contrastive".

    The head maps a frame to a prediction for each step, (dim -> ahead * feature_dim) without a
    bias. Negatives are valid local features other than the positive, without repetition, drawn for
    each clip and step and shared by the frames of the clip, so that they cost one matrix product
    and no copies. They are drawn from the same "clip" (all of its features if it has fewer), or
    from the "batch", which couples its utterances. Sums are over steps and frames whose target is
    within the utterance. Metrics: "accuracy", the share of them whose positive has the highest
    score, and that of the first and the last step.
    """

    loss = "contrastive"
    gathers = True
    encoder: FrameEncoder

    def __init__(
        self, encoder: Encoder, configuration: ContrastivePredictionConfiguration | None = None
    ) -> None:
        super().__init__({"contrastive": 1.0})
        c = configuration or ContrastivePredictionConfiguration()
        if c.ahead < 1 or c.negatives < 1 or c.negatives_from not in SOURCES:
            raise ValueError(
                f"{c.ahead} frames, each with {c.negatives} negatives from a {c.negatives_from!r}"
            )
        self.configuration = c
        self.encoder = in_time(encoder, "contrastive prediction")
        self.head = nn.Linear(encoder.dim, c.ahead * maskable(encoder).feature_dim, bias=False)
        self.steps = c.ahead
        self.negatives = c.negatives
        self.source = c.negatives_from
        self.coupled = self.source == "batch"

    @property
    def needs(self) -> Needs:
        return Needs(frames=self.steps + 1)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        return self.with_frames(batch, context, phase)[0]

    def with_frames(
        self, batch: Batch, context: Context, phase: str = "main"
    ) -> tuple[Step, Frames]:
        encoder = maskable(self.encoder)
        local = encoder.features(batch)
        frames = encoder.contextualise(local)
        return self._step(local, self.head(frames.values), context), frames

    def _step(self, local: Frames, predicted: Tensor, context: Context) -> Step:
        # One tensor a step: the backward pass of a slice would fill the whole tensor with zeros.
        predictions = predicted.unflatten(2, (self.steps, -1)).unbind(dim=2)
        device = local.values.device
        drawn = self.draw(local, context.generator)
        candidates, columns = drawn[0].to(device), drawn[1].to(device)
        everyone = ranks.whole(local.values) if self.source == "batch" else local.values
        flat = everyone.flatten(0, 1)
        longest = local.values.shape[1]
        total, count = flat.sum() * 0.0, torch.zeros((), device=device)
        wins: list[tuple[Tensor, Tensor]] = []
        for step, predicted in enumerate(predictions, start=1):
            here = candidates[:, step - 1]
            losses, won = info_nce(
                predicted[:, : max(0, longest - step)],
                local.values[:, step:],
                flat[here.clamp(min=0)],
                here < 0,
                columns[:, step - 1, step:],
            )
            has_future = local.valid[:, step:]
            total = total + (losses * has_future).sum()
            wins.append(((won & has_future).sum(), has_future.sum()))
            count = count + wins[-1][1]
        return Step(
            {"contrastive": (total, count)},
            {
                "accuracy": (sum(right for right, _ in wins), count),
                "accuracy_first": wins[0],
                "accuracy_last": wins[-1],
            },
        )

    def draw(self, frames: Frames, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Candidates (B, steps, negatives + 1) of each clip and step, as indices into the
        concatenated padded frames of the batch, -1 if there are fewer; and for each frame as the
        positive (B, steps, T) the candidate that it replaces: itself if it is a candidate,
        otherwise a random one. On the CPU.
        """
        mine, longest = frames.values.shape[:2]
        lengths = ranks.whole(frames.lengths.cpu())
        clips = len(lengths)
        there = torch.arange(longest) < lengths[:, None]
        valid = torch.nonzero(there.flatten()).flatten()
        first = torch.cumsum(lengths, dim=0) - lengths
        if self.source == "batch":
            lengths, first = lengths.sum().expand(clips), torch.zeros_like(first)
        one_more = self.negatives + 1
        drawn = draw_distinct(lengths.repeat_interleave(self.steps), one_more, generator)
        drawn = drawn.view(clips, self.steps, one_more)
        # One more index, which is never drawn, as a batch may have no frames.
        places = F.pad(valid, (0, 1))[first[:, None, None] + drawn.clamp(min=0)]
        places = torch.where(drawn < 0, -1, places)
        spare = torch.randint(one_more, (clips, self.steps, 1), generator=generator)
        own = places - torch.arange(clips)[:, None, None] * longest
        own = torch.where((own >= 0) & (own < longest), own, longest)
        columns = spare.repeat(1, 1, longest + 1)
        columns.scatter_(2, own, torch.arange(one_more).expand_as(own))
        places, columns = ranks.own(places), ranks.own(columns)[..., :longest]
        if self.source == "batch":
            return places, columns
        # Of this rank's clips, as indices into its own frames.
        moved = (torch.arange(mine) - ranks.own(torch.arange(clips)))[:, None, None] * longest
        return torch.where(places < 0, -1, places + moved), columns

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        frames = self.encoder.frame_count(batch.lengths)
        ahead = frames[:, None] - torch.arange(1, self.steps + 1, device=frames.device)
        return {"contrastive": float(ahead.clamp(min=0).sum())}
