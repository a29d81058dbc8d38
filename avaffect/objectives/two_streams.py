"""Heads on an acoustic and a visual stream, trained a phase after the other."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoded, Frames
from avaffect.models.heads.base import Outputs
from avaffect.models.heads.two_streams import MODALITIES, TwoStreamHead
from avaffect.models.inputs import ENCODER
from avaffect.objectives.base import Context, ParameterGroup, Step
from avaffect.objectives.groups import module_groups
from avaffect.objectives.supervised import Supervised


class TwoStreams(Supervised):
    """The losses of each label for each reading of a `TwoStreamHead`, and the head's own.

    The phases are the head's. Every phase has an optimiser of its own, over the modules that it
    trains and the encoder of its modality, if that is trained; phases that share a module keep
    their own averages of its gradients. A loss of labels is called NAME_MODALITY; "NAME" as a
    metric is its mean over all readings. What a frozen encoder makes of a batch serves all phases.
    Batches are whole: batch norm, draws and 1 - CCC are of the batch.
    """

    gathers = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.phases, self.betas = self.beneath.phases, self.beneath.betas
        own = self.beneath.weights
        self.coupled = True
        self.weights = {
            f"{name}_{modality}": weight * own.get(modality, 1.0)
            for name, weight in self.weights.items()
            for modality in MODALITIES
        } | {name: weight for name, weight in own.items() if name not in MODALITIES}
        self._read: tuple[Batch, Mapping[str, Encoded], Batch] | None = None

    @property
    def beneath(self) -> TwoStreamHead:
        found = self.head.head
        assert isinstance(found, TwoStreamHead)
        return found

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        phase = phase if phase in self.phases else self.phases[0]
        usable = self.usable(batch)
        frames, seen = self._frames(batch, context, phase)
        streams = self.beneath.streams_of(self.head.summed(frames))
        if self.training:
            self.beneath.learn_from(streams)
        lesson = self.beneath.lesson(streams, phase, context.generator)
        step = Step(dict(lesson.losses), {})
        for modality, reading in lesson.readings.items():
            outputs = Outputs(partial(_given, reading.outputs), _nothing_over_time)
            for criterion in self.criteria:
                gold = seen.labels[criterion.name][reading.rows]
                part = criterion.step(self.head, outputs, gold, usable[reading.rows])
                for name, (value, count) in part.losses.items():
                    step.losses[f"{name}_{modality}"] = value, count
                    _add(step, name, value.detach(), count)
                for name, (found, count) in part.metrics.items():
                    _add(step, name, found, count)
        return step

    def _frames(
        self, batch: Batch, context: Context, phase: str
    ) -> tuple[Mapping[str, Encoded], Batch]:
        """What the inputs make of a batch that phases see alike, and the batch as it was seen."""
        if self._read is not None and self._read[0] is batch:
            return self._read[1:]
        seen = self.seen(batch, context)
        if self.frozen:
            found = self.encoded(seen)
            self._read = batch, found, seen
            return found, seen
        if self._trains_encoder(phase):
            with self._masking(context):
                return self.encoded(seen), seen
        assert self.inputs is not None
        self.inputs.eval()
        with torch.no_grad():
            found = self.encoded(seen)
        self.train(self.training)
        return found, seen

    def _trains_encoder(self, phase: str) -> bool:
        names = (self.beneath.named[m] for m in self.beneath.modalities_of(phase))
        return not self.frozen and ENCODER in names

    def after_step(self, context: Context, phase: str = "main") -> None:
        if phase == self.phases[-1]:
            # The device never holds the batches of two steps.
            self._read = None

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        modules: list[nn.Module | None] = list(self.beneath.modules_of(phase))
        encoder: list[nn.Module | None] = []
        if self._trains_encoder(phase):
            encoder = [self.inputs]
        if ENCODER in (self.beneath.named[m] for m in self.beneath.modalities_of(phase)):
            modules.append(self.head.layer_sum)
        return module_groups({"encoder": encoder, "heads": modules}, self.learning_rates)


def _add(step: Step, name: str, value: Tensor | float, count: Tensor | float) -> None:
    """To a metric that several readings have."""
    before = step.metrics.get(name, (0.0, 0.0))
    step.metrics[name] = before[0] + value, before[1] + count


def _given(outputs: Tensor) -> Tensor:
    return outputs


def _nothing_over_time() -> Frames:
    raise NotImplementedError("heads on two streams predict utterances")
