"""Labels from the outputs of a head: of utterances and over time, one or several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from avaffect.core.nouns import count_of
from avaffect.core.registry import Description
from avaffect.models.encoder import Encoded, Frames
from avaffect.models.heads.base import FrameHead, HeadInput, Outputs
from avaffect.models.heads.registry import HEADS
from avaffect.models.layer_sum import LayerSum, LayerSumConfiguration
from avaffect.models.pooling import as_frames, as_moments

OVER_TIME = "trace"


@dataclass(frozen=True)
class Readout:
    """The outputs of one label.

    kind     class, distribution, scalar or trace
    classes  outputs that score its classes (class, distribution)
    value    whether one output is its value (scalar, trace)
    bins     outputs that score bins of its values (trace); 0 for none
    scaled   whether a trace has a scale of its own, as a scalar has; False in older files
    The order of outputs is classes, value, bins.
    """

    name: str
    kind: str
    classes: int = 0
    value: bool = False
    bins: int = 0
    scaled: bool = False

    @property
    def outputs(self) -> int:
        return self.classes + self.value + self.bins

    @property
    def over_time(self) -> bool:
        return self.kind == OVER_TIME

    @property
    def columns(self) -> int:
        """Numbers in a prediction of the label."""
        return self.classes or 1


@dataclass(frozen=True)
class LabelHeadConfiguration:
    """head: name and configuration of the head beneath; its outputs are those of each label in
    turn. layer_sum: of the layers of its encoder; None: it reads the output, or one layer."""

    head: Description
    labels: tuple[Readout, ...]
    layer_sum: LayerSumConfiguration | None = None


class LabelHead(nn.Module):
    """Labels from the outputs of a head.

    A class or distribution: scores before the softmax. A scalar: its output, in the unit and around
    the level of the training labels (`scale`). A trace: likewise where it has such an output, else
    the mean of its bins' centres, weighted by the softmax of their scores (SS-VAERR). Scales and
    centres (bins,) travel with the weights. Raises ValueError where the head beneath has other
    outputs.
    """

    def __init__(self, configuration: LabelHeadConfiguration, head: FrameHead) -> None:
        super().__init__()
        self.configuration, self.labels = configuration, configuration.labels
        self.head = head
        summed = configuration.layer_sum
        self.layer_sum = None if summed is None else LayerSum(summed)
        used = sum(label.outputs for label in self.labels)
        if head.outputs != used:
            raise ValueError(f"{count_of(head.outputs, 'output')}, but {used} are used")
        self._starts: list[int] = []
        for number, label in enumerate(self.labels):
            self._starts.append(sum(before.outputs for before in self.labels[:number]))
            if label.bins:
                self.register_buffer(f"centres_{number}", torch.zeros(label.bins))
            if label.scaled or label.kind == "scalar":
                self.register_buffer(f"scale_{number}", torch.tensor([0.0, 1.0]))

    @classmethod
    def of(
        cls,
        head: FrameHead,
        labels: tuple[Readout, ...],
        layer_sum: LayerSumConfiguration | None = None,
    ) -> LabelHead:
        return cls(LabelHeadConfiguration(HEADS.describe(head), labels, layer_sum), head)

    @classmethod
    def from_configuration(cls, configuration: LabelHeadConfiguration) -> LabelHead:
        return cls(configuration, HEADS.build(configuration.head))

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        """The outputs of the head beneath; `utterances` and `traces` read labels from them."""
        return self.head(self.summed(frames), present)

    def summed(self, frames: Mapping[str, Encoded]) -> Mapping[str, Encoded]:
        """The inputs of the head beneath: of layers their sum."""
        if self.layer_sum is None:
            return frames
        name = self.layer_sum.configuration.name
        return {**frames, name: self.layer_sum(frames[name])}

    @property
    def layers(self) -> dict[str, int]:
        """Input -> its layers, where they are summed."""
        if self.layer_sum is None:
            return {}
        return {self.layer_sum.configuration.name: self.layer_sum.configuration.layers}

    def of_rows(self, rows: Tensor) -> Mapping[str, Any]:
        """The inputs from what was computed of them once, (N, D): means, or moments where the head
        beneath reads these; NaN where an utterance lacks one."""
        if self.head.reads_moments:
            return as_moments(rows, self.inputs, self.layers)
        return as_frames(rows, self.inputs)

    @property
    def inputs(self) -> tuple[HeadInput, ...]:
        """Those of `forward`: layers side by side."""
        if self.layer_sum is None:
            return self.head.inputs
        c = self.layer_sum.configuration
        return tuple(
            replace(item, dim=c.layers * c.dim) if item.name == c.name else item
            for item in self.head.inputs
        )

    def utterances(self, outputs: Outputs) -> Tensor:
        """(B, columns) of the labels of utterances, in order: scores of classes, scalars."""
        found = [
            self.value(outputs.utterance, n)[:, None]
            if label.value
            else self.scores(outputs.utterance, n)
            for n, label in enumerate(self.labels)
            if not label.over_time
        ]
        return torch.cat(found, dim=1)

    def traces(self, outputs: Outputs) -> Frames:
        """(B, steps, traces), zero in padding"""
        found = outputs.over_time
        numbers = [n for n, label in enumerate(self.labels) if label.over_time]
        values = torch.stack([self.trace(found.values, n) for n in numbers], dim=-1)
        return Frames(values * found.valid[..., None], found.lengths)

    def trace(self, outputs: Tensor, number: int) -> Tensor:
        """(..., outputs) -> (...) of a trace"""
        if self.labels[number].value:
            return self.value(outputs, number)
        return self.scores(outputs, number).softmax(dim=-1) @ self.centres(number)

    def value(self, outputs: Tensor, number: int) -> Tensor:
        """(..., outputs) -> (...) in the label's own unit; of a label that has a value"""
        level, spread = self.scale(number)
        return self.standard_value(outputs, number) * spread + level

    def standard_value(self, outputs: Tensor, number: int) -> Tensor:
        """(..., outputs) -> (...) in the unit of its scale; of a label that has a value"""
        return outputs[..., self._starts[number]]

    def standardised(self, values: Tensor, number: int) -> Tensor:
        """(...) in the label's own unit -> in the unit of its scale"""
        level, spread = self.scale(number)
        return (values - level) / spread

    def scores(self, outputs: Tensor, number: int) -> Tensor:
        """(..., outputs) -> (..., classes or bins) before the softmax"""
        label, first = self.labels[number], self._starts[number]
        first += label.value
        return outputs[..., first : first + (label.classes or label.bins)]

    def centres(self, number: int) -> Tensor:
        """(bins,) rising"""
        return getattr(self, f"centres_{number}")

    def scale(self, number: int) -> Tensor:
        """(2,): the value at output 0 of a scalar or trace, and the unit of the output."""
        found = getattr(self, f"scale_{number}", None)
        return torch.tensor([0.0, 1.0]) if found is None else found
