"""An encoder of tokens as another package may add it: patches of sound and quarters of pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.registry import Part
from avaffect.core.sampling import Sampling
from avaffect.models.encoder import TokenEncoder, Tokens

ENTRY_POINTS = """
[avaffect.encoders]
patches = toy_tokens:PATCHES
[avaffect.objectives]
level = other_package:LEVEL
"""
SAMPLES = 800


@dataclass(frozen=True)
class PatchConfiguration:
    """seconds, pictures: of the section that is read; None: all."""

    dim: int = 6
    layers: int = 2
    seconds: float | None = None
    pictures: int | None = None


class PatchEncoder(TokenEncoder):
    """A token for every whole 50 ms of sound, from how loud it is, then four for every picture,
    from the brightness of its quarters; dense layers, each added to its input."""

    streams = ("waveform", "face")

    def __init__(self, configuration: PatchConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.dim, self.depth = c.dim, c.layers
        picked = {} if c.pictures is None else {"face": c.pictures}
        self.sampling = Sampling(c.seconds, picked)
        self.embed = nn.ModuleDict({name: nn.Linear(1, c.dim) for name in self.streams})
        self.layers = nn.ModuleList(nn.Linear(c.dim, c.dim) for _ in range(c.layers))

    def usable(self, lengths: dict[str, Tensor]) -> Tensor:
        """Half a patch of sound is none."""
        whole = {name: n // SAMPLES if name == "waveform" else n for name, n in lengths.items()}
        return super().usable(whole)

    def forward(self, batch: Batch, layer: int | None = None) -> Tokens:
        self.check_layer(layer)
        parts, valid = [], []
        for name, values, counts in _patches(batch):
            parts.append(self.embed[name](values[..., None]))
            places = torch.arange(values.shape[1], device=counts.device)
            valid.append(places[None, :] < counts[:, None])
        x, there = torch.cat(parts, dim=1), torch.cat(valid, dim=1)
        for dense in self.layers[:layer]:
            x = x + torch.tanh(dense(x))
        return Tokens(x * there[..., None], there)


def _patches(batch: Batch) -> list[tuple[str, Tensor, Tensor]]:
    """Name of a stream, (B, N) numbers of its patches, (B,) how many of them there are."""
    found = []
    if "waveform" in batch.streams:
        wave = batch.streams["waveform"].float() / 32768
        wave = F.pad(wave, (0, -wave.shape[1] % SAMPLES)).unflatten(1, (-1, SAMPLES))
        loud = wave.square().mean(dim=2).sqrt()
        found.append(("waveform", loud, batch.lengths["waveform"] // SAMPLES))
    if "face" in batch.streams:
        face = batch.streams["face"].float() / 255
        size = face.shape[2] // 2
        quarters = [
            face[:, :, y : y + size, x : x + size].mean(dim=(2, 3, 4))
            for y in (0, size)
            for x in (0, size)
        ]
        found.append(("face", torch.stack(quarters, dim=2).flatten(1), 4 * batch.lengths["face"]))
    return found


PATCHES = Part(PatchConfiguration, PatchEncoder)
