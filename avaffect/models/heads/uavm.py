"""UAVM (Gong et al. 2022): layers for each modality, then layers and an output that both share.

The released model (YuanGongND/uavm b3120c7) reads sequences of one length; here longer ones are
averaged to it, and shorter ones are as long as they are.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.encoder import Frames
from avaffect.models.heads.two_streams import (
    Lesson,
    Reading,
    Streams,
    TwoStreamConfiguration,
    TwoStreamHead,
    placed,
    rows_of,
)
from avaffect.models.transformer import TransformerConfiguration, TransformerLayer, key_bias
from avaffect.settings.baseline_options import UAVMOptions
from avaffect.settings.two_stream_options import AUDIO, AV, VIDEO

# Of the norms before the projection and before the output.
EPSILON = 1e-6


@dataclass(frozen=True)
class UAVMConfiguration(UAVMOptions, TwoStreamConfiguration):
    """length: the most steps that are read."""


class Layers(nn.Module):
    """Layers over so many steps at most, each with a learned position."""

    def __init__(self, dim: int, layers: int, configuration: UAVMConfiguration) -> None:
        super().__init__()
        c = configuration
        self.norm = nn.LayerNorm(dim, eps=EPSILON)
        # An input of this width is read as it is.
        self.project = nn.Identity() if dim == c.width else nn.Linear(dim, c.width)
        self.positions = nn.Parameter(torch.empty(c.length, c.width))
        nn.init.trunc_normal_(self.positions, std=0.02)
        sizes = TransformerConfiguration(
            layers, c.width, 4 * c.width, c.heads, pre_norm=True, dropout=c.dropout,
            attention_dropout=c.dropout,
        )  # fmt: skip
        self.layers = nn.ModuleList(
            TransformerLayer(sizes, input_bias=False) for _ in range(layers)
        )

    def forward(self, frames: Frames) -> Frames:
        """(B, T, D), T at most `length` -> (B, T, width), zero in padding"""
        valid = frames.valid
        x = self.project(self.norm(frames.values)) + self.positions[: valid.shape[1]]
        bias = key_bias(valid, x.dtype)[:, None, None]
        for layer in self.layers:
            x = layer(x, bias)
        return Frames(x * valid[..., None], frames.lengths)


class UAVMHead(TwoStreamHead):
    """Scores from either modality; those from both are their mean. In training a batch reads one
    of them, or the other where no utterance has that one."""

    def __init__(self, configuration: UAVMConfiguration) -> None:
        c = configuration
        super().__init__(c)
        self.configuration = c
        self.learns = (AUDIO, VIDEO)
        self.layers = nn.ModuleDict({m: Layers(dim, c.layers, c) for m, dim in self.dims.items()})
        self.together = Layers(c.width, c.shared_layers, c)
        self.output_norm = nn.LayerNorm(c.width, eps=EPSILON)
        self.output = nn.Linear(c.width, c.outputs)

    def lesson(self, streams: Streams, phase: str, generator: torch.Generator) -> Lesson:
        drawn = torch.rand((), generator=generator).item() < self.configuration.audio_share
        first, other = (AUDIO, VIDEO) if drawn else (VIDEO, AUDIO)
        read = first if streams[first].present.any() else other
        lesson = Lesson()
        for modality in (AUDIO, VIDEO):
            rows = streams[modality].present & (modality == read)
            lesson.readings[modality] = Reading(
                self._scores(self._of(streams, modality, rows)), rows
            )
        return lesson

    def predictions(self, streams: Streams) -> dict[str, Tensor]:
        found = {m: self._scores(embedding) for m, embedding in self.shared(streams).items()}
        if len(found) == 2:
            found[AV] = (found[AUDIO] + found[VIDEO]) / 2
        return found

    def shared(self, streams: Streams) -> dict[str, Tensor]:
        """(B, width), the mean over time; zeros where an utterance lacks the stream."""
        return {
            modality: placed(self._of(streams, modality, frames.present), frames.present)
            for modality, frames in streams.items()
        }

    def _of(self, streams: Streams, modality: str, rows: Tensor) -> Tensor:
        """(n, width) of the utterances in rows (B,) bool"""
        frames = streams[modality]
        if not rows.any():
            return frames.values.new_zeros(0, self.configuration.width)
        return self.embedding(rows_of(frames, rows), modality)

    def embedding(self, frames: Frames, modality: str) -> Tensor:
        """(B, T, D) -> (B, width); steps have a norm of 1 at first."""
        steps = averaged(frames, self.configuration.length)
        steps = Frames(F.normalize(steps.values.float(), dim=2), steps.lengths)
        return self.together(self.layers[modality](steps)).mean()

    def _scores(self, embedding: Tensor) -> Tensor:
        """(B, width) -> (B, outputs)"""
        return self.output(self.output_norm(embedding))


def averaged(frames: Frames, steps: int) -> Frames:
    """The frames of each utterance, or, where there are more than so many, the means of as many
    parts that are as equal as can be; neighbouring parts may share a frame."""
    if frames.values.shape[1] <= steps:
        return frames
    lengths = frames.lengths[:, None]
    count = lengths.clamp(min=1, max=steps)
    part = torch.arange(steps, device=lengths.device)
    first = torch.div(part * lengths, count, rounding_mode="floor")
    stop = torch.div((part + 1) * lengths + count - 1, count, rounding_mode="floor")
    frame = torch.arange(frames.values.shape[1], device=lengths.device)
    within = (frame >= first[..., None]) & (frame < stop[..., None]) & (part < count)[..., None]
    weights = within / (stop - first).clamp(min=1)[..., None]
    return Frames(weights.to(frames.values.dtype) @ frames.values, frames.lengths.clamp(max=steps))
