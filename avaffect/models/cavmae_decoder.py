"""The decoder of CAV-MAE and Social-MAE: from visible tokens to the values of all patches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.models.cavmae import (
    JOINT,
    LETTERS,
    Block,
    CAVMAEConfiguration,
    embedded,
    initialise,
    through,
)


@dataclass(frozen=True)
class DecoderConfiguration:
    """Its feed-forward layers have four times its dimensions."""

    dim: int = 512
    layers: int = 8
    heads: int = 16


PRESETS: dict[str, DecoderConfiguration] = {
    "nano": DecoderConfiguration(64, 2, 4),
    "tiny": DecoderConfiguration(128, 4, 4),
    "base": DecoderConfiguration(),
}


class CAVMAEDecoder(nn.Module):
    """Published names without their "decoder_". read: the encoder whose tokens it decodes.
    recompute: as of `CAVMAE`."""

    mask_token: nn.Parameter
    recompute: bool = False

    def __init__(self, configuration: DecoderConfiguration, read: CAVMAEConfiguration) -> None:
        super().__init__()
        c = configuration
        self.read = read
        self.embed = nn.Linear(read.dim, c.dim)
        self.mask_token = embedded(c.dim)
        trained = read.positions == "trained"
        for stream, letter in LETTERS.items():
            self.register_parameter(f"modality_{letter}", embedded(c.dim))
            place = nn.Parameter(read.grid(stream, c.dim), requires_grad=trained)
            self.register_parameter(f"pos_embed_{letter}", place)
            self.add_module(f"pred_{letter}", nn.Linear(c.dim, read.patch_values(stream)))
        self.blocks = nn.ModuleList(Block(c.dim, c.heads, 4 * c.dim) for _ in range(c.layers))
        self.norm = nn.LayerNorm(c.dim)
        initialise(self)

    def forward(self, joint: Tensor, kept: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """joint (B, K, dim): the visible tokens of each stream in turn; kept: stream -> (B, K')
        their places -> stream -> (B, N, values) of all its patches."""
        visible = self.embed(joint).split([places.shape[1] for places in kept.values()], dim=1)
        whole = []
        for (stream, places), tokens in zip(kept.items(), visible):
            letter = LETTERS[stream]
            empty = self.mask_token.expand(len(joint), self.read.patch_count(stream), -1)
            index = places[..., None].expand(-1, -1, empty.shape[2])
            filled = empty.scatter(1, index, tokens.to(empty.dtype))
            place = self.get_parameter(f"pos_embed_{letter}")
            whole.append(filled + place + self.get_parameter(f"modality_{letter}"))
        x = torch.cat(whole, dim=1)
        x = through(self.blocks, x, JOINT, self.recompute and self.training)
        parts = self.norm(x).split([part.shape[1] for part in whole], dim=1)
        return {
            stream: self.get_submodule(f"pred_{LETTERS[stream]}")(part)
            for stream, part in zip(kept, parts)
        }
