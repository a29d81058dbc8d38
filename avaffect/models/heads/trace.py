"""A head for labels over time: each a value, scores of bins of its values, or both (SS-VAERR)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from avaffect.models import registry
from avaffect.models.encoder import Frames
from avaffect.models.heads.attentive import Head
from avaffect.models.heads.recurrent import RecurrentHead
from avaffect.models.standardisation import Standardisation


@dataclass(frozen=True)
class TraceHeadConfiguration:
    """head: name and configuration of the head beneath. Of each label, values: whether it has an
    output that is its value; bins: how many it has that score bins of its values, 0 for none.

    The outputs beneath are those of one label after another, its value before its bins.
    """

    head: dict[str, Any]
    values: tuple[bool, ...]
    bins: tuple[int, ...]

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> TraceHeadConfiguration:
        return cls(given["head"], tuple(given["values"]), tuple(given["bins"]))

    @property
    def outputs(self) -> int:
        return sum(self.values) + sum(self.bins)


class TraceHead(nn.Module):
    """What the outputs of a head mean: a label's value where there is one, else the mean of its
    bins' centres, weighted by the softmax of their scores.

    The centres, one (bins,) tensor for each label that has bins, are those of the training labels
    and travel with the weights. Raises ValueError where the head beneath has other outputs.
    """

    def __init__(self, configuration: TraceHeadConfiguration, head: Head | RecurrentHead) -> None:
        super().__init__()
        c = configuration
        if head.configuration.outputs != c.outputs:
            raise ValueError(f"{head.configuration.outputs} outputs, but {c.outputs} are used")
        self.configuration = c
        self.head = head
        self._starts = [sum(c.values[:d]) + sum(c.bins[:d]) for d in range(len(c.values))]
        for label, count in enumerate(c.bins):
            if count:
                self.register_buffer(f"centres_{label}", torch.zeros(count))

    @classmethod
    def from_configuration(cls, configuration: TraceHeadConfiguration) -> TraceHead:
        """With the head that the configuration describes beneath."""
        return cls(configuration, registry.build(configuration.head))

    @property
    def standardisation(self) -> Standardisation | None:
        return self.head.standardisation

    def outputs(self, frames: Frames) -> Frames:
        """(B, T, dim) -> (B, steps, outputs) of the head beneath"""
        return self.head.over_time(frames)

    def over_time(self, frames: Frames) -> Frames:
        """(B, T, dim) -> (B, steps, labels), zero in padding"""
        found = self.outputs(frames)
        return Frames(self.predicted(found.values) * found.valid[..., None], found.lengths)

    def predicted(self, outputs: Tensor) -> Tensor:
        """(..., outputs) -> (..., labels)"""
        return torch.stack([self._label(outputs, d) for d in range(len(self._starts))], dim=-1)

    def _label(self, outputs: Tensor, label: int) -> Tensor:
        if self.configuration.values[label]:
            return self.value(outputs, label)
        return self.scores(outputs, label).softmax(dim=-1) @ self.centres(label)

    def value(self, outputs: Tensor, label: int) -> Tensor:
        """(..., outputs) -> (...); of a label that has a value"""
        return outputs[..., self._starts[label]]

    def scores(self, outputs: Tensor, label: int) -> Tensor:
        """(..., outputs) -> (..., bins) before the softmax"""
        first = self._starts[label] + self.configuration.values[label]
        return outputs[..., first : first + self.configuration.bins[label]]

    def centres(self, label: int) -> Tensor:
        """(bins,) rising"""
        return getattr(self, f"centres_{label}")
