"""The linear head: dense layers on the means over time (SAAML's evaluation head has one)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from avaffect.models.encoder import Encoded, Frames
from avaffect.models.heads.base import (
    FrameHead,
    FrameHeadConfiguration,
    Outputs,
    joined,
    means,
)
from avaffect.models.heads.dense import dense
from avaffect.models.standardisation import Standardisation
from avaffect.settings.head_options import LinearOptions


@dataclass(frozen=True)
class LinearHeadConfiguration(LinearOptions, FrameHeadConfiguration):
    """hidden None: one dense layer; else two, {hidden, outputs}, with a ReLU between. standardise:
    the inputs are standardised first, by statistics that the head stores."""

    hidden: int | None = None
    standardise: bool = False


class LinearHead(FrameHead):
    """Dense layers on the mean of each input (frames or tokens); over time, on each frame."""

    reads_means = True
    needs_time = False

    def __init__(self, configuration: LinearHeadConfiguration) -> None:
        c = configuration
        super().__init__(c.inputs, c.outputs)
        self.configuration = c
        self.standardisation = Standardisation(c.dim) if c.standardise else None
        self.layers = dense(c.dim, c.outputs, c.hidden, c.dropout)

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        def utterance() -> Tensor:
            return self._dense(means(frames, self.inputs, present, self._missing()))

        def over_time() -> Frames:
            found = joined(frames, self.inputs, present, self._missing())
            values = self._dense(found.values).float() * found.valid[..., None]
            return Frames(values, found.lengths)

        return Outputs(utterance, over_time)

    def _dense(self, values: Tensor) -> Tensor:
        if self.standardisation is not None:
            values = self.standardisation(values)
        return self.layers(values)

    def _missing(self) -> Tensor:
        """The values that standardisation maps to 0."""
        if self.standardisation is not None:
            return self.standardisation.mean
        return next(self.parameters()).new_zeros(())
