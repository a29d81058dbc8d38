"""The recurrent audio encoder of Chung et al. 2019 (APC) and Shukla et al. 2021, section 3.2."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.streams import WAVEFORM
from avaffect.core.structure import check_layer
from avaffect.models.encoder import (
    Corruption,
    FrameEncoder,
    Frames,
    layers_differ,
    side_by_side,
)
from avaffect.models.gated_recurrent import GatedRecurrent
from avaffect.models.waveform import standardised_log_mel
from avaffect.signal.features import FEATURE_RATE_HZ, window_count


@dataclass(frozen=True)
class RecurrentConfiguration:
    """bands: of the log-mel spectrum; layers: of `hidden` GRU units; dim: of a frame."""

    bands: int = 80
    layers: int = 3
    hidden: int = 512
    dim: int = 512


PRESETS: dict[str, RecurrentConfiguration] = {
    "nano": RecurrentConfiguration(hidden=128, dim=128),
    "base": RecurrentConfiguration(),
}


class RecurrentEncoder(FrameEncoder):
    """Frames at 100 Hz from 16 kHz waveforms: log-mel, layers of GRU, a linear layer.

    A frame depends on its past alone. The spectrum of an utterance is standardised by one mean and
    deviation, which removes the gain and keeps its shape. `features` is this spectrum,
    `contextualise` are all trained layers: a pretext task may change the features in between.
    """

    streams = (WAVEFORM,)
    rate_hz = FEATURE_RATE_HZ

    def __init__(self, configuration: RecurrentConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.dim, self.depth = c.dim, c.layers
        self.feature_dim = c.bands
        sizes = [c.bands, *[c.hidden] * c.layers]
        self.layers = nn.ModuleList(
            GatedRecurrent(inputs, hidden) for inputs, hidden in pairwise(sizes)
        )
        self.output = nn.Linear(c.hidden, c.dim)

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames for lengths["waveform"] (B,) samples"""
        return window_count(lengths[WAVEFORM])

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """(B, T, bands) standardised log-mel of batch.streams["waveform"] (B, S)."""
        if corruption is not None:
            raise ValueError("a recurrent encoder has no mask embedding for its inputs")
        lengths = batch.lengths[WAVEFORM]
        spectrum = standardised_log_mel(batch.streams[WAVEFORM], lengths, self.configuration.bands)
        return Frames(spectrum, window_count(lengths))

    def contextualise(
        self, features: Frames, mask: Tensor | None = None, layer: int | None = None
    ) -> Frames:
        """(B, T, dim), or the (B, T, hidden) of a layer of GRU, counted from 1 (0: the spectrum).

        Raises UsageError past the last layer, ValueError for a mask, as there is no embedding.
        """
        if mask is not None:
            raise ValueError("a recurrent encoder has no mask embedding for frames")
        check_layer(layer, self.depth, first=0)
        x = features.values
        for recurrent in self.layers[:layer]:
            x, _ = recurrent(x)
        if layer is None:
            x = self.output(x)
        # Frames past the end do not affect valid ones; they only have to be zero.
        return Frames(x.float() * features.valid[..., None], features.lengths)

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        return self.contextualise(self.features(batch), layer=layer)

    def every_layer(self, batch: Batch) -> Frames:
        """One pass: layers of GRU but the last, and the output. Raises UsageError where GRU and
        output differ in size."""
        if self.configuration.hidden != self.dim:
            raise layers_differ(1, self.configuration.hidden, self.dim)
        features = self.features(batch)
        x, found = features.values, []
        for recurrent in self.layers:
            x, _ = recurrent(x)
            found.append(x)
        return Frames(side_by_side([*found[:-1], self.output(x)], features), features.lengths)
