"""Which frames masked prediction hides (HuBERT, wav2vec 2.0)."""

from __future__ import annotations

import torch
from torch import Tensor


def span_mask(
    lengths: Tensor,
    steps: int,
    generator: torch.Generator,
    probability: float = 0.8,
    span: int = 10,
    minimum: int = 2,
    same_count: bool = True,
) -> Tensor:
    """(B,) lengths -> (B, steps) bool on the CPU, True where a frame is hidden; never padding.

    Each row of T frames gets int(probability * T / span + U(0, 1)) spans, at least `minimum`, whose
    starts are drawn without replacement; spans may overlap and end with the row. same_count: every
    row then shows random hidden frames again until it hides as many as the row that hides fewest.
    A row of a single frame hides none: there would be nothing to predict it from.

    probability 0.8 and span 10 hide 0.57 of a long utterance, and 0.52 in batches of 8 trimmed so.
    """
    mask = torch.zeros(len(lengths), steps, dtype=torch.bool)
    maskable = []
    for row, length in enumerate(lengths.tolist()):
        if length < 2:
            continue
        maskable.append(row)
        uniform = torch.rand((), generator=generator).item()
        count = max(minimum, int(probability * length / span + uniform))
        # A row shorter than a span is hidden in part only: its spans shrink to half of it.
        reach = min(span, max(1, length // 2))
        starts = torch.randperm(length - reach + 1, generator=generator)
        starts = starts[: min(count, length - reach)]
        hidden = (starts[:, None] + torch.arange(reach)).flatten()
        mask[row, hidden] = True
    if same_count and maskable:
        fewest = int(mask[maskable].sum(dim=1).min())
        for row in maskable:
            hidden = mask[row].nonzero()[:, 0]
            shown = hidden[torch.randperm(len(hidden), generator=generator)[fewest:]]
            mask[row, shown] = False
    return mask
