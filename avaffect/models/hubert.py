"""Audio HuBERT (Hsu et al. 2021) under its published parameter names.

The head of the pre-training (`final_proj`, `label_embs_concat`) belongs to the objective.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace

from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import SAMPLE_RATE_HZ, WAVEFORM
from avaffect.models.context import ContextEncoder
from avaffect.models.encoder import Corruption, Frames
from avaffect.models.gradient_reversal import scale_gradient
from avaffect.models.transformer import TransformerConfiguration
from avaffect.models.waveform import (
    PUBLISHED_CONVOLUTIONS,
    LogMelConvolution,
    WaveformConvolutions,
    normalise_waveform,
)
from avaffect.signal.features import unit_scale


@dataclass(frozen=True)
class HubertConfiguration:
    """Configuration of the model.

    front_end       "waveform": convolutions over samples; "logmel": log-mel bands and one
                    convolution to conv_layers[0][0] channels
    conv_layers     (channels, kernel, stride) of each convolution over samples
    conv_norm       "group" or "layer", see WaveformConvolutions
    normalise       waveforms are normalised to mean 0 and variance 1
    normalise_epsilon  added to the variance: 1e-5 (fairseq), 1e-7 (transformers)
    feature_grad_mult  factor on the gradient that reaches the front-end
    final_dim       size of the space in which pre-training compares frames with units
    """

    transformer: TransformerConfiguration = field(default_factory=TransformerConfiguration)
    front_end: str = "waveform"
    conv_layers: tuple[tuple[int, int, int], ...] = PUBLISHED_CONVOLUTIONS
    conv_norm: str = "group"
    conv_bias: bool = False
    normalise: bool = False
    normalise_epsilon: float = 1e-5
    input_dropout: float = 0.1
    feature_grad_mult: float = 0.1
    final_dim: int = 256


_BASE = HubertConfiguration()
_LARGE = HubertConfiguration(
    TransformerConfiguration(
        24, 1024, 4096, 16, pre_norm=True, dropout=0.0, attention_dropout=0.0, layerdrop=0.0
    ),
    conv_norm="layer",
    conv_bias=True,
    normalise=True,
    input_dropout=0.0,
    feature_grad_mult=1.0,
    final_dim=768,
)
_NANO = HubertConfiguration(
    TransformerConfiguration(
        4, 128, 512, 4, pre_norm=True, position_kernel=32, attention_dropout=0.0, layerdrop=0.0
    ),
    front_end="logmel",
    conv_layers=((128, 3, 2),),
    feature_grad_mult=1.0,
    final_dim=64,
)
_TINY = replace(
    _BASE,
    transformer=TransformerConfiguration(2, 64, 128, 4),
    conv_layers=tuple((32, kernel, stride) for _, kernel, stride in PUBLISHED_CONVOLUTIONS),
    final_dim=32,
)
PRESETS: dict[str, HubertConfiguration] = {
    "nano": _NANO,
    "tiny": _TINY,
    "base": _BASE,
    "large": _LARGE,
}


class Hubert(ContextEncoder):
    """Frames at 50 Hz from 16 kHz waveforms; at 25 Hz if the strides of the convolutions are 640.

    With the published convolutions a waveform of S samples gives 1 + (S - 400) // 320 frames, none
    if it is shorter than 400.
    """

    streams = (WAVEFORM,)
    rate_hz = 50.0

    def __init__(self, configuration: HubertConfiguration) -> None:
        c = configuration
        front_end: WaveformConvolutions | LogMelConvolution
        if c.front_end == "waveform":
            front_end = WaveformConvolutions(c.conv_layers, c.conv_norm, c.conv_bias)
        elif c.front_end == "logmel":
            front_end = LogMelConvolution(c.conv_layers[0][0])
        else:
            raise ValueError(f"front_end {c.front_end!r}: expected 'waveform' or 'logmel'")
        super().__init__(front_end.dim, c.transformer, c.input_dropout, c.transformer.dim)
        self.configuration = c
        self.feature_extractor = front_end
        if c.front_end == "waveform":
            self.rate_hz = SAMPLE_RATE_HZ / math.prod(stride for _, _, stride in c.conv_layers)

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames for lengths["waveform"] (B,) samples"""
        return self.feature_extractor.frame_count(lengths[WAVEFORM])

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """(B, T, feature_dim) of the front-end, not normalised, from batch.streams["waveform"]
        (B, S) int16, or float with full scale at 1.0."""
        if corruption is not None:
            raise ValueError("HuBERT masks frames in `contextualise` alone")
        lengths = batch.lengths[WAVEFORM]
        waveform = unit_scale(batch.streams[WAVEFORM])
        if self.configuration.normalise:
            waveform = normalise_waveform(waveform, lengths, self.configuration.normalise_epsilon)
        features = self.feature_extractor(waveform, lengths)
        features = scale_gradient(features, self.configuration.feature_grad_mult)
        frames = Frames(features, self.feature_extractor.frame_count(lengths))
        return Frames(features * frames.valid[..., None], frames.lengths)
