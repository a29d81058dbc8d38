"""A head on an encoder, whatever it learns from: what all downstream tasks share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.heads.attentive import Head
from avaffect.models.heads.recurrent import RecurrentHead
from avaffect.objectives.base import Context, Objective, ParameterGroup
from avaffect.objectives.groups import module_groups
from avaffect.signal.augmentations import Augmentation


class Downstream(Objective):
    """Owns a head and an encoder. Groups "encoder" and "heads".

    frozen: the encoder stays in evaluation mode and gets no gradient. learning_rates: of the
    groups; the run's own where a name is missing. augmentation: of the faces that are trained on,
    for an encoder that sees faces; None unless it is set.
    """

    augmentation: Augmentation | None = None

    def __init__(
        self,
        head: Head | RecurrentHead,
        encoder: Encoder | None,
        frozen: bool,
        learning_rates: dict[str, float] | None,
    ) -> None:
        super().__init__()
        self.head = head
        self.encoder = encoder
        self.frozen = frozen or encoder is None
        self.learning_rates = dict(learning_rates or {})
        self.kept: tuple[str, ...] = ()
        if self.frozen and encoder is not None:
            encoder.requires_grad_(False)
            encoder.eval()

    def keep(self, names: Sequence[str]) -> None:
        """These parts of the encoder stay as they are: without gradient, in evaluation mode.

        Raises KeyError for a part that it does not have.
        """
        self.kept = tuple(names)
        for name in names:
            self.encoder.parts()[name].requires_grad_(False)
        self.train(self.training)

    def train(self, mode: bool = True) -> Downstream:
        super().train(mode)
        if self.frozen and self.encoder is not None:
            self.encoder.eval()
        for name in self.kept:
            self.encoder.parts()[name].eval()
        return self

    def seen(self, batch: Batch, context: Context) -> Batch:
        """The view of a batch that the encoder sees: in training a random one, of an encoder that
        is trained, too, or whose faces are augmented."""
        if not self.training or (self.frozen and self.augmentation is None):
            return batch
        batch = self.encoder.view(batch, context.generator)
        if self.augmentation is None:
            return batch
        return augmented(batch, self.augmentation, context.generator)

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        return module_groups({"encoder": [self.encoder], "heads": [self.head]}, self.learning_rates)


def augmented(batch: Batch, change: Augmentation, generator: torch.Generator) -> Batch:
    """The batch with its faces (B, T, H, W, C), of 0 to 255, changed; they are float then.

    Each channel is changed by the same draws. A batch without faces stays as it is.
    """
    faces = batch.face
    if faces is None or faces.shape[1] == 0:
        return batch
    state = generator.get_state()
    channels = []
    for clips in (faces.float() / 255.0).unbind(-1):
        generator.set_state(state)
        channels.append(change(clips, batch.lengths["face"], generator))
    faces = torch.stack(channels, dim=-1) * 255.0
    return replace(batch, streams={**batch.streams, "face": faces})
