"""What `finetune` does with an encoder beside training it: random views of the faces it sees."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.data.store import Store
from avaffect.models.encoder import Encoder
from avaffect.objectives.downstream import Downstream, augmented
from avaffect.settings.finetune import FinetuneSettings
from avaffect.signal.augmentations import Augmentation, augmentation


@dataclass(frozen=True)
class Treatment:
    """augmentation: of the faces that are trained on."""

    augmentation: Augmentation | None = None

    def apply(self, objective: Downstream) -> None:
        objective.augmentation = self.augmentation


def treatment_of(
    settings: FinetuneSettings, encoder: Encoder, stores: Sequence[Store], streams: Sequence[str]
) -> Treatment:
    """What the settings ask for, tried before anything is trained.

    streams: those that the encoder is to read. Raises UsageError where it sees no faces to augment,
    or they are too small for it, or an augmentation is unknown.
    """
    return Treatment(_augmentation(settings, encoder, stores, streams))


def _augmentation(
    settings: FinetuneSettings, encoder: Encoder, stores: Sequence[Store], streams: Sequence[str]
) -> Augmentation | None:
    if settings.augment is None:
        return None
    found = augmentation(settings.augment, settings.crop_pixels)
    if "face" not in streams:
        raise UsageError(
            f"--augment {settings.augment} changes faces, and what is trained on is "
            f"{' and '.join(streams)} alone"
        )
    shape = next(store.streams["face"].shape for store in stores if "face" in store.streams)
    black = torch.zeros(1, 1, *shape, dtype=torch.uint8)
    one = Batch(["black"], {"face": black}, {"face": torch.ones(1, dtype=torch.long)})
    augmented(encoder.view(one, torch.Generator()), found, torch.Generator())
    return found
