"""What masked autoencoding reconstructs, as a picture (Bohy et al. 2024, figure 2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from avaffect.core.nouns import count_of
from avaffect.core.progress import Progress
from avaffect.core.streams import FACE, WAVEFORM
from avaffect.data.dataset import Dataset
from avaffect.data.pictures import Tile, sheet, write_png
from avaffect.models.cavmae import chosen, groups
from avaffect.models.patches import hidden, pictures_of, spectrum_of
from avaffect.objectives.base import Context
from avaffect.objectives.losses.patch_reconstruction import EPSILON
from avaffect.objectives.masked_autoencoding import MaskedAutoencoding
from avaffect.training.device import to_device

UTTERANCES = 4
TILE = 160
ROWS = ("original", "masked", "reconstructed")
# Of hidden patches, and the levels of a spectrogram, in standard deviations, that are black and
# white.
GREY = 128
DARKEST, BRIGHTEST = -2.0, 3.0


@torch.inference_mode()
def write_preview(
    path: Path, trained: MaskedAutoencoding, dataset: Dataset, seed: int, progress: Progress
) -> None:
    """Write a picture with three rows for each of some utterances: as they are, with the hidden
    patches in grey, and with what was reconstructed in their place; the faces, then the
    spectrogram, low bands at the bottom."""
    device = next(trained.parameters()).device
    some = np.unique(np.linspace(0, len(dataset) - 1, UTTERANCES).astype(np.int64))
    rows: list[list[Tile]] = []
    titles: list[str] = []
    for row in some.tolist():
        batch = to_device(dataset.batch([row]), device)
        context = Context(generator=torch.Generator().manual_seed(seed))
        shown: dict[str, list[list[np.ndarray]]] = {}
        for one, streams in groups(trained.encoder.there(batch)):
            part = chosen(batch, one)
            patches = {s: trained.encoder.patches(part, s) for s in streams}
            noise = {s: trained.noise(part, s, context.generator) for s in streams}
            there = {WAVEFORM: trained.encoder.heard(part)} if WAVEFORM in streams else {}
            shown = {
                s: _versions(trained, patches, noise, s, there.get(s)) for s in reversed(streams)
            }
        for number, name in enumerate(ROWS):
            tiles = [picture for versions in shown.values() for picture in versions[number]]
            rows.append([Tile(picture) for picture in tiles])
            titles.append(f"{batch.ids[0]}\n{name}" if number == 0 else name)
    write_png(path, sheet(rows, titles, tile=TILE))
    progress.say(f"{path}: {count_of(len(some), 'utterance')}, masked and reconstructed")


def _versions(
    trained: MaskedAutoencoding, patches: Mapping[str, Tensor], noise: Mapping[str, Tensor],
    stream: str, there: Tensor | None = None,
) -> list[list[np.ndarray]]:  # fmt: skip
    """Original, masked and reconstructed pictures of one utterance's stream. there (1, N) bool:
    patches of more than padding; others are not reconstructed, and stay as they are."""
    found = trained.reconstruct(patches, noise)
    own = patches[stream]
    predicted = found.predicted[stream]
    if trained.configuration.normalise:
        wanted = found.wanted[stream]
        deviation = (wanted.var(dim=-1, keepdim=True) + EPSILON).sqrt()
        predicted = predicted * deviation + wanted.mean(dim=-1, keepdim=True)
    mask = hidden(found.kept[stream], own.shape[1])
    if there is not None:
        mask = mask & there
    filled = torch.where(mask[..., None], trained.in_order(stream, predicted), own)
    draw = _faces if stream == FACE else _spectrogram
    original, reconstructed = draw(trained, own), draw(trained, filled)
    cover = draw(trained, torch.ones_like(own) * mask[..., None], plain=True)
    masked = [np.where(c > 0, GREY, o).astype(np.uint8) for c, o in zip(cover, original)]
    return [original, masked, reconstructed]


def _faces(trained: MaskedAutoencoding, patches: Tensor, plain: bool = False) -> list[np.ndarray]:
    """(1, N, values) -> pictures (H, W, 3) uint8; plain: 0 or 1, as they are."""
    c = trained.encoder.configuration
    pictures = pictures_of(patches, c.patch, c.tube, c.face_size)[0].float().cpu()
    if not plain:
        pictures = (pictures * torch.tensor(c.face_std) + torch.tensor(c.face_mean)) * 255.0
    if c.colours == "bgr":
        pictures = pictures.flip(-1)
    return list(pictures.round().clamp(0, 255).to(torch.uint8).numpy())


def _spectrogram(
    trained: MaskedAutoencoding, patches: Tensor, plain: bool = False
) -> list[np.ndarray]:
    c = trained.encoder.configuration
    bands = spectrum_of(patches, c.patch, c.bands)[0].float().cpu().T.flip(0)
    if not plain:
        bands = (bands - DARKEST) / (BRIGHTEST - DARKEST) * 255.0
    return [bands.round().clamp(0, 255).to(torch.uint8).numpy()]
