"""A head on an encoder or on stored features, trained for one label or several."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE
from avaffect.models import lora
from avaffect.models.encoder import Encoded, Encoder, Frames
from avaffect.models.heads.base import Outputs
from avaffect.models.heads.labels import LabelHead
from avaffect.models.inputs import Inputs
from avaffect.models.pooling import AttentiveStatistics
from avaffect.objectives.base import Context, Objective, ParameterGroup, Step
from avaffect.objectives.criteria import Criterion
from avaffect.objectives.groups import module_groups
from avaffect.objectives.pooling import POOLED
from avaffect.objectives.sound_augmentation import SoundAugmentation
from avaffect.signal import ranks
from avaffect.signal.augmentations import Augmentation

PENALTY = "penalty"


class Supervised(Objective):
    """The weighted sum of the losses of each label. Groups "encoder" and "heads".

    inputs: of the head; None: pooled vectors, (B, D) in the stream "pooled".
    frozen: the encoder stays in evaluation mode and gets no gradient. learning_rates: of the
    groups; by default that of the run. penalty: P / 2 |w|^2 of the weights of the head, `squares`.
    augmentation: of the faces in training; sound: of the sound; None by default.
    """

    gathers = True
    augmentation: Augmentation | None = None
    sound: SoundAugmentation | None = None

    def __init__(
        self,
        head: LabelHead,
        criteria: Sequence[Criterion],
        inputs: Inputs | None = None,
        frozen: bool = False,
        learning_rates: Mapping[str, float] | None = None,
        penalty: float = 0.0,
    ) -> None:
        super().__init__()
        self.head = head
        self.criteria = tuple(criteria)
        self.inputs = inputs
        self.frozen = frozen or self.encoder is None
        self.learning_rates = dict(learning_rates or {})
        self.penalty = penalty
        self.kept: tuple[str, ...] = ()
        self.weights = {n: w for criterion in criteria for n, w in criterion.weights.items()}
        self.coupled = any(criterion.coupled for criterion in criteria)
        if self.frozen and inputs is not None:
            inputs.requires_grad_(False)
            inputs.eval()

    @property
    def encoder(self) -> Encoder | None:
        return None if self.inputs is None else self.inputs.encoder

    def keep(self, names: Sequence[str]) -> None:
        """Freeze these parts of the encoder: no gradient, evaluation mode.

        Raises KeyError for a part that it does not have.
        """
        self.kept = tuple(names)
        for name in names:
            self._parts()[name].requires_grad_(False)
        self.train(self.training)

    def _parts(self) -> dict[str, torch.nn.Module]:
        return {} if self.encoder is None else self.encoder.parts()

    def train(self, mode: bool = True) -> Supervised:
        super().train(mode)
        if self.frozen and self.inputs is not None:
            self.inputs.eval()
        for name in self.kept:
            self._parts()[name].eval()
        if self.encoder is not None:
            for module in lora.keepers_of_statistics(self.encoder):
                module.eval()
        return self

    def seen(self, batch: Batch, context: Context) -> Batch:
        """The encoder's view of a batch, and the labels of that view: in training a random one, if
        the encoder is trained too or faces or sound are augmented."""
        if self.inputs is None or not self.training:
            return batch
        if self.frozen and self.augmentation is None and self.sound is None:
            return batch
        batch = self.inputs.view(batch, context.generator)
        if self.augmentation is not None:
            batch = augmented(batch, self.augmentation, context.generator)
        if self.sound is None:
            return batch
        return self.sound.seen(batch, self.head.labels, self.usable(batch), context.generator)

    def encoded(self, batch: Batch) -> Mapping[str, Encoded]:
        """Name of an input -> its frames or tokens"""
        if self.inputs is None:
            return self.head.of_rows(batch.streams[POOLED].float())
        return self.inputs(batch)

    def usable(self, batch: Batch) -> Tensor:
        """(B,) bool: utterances that give the inputs anything to read."""
        if self.inputs is None:
            pooled = batch.streams[POOLED]
            return torch.ones(len(pooled), dtype=torch.bool, device=pooled.device)
        return self.inputs.usable(batch.lengths)

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        usable = self.usable(batch)
        batch = self.seen(batch, context)
        with self._masking(context):
            outputs = self.head(self.encoded(batch))
        step = Step({}, {})
        for criterion in self.criteria:
            gold = batch.labels[criterion.name]
            if criterion.coupled:
                part = self._of_all(criterion, outputs, gold, usable)
            else:
                part = criterion.step(self.head, outputs, gold, usable)
            step.losses |= part.losses
            step.metrics |= part.metrics
        if self.penalty:
            # With the count of the first loss, so that its weight does not depend on micro-batches.
            count = next(iter(step.losses.values()))[1]
            step.losses[PENALTY] = (self.penalty / 2 * squares(self.head) * count, count)
        return step

    def _of_all(self, criterion: Criterion, outputs: Outputs, gold: Tensor, usable: Tensor) -> Step:
        """Losses that compare the utterances of a batch, over those of all ranks."""

        def over_time() -> Frames:
            found = outputs.over_time
            return Frames(ranks.whole(found.values), ranks.whole(found.lengths))

        everyone = Outputs(lambda: ranks.whole(outputs.utterance), over_time)
        part = criterion.step(self.head, everyone, ranks.whole(gold), ranks.whole(usable))
        return Step(ranks.once(part.losses), ranks.once(part.metrics))

    def _masking(self, context: Context) -> contextlib.AbstractContextManager[None]:
        """Within it the encoder's local features are masked in training, if sound is so
        augmented."""
        if self.sound is None or self.encoder is None or not self.training:
            return contextlib.nullcontext()
        return self.sound.masking(self.encoder, context.generator)

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        usable = self.usable(batch)
        found: dict[str, float] = {}
        for criterion in self.criteria:
            found |= criterion.counts(batch.labels[criterion.name], usable)
        if self.penalty:
            found[PENALTY] = next(iter(found.values()))
        return found

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        return module_groups({"encoder": [self.inputs], "heads": [self.head]}, self.learning_rates)


def squares(head: torch.nn.Module) -> Tensor:
    """Sum of the squares of a head's weights; those of attention count its `penalty` times."""
    found = _squares(head)
    for module in head.modules():
        if isinstance(module, AttentiveStatistics):
            found = found + (module.penalty - 1) * _squares(module)
    return found


def _squares(module: torch.nn.Module) -> Tensor:
    return sum((p.square().sum() for p in module.parameters() if p.ndim > 1), torch.zeros(()))


def augmented(batch: Batch, change: Augmentation, generator: torch.Generator) -> Batch:
    """The batch with augmented faces (B, T, H, W, C), 0 to 255, as floats.

    The draws are the same for all channels. A batch without faces is not changed.
    """
    faces = batch.face
    if faces is None or faces.shape[1] == 0:
        return batch
    state = generator.get_state()
    channels = []
    for clips in (faces.float() / 255.0).unbind(-1):
        generator.set_state(state)
        channels.append(change(clips, batch.lengths[FACE], generator))
    faces = torch.stack(channels, dim=-1) * 255.0
    return replace(batch, streams={**batch.streams, FACE: faces})
