"""MulT (Tsai et al. 2019) of two modalities: the VAVL paper (section 4.5.3) leaves text out.

As released (yaohungt/Multimodal-Transformer 7351152): residuals are added as they are, not
normalised, and three layers at least follow the cross-modal ones.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avaffect.models.cross_modal import CrossModalConfiguration
from avaffect.models.heads.cross_modal import (
    CrossModalHead,
    CrossModalHeadConfiguration,
    either,
)
from avaffect.models.heads.two_streams import Lesson, Reading, Streams
from avaffect.settings.baseline_options import MulTOptions
from avaffect.settings.two_stream_options import AUDIO, AV, VIDEO

FEWEST_LAYERS = 3


@dataclass(frozen=True)
class MulTConfiguration(MulTOptions, CrossModalHeadConfiguration):
    pass


class MulTHead(CrossModalHead):
    """One prediction of both streams, whichever an utterance has."""

    def __init__(self, configuration: MulTConfiguration) -> None:
        c = configuration
        across = CrossModalConfiguration(
            c.layers, c.width, c.heads, c.dropout, input_dropout=c.input_dropout
        )
        layers = max(c.layers, FEWEST_LAYERS)
        super().__init__(c, across, replace(across, layers=layers, attention_dropout=c.dropout))

    def lesson(self, streams: Streams, phase: str, generator: torch.Generator) -> Lesson:
        rows = either(streams)
        return Lesson({AV: Reading(self.fuse(*self.projected(streams))[rows], rows)})

    def predictions(self, streams: Streams) -> dict[str, Tensor]:
        return dict.fromkeys((AUDIO, VIDEO, AV), self.fuse(*self.projected(streams)))
