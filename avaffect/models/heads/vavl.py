"""VAVL (Goncalves et al. 2023): versatile audio-visual learning, figure 1 and Algorithm 1."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.models.conformer import Conformer, ConformerConfiguration
from avaffect.models.dropout import TorchDropout
from avaffect.models.encoder import Frames
from avaffect.models.heads.two_streams import (
    Lesson,
    Reading,
    Streams,
    TwoStreamConfiguration,
    TwoStreamHead,
    placed,
    rows_of,
    unchanged,
)
from avaffect.settings.two_stream_options import (
    AUDIO,
    AV,
    MODALITIES,
    VIDEO,
    ConformerOptions,
    VAVLOptions,
)

# The released code's feed-forward halves are so many times as wide as a frame.
EXPANSION = 4


@dataclass(frozen=True)
class VAVLConfiguration(VAVLOptions, TwoStreamConfiguration):
    reconstruction_weight: float = 2.0


class Encoder(nn.Module):
    """Frames (B, T, inputs) -> (B, T, hidden): a dense layer, then conformer blocks."""

    def __init__(self, inputs: int, blocks: int, options: ConformerOptions) -> None:
        super().__init__()
        c = options
        self.widen = nn.Sequential(nn.Linear(inputs, c.hidden), TorchDropout(c.dropout))
        self.conformer = Conformer(
            ConformerConfiguration(
                blocks, c.hidden, EXPANSION * c.hidden, c.attention_heads, c.kernel, c.dropout,
                relative=True, convolution_bias=False,
            )
        )  # fmt: skip

    def forward(self, frames: Frames) -> Frames:
        return self.conformer(frames.with_values(self.widen(frames.values)))


class Dense(nn.Sequential):
    """Three dense layers, as the released code has them: there is no activation after the
    second."""

    def __init__(self, inputs: int, outputs: int, configuration: VAVLConfiguration) -> None:
        c = configuration
        super().__init__(
            nn.Linear(inputs, c.hidden), nn.ReLU(), TorchDropout(c.dense_dropout),
            nn.Linear(c.hidden, c.units), nn.Linear(c.units, outputs),
        )  # fmt: skip


class Branch(nn.Module):
    """What one modality alone has: theta_a or theta_v."""

    reconstruct: Dense | None

    def __init__(self, dim: int, blocks: int, configuration: VAVLConfiguration) -> None:
        super().__init__()
        c = configuration
        self.project = nn.Linear(dim, c.projection, bias=False)
        self.encoder = Encoder(c.projection, blocks, c)
        self.predict = Dense(c.hidden, c.outputs, c)
        self.reconstruct = Dense(c.hidden, dim, c) if c.reconstruction else None

    def forward(self, frames: Frames) -> Frames:
        return self.encoder(frames.with_values(self.project(frames.values)))


class SharedLayers(nn.Module):
    """theta_s: LayerNorm(conformer(x) + x)."""

    def __init__(self, configuration: VAVLConfiguration) -> None:
        super().__init__()
        c = configuration
        self.residual = c.residual
        self.encoder = Encoder(c.hidden, c.shared_layers, c)
        self.norm = nn.LayerNorm(c.hidden)

    def forward(self, frames: Frames) -> Tensor:
        """(B, T, hidden) -> (B, hidden) mean over time, padding excluded"""
        values = self.encoder(frames).values
        if self.residual:
            values = values + frames.values
        return frames.with_values(self.norm(values)).mean()


class VAVLHead(TwoStreamHead):
    """Acoustic, visual and shared conformers, reconstruction, and three predictions.

    Trained by Algorithm 1, a phase after the other: audio updates theta_a and theta_s, video
    theta_v and theta_s, av theta_av alone, on what the others make of the batch by then, in
    evaluation mode. A phase learns from the utterances that have its modality; where there are
    none, it changes nothing. The audiovisual prediction is the mean of the other two until it is
    trained, and without theta_av (ablation 3).
    """

    betas = (0.95, 0.999)

    def __init__(self, configuration: VAVLConfiguration) -> None:
        c = configuration
        super().__init__(c)
        self.configuration = c
        self.audio = Branch(self.dims[AUDIO], c.audio_layers, c)
        self.video = Branch(self.dims[VIDEO], c.video_layers, c)
        self.layers = SharedLayers(c)
        self.av = Dense(2 * c.hidden, c.outputs, c) if c.av_head else None
        self.phases = (AUDIO, VIDEO, AV) if c.av_head else (AUDIO, VIDEO)
        self.weights = {reconstruction(m): c.reconstruction_weight for m in (AUDIO, VIDEO)}
        self.learns = self.phases

    def modules_of(self, phase: str) -> list[nn.Module]:
        if phase == AV:
            assert self.av is not None
            return [self.av]
        return [self._branch(phase), self.layers]

    def modalities_of(self, phase: str) -> tuple[str, ...]:
        return () if phase == AV else (phase,)

    def lesson(self, streams: Streams, phase: str, generator: torch.Generator) -> Lesson:
        if phase == AV:
            return self._of_both(streams)
        rows = streams[phase].present
        if not rows.any():
            return Lesson()
        branch, frames = self._branch(phase), rows_of(streams[phase], rows)
        embedding = self.layers(branch(frames))
        lesson = Lesson({phase: Reading(branch.predict(embedding), rows)})
        if branch.reconstruct is not None:
            errors = (branch.reconstruct(embedding) - frames.mean()).square().mean(dim=1)
            lesson.losses[reconstruction(phase)] = errors.sum(), float(len(errors))
        return lesson

    def _of_both(self, streams: Streams) -> Lesson:
        rows = streams[AUDIO].present & streams[VIDEO].present
        if not rows.any():
            return Lesson()
        assert self.av is not None
        with unchanged([self.audio, self.video, self.layers]):
            both = {m: rows_of(frames, rows) for m, frames in streams.items()}
            embeddings = [self.layers(self._branch(m)(both[m])) for m in (AUDIO, VIDEO)]
        return Lesson({AV: Reading(self.av(torch.cat(embeddings, dim=1)), rows)})

    def predictions(self, streams: Streams) -> dict[str, Tensor]:
        embeddings = self.shared(streams)
        found = {m: self._branch(m).predict(embedding) for m, embedding in embeddings.items()}
        if len(found) == 2:
            found[AV] = (found[AUDIO] + found[VIDEO]) / 2
            if self.av is not None:
                trained = self.av(torch.cat([embeddings[m] for m in (AUDIO, VIDEO)], dim=1))
                found[AV] = torch.where(self.trained[MODALITIES.index(AV)], trained, found[AV])
        return found

    def shared(self, streams: Streams) -> dict[str, Tensor]:
        """(B, hidden), the mean over time; zeros where an utterance lacks the stream."""
        found = {}
        for modality, frames in streams.items():
            rows = frames.present
            embeddings = frames.values.new_zeros(0, self.configuration.hidden)
            if rows.any():
                embeddings = self.layers(self._branch(modality)(rows_of(frames, rows)))
            found[modality] = placed(embeddings, rows)
        return found

    def _branch(self, modality: str) -> Branch:
        return self.audio if modality == AUDIO else self.video


def reconstruction(modality: str) -> str:
    """The name of the loss of a modality's reconstruction."""
    return f"reconstruction_{modality}"
