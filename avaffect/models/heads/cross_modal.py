"""What the heads with cross-modal layers (`mult`, `auxformer`) have in common."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from avaffect.models.cross_modal import CrossModalConfiguration, CrossModalPair, Residual
from avaffect.models.encoder import Frames
from avaffect.models.heads.two_streams import Streams, TwoStreamConfiguration, TwoStreamHead
from avaffect.settings.baseline_options import CrossModalOptions
from avaffect.settings.two_stream_options import AUDIO, VIDEO


@dataclass(frozen=True)
class CrossModalHeadConfiguration(CrossModalOptions, TwoStreamConfiguration):
    pass


class CrossModalHead(TwoStreamHead):
    """Scores from the last frames of both streams, each of which attended to the other.

    A stream that an utterance lacks is read as one frame of zeros; the released AuxFormer sets the
    stream to zero, at whatever length it had.
    """

    def __init__(
        self, configuration: CrossModalHeadConfiguration, across: CrossModalConfiguration,
        within: CrossModalConfiguration,
    ) -> None:  # fmt: skip
        c = configuration
        super().__init__(c)
        self.configuration = c
        self.pair = CrossModalPair((self.dims[AUDIO], self.dims[VIDEO]), across, within)
        self.fused = Residual(2 * c.width, (2 * c.width,), c.outputs, c.output_dropout)

    def shared(self, streams: Streams) -> dict[str, Tensor]:
        """(B, width) of the frames that attended to the other stream, and then to themselves."""
        return dict(zip((AUDIO, VIDEO), self.pair(*self.projected(streams))))

    def projected(self, streams: Streams) -> tuple[Frames, Frames]:
        """Audio and video (B, T, width), of no length where there is no such stream."""
        known = next(iter(streams.values()))
        none = known.values.new_zeros, torch.zeros_like(known.lengths)
        audio, video = (
            streams.get(m) or Frames(none[0](len(known.lengths), 0, self.dims[m]), none[1])
            for m in (AUDIO, VIDEO)
        )
        return self.pair.projected(audio, video)

    def fuse(self, audio: Frames, video: Frames) -> Tensor:
        """(B, T, width), (B, S, width), projected -> (B, outputs)"""
        return self.fused(torch.cat(self.pair(audio, video), dim=1))


def either(streams: Streams) -> Tensor:
    """(B,) bool: utterances that have a stream."""
    return torch.stack([frames.present for frames in streams.values()]).any(dim=0)
