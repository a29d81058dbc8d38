"""AuxFormer (Goncalves and Busso 2022): cross-modal layers, and an auxiliary network for each
stream.

As released (ilucasgoncalves/AuxFormer 708ba72): an auxiliary network applies its layers three
times, both share their dense layers, and the layers after the cross-modal ones are gated.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from avaffect.models.cross_modal import (
    CrossModalConfiguration,
    CrossModalEncoder,
    Residual,
    last,
)
from avaffect.models.encoder import Frames
from avaffect.models.heads.cross_modal import (
    CrossModalHead,
    CrossModalHeadConfiguration,
    either,
)
from avaffect.models.heads.two_streams import Lesson, Reading, Streams
from avaffect.settings.baseline_options import AuxFormerOptions
from avaffect.settings.two_stream_options import AUDIO, AV, VIDEO

# Times that an auxiliary network applies its layers, and the units of its dense layers.
ROUNDS = 3
UNITS = 512, 256


@dataclass(frozen=True)
class AuxFormerConfiguration(AuxFormerOptions, CrossModalHeadConfiguration):
    pass


class AuxFormerHead(CrossModalHead):
    """A prediction is the mean of the fused scores and of those of each auxiliary network whose
    stream is there; in training each of them has a loss of the same weight."""

    configuration: AuxFormerConfiguration

    def __init__(self, configuration: AuxFormerConfiguration) -> None:
        c = configuration
        within = CrossModalConfiguration(
            c.layers, c.width, c.heads, c.dropout, attention_dropout=c.dropout,
            input_dropout=c.input_dropout, positions=False,
        )  # fmt: skip
        across = replace(within, attention_dropout=0.0, positions=True)
        super().__init__(c, across, replace(within, gated=True))
        self.alone = nn.ModuleDict({m: CrossModalEncoder(within) for m in (AUDIO, VIDEO)})
        self.auxiliary = Residual(c.width, UNITS, c.outputs, c.output_dropout)
        self.weights = dict.fromkeys((AUDIO, VIDEO, AV), 1 / 3)

    def lesson(self, streams: Streams, phase: str, generator: torch.Generator) -> Lesson:
        streams = self._dropped(streams, torch.rand((), generator=generator).item())
        there = {AV: either(streams), **{m: streams[m].present for m in (AUDIO, VIDEO)}}
        scores = self.scores(streams)
        return Lesson({m: Reading(scores[m][rows], rows) for m, rows in there.items()})

    def predictions(self, streams: Streams) -> dict[str, Tensor]:
        fused, audio, video = (scores := self.scores(streams))[AV], scores[AUDIO], scores[VIDEO]
        return {AUDIO: (fused + audio) / 2, VIDEO: (fused + video) / 2,
                AV: (fused + audio + video) / 3}  # fmt: skip

    def scores(self, streams: Streams) -> dict[str, Tensor]:
        """(B, outputs) each: the fused ones (av), and those of each auxiliary network, which mean
        nothing where an utterance lacks the stream."""
        audio, video = self.projected(streams)
        return {
            AV: self.fuse(audio, video),
            AUDIO: self._alone(audio, AUDIO),
            VIDEO: self._alone(video, VIDEO),
        }

    def _alone(self, frames: Frames, modality: str) -> Tensor:
        for _ in range(ROUNDS):
            frames = self.alone[modality](frames)
        return self.auxiliary(last(frames))

    def _dropped(self, streams: Streams, draw: float) -> Streams:
        """Without one stream of the utterances that have both, if the draw, 0 to 1, says so."""
        share = self.configuration.modality_dropout
        if draw >= 2 * share:
            return streams
        lost = AUDIO if draw < share else VIDEO
        frames = streams[lost]
        both = streams[AUDIO].present & streams[VIDEO].present
        return {**streams, lost: Frames(frames.values, frames.lengths * ~both)}
