"""Speech-driven face reconstruction: L1 on a random frame (Shukla et al. 2021, section 3)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE
from avaffect.models.encoder import Encoder, FrameEncoder, Frames, in_time
from avaffect.models.talking_face import (
    TalkingFace,
    TalkingFaceConfiguration,
    at_rate,
    count_at_rate,
)
from avaffect.objectives.base import Context, Needs, Pretraining, Step
from avaffect.objectives.odd_one_out import OddOneOut
from avaffect.signal import draws, ranks
from avaffect.signal.images import resize, to_channels

FEWEST_PICTURES = 2
"""The still, and one to reconstruct."""
SCORED_PICTURES = 8
"""Number for each clip in evaluation, evenly spaced."""
HEARD = 0.995
"""Share of the loss with swapped audio above which the audio was not used."""


@dataclass(frozen=True)
class FaceReconstructionConfiguration:
    """alpha     weight of the faces; 1 - alpha is that of Odd-One-Out
    pictures  number of random frames of each clip to reconstruct
    face      of the generator; its speech_dim is that of the encoder's frames
    """

    alpha: float = 1.0
    pictures: int = 1
    face: TalkingFaceConfiguration = field(default_factory=TalkingFaceConfiguration)


class FaceReconstruction(Pretraining):
    """Mean absolute error of `pictures` random frames of each clip, generated from its first frame
    and its audio; loss "video".

    Frames without a face, which are black, are not used. In evaluation frames are not random but
    SCORED_PICTURES of each clip.

    With alpha below 1 the same clips are used for Odd-One-Out, a task on audio for the same
    encoder, and the total is equation 1, alpha L_video + (1 - alpha) L_audio, as weights of "video"
    and "odd".
    Clips without audio, or with fewer than two pictures, are not used in "video". The metric
    "still" is the loss of the still face, "swapped" (in evaluation) that of each clip with the
    audio of the previous clip in the batch: the difference is the gain from audio.
    """

    loss = "video"
    encoder: FrameEncoder

    def __init__(
        self, encoder: Encoder, configuration: FaceReconstructionConfiguration | None = None
    ) -> None:
        c = configuration or FaceReconstructionConfiguration()
        alone = c.alpha == 1
        super().__init__({"video": 1.0} if alone else {"video": c.alpha, "odd": 1 - c.alpha})
        self.configuration = replace(c, face=replace(c.face, speech_dim=encoder.dim))
        self.encoder = in_time(encoder, "face reconstruction")
        self.face = TalkingFace(self.configuration.face)
        self.odd = None if alone else OddOneOut(encoder)
        self.pictures = c.pictures

    @property
    def needs(self) -> Needs:
        # Audio of the duration of a picture for each.
        return Needs(
            4 * FEWEST_PICTURES,
            {FACE: FEWEST_PICTURES},
            1 if self.odd is None else self.odd.needs.together,
        )

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        step = self._video(batch, context)
        if self.odd is not None:
            other = self.odd(batch, context)
            step.losses |= other.losses
            step.metrics |= other.metrics
        return step

    def _video(self, batch: Batch, context: Context) -> Step:
        speech = self.speech(batch)
        seen = self._seen(speech.lengths, batch)
        usable = seen.sum(dim=1) >= FEWEST_PICTURES
        if not ranks.whole(usable).any():
            nothing = speech.values.sum() * 0.0
            return Step({"video": (nothing, 0.0)}, {"still": (0.0, 0.0)})
        with ranks.among(usable):
            return self._reconstructed(
                torch.nonzero(usable).flatten(), seen, speech, batch, context
            )

    def _reconstructed(
        self, rows: Tensor, seen: Tensor, speech: Frames, batch: Batch, context: Context
    ) -> Step:
        """The step of some rows of a batch."""
        faces = batch.streams[FACE]
        first, times = self.draw(seen[rows], context.generator)
        stills = self.prepare(faces[rows, first])
        real = self.prepare(faces[rows[:, None], times])
        made = self.face(stills, speech.values[rows], times, context.generator)
        count = float(times.numel())
        metrics: dict[str, tuple[Tensor | float, Tensor | float]] = {}
        metrics["still"] = (_errors(stills[:, None], real).sum(), count)
        if not self.training:
            metrics["swapped"] = self._swapped(stills, speech, rows, times, real)
        return Step({"video": (_errors(made, real).sum(), count)}, metrics)

    def _swapped(
        self, stills: Tensor, speech: Frames, rows: Tensor, times: Tensor, real: Tensor
    ) -> tuple[Tensor, float]:
        """Sum and count of the errors with the audio of others, whose last frame is repeated."""
        others = rows.roll(1)
        times = torch.minimum(times, speech.lengths[others, None] - 1)
        made = self.face(stills, speech.values[others], times, torch.Generator())
        return _errors(made, real).sum() * (len(rows) > 1), times.numel() * (len(rows) > 1)

    def collapse(self, metrics: Mapping[str, float]) -> str | None:
        """A message if the generated faces do not depend on the audio; otherwise None."""
        loss = metrics.get("development_video", 0.0)
        other = metrics.get("development_swapped", math.inf)
        if loss < HEARD * other:
            return None
        return (
            f"on development the loss {loss:.4f} is that with the audio of other clips "
            f"({other:.4f}): the faces do not depend on the audio yet; train longer"
        )

    def draw(self, seen: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """seen (N, T) bool, two or more of each row -> (N,) index of the first of them, and (N, K)
        indices of others, random in training, evenly spaced in evaluation."""
        first = seen.int().argmax(dim=1)
        order = seen.int().cumsum(dim=1)
        others = order[:, -1:] - 1
        if self.training:
            share = draws.uniform(generator, len(seen), self.pictures).to(seen.device)
        else:
            share = (torch.arange(SCORED_PICTURES, device=seen.device) + 0.5) / SCORED_PICTURES
        chosen = torch.minimum((share * others).long(), others - 1)
        return first, torch.searchsorted(order, chosen.to(order.dtype) + 2)

    def prepare(self, faces: Tensor) -> Tensor:
        """(..., H, W, C) of 0 to 255 -> (..., C', height, height / 2) of -1 to 1."""
        c = self.face.configuration
        pictures = resize(to_channels(faces, c.channels), c.height, c.height // 2)
        return (pictures.float() / 127.5 - 1.0).movedim(-1, -3)

    def speech(self, batch: Batch) -> Frames:
        """The encoder's frames at the rate of the pictures."""
        return at_rate(self.encoder(batch), self.encoder.rate_hz, batch.rates[FACE])

    @staticmethod
    def _seen(speech: Tensor, batch: Batch) -> Tensor:
        """speech (B,) duration of the audio in pictures -> (B, T) bool: pictures with audio and a
        face."""
        faces = batch.streams[FACE]
        lengths = torch.minimum(speech, batch.lengths[FACE])
        places = torch.arange(faces.shape[1], device=faces.device)
        return shows_face(faces) & (places < lengths[:, None])

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        frames = self.encoder.frame_count(batch.lengths)
        speech = count_at_rate(frames, self.encoder.rate_hz, batch.rates[FACE])
        usable = self._seen(speech, batch).sum(dim=1) >= FEWEST_PICTURES
        pictures = self.pictures if self.training else SCORED_PICTURES
        found = {"video": float(usable.sum()) * pictures}
        return found if self.odd is None else {**found, **self.odd.counts(batch, context)}


def shows_face(faces: Tensor) -> Tensor:
    """faces (B, T, H, W, C) uint8 -> (B, T) bool: pictures with a face; others are black."""
    return faces.flatten(2).any(dim=2).bool()


def _errors(made: Tensor, real: Tensor) -> Tensor:
    """(N, K, C, H, W) twice -> (N, K)"""
    return (made.float() - real).abs().mean(dim=(2, 3, 4))
