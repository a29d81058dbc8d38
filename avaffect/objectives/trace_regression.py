"""Continuous affect: traces from the frames of an encoder (Shukla et al. 2021, section 6.3;
SS-VAERR, section III-D)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.heads.trace import TraceHead
from avaffect.objectives.base import Context, Step
from avaffect.objectives.losses.binned_cross_entropy import binned_cross_entropy
from avaffect.objectives.losses.concordance import concordance, concordance_loss
from avaffect.objectives.losses.cost_sensitive_cross_entropy import cost_sensitive_cross_entropy
from avaffect.objectives.losses.mean_squared_error import mean_squared_error
from avaffect.objectives.supervised import Downstream

OF_VALUES = {"ccc": concordance_loss, "mse": mean_squared_error}
OF_BINS = {"ce": binned_cross_entropy, "ncce": cost_sensitive_cross_entropy}


class TraceRegression(Downstream):
    """A weighted sum of losses of each label over all known steps of a batch (equation 6): 1 - CCC
    "ccc_NAME", "mse_NAME", and of its bins "ce_NAME" and "ncce_NAME".

    batch.labels[name] (B, T) float at the rate of the head's steps, NaN where unknown; label d of
    the head is the d-th of `losses`, name -> {loss: weight}. The coefficient ties the utterances of
    a batch together.
    """

    coupled = True

    def __init__(
        self,
        head: TraceHead,
        losses: dict[str, dict[str, float]],
        encoder: Encoder,
        frozen: bool = False,
        learning_rates: dict[str, float] | None = None,
    ) -> None:
        super().__init__(head, encoder, frozen, learning_rates)
        self.losses = losses
        self.weights = {
            f"{loss}_{name}": weight
            for name, weights in losses.items()
            for loss, weight in weights.items()
        }

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        found = self.head.outputs(self.encoder(self.seen(batch, context)))
        predicted = self.head.predicted(found.values.detach())
        step = Step({}, {})
        for label, name in enumerate(self.losses):
            # A trace may end a step before the frames, or after them.
            steps = min(found.values.shape[1], batch.labels[name].shape[1])
            gold = batch.labels[name][:, :steps]
            known = found.valid[:, :steps] & ~torch.isnan(gold)
            outputs = found.values[:, :steps]
            for loss in self.losses[name]:
                step.losses[f"{loss}_{name}"] = self._loss(loss, outputs, label, gold, known)
            value = concordance(predicted[:, :steps, label], gold, known)
            counted = (known.sum() > 1).to(value.dtype)
            step.metrics[f"concordance_{name}"] = (value * counted, counted)
        return step

    def _loss(
        self, loss: str, outputs: Tensor, label: int, gold: Tensor, known: Tensor
    ) -> tuple[Tensor, Tensor]:
        if loss in OF_VALUES:
            return OF_VALUES[loss](self.head.value(outputs, label), gold, known)
        scores, centres = self.head.scores(outputs, label), self.head.centres(label)
        return OF_BINS[loss](scores, gold, known, centres)
