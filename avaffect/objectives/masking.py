"""Masks of frames for masked prediction (HuBERT, wav2vec 2.0, AV-HuBERT)."""

from __future__ import annotations

import torch
from torch import Tensor

from avaffect.signal import ranks


def span_mask(
    lengths: Tensor,
    steps: int,
    generator: torch.Generator,
    probability: float = 0.8,
    span: int = 10,
    minimum: int = 2,
    same_count: bool = True,
) -> Tensor:
    """(B,) lengths -> (B, steps) bool on the CPU, True for masked frames; never for padding.

    Each row of T frames gets int(probability * T / span + U(0, 1)) spans, at least `minimum`, whose
    starts are drawn without replacement; spans may overlap and end with the row. same_count: random
    masked frames of each row are unmasked until all rows have as many as the row with fewest.
    In a row of a single frame none is masked: there would be nothing to predict it from.

    probability 0.8 and span 10 mask 0.57 of a long utterance, 0.52 in batches of 8 with same_count.
    """

    def drawn(lengths: Tensor) -> Tensor:
        return _span_mask(lengths, steps, generator, probability, span, minimum, same_count)

    return ranks.over_all(drawn, lengths)


def _span_mask(
    lengths: Tensor, steps: int, generator: torch.Generator, probability: float, span: int,
    minimum: int, same_count: bool,
) -> Tensor:  # fmt: skip
    mask = torch.zeros(len(lengths), steps, dtype=torch.bool)
    maskable = []
    for row, length in enumerate(lengths.tolist()):
        if length < 2:
            continue
        maskable.append(row)
        uniform = torch.rand((), generator=generator).item()
        count = max(minimum, int(probability * length / span + uniform))
        # A row shorter than a span is masked only in part: its spans are half as long as the row.
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


def substitute_frames(mask: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    """mask (B, T) bool, lengths (B,), on the CPU -> (B, T) int64: the frame of the same clip that
    replaces each frame, itself if it is not masked (AV-HuBERT, section 3.2).

    Each masked run is replaced by a run of equal length of the clip that does not overlap it. If
    there is no such run, the frames are -1: blank.
    """
    return ranks.over_all(lambda m, found: _substitutes(m, found, generator), mask, lengths)


def _substitutes(mask: Tensor, lengths: Tensor, generator: torch.Generator) -> Tensor:
    sources = torch.arange(mask.shape[1]).repeat(len(mask), 1)
    for row, length in enumerate(lengths.tolist()):
        for start, stop in _runs(mask[row]):
            size = stop - start
            # Runs that end before this one, then runs that begin after it.
            before = max(0, start - size + 1)
            after = max(0, length - size - stop + 1)
            if before + after == 0:
                sources[row, start:stop] = -1
                continue
            draw = int(torch.randint(before + after, (), generator=generator))
            first = draw if draw < before else stop + draw - before
            sources[row, start:stop] = torch.arange(first, first + size)
    return sources


def _runs(mask: Tensor) -> list[tuple[int, int]]:
    """(start, stop) of each run of True in mask (T,)."""
    steps = torch.diff(mask.int(), prepend=torch.zeros(1), append=torch.zeros(1))
    starts, stops = (steps == 1).nonzero()[:, 0], (steps == -1).nonzero()[:, 0]
    return list(zip(starts.tolist(), stops.tolist()))
