"""Short clips of the utterances of a batch, for objectives that compare clips."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.signal import draws

# Crops start on this grid, on which steps at 16 kHz, 100, 50 and 25 Hz coincide.
GRID_S = 0.04


def crop(batch: Batch, seconds: float, generator: torch.Generator) -> Batch:
    """The batch with a crop of `seconds` of each utterance, at the same random place in its
    streams.

    Shorter utterances are not cropped. Places are drawn on the CPU, one for each utterance.
    """
    timed = [name for name, rate in batch.rates.items() if rate and name in batch.streams]
    lasting = torch.stack([batch.lengths[n].cpu().double() / batch.rates[n] for n in timed])
    # The margin keeps 2.9999999 steps from becoming 2.
    spare = ((lasting.amax(dim=0) - seconds) / GRID_S + 1e-6).floor().clamp(min=0)
    share = draws.uniform(generator, len(batch), dtype=torch.float64)
    starts = (share * (spare + 1)).floor() * GRID_S
    streams, lengths = dict(batch.streams), dict(batch.lengths)
    for name in timed:
        rate = batch.rates[name]
        first = (starts * rate).round().long().to(lengths[name].device)
        steps = max(1, round(seconds * rate))
        lengths[name] = (lengths[name] - first).clamp(min=0, max=steps)
        streams[name] = _cut(streams[name], first, min(steps, streams[name].shape[1]))
    present = {**batch.present, **{name: lengths[name] > 0 for name in timed}}
    return replace(batch, streams=streams, lengths=lengths, present=present)


def _cut(values: Tensor, first: Tensor, steps: int) -> Tensor:
    """values (B, T, ...), first (B,) -> (B, steps, ...) from there on; the last step is repeated
    after the end."""
    if values.shape[1] == 0:
        return values
    places = first[:, None] + torch.arange(steps, device=values.device)
    rows = torch.arange(len(values), device=values.device)[:, None]
    return values[rows, places.clamp(max=values.shape[1] - 1)]
