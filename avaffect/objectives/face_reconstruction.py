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
SCORED_PICTURES = 8
"""Of each clip in evaluation, evenly spread."""


class FaceReconstruction(Objective):
    """Mean absolute error of `pictures` random frames of each clip, made from its first frame and
    its sound; loss "video".

    Frames without a face, which are black, are neither shown nor asked for. In evaluation frames
    are not random but SCORED_PICTURES of each clip.

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
        faces = batch.streams["face"]
        seen = self._seen(speech.lengths, batch)
        rows = torch.nonzero(seen.sum(dim=1) >= FEWEST_PICTURES).flatten()
        if len(rows) == 0:
            nothing = speech.values.sum() * 0.0
            return Step({"video": (nothing, 0.0)}, {"still": (0.0, 0.0)})
        first, times = self.draw(seen[rows], context.generator)
        stills = self.prepare(faces[rows, first])
        real = self.prepare(faces[rows[:, None], times])
        made = self.face(stills, speech.values[rows], times, context.generator)
        error = (made.float() - real).abs().mean(dim=(2, 3, 4))
        repeated = (stills[:, None] - real).abs().mean(dim=(2, 3, 4))
        count = times.numel()
        return Step({"video": (error.sum(), count)}, {"still": (repeated.sum(), count)})

    def draw(self, seen: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """seen (N, T) bool, two or more of each row -> (N,) place of the first of them, and
        (N, K) places among the others."""
        first = seen.int().argmax(dim=1)
        order = seen.int().cumsum(dim=1)
        others = order[:, -1:] - 1
        if self.training:
            share = torch.rand(len(seen), self.pictures, generator=generator).to(seen.device)
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
        return at_rate(self.encoder(batch), self.encoder.rate_hz, batch.rates["face"])

    @staticmethod
    def _seen(speech: Tensor, batch: Batch) -> Tensor:
        """speech (B,) pictures' worth of sound -> (B, T) bool: pictures that have both sound and a
        face."""
        faces = batch.streams["face"]
        lengths = torch.minimum(speech, batch.lengths["face"])
        places = torch.arange(faces.shape[1], device=faces.device)
        return faces.flatten(2).any(dim=2).bool() & (places < lengths[:, None])

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        frames = self.encoder.frame_count(batch.lengths)
        speech = count_at_rate(frames, self.encoder.rate_hz, batch.rates["face"])
        usable = self._seen(speech, batch).sum(dim=1) >= FEWEST_PICTURES
        pictures = self.pictures if self.training else SCORED_PICTURES
        found = {"video": float(usable.sum()) * pictures}
        return found if self.odd is None else {**found, **self.odd.counts(batch, context)}
