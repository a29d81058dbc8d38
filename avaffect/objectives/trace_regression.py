"""Continuous affect: traces from the frames of an encoder (Shukla et al. 2021, section 6.3)."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.heads import Head
from avaffect.models.recurrent_head import RecurrentHead
from avaffect.objectives.base import Context, Step
from avaffect.objectives.downstream import Downstream
from avaffect.objectives.losses.concordance import concordance


class TraceRegression(Downstream):
    """(1 - CCC) / 2 of each label over all known steps of a batch, loss "ccc_NAME".

    batch.labels[name] (B, T) float at the rate of the head's steps, NaN where unknown; output d of
    the head is label d. The coefficient ties the utterances of a batch together.
    """

    coupled = True

    def __init__(
        self,
        head: Head | RecurrentHead,
        names: Sequence[str],
        encoder: Encoder,
        frozen: bool = False,
        learning_rates: dict[str, float] | None = None,
    ) -> None:
        super().__init__(head, encoder, frozen, learning_rates)
        self.names = tuple(names)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        found = self.head.over_time(self.encoder(self.seen(batch, context)))
        step = Step({}, {})
        for index, name in enumerate(self.names):
            # A trace may end a step before the frames, or after them.
            steps = min(found.values.shape[1], batch.labels[name].shape[1])
            gold = batch.labels[name][:, :steps]
            known = found.valid[:, :steps] & ~torch.isnan(gold)
            value = concordance(found.values[:, :steps, index], gold, known)
            counted = (known.sum() > 1).to(value.dtype)
            step.losses[f"ccc_{name}"] = ((1 - value) / 2 * counted, counted)
            step.metrics[f"concordance_{name}"] = (value.detach() * counted, counted)
        return step
