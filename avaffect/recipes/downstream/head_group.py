"""Heads on the same inputs, and their application: shared by finetune and predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.progress import SILENT, Progress
from avaffect.models.encoder import Frames
from avaffect.models.heads.base import FrameHead
from avaffect.models.heads.labels import LabelHead
from avaffect.models.heads.two_streams import TwoStreamHead
from avaffect.models.inputs import Inputs


@dataclass(frozen=True)
class HeadGroup:
    """Heads of the same form on the same inputs: one pass of the inputs serves all.

    batch_seconds: recordings that the inputs read at once, padding included.
    """

    inputs: Inputs
    heads: Sequence[LabelHead]
    device: torch.device
    batch_seconds: float
    progress: Progress = SILENT

    @property
    def form(self) -> FrameHead:
        """The first of the heads beneath; all have its steps."""
        return self.heads[0].head

    @property
    def columns(self) -> int:
        """Columns over time: the traces of each head."""
        return len(self.heads) * sum(label.over_time for label in self.heads[0].labels)

    def utterances(self, batch: Batch) -> Tensor:
        """(B, heads, columns) of the labels of utterances."""
        frames = self.inputs(batch)
        return torch.stack([head.utterances(head(frames)) for head in self.heads], dim=1)

    def distances(self, batch: Batch) -> Tensor:
        """(B, heads) of heads on two streams; see `TwoStreamHead.distances`."""
        frames, found = self.inputs(batch), []
        for head in self.heads:
            assert isinstance(head.head, TwoStreamHead)
            found.append(head.head.distances(head.summed(frames)))
        return torch.stack(found, dim=1)

    def over_time(self, frames: Mapping[str, Frames]) -> Frames:
        """(B, steps, heads * traces) of frames (B, T, dim) of each input"""
        found = [head.traces(head(frames)) for head in self.heads]
        return Frames(torch.cat([f.values for f in found], dim=2), found[0].lengths)
