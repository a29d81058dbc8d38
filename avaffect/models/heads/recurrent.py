"""The recurrent head (Shukla et al. 2021, section 6.3: bidirectional, two layers of 256)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.models.dropout import TorchDropout
from avaffect.models.encoder import Encoded, Frames
from avaffect.models.gated_recurrent import GatedRecurrent
from avaffect.models.heads.base import FrameHead, FrameHeadConfiguration, Outputs, joined
from avaffect.models.standardisation import Standardisation
from avaffect.settings.head_options import RecurrentOptions


@dataclass(frozen=True)
class RecurrentHeadConfiguration(RecurrentOptions, FrameHeadConfiguration):
    """hidden: GRU units of each direction and layer. frames_per_step: the recurrence reads means of
    so many frames. bidirectional: False where a step must not depend on later ones."""

    frames_per_step: int = 1
    bidirectional: bool = True

    @property
    def width(self) -> int:
        """Width of a layer's output."""
        return self.hidden * (1 + self.bidirectional)


@dataclass(frozen=True)
class ForwardHeadConfiguration(RecurrentHeadConfiguration):
    """As `RecurrentHeadConfiguration`, forward in time alone."""

    bidirectional: bool = False


class RecurrentHead(FrameHead):
    """Layers of GRU in both directions or one, and one dense layer on top.

    For an utterance the dense layer reads the final state of each direction of the last layer; over
    time it reads each step. The head stores the standardisation of its inputs. Padding never
    changes an output: the backward direction begins at an utterance's own end.
    """

    standardisation: Standardisation

    def __init__(self, configuration: RecurrentHeadConfiguration) -> None:
        c = configuration
        super().__init__(c.inputs, c.outputs, c.frames_per_step)
        self.configuration = c
        self.standardisation = Standardisation(c.dim)
        inputs = [c.dim, *[c.width] * (c.layers - 1)]
        back = inputs if c.bidirectional else []
        self.forwards = nn.ModuleList(GatedRecurrent(n, c.hidden) for n in inputs)
        self.backwards = nn.ModuleList(GatedRecurrent(n, c.hidden) for n in back)
        self.dropout = TorchDropout(c.dropout)
        self.dense = nn.Linear(c.width, c.outputs)

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        """Over time (B, ceil(T / frames_per_step), outputs); an utterance without frames has the
        outputs of zeros."""
        assert self.standardisation is not None
        missing = self.standardisation.mean
        steps = self._recurrent(joined(frames, self.inputs, present, missing))

        def utterance() -> Tensor:
            hidden = self.configuration.hidden
            last = (steps.lengths - 1).clamp(min=0)
            rows = torch.arange(len(last), device=last.device)
            ends = steps.values[rows, last, :hidden], steps.values[:, 0, hidden:]
            return self.dense(self.dropout(torch.cat(ends, dim=1))).float()

        def over_time() -> Frames:
            values = self.dense(self.dropout(steps.values)).float()
            return Frames(values * steps.valid[..., None], steps.lengths)

        return Outputs(utterance, over_time)

    def _recurrent(self, frames: Frames) -> Frames:
        """The last layer, forward direction first, (B, steps, width); one step at least."""
        assert self.standardisation is not None
        values = self.standardisation(frames.values) * frames.valid[..., None]
        steps = mean_steps(Frames(values, frames.lengths), self.configuration.frames_per_step)
        x = steps.values
        if x.shape[1] == 0:
            x = x.new_zeros(len(x), 1, x.shape[2])
        for number, ahead in enumerate(self.forwards):
            if number:
                x = self.dropout(x)
            found = [ahead(x)[0]]
            if self.configuration.bidirectional:
                backwards = self.backwards[number](reverse(x, steps.lengths))[0]
                found.append(reverse(backwards, steps.lengths))
            x = torch.cat(found, dim=2)
        return Frames(x, steps.lengths)


def mean_steps(frames: Frames, count: int) -> Frames:
    """Means of `count` neighbouring frames; the last step is the mean of the remaining ones."""
    values, lengths = frames.values, frames.lengths
    batch, time, dim = values.shape
    # No padding beyond the frames there are.
    count = min(count, max(time, 1))
    if count == 1:
        return frames
    spare = -time % count
    values = torch.cat([values, values.new_zeros(batch, spare, dim)], dim=1)
    sums = values.view(batch, -1, count, dim).sum(dim=2)
    steps = torch.arange(sums.shape[1], device=values.device)
    held = (lengths[:, None] - steps * count).clamp(min=1, max=count)
    return Frames(
        sums / held[..., None], torch.div(lengths + count - 1, count, rounding_mode="floor")
    )


def reverse(values: Tensor, lengths: Tensor) -> Tensor:
    """values (B, T, D) with the first `lengths` (B,) steps in reverse; padding stays in place."""
    steps = torch.arange(values.shape[1], device=values.device).expand(len(values), -1)
    mirrored = lengths[:, None] - 1 - steps
    order = torch.where(mirrored >= 0, mirrored, steps)
    return values.gather(1, order[..., None].expand_as(values))
