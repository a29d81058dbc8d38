"""The encoder of Whisper (Radford et al. 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from avaffect.core.batch import Batch
from avaffect.core.streams import WAVEFORM
from avaffect.models.encoder import Corruption, FrameEncoder, Frames
from avaffect.models.transformer import EVERY, TransformerConfiguration, TransformerEncoder
from avaffect.models.waveform import valid_steps
from avaffect.signal.features import HOP, WINDOW
from avaffect.signal.whisper import whisper_log_mel

_STRIDE = 2
# Windows that are computed at once: those of an hour would need much memory.
_WINDOWS = 16


def _published_transformer() -> TransformerConfiguration:
    return TransformerConfiguration(
        4, 384, 1536, 6, pre_norm=True, position_norm="none",
        dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class WhisperConfiguration:
    """A whole model; the defaults are those of Whisper tiny.

    bands      of the log-mel spectrum: 80, in large-v3 128
    positions  that are stored: the frames of a window, 1500 (30 s)
    padded     each utterance is padded with silence to whole windows, as published; otherwise it
               keeps its own length
    final_dim  size of the space in which pre-training compares frames with classes
    """

    transformer: TransformerConfiguration = field(default_factory=_published_transformer)
    bands: int = 80
    positions: int = 1500
    padded: bool = False
    final_dim: int = 256


def sinusoids(positions: int, dim: int) -> Tensor:
    """(positions, dim): sines, then cosines, of wavelengths from 2 pi to 20000 pi frames."""
    slower = math.log(10000.0) / max(1, dim // 2 - 1)
    angles = torch.arange(positions)[:, None] * torch.exp(-slower * torch.arange(dim // 2))
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Whisper(FrameEncoder):
    """Frames at 50 Hz from 16 kHz waveforms: (S // 160 + 1) // 2 of S samples, none of fewer than
    400.

    A log-mel spectrum, two convolutions, positions, a Transformer. Utterances longer than a window
    (30 s) are read in as few windows as possible, of equal length where they are not padded, whose
    frames are joined. `mask_emb` (dim,), which was not published, replaces a frame that a pretext
    task masks, before its position is added.
    """

    streams = (WAVEFORM,)
    rate_hz = 50.0
    first_layer = 0

    def __init__(self, configuration: WhisperConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.dim = self.feature_dim = c.transformer.dim
        self.depth = c.transformer.layers
        self.window_s = c.positions / self.rate_hz
        self.conv1 = nn.Conv1d(c.bands, self.dim, 3, padding=1)
        self.conv2 = nn.Conv1d(self.dim, self.dim, 3, stride=_STRIDE, padding=1)
        # They were published without a gradient, too.
        self.register_buffer("positions", sinusoids(c.positions, self.dim))
        self.positions: Tensor
        self.mask_emb = nn.Parameter(torch.rand(self.dim))
        self.encoder = TransformerEncoder(c.transformer, key_bias=False)

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames for lengths["waveform"] (B,) samples"""
        samples = lengths[WAVEFORM]
        frames = _after_stride(torch.div(samples, HOP, rounding_mode="floor"))
        return torch.where(samples < WINDOW, 0, frames)

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """(B, T, dim) after the convolutions, from batch.streams["waveform"] (B, S) int16, or float
        with full scale at 1.0. ValueError where utterances are padded: silence is part of their
        context."""
        if corruption is not None:
            raise ValueError("Whisper hides frames in `contextualise` alone")
        if self.configuration.padded:
            raise ValueError("the context of a padded utterance is more than its own frames")
        lengths = batch.lengths[WAVEFORM]
        waveform = batch.streams[WAVEFORM]
        waveform = F.pad(waveform, (0, max(0, WINDOW - waveform.shape[1])))
        spectrum = whisper_log_mel(waveform, lengths, self.configuration.bands)
        steps = torch.div(lengths, HOP, rounding_mode="floor")
        frames = Frames(self._convolved(spectrum, steps), self.frame_count(batch.lengths))
        return Frames(frames.values * frames.valid[..., None], frames.lengths)

    def contextualise(
        self, features: Frames, mask: Tensor | None = None, layer: int | None = None
    ) -> Frames:
        """See Maskable."""
        x = features.values
        if mask is not None:
            x = torch.where(mask[..., None], self.mask_emb.to(x.dtype), x)
        if x.shape[1] > len(self.positions):
            found = self._in_windows(x, features.lengths.tolist(), layer)
        else:
            found = self._attended(x, features.valid, layer)
        return Frames(found.float(), features.lengths)

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        """Frames of the last layer, or raw output of layer 1, 2, … (UsageError past the last)."""
        if self.configuration.padded:
            return self._padded(batch, layer)
        return self.contextualise(self.features(batch), layer=layer)

    def every_layer(self, batch: Batch) -> Frames:
        """One pass; layer 0 is the input of the Transformer, with positions."""
        return self.forward(batch, layer=EVERY)

    def _convolved(self, spectrum: Tensor, steps: Tensor) -> Tensor:
        """spectrum (B, M, bands), steps (B,) valid of M -> (B, T, dim)"""
        x = F.gelu(self.conv1(spectrum.transpose(1, 2)))
        # Beyond an utterance the second convolution reads zeros, as in a batch of one utterance.
        x = x * valid_steps(steps, x.shape[2])[:, None]
        return F.gelu(self.conv2(x)).transpose(1, 2)

    def _attended(self, x: Tensor, valid: Tensor, layer: int | None) -> Tensor:
        """x (B, T, dim), T no more than there are positions -> (B, T, dim)"""
        return self.encoder(x + self.positions[: x.shape[1]], valid, layer)

    def _in_windows(self, x: Tensor, lengths: list[int], layer: int | None) -> Tensor:
        """(B, T, dim) -> (B, T, dim): an utterance in as few windows of equal length as
        possible."""
        parts: list[Tensor] = []
        counts = []
        for row, length in zip(x, lengths):
            count = max(1, -(-length // len(self.positions)))
            parts += row[:length].split(max(1, -(-length // count)))
            counts.append(count)
        sizes = torch.tensor([len(part) for part in parts], device=x.device)
        found: list[Tensor] = []
        for few, size in zip(_blocks(parts), sizes.split(_WINDOWS)):
            padded = pad_sequence(few, batch_first=True)
            frames_of = self._attended(padded, valid_steps(size, padded.shape[1]), layer)
            found += [frames[:length] for frames, length in zip(frames_of, size.tolist())]
        pieces = iter(found)
        rows = [torch.cat([next(pieces) for _ in range(count)]) for count in counts]
        return torch.stack([F.pad(row, (0, 0, 0, x.shape[1] - len(row))) for row in rows])

    def _padded(self, batch: Batch, layer: int | None) -> Frames:
        """Each utterance in whole windows, padded with silence, whose frames are dropped."""
        counts = self.frame_count(batch.lengths)
        window = len(self.positions) * _STRIDE
        rows = []
        for wave, length, count in zip(
            batch.streams[WAVEFORM], batch.lengths[WAVEFORM].tolist(), counts.tolist()
        ):
            windows = max(1, -(-length // (window * HOP)))
            samples = windows * window * HOP
            wave = F.pad(wave[:length], (0, samples - length))[None]
            whole = torch.tensor([samples], device=wave.device)
            spectrum = whisper_log_mel(wave, whole, self.configuration.bands)
            found = []
            for few in spectrum.view(windows, window, -1).split(_WINDOWS):
                x = self._convolved(few, torch.full((len(few),), window, device=wave.device))
                valid = torch.ones(x.shape[:2], dtype=torch.bool, device=x.device)
                found.append(self._attended(x, valid, layer))
            rows.append(torch.cat(found).flatten(0, 1)[:count].float())
        values = pad_sequence(rows, batch_first=True)
        # A batch of fragments has one (padded) frame.
        return Frames(F.pad(values, (0, 0, 0, max(0, 1 - values.shape[1]))), counts)


def _after_stride(steps: Tensor) -> Tensor:
    return torch.div(steps + 1, _STRIDE, rounding_mode="floor")


def _blocks(parts: list[Tensor]) -> list[list[Tensor]]:
    return [parts[first : first + _WINDOWS] for first in range(0, len(parts), _WINDOWS)]
