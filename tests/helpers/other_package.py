"""What another package adds to avaffect; `test_other_packages` gives it entry points."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.registry import Part
from avaffect.data.corpora.common import Corpus, MediaFile, by_names
from avaffect.models.encoder import Encoder, FrameEncoder, Frames
from avaffect.models.front_ends import FrontEnd
from avaffect.models.published.names import Layout
from avaffect.models.published.source import Converted, Source, Warn
from avaffect.objectives.base import Context, Pretraining, Step
from avaffect.settings.label_losses import LabelLoss
from avaffect.settings.manifest import ManifestSettings


def peaks(wave: Tensor) -> Tensor:
    """(S,) -> (T, 1): the largest sample of every 10 ms."""
    frames = wave[: len(wave) // 160 * 160].reshape(-1, 160)
    return frames.abs().float().amax(dim=1, keepdim=True)


PEAKS = FrontEnd(1, peaks)
LOUDEST = FrontEnd(1, lambda wave: peaks(wave).amax(dim=0, keepdim=True), over_time=False)


@dataclass(frozen=True)
class EnergyConfiguration:
    scale: float = 1.0


class EnergyEncoder(FrameEncoder):
    """The mean square of every 20 ms of sound, times a scale that is learned."""

    streams, rate_hz, dim, reach = ("waveform",), 50.0, 1, 0

    def __init__(self, configuration: EnergyConfiguration) -> None:
        super().__init__()
        self.configuration = configuration
        self.scale = nn.Parameter(torch.tensor(configuration.scale))

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        lengths = self.frame_count(batch.lengths)
        wave = batch.streams["waveform"].float()
        frames = wave[:, : wave.shape[1] // 320 * 320].unflatten(1, (-1, 320))
        values = self.scale * frames.square().mean(dim=2, keepdim=True)
        found = Frames(values, lengths)
        return Frames(values * found.valid[..., None], lengths)

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        return lengths["waveform"] // 320


ENERGY = Part(EnergyConfiguration, EnergyEncoder)


@dataclass(frozen=True)
class LevelConfiguration:
    target: float = 0.0


class Level(Pretraining):
    """How far the mean frame of an utterance, moved by an offset that is learned, is from a level;
    loss "level"."""

    loss = "level"

    def __init__(self, encoder: Encoder, configuration: LevelConfiguration) -> None:
        super().__init__({"level": 1.0})
        self.encoder, self.configuration = encoder, configuration
        self.offset = nn.Parameter(torch.zeros(encoder.dim))

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        apart = self.encoder(batch).mean() + self.offset - self.configuration.target
        return Step({"level": (apart.abs().sum(), float(len(batch)))})


LEVEL = Part(LevelConfiguration, Level)


def huber(prediction: Tensor, gold: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """The loss of Huber (1964), of known values."""
    right = torch.where(known, gold, prediction.detach())
    return F.huber_loss(prediction, right, reduction="sum"), known.sum()


def margin(scores: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """The hinge loss of Crammer and Singer (2001), of targets that are not -1."""
    known = targets != -1
    return F.multi_margin_loss(scores[known], targets[known], reduction="sum"), known.sum()


class EnergyNet:
    """A published family: weights of one number, the scale of the encoder."""

    TITLE = "EnergyNet"

    def recognise(self, source: Source) -> bool:
        return "energy_net.gain" in source.tensors

    def convert(self, source: Source, warn: Warn) -> Converted:
        gain = float(source.tensors["energy_net.gain"][0])
        encoder = EnergyEncoder(EnergyConfiguration(gain))
        return Converted(encoder, Layout("its authors"), head=None, units=0, masking={}, left=[])


ENERGY_NET = EnergyNet()
HUBER = LabelLoss({"scalar": "other_package:huber"})
MARGIN = LabelLoss({"class": margin})


def read(settings: ManifestSettings) -> Corpus:
    labels = {"emotion": {"kind": "class", "classes": ["anger", "neutral"]}}
    corpus = Corpus("twins", settings.source, labels)
    return by_names(corpus, _clip, "anger-ann-1.wav", "the corpus of twins")


def _clip(path: PurePosixPath) -> MediaFile:
    emotion, speaker, _ = path.stem.split("-")
    item = {"speaker": speaker, "labels": {"emotion": emotion}}
    return MediaFile(path.stem, "audio", item)


TWINS = SimpleNamespace(NAME="twins", OPTIONS=(), read=read)
