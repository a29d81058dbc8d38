"""SpecAugment (Park et al. 2019): masks over time and over bands, here of an encoder's local
features, as in the fine-tuning of wav2vec 2.0 (Baevski et al. 2020, appendix B)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.signal import draws

# Masks of each kind, and the largest share of the frames or bands that one hides.
MASKS, MOST_FRAMES, MOST_BANDS = 2, 0.1, 0.15


def masked(values: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """(B, T, D), lengths (B,) valid frames -> (B, T, D), zero where masked.

    Two masks over frames, each of 0 to a tenth of the utterance's own; two over bands, each of 0 to
    15 % of them. Widths are uniform, then places. Padding changes no draw.
    """
    drawn = draws.uniform(generator, len(values), 2 * MASKS, 2, dtype=torch.float64)
    times = _spans(drawn[:, :MASKS], lengths.cpu(), MOST_FRAMES, values.shape[1])
    bands = torch.full((len(values),), values.shape[2])
    channels = _spans(drawn[:, MASKS:], bands, MOST_BANDS, values.shape[2])
    hidden = times[:, :, None] | channels[:, None, :]
    return values.masked_fill(hidden.to(values.device), 0.0)


def _spans(drawn: Tensor, sizes: Tensor, share: float, steps: int) -> Tensor:
    """drawn (B, masks, 2) from 0 to 1, sizes (B,) -> (B, steps) bool: True in any of the masks"""
    most = (share * sizes).floor()[:, None]
    widths = (drawn[..., 0] * (most + 1)).floor()
    starts = (drawn[..., 1] * (sizes[:, None] - widths + 1)).floor()
    places = torch.arange(steps)
    inside = (places >= starts[..., None]) & (places < (starts + widths)[..., None])
    return inside.any(dim=1)
