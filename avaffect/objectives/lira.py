"""LiRA (Ma et al. 2021): predict audio features from the face."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.models.conformer import Conformer, ConformerConfiguration
from avaffect.models.encoder import Encoder, Frames
from avaffect.models.talking_face import at_rate, count_at_rate
from avaffect.models.visual import VisualEncoder
from avaffect.models.workers import RunningStandardisation
from avaffect.objectives.base import Context, Needs, ParameterGroup, Pretraining, Step
from avaffect.objectives.groups import decayed_groups
from avaffect.objectives.problem_agnostic import GATHERED
from avaffect.signal import ranks
from avaffect.signal.acoustic_targets import SIZES, acoustic_targets
from avaffect.signal.augmentations import flip, in_turn, random_crop
from avaffect.signal.features import FEATURE_RATE_HZ, HOP, WINDOW, window_count

FEWEST_SAMPLES = WINDOW + 3 * HOP
"""Shortest audio: four windows, the duration of one picture."""

LEARNED = 0.99
"""Share of the loss without faces above which the faces were not used."""

NOT_LOOKING = {
    "constant": "is no better than that of predicting the mean",
    "swapped": "is no better than with the faces of other clips",
}
"""Metrics without use of the faces, and the message about a loss that is no better."""


@dataclass(frozen=True)
class AcousticPredictionConfiguration:
    """conformer  between the encoder's frames and the descriptors"""

    conformer: ConformerConfiguration = field(default_factory=ConformerConfiguration)

    @classmethod
    def on(cls, encoder: Encoder, blocks: int) -> AcousticPredictionConfiguration:
        """`blocks` blocks, half as wide as the encoder's frames: 256 for ResNet-18."""
        dim = encoder.dim // 2
        return cls(ConformerConfiguration(blocks, dim, 8 * dim))


class AcousticPrediction(Pretraining):
    """Mean absolute error of acoustic descriptors during each picture, predicted by a conformer and
    a linear layer from the encoder's frames; loss "acoustic".

    The descriptors are those of PASE's workers (`acoustic_targets`: spectrum, cepstra, filterbank,
    prosody), standardised over the first 1,000 training utterances and averaged over the duration
    of a picture. Each descriptor has equal weight, whatever its size. The metrics have them one by
    one; "constant" is the loss of predicting their means, and "swapped" that of predicting the
    audio of each clip from the face of the previous clip in the batch.

    In training clips are mirrored with probability 0.5 and cropped to 5/6 of a face, at a random
    place (80 pixels of 96). Pictures without audio for their whole duration are not used.
    """

    loss = "acoustic"
    encoder: VisualEncoder

    gathered: Tensor

    def __init__(
        self, encoder: VisualEncoder, configuration: AcousticPredictionConfiguration
    ) -> None:
        super().__init__({"acoustic": 1.0})
        c = configuration.conformer
        self.configuration = configuration
        self.encoder = encoder
        self.input = nn.Linear(encoder.dim, c.dim)
        self.conformer = Conformer(c)
        self.output = nn.Linear(c.dim, sum(SIZES.values()))
        self.standardisation = RunningStandardisation(sum(SIZES.values()))
        self.register_buffer("gathered", torch.zeros((), dtype=torch.long))
        self.seen = in_turn(flip, random_crop)

    @property
    def needs(self) -> Needs:
        return Needs(streams={WAVEFORM: FEWEST_SAMPLES})

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        lengths = self._lengths(batch)
        targets = self.targets(batch)
        valid = Frames(targets, lengths).valid
        if self.training and int(self.gathered) < GATHERED:
            self.standardisation.gather(targets[valid])
            self.gathered += ranks.size(len(batch))
        wanted = self.standardisation(targets)
        predicted = self.predicted(batch, context)[:, : valid.shape[1]].float()
        losses = by_descriptor((predicted[valid] - wanted[valid]).abs())
        count = float(valid.sum())
        return Step(
            {"acoustic": (mean_of(losses).sum(), count)},
            {
                **{name: (loss.detach().sum(), count) for name, loss in losses.items()},
                "constant": (mean_of(by_descriptor(wanted[valid].abs())).sum(), count),
                "swapped": swapped(predicted.detach(), wanted, valid),
            },
        )

    def predicted(self, batch: Batch, context: Context) -> Tensor:
        """(B, T, descriptors) predicted for all pictures (B, T)."""
        clips, lengths = self.encoder.clips(batch.streams[FACE]), batch.lengths[FACE]
        if self.training:
            clips = self.seen(clips, lengths, context.generator)
        frames = self.encoder.embed(clips, lengths)
        frames = self.conformer(Frames(self.input(frames.values), lengths))
        return self.output(frames.values)

    @torch.no_grad()
    def targets(self, batch: Batch) -> Tensor:
        """(B, T, descriptors) at the rate of the pictures, T of the longest, zeros in padding; not
        standardised."""
        waveform, samples = batch.streams[WAVEFORM], batch.lengths[WAVEFORM]
        found = acoustic_targets(waveform, samples)
        whole = Frames(torch.cat([found[name] for name in SIZES], dim=2), window_count(samples))
        values = at_rate(whole, FEATURE_RATE_HZ, self.encoder.rate_hz).values
        return values[:, : ranks.longest(self._lengths(batch))]

    def _lengths(self, batch: Batch) -> Tensor:
        """(B,) number of pictures of each clip with both a face and audio."""
        audible = count_at_rate(
            window_count(batch.lengths[WAVEFORM]), FEATURE_RATE_HZ, self.encoder.rate_hz
        )
        return torch.minimum(audible, batch.lengths[FACE])

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        return {"acoustic": float(self._lengths(batch).sum())}

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        return decayed_groups(self)

    def collapse(self, metrics: Mapping[str, float]) -> str | None:
        """A message if predictions do not depend on the faces, in training or on development;
        otherwise None."""
        for prefix, where in (("", ""), ("development_", " on development")):
            loss = metrics.get(f"{prefix}acoustic", 0.0)
            for name, words in NOT_LOOKING.items():
                other = metrics.get(prefix + name)
                if other is not None and loss >= LEARNED * other:
                    return (
                        f"the loss {loss:.3f}{where} {words} ({other:.3f}): nothing was learned "
                        "from the faces yet"
                    )
        return None


def swapped(predicted: Tensor, wanted: Tensor, valid: Tensor) -> tuple[Tensor, float]:
    """The loss of predicting each clip's audio from the previous clip in the batch, over pictures
    that both have: predicted and wanted (B, T, descriptors), valid (B, T) -> sum and count."""
    both = valid & valid.roll(1, 0) & (len(predicted) > 1)
    errors = (predicted.roll(1, 0)[both] - wanted[both]).abs()
    return mean_of(by_descriptor(errors)).sum(), float(both.sum())


def mean_of(losses: Mapping[str, Tensor]) -> Tensor:
    """(N,) of each descriptor -> (N,), with equal weights."""
    return torch.stack(list(losses.values())).mean(0)


def by_descriptor(values: Tensor) -> dict[str, Tensor]:
    """values (N, descriptors) -> name -> (N,) mean over the values of that descriptor."""
    parts = values.split(list(SIZES.values()), dim=1)
    return {name: part.mean(dim=1) for name, part in zip(SIZES, parts)}
