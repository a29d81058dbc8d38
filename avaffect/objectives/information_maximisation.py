"""Local and global information maximisation: discriminate pairs of one utterance from pairs of two
(Hjelm et al. 2019; Ravanelli and Bengio 2019; Pascual et al. 2019, section 2.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.models.encoder import Frames
from avaffect.objectives.base import Step
from avaffect.signal import ranks

CHUNK = 100
SHORTEST_CHUNK = 10
"""Frames of a chunk for the global task: 1 s, or half of a shorter utterance, 0.1 s at least."""


def local_usable(lengths: Tensor) -> Tensor:
    """(B,) bool: utterances of two frames or more, if there are at least two of them."""
    enough = lengths >= 2
    return enough & (enough.sum() >= 2)


def global_usable(lengths: Tensor) -> Tensor:
    """(B,) bool: utterances long enough for two chunks, if there are at least two of them."""
    enough = lengths >= 2 * SHORTEST_CHUNK
    return enough & (enough.sum() >= 2)


def local_pairs(lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """lengths (B,) on the CPU -> (clip, frame) (N, 2) of anchors, positives and negatives.

    Every frame of a usable utterance is an anchor; its positive is another frame of the same
    utterance, its negative any frame of another one.
    """
    rows = torch.nonzero(local_usable(lengths)).flatten()
    sizes = lengths[rows]
    which = torch.repeat_interleave(torch.arange(len(rows)), sizes)
    own = sizes[which]
    frame = torch.arange(len(which)) - (torch.cumsum(sizes, dim=0) - sizes)[which]
    positive = (frame + 1 + _below(own - 1, generator)) % own if len(own) else frame
    other = another(which, len(rows), generator)
    negative = _below(sizes[other], generator)
    anchors, positives, negatives = (
        torch.stack([rows[clip], place], dim=1)
        for clip, place in ((which, frame), (which, positive), (other, negative))
    )
    return anchors, positives, negatives


def global_chunks(lengths: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """lengths (B,) on the CPU -> the usable clips (N,), the first frames of two chunks of each that
    do not overlap, in random order (N, 2), and the frames of a chunk (N,)."""
    rows = torch.nonzero(global_usable(lengths)).flatten()
    size = torch.clamp(lengths[rows] // 2, max=CHUNK)
    spare = (lengths[rows] - 2 * size + 1)[:, None].expand(-1, 2)
    ends = _below(spare, generator).sort(dim=1).values
    starts = torch.stack([ends[:, 0], ends[:, 1] + size], dim=1)
    swapped = torch.rand(len(rows), 1, generator=generator) < 0.5
    return rows, torch.where(swapped, starts.flip(1), starts), size


def another(which: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """which (N,): indices below `count` -> for each a different index, (N,)."""
    if not len(which):
        return which
    return (which + 1 + _below(torch.full_like(which, count - 1), generator)) % count


def local_step(worker: nn.Module, frames: Frames, generator: torch.Generator) -> Step:
    """Loss "lim": frames. Counted in anchors."""
    pairs = local_pairs(ranks.whole(frames.lengths.cpu()), generator)
    own, values = ranks.mine(pairs[0][:, 0]), ranks.whole(frames.values)
    anchor, positive, negative = (
        values[pair[own, 0].to(values.device), pair[own, 1].to(values.device)] for pair in pairs
    )
    return _discriminate("lim", worker, anchor, positive, negative)


def global_step(worker: nn.Module, frames: Frames, generator: torch.Generator) -> Step:
    """Loss "gim": means over chunks. Counted in utterances."""
    drawn = global_chunks(ranks.whole(frames.lengths.cpu()), generator)
    others = another(torch.arange(len(drawn[0])), len(drawn[0]), generator)
    own = ranks.mine(drawn[0])
    values = ranks.whole(frames.values)
    rows, starts, size, others = (t.to(values.device) for t in (*drawn, others))
    sums = F.pad(values.cumsum(dim=1), (0, 0, 1, 0))
    ends = starts + size[:, None]
    chunks = (sums[rows[:, None], ends] - sums[rows[:, None], starts]) / size[:, None, None]
    first, second, other = chunks[own, 0], chunks[own, 1], chunks[others[own], 1]
    return _discriminate("gim", worker, first, second, other)


def _discriminate(
    name: str, worker: nn.Module, anchor: Tensor, positive: Tensor, negative: Tensor
) -> Step:
    """Binary cross-entropy of (anchor, positive) against (anchor, negative), (N, D) each, and the
    share of right answers."""
    pairs = torch.cat([anchor.repeat(2, 1), torch.cat([positive, negative])], dim=1)
    same, other = worker(pairs).flatten().float().chunk(2)
    loss = (F.softplus(-same) + F.softplus(other)).sum() / 2
    right = ((same > 0).sum() + (other < 0).sum()) / 2
    count = float(len(anchor))
    return Step({name: (loss, count)}, {f"{name}_accuracy": (right, count)})


def _below(limits: Tensor, generator: torch.Generator) -> Tensor:
    """Uniform random whole numbers from 0 to below each of the limits, which are 1 or more."""
    uniform = torch.rand(limits.shape, dtype=torch.float64, generator=generator)
    return (uniform * limits).long()
