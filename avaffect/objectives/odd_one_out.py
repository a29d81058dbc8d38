"""Audio Odd-One-Out: detect the jumbled clips (Shukla et al. 2021, section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder, FrameEncoder, Frames, in_time, maskable
from avaffect.models.heads.dense import Head, HeadConfiguration
from avaffect.objectives.base import Context, Needs, Pretraining, Step
from avaffect.objectives.jumbling import FEWEST_STEPS, WINDOW_SHARE, fits, reorder, swap_order
from avaffect.objectives.losses.cross_entropy import cross_entropy
from avaffect.settings.pretrain_odd import FEWEST_CLIPS
from avaffect.signal import ranks


@dataclass(frozen=True)
class OddOneOutConfiguration:
    """variant  "clip": exactly `share` of a batch are jumbled, at least one, but of two clips or
             more not all; "group": exactly one of every `group` clips
    window   length of the two windows that are swapped, as a share of the clip
    """

    variant: str = "clip"
    share: float = 0.25
    group: int = 4
    window: float = WINDOW_SHARE


class OddOneOut(Pretraining):
    """Cross-entropy on mean-pooled frames, loss "odd".

    variant "clip": the head gives two scores a clip, intact and jumbled. "group": it gives one, and
    the softmax is over the clips of a group. Spectra are jumbled, between the encoder's `features`
    and `contextualise`. Clips that are too short for two windows are not used.
    """

    loss = "odd"
    encoder: FrameEncoder

    def __init__(
        self, encoder: Encoder, configuration: OddOneOutConfiguration | None = None
    ) -> None:
        super().__init__({"odd": 1.0})
        self.configuration = configuration or OddOneOutConfiguration()
        self.encoder = in_time(encoder, "Odd-One-Out")
        outputs = 2 if self.configuration.variant == "clip" else 1
        self.head = Head(HeadConfiguration(encoder.dim, outputs))

    @property
    def needs(self) -> Needs:
        c = self.configuration
        return Needs(FEWEST_STEPS, together=FEWEST_CLIPS if c.variant == "clip" else c.group)

    def draw(self, lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """lengths (B,) on the CPU -> which clips are jumbled (B,) bool, and the clips that are
        used: (B',) in variant "clip", (groups, group) in variant "group"."""
        j = self.configuration
        room = [row for row, length in enumerate(lengths.tolist()) if fits(length)]
        usable = torch.tensor(room, dtype=torch.long)
        usable = usable[torch.randperm(len(usable), generator=generator)]
        odd = torch.zeros(len(lengths), dtype=torch.bool)
        if j.variant == "clip":
            count = max(1, min(round(j.share * len(usable)), len(usable) - 1))
            odd[usable[:count]] = True
            return odd, usable
        groups = usable[: len(usable) // j.group * j.group].view(-1, j.group)
        odd[groups[:, 0]] = True
        return odd, groups

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        encoder = maskable(self.encoder)
        features = encoder.features(batch)
        lengths = ranks.whole(features.lengths.cpu())
        odd, clips = self.draw(lengths, context.generator)
        order = swap_order(
            lengths, odd, features.values.shape[1], context.generator, self.configuration.window
        )
        order = ranks.own(order)
        # A group is that of the rank of its first clip.
        clips = clips[ranks.mine(clips if clips.ndim == 1 else clips[:, 0])]
        jumbled = Frames(reorder(features.values, order), features.lengths)
        scores = ranks.whole(self.head(encoder.contextualise(jumbled).mean()))
        clips, odd = clips.to(scores.device), odd.to(scores.device)
        if self.configuration.variant == "clip":
            return self._by_clip(scores[clips], odd[clips])
        return self._by_group(scores[:, 0][clips], odd[clips])

    @staticmethod
    def _by_clip(scores: Tensor, odd: Tensor) -> Step:
        """scores (B', 2), odd (B',). Metrics are recalls, as most clips are intact."""
        right = scores.argmax(dim=1) == odd
        return Step(
            {"odd": cross_entropy(scores, odd.long())},
            {
                "recall_jumbled": (right[odd].sum(), odd.sum()),
                "recall_intact": (right[~odd].sum(), (~odd).sum()),
            },
        )

    @staticmethod
    def _by_group(scores: Tensor, odd: Tensor) -> Step:
        """scores and odd (groups, group)"""
        targets = odd.long().argmax(dim=1) if len(odd) else odd.new_zeros(0, dtype=torch.long)
        right = scores.argmax(dim=1) == targets if len(odd) else targets
        return Step(
            {"odd": cross_entropy(scores, targets)}, {"odd_accuracy": (right.sum(), len(odd))}
        )

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        own = self.encoder.frame_count(batch.lengths)
        if self.configuration.variant == "clip":
            return {"odd": float(sum(fits(length) for length in own.tolist()))}
        usable = sum(fits(length) for length in ranks.whole(own).tolist())
        # Of all ranks together: the first one's.
        mine = bool(ranks.mine(torch.zeros(1, dtype=torch.long)))
        return {"odd": float(usable // self.configuration.group) * mine}
