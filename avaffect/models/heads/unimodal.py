"""The VAVL paper's model of one modality (section 4.5.4): conformers, and two dense layers on the
mean over time. The paper does not say how wide the first of them is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from avaffect.models.dropout import TorchDropout
from avaffect.models.encoder import Encoded, Frames
from avaffect.models.heads.base import FrameHead, FrameHeadConfiguration, Outputs, joined
from avaffect.models.heads.vavl import Encoder
from avaffect.models.standardisation import Standardisation
from avaffect.settings.baseline_options import UnimodalOptions, check_one_stream


@dataclass(frozen=True)
class UnimodalConfiguration(UnimodalOptions, FrameHeadConfiguration):
    """standardise: the input is standardised first, by statistics that the head stores."""

    standardise: bool = False


class UnimodalHead(FrameHead):
    """On one stream; over time, the dense layers read each frame. Raises UsageError for several
    inputs."""

    def __init__(self, configuration: UnimodalConfiguration) -> None:
        c = configuration
        super().__init__(c.inputs, c.outputs)
        check_one_stream(self.streams)
        self.configuration = c
        self.standardisation = Standardisation(c.dim) if c.standardise else None
        self.project = nn.Linear(c.dim, c.projection, bias=False)
        self.encoder = Encoder(c.projection, c.layers, c)
        self.dense = nn.Sequential(
            nn.Linear(c.hidden, c.units), nn.ReLU(), TorchDropout(c.dense_dropout),
            nn.Linear(c.units, c.outputs),
        )  # fmt: skip

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        """An utterance without frames has the outputs of zeros."""
        found = self._encoded(
            joined(frames, self.inputs, present, self.project.weight.new_zeros(()))
        )

        def over_time() -> Frames:
            return found.with_values(self.dense(found.values).float() * found.valid[..., None])

        return Outputs(lambda: self.dense(found.mean()).float(), over_time)

    def _encoded(self, frames: Frames) -> Frames:
        """(B, T, dim) -> (B, T, hidden)"""
        values = frames.values
        if self.standardisation is not None:
            values = self.standardisation(values)
        return self.encoder(frames.with_values(self.project(values * frames.valid[..., None])))
