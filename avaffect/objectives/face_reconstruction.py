"""Speech-driven face reconstruction: L1 on a random frame (Shukla et al. 2021, section 3)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder, Frames
from avaffect.models.talking_face import TalkingFace, at_rate, count_at_rate
from avaffect.objectives.base import Context, Objective, Step
from avaffect.objectives.odd_one_out import OddOneOut
from avaffect.signal.images import resize, to_channels

FEWEST_PICTURES = 2
"""The still, and one to reconstruct."""


class FaceReconstruction(Objective):
    """Mean absolute error of `pictures` random frames of each clip, drawn from its first frame and
    its sound; loss "video".

    With `odd`, a task on sound for the same encoder, the same clips go through it as well and the
    total is equation 1, alpha L_video + (1 - alpha) L_audio, as weights of "video" and "odd".
    Clips without sound, or with fewer than two pictures, take no part in "video". The metric
    "still" is the loss of a face that does not move.
    """

    def __init__(
        self,
        encoder: Encoder,
        face: TalkingFace,
        odd: OddOneOut | None = None,
        alpha: float = 0.67,
        pictures: int = 1,
    ) -> None:
        super().__init__({"video": 1.0} if odd is None else {"video": alpha, "odd": 1 - alpha})
        self.encoder = encoder
        self.face = face
        self.odd = odd
        self.pictures = pictures

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        step = self._video(batch, context)
        if self.odd is not None:
            other = self.odd(batch, context)
            step.losses |= other.losses
            step.metrics |= other.metrics
        return step

    def _video(self, batch: Batch, context: Context) -> Step:
        speech = self.speech(batch)
        lengths = self._lengths(speech.lengths, batch)
        rows = torch.nonzero(lengths >= FEWEST_PICTURES).flatten()
        if len(rows) == 0:
            nothing = speech.values.sum() * 0.0
            return Step({"video": (nothing, 0.0)}, {"still": (0.0, 0.0)})
        times = self.draw(lengths[rows], context.generator)
        faces = batch.streams["face"]
        stills = self.prepare(faces[rows, 0])
        real = self.prepare(faces[rows[:, None], times])
        made = self.face(stills, speech.values[rows], times, context.generator)
        error = (made.float() - real).abs().mean(dim=(2, 3, 4))
        repeated = (stills[:, None] - real).abs().mean(dim=(2, 3, 4))
        count = times.numel()
        return Step({"video": (error.sum(), count)}, {"still": (repeated.sum(), count)})

    def draw(self, lengths: Tensor, generator: torch.Generator) -> Tensor:
        """lengths (N,) pictures, at least two -> (N, pictures) int64 places, never the first."""
        uniform = torch.rand(len(lengths), self.pictures, generator=generator).to(lengths.device)
        return 1 + torch.minimum((uniform * (lengths[:, None] - 1)).long(), lengths[:, None] - 2)

    def prepare(self, faces: Tensor) -> Tensor:
        """(..., H, W, C) of 0 to 255 -> (..., C', height, height / 2) of -1 to 1."""
        c = self.face.configuration
        pictures = resize(to_channels(faces, c.channels), c.height, c.height // 2)
        return (pictures.float() / 127.5 - 1.0).movedim(-1, -3)

    def speech(self, batch: Batch) -> Frames:
        """The encoder's frames at the rate of the pictures."""
        return at_rate(self.encoder(batch), self.encoder.rate_hz, batch.rates["face"])

    @staticmethod
    def _lengths(speech: Tensor, batch: Batch) -> Tensor:
        """(B,) pictures of each clip that have both sound and a face"""
        return torch.minimum(speech, batch.lengths["face"])

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        frames = self.encoder.frame_count(batch.lengths)
        speech = count_at_rate(frames, self.encoder.rate_hz, batch.rates["face"])
        usable = (self._lengths(speech, batch) >= FEWEST_PICTURES).sum()
        found = {"video": float(usable) * self.pictures}
        return found if self.odd is None else {**found, **self.odd.counts(batch, context)}
