"""Heads of dense layers on pooled frames (SAAML's evaluation head: one, on the means over time)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.models.encoder import Encoded, Frames
from avaffect.models.heads.base import (
    FrameHead,
    FrameHeadConfiguration,
    Outputs,
    joined,
    means,
    present_of,
)
from avaffect.models.heads.dense import dense
from avaffect.models.pooling import AttentiveStatistics, mean_and_std
from avaffect.models.standardisation import Standardisation
from avaffect.settings.head_options import ATTENTIVE, MEAN, MEAN_STD, DenseOptions, LinearOptions


@dataclass(frozen=True)
class LinearHeadConfiguration(LinearOptions, FrameHeadConfiguration):
    """hidden None: one dense layer; else hidden_layers of so many units with a ReLU, and one on
    top. standardise: the inputs are standardised first, by statistics that the head stores.
    pooled_norm: a LayerNorm beneath the dense layers (CAV-MAE, Gong et al. 2023)."""

    hidden: int | None = None
    hidden_layers: int = 1
    layer_norm: bool = False
    standardise: bool = False


@dataclass(frozen=True)
class DenseHeadConfiguration(DenseOptions, FrameHeadConfiguration):
    """As `LinearHeadConfiguration`, with hidden layers."""

    standardise: bool = False


class LinearHead(FrameHead):
    """Dense layers on each input (frames or tokens) as it is pooled; over time, where the pooling
    is the mean, on each frame.

    Means are standardised as they are. With other poolings the frames that attention reads are, and
    the pooled vectors of all inputs (`pooled`).
    """

    needs_time = False
    attention: nn.ModuleList

    def __init__(self, configuration: LinearHeadConfiguration | DenseHeadConfiguration) -> None:
        c = configuration
        super().__init__(c.inputs, c.outputs)
        self.configuration = c
        self.reads_means, self.reads_moments = c.pooling == MEAN, c.pooling == MEAN_STD
        width = c.dim if self.reads_means else 2 * c.dim
        on_inputs = c.standardise and not self.reads_moments
        self.standardisation = Standardisation(c.dim) if on_inputs else None
        if c.standardise and not self.reads_means:
            self.pooled = Standardisation(width)
        if c.pooling == ATTENTIVE:
            self.attention = nn.ModuleList(
                AttentiveStatistics(item.dim, c.attention) for item in c.inputs
            )
        self.norm = nn.LayerNorm(width) if c.pooled_norm else None
        self.layers = dense(width, c.outputs, c.hidden, c.dropout, c.hidden_layers, c.layer_norm)

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        def utterance() -> Tensor:
            if not self.reads_means:
                return self._of_pooled(frames, present)
            return self._dense(means(frames, self.inputs, present, self._missing()))

        def over_time() -> Frames:
            found = joined(frames, self.inputs, present, self._missing())
            values = self._dense(found.values).float() * found.valid[..., None]
            return Frames(values, found.lengths)

        return Outputs(utterance, over_time)

    def pool(self, frames: Mapping[str, Encoded]) -> Tensor:
        """(B, 2 dim) means and deviations of each input in turn, not standardised."""
        if self.reads_moments:
            parts = [mean_and_std(frames[item.name]) for item in self.inputs]
        else:
            parts = [
                attend(self._standard(frames[item.name], place))
                for place, (item, attend) in enumerate(zip(self.inputs, self.attention))
            ]
        return torch.cat(parts, dim=1)

    def _of_pooled(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None
    ) -> Tensor:
        values = self.pool(frames)
        if self.pooled is not None:
            values = self.pooled(values)
        if len(self.inputs) > 1:
            # An input that an utterance lacks counts as its mean, where it is standardised.
            there = [
                present_of(frames, item, present)[:, None].expand(-1, 2 * item.dim)
                for item in self.inputs
            ]
            values = torch.where(torch.cat(there, dim=1), values, values.new_zeros(()))
        return self._layers(values)

    def _standard(self, encoded: Encoded, place: int) -> Encoded:
        """An input whose frames are standardised, by its part of the statistics."""
        known = self.standardisation
        if known is None:
            return encoded
        sizes = [item.dim for item in self.inputs]
        mean, std = (part.split(sizes)[place] for part in (known.mean, known.std))
        values = (encoded.values - mean) / std
        return encoded.with_values(values * encoded.valid[..., None])

    def _dense(self, values: Tensor) -> Tensor:
        if self.standardisation is not None:
            values = self.standardisation(values)
        return self._layers(values)

    def _layers(self, values: Tensor) -> Tensor:
        return self.layers(values if self.norm is None else self.norm(values))

    def _missing(self) -> Tensor:
        """The values that standardisation maps to 0."""
        if self.standardisation is not None:
            return self.standardisation.mean
        return next(self.parameters()).new_zeros(())
