"""CAV-MAE (Gong et al. 2023), and Social-MAE (Bohy et al. 2024), which reads several pictures: an
encoder of audio patches and one of picture patches, and a joint one on both.

Parameters have their published names, but for the projections of attention, which are published as
one matrix, and the patch embeddings, which are published as convolutions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avaffect.core.batch import Batch
from avaffect.core.nouns import count_of
from avaffect.core.sampling import Sampling
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.models.encoder import TokenEncoder, Tokens
from avaffect.models.patches import (
    gathered,
    picture_patches,
    sine_cosine,
    sine_cosine_in_time,
    spectrum_patches,
)
from avaffect.models.transformer import SelfAttention
from avaffect.settings.pretrain_mae import POSITIONS
from avaffect.signal.features import FEATURE_RATE_HZ, HOP, WINDOW, kaldi_filterbank, window_count
from avaffect.signal.images import resize, to_channels

COLOURS = ("rgb", "bgr")
# The parameters of a stream end with its letter; those of both together have none.
LETTERS = {WAVEFORM: "a", FACE: "v"}
JOINT = ""
Patches = Mapping[str, Tensor]
"""stream -> (B, N, values) of `CAVMAE.patches`."""


@dataclass(frozen=True)
class CAVMAEConfiguration:
    """dim, heads, ffn_dim         of all layers
    layers, joint_layers        of each stream's own encoder, and of the joint one
    patch                       side of a patch in pixels, and in bands and frames of a spectrogram
    pictures, tube              pictures that are read, and how many of them a patch spans
    face_size                   side in pixels to which stored faces are resized
    colours                     order of the channels that the weights were trained on
    face_mean, face_std         of pixel / 255, in that order
    bands, spectrum_frames      of a spectrogram, 100 frames a second
    spectrum_mean, spectrum_std of its values
    positions                   "trained", or "fixed"; both begin as sines and cosines
    """

    channels: ClassVar[int] = 3
    dim: int = 768
    heads: int = 12
    ffn_dim: int = 3072
    layers: int = 11
    joint_layers: int = 1
    patch: int = 16
    pictures: int = 8
    tube: int = 2
    face_size: int = 224
    colours: str = "rgb"
    face_mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    face_std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    bands: int = 128
    spectrum_frames: int = 1024
    spectrum_mean: float = -5.081
    spectrum_std: float = 4.4849
    positions: str = "trained"

    def __post_init__(self) -> None:
        for name in ("face_size", "bands", "spectrum_frames"):
            if getattr(self, name) % self.patch:
                raise ValueError(f"{name} {getattr(self, name)}: no multiple of {self.patch}")
        if self.pictures % self.tube:
            raise ValueError(
                f"{count_of(self.pictures, 'picture cannot', 'pictures cannot')} be divided by "
                f"{self.tube}"
            )
        if self.dim % 4:
            raise ValueError(f"dim {self.dim}: no multiple of 4")
        if self.positions not in POSITIONS or self.colours not in COLOURS:
            raise ValueError(f"positions {self.positions!r}, colours {self.colours!r}")
        if min(*self.face_std, self.spectrum_std) <= 0:
            raise ValueError("face_std and spectrum_std must be above 0")

    def patch_count(self, stream: str) -> int:
        """Patches of an utterance of this stream."""
        if stream == WAVEFORM:
            return self.bands // self.patch * (self.spectrum_frames // self.patch)
        return (self.face_size // self.patch) ** 2 * (self.pictures // self.tube)

    def patch_values(self, stream: str) -> int:
        """Values in a patch of this stream."""
        return self.patch**2 * (1 if stream == WAVEFORM else self.channels * self.tube)

    def grid(self, stream: str, dim: int) -> Tensor:
        """(1, patches, dim) fixed positions."""
        if stream == WAVEFORM:
            rows = self.bands // self.patch
            return sine_cosine(dim, rows, self.spectrum_frames // self.patch)[None]
        side = self.face_size // self.patch
        return sine_cosine_in_time(dim, side, self.pictures // self.tube)[None]


PRESETS: dict[str, CAVMAEConfiguration] = {
    "nano": CAVMAEConfiguration(
        dim=64, heads=4, ffn_dim=256, layers=3, face_size=48, spectrum_frames=256
    ),
    "tiny": CAVMAEConfiguration(dim=192, heads=3, ffn_dim=768),
    "base": CAVMAEConfiguration(),
}


class PatchEmbedding(nn.Module):
    def __init__(self, values: int, dim: int) -> None:
        super().__init__()
        self.proj = nn.Linear(values, dim)

    def forward(self, patches: Tensor) -> Tensor:
        """(B, N, values) -> (B, N, dim)"""
        return self.proj(patches)


class FeedForward(nn.Module):
    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(dim, hidden), nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(F.gelu(self.fc1(x)))


class Block(nn.Module):
    """A Transformer layer with norms for both streams together and for each alone. All blocks have
    all of them, as published; only the joint encoder uses more than the first."""

    def __init__(self, dim: int, heads: int, ffn_dim: int) -> None:
        super().__init__()
        for name in ("norm1", "norm1_a", "norm1_v", "norm2", "norm2_a", "norm2_v"):
            self.add_module(name, nn.LayerNorm(dim))
        self.attn = SelfAttention(dim, heads, 0.0)
        self.mlp = FeedForward(dim, ffn_dim)

    def forward(self, x: Tensor, letter: str = JOINT) -> Tensor:
        """(B, N, dim) -> (B, N, dim)"""
        first, second = (self.get_submodule(with_letter(n, letter)) for n in ("norm1", "norm2"))
        x = x + self.attn(first(x), None)
        return x + self.mlp(second(x))


class CAVMAE(TokenEncoder):
    """Tokens of an utterance of fixed size: a spectrogram, cut or padded with silence's zeros to
    `spectrum_frames`, and `pictures` faces; of shorter utterances some pictures are repeated.

    Utterances with one stream pass the joint encoder with the norms of that stream. Tokens are
    those of the spectrogram, then those of the faces.

    recompute: in training, layers are computed anew in the backward pass rather than kept.
    """

    streams = (WAVEFORM, FACE)
    recompute: bool = False

    def __init__(self, configuration: CAVMAEConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.dim, self.depth = c.dim, c.layers + c.joint_layers
        self.face_size, self.face_channels = c.face_size, c.channels
        self.sampling = Sampling(
            c.spectrum_frames / FEATURE_RATE_HZ, {FACE: c.pictures}, drawn=True
        )
        trained = c.positions == "trained"
        for stream, letter in LETTERS.items():
            embedding = PatchEmbedding(c.patch_values(stream), c.dim)
            place = nn.Parameter(c.grid(stream, c.dim), requires_grad=trained)
            self.add_module(f"patch_embed_{letter}", embedding)
            self.register_parameter(f"modality_{letter}", embedded(c.dim))
            self.register_parameter(f"pos_embed_{letter}", place)
            self.add_module(f"blocks_{letter}", self._blocks(c.layers))
        self.blocks_u = self._blocks(c.joint_layers)
        for name in ("norm_a", "norm_v", "norm"):
            self.add_module(name, nn.LayerNorm(c.dim))
        initialise(self)

    def _blocks(self, count: int) -> nn.ModuleList:
        c = self.configuration
        return nn.ModuleList(Block(c.dim, c.heads, c.ffn_dim) for _ in range(count))

    def parts(self) -> dict[str, nn.Module]:
        """The patch embeddings, the encoder of each stream, and the joint one."""
        names = {
            "patches": ("patch_embed_a", "patch_embed_v"), "audio": ("blocks_a",),
            "video": ("blocks_v",), "joint": ("blocks_u", "norm", "norm_a", "norm_v"),
        }  # fmt: skip
        return {
            part: nn.ModuleList(self.get_submodule(name) for name in modules)
            for part, modules in names.items()
        }

    # -- what is read --------------------------------------------------------------------------

    def usable(self, lengths: dict[str, Tensor]) -> Tensor:
        """Utterances with a whole window of samples, or a picture."""
        return torch.stack(list(_held(lengths).values())).any(dim=0)

    def there(self, batch: Batch) -> dict[str, Tensor]:
        """stream -> (B,) bool: utterances that have it; False for streams that the batch lacks."""
        nothing = torch.zeros(len(batch), dtype=torch.bool)
        held = _held({name: batch.lengths[name] for name in batch.streams})
        if held:
            nothing = nothing.to(next(iter(held.values())).device)
        return {stream: held.get(stream, nothing) for stream in self.streams}

    def patches(self, batch: Batch, stream: str) -> Tensor:
        """(B, N, values) of utterances that all have the stream, standardised."""
        c = self.configuration
        if stream == WAVEFORM:
            return spectrum_patches(self.spectrum(batch), c.patch)
        return picture_patches(self.pictures(batch), c.patch, c.tube)

    def spectrum(self, batch: Batch) -> Tensor:
        """(B, spectrum_frames, bands), standardised; zeros before that after the end."""
        c = self.configuration
        samples = (c.spectrum_frames - 1) * HOP + WINDOW
        rows = []
        for wave, length in zip(batch.streams[WAVEFORM], batch.lengths[WAVEFORM].tolist()):
            found = kaldi_filterbank(wave[: min(length, samples)], c.bands)
            rows.append(F.pad(found, (0, 0, 0, c.spectrum_frames - len(found))))
        return (torch.stack(rows) - c.spectrum_mean) / c.spectrum_std

    def pictures(self, batch: Batch) -> Tensor:
        """(B, pictures, face_size, face_size, 3), standardised."""
        c = self.configuration
        faces = batch.streams[FACE]
        middles = torch.arange(c.pictures, device=faces.device) + 0.5
        places = (middles * batch.lengths[FACE][:, None] / c.pictures).long()
        rows = torch.arange(len(faces), device=faces.device)[:, None]
        chosen = to_channels(resize(faces[rows, places], c.face_size), c.channels).float() / 255.0
        if c.colours == "bgr":
            chosen = chosen.flip(-1)
        return (chosen - chosen.new_tensor(c.face_mean)) / chosen.new_tensor(c.face_std)

    def heard(self, batch: Batch) -> Tensor:
        """(B, N) bool: patches of a spectrogram that hold any of the utterance, not padding
        alone."""
        c = self.configuration
        starts = torch.arange(0, c.spectrum_frames, c.patch, device=batch.lengths[WAVEFORM].device)
        found = starts < window_count(batch.lengths[WAVEFORM])[:, None]
        return found.repeat(1, c.bands // c.patch)

    # -- encoders ------------------------------------------------------------------------------

    def forward(self, batch: Batch, layer: int | None = None) -> Tokens:
        """(B, N, dim) from batch.streams["waveform"] (B, S) and ["face"] (B, T, H, W, C)."""
        self.check_layer(layer)
        there = self.there(batch)
        c, width = self.configuration, self.dim
        read = [stream for stream in self.streams if bool(there[stream].any())]
        found = {stream: self._alone(batch, stream, there[stream], layer) for stream in read}
        device = self.get_parameter("modality_a").device
        counts = [c.patch_count(stream) for stream in read]
        valid = torch.cat(
            [there[s].to(device)[:, None].expand(-1, n) for s, n in zip(read, counts)]
            or [torch.zeros(len(batch), 1, dtype=torch.bool, device=device)],
            dim=1,
        )
        values = torch.zeros(*valid.shape, width, device=device)
        for rows, streams in groups(there):
            letter = JOINT if len(streams) > 1 else LETTERS[streams[0]]
            tokens = torch.cat([found[s][rows[there[s]]] for s in streams], dim=1)
            if layer is None or layer > c.layers:
                tokens = self.join(tokens, letter, None if layer is None else layer - c.layers)
            of_streams = [torch.full((n,), s in streams) for s, n in zip(read, counts)]
            columns = torch.cat(of_streams).to(device)
            values[rows[:, None] & columns] = tokens.flatten(0, 1).to(values.dtype)
        return Tokens(values, valid)

    def _alone(self, batch: Batch, stream: str, rows: Tensor, layer: int | None) -> Tensor:
        """(n, N, dim): the tokens of one stream in the utterances that have it."""
        return self.encode(stream, self.patches(chosen(batch, rows), stream), None, layer)

    def encode(
        self, stream: str, patches: Tensor, kept: Tensor | None = None, layer: int | None = None
    ) -> Tensor:
        """patches (B, N, values), kept (B, K) those that are visible -> (B, K, dim) after the
        stream's own encoder, or after its first `layer` layers."""
        letter = LETTERS[stream]
        places = self.get_parameter(f"pos_embed_{letter}").expand(len(patches), -1, -1)
        if kept is not None:
            patches, places = gathered(patches, kept), gathered(places, kept)
        tokens = self.get_submodule(f"patch_embed_{letter}")(patches)
        tokens = tokens + places + self.get_parameter(f"modality_{letter}")
        return self._through(f"blocks_{letter}", tokens, JOINT, layer)

    def join(self, tokens: Tensor, letter: str = JOINT, layer: int | None = None) -> Tensor:
        """(B, K, dim) -> (B, K, dim) after the joint encoder with the norms of a stream (its
        letter) or of both; after its first `layer` layers without the last norm."""
        tokens = self._through("blocks_u", tokens, letter, layer)
        return (
            tokens if layer is not None else self.get_submodule(with_letter("norm", letter))(tokens)
        )

    def _through(self, blocks: str, tokens: Tensor, letter: str, layer: int | None) -> Tensor:
        modules = list(self.get_submodule(blocks).children())
        return through(modules[:layer], tokens, letter, self.recompute and self.training)


def through(blocks: Iterable[nn.Module], tokens: Tensor, letter: str, recompute: bool) -> Tensor:
    """(B, K, dim) -> (B, K, dim) after the blocks, with the norms of a stream or of both.

    recompute: each block is computed anew in the backward pass; between them alone tokens are kept.
    """
    for block in blocks:
        if recompute and torch.is_grad_enabled():
            tokens = checkpoint(block, tokens, letter, use_reentrant=False)
        else:
            tokens = block(tokens, letter)
    return tokens


def with_letter(name: str, letter: str) -> str:
    """The name of a norm for a stream, or for both."""
    return f"{name}_{letter}" if letter else name


def chosen(batch: Batch, rows: Tensor) -> Batch:
    """The utterances of rows (B,) bool, with their streams alone."""
    ids = [identifier for identifier, keep in zip(batch.ids, rows.tolist()) if keep]
    return Batch(
        ids,
        {name: values[rows] for name, values in batch.streams.items()},
        {name: values[rows] for name, values in batch.lengths.items()},
    )


def groups(there: Mapping[str, Tensor]) -> Iterator[tuple[Tensor, tuple[str, ...]]]:
    """Rows (B,) bool of utterances with the same streams, and these: both, then each alone."""
    for streams in (tuple(there), *((stream,) for stream in there)):
        rows = torch.stack([there[s] == (s in streams) for s in there]).all(dim=0)
        if bool(rows.any()):
            yield rows, streams


def embedded(dim: int) -> nn.Parameter:
    """A trained vector (1, 1, dim)."""
    return nn.Parameter(torch.randn(1, 1, dim) * 0.02)


def initialise(module: nn.Module) -> None:
    """Linear layers as published: Glorot's uniform weights, and no biases."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def _held(lengths: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """stream -> (B,) bool: utterances with anything of it that gives a token."""
    held = {}
    if WAVEFORM in lengths:
        held[WAVEFORM] = window_count(lengths[WAVEFORM]) > 0
    if FACE in lengths:
        held[FACE] = lengths[FACE] > 0
    return held
