"""Mixup (Zhang et al. 2018): utterances are mixed in pairs, and so are their targets."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import WAVEFORM
from avaffect.signal import ranks
from avaffect.signal.features import unit_scale


def mixed(
    batch: Batch,
    shares: dict[str, Tensor],
    mixable: Tensor,
    alpha: float,
    generator: torch.Generator,
) -> Batch:
    """The batch in which each mixable utterance is l times itself plus 1 - l times another of them,
    with labels that are mixed alike.

    shares: label -> (B, C) of its classes, a row of NaN where it is unknown; mixable (B,) bool.
    l is drawn for each utterance from Beta(alpha, alpha), and the larger of l and 1 - l is taken:
    an utterance keeps its length, the other one is cut, or ends before it.
    """
    random = np.random.default_rng(int(torch.randint(2**62, (1,), generator=generator)))
    rows = ranks.whole(mixable).nonzero().flatten().cpu().numpy()
    partner = torch.arange(ranks.size(len(batch)))
    partner[rows] = torch.from_numpy(random.permutation(rows))
    own = torch.from_numpy(random.beta(alpha, alpha, len(partner))).float()
    own = ranks.own(torch.maximum(own, 1 - own)).to(mixable.device)
    partner = ranks.own(partner).to(mixable.device)
    # Utterances that are not mixed are their own partners.
    own = torch.where(mixable, own, 1.0)
    waveform, lengths = unit_scale(batch.streams[WAVEFORM]), batch.lengths[WAVEFORM]
    steps = torch.arange(waveform.shape[1], device=lengths.device)
    clean = torch.where(steps < lengths[:, None], waveform, 0.0)

    def mix(values: Tensor) -> Tensor:
        return own[:, None] * values + (1 - own[:, None]) * ranks.whole(values)[partner]

    found, labels = mix(clean), {name: mix(rows) for name, rows in shares.items()}
    return replace(
        batch,
        streams={**batch.streams, WAVEFORM: torch.where(steps < lengths[:, None], found, 0.0)},
        labels={**batch.labels, **labels},
    )
