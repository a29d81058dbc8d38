"""Weak and strong views of utterances: what one shows is predicted from the other."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.core.streams import FACE
from avaffect.models.encoder import Encoder, Maskable
from avaffect.models.whisper import Whisper
from avaffect.objectives.sound_augmentation import SoundAugmentation
from avaffect.objectives.supervised import augmented
from avaffect.signal.random_augmentation import flip_and_shift, strong_view
from avaffect.signal.sound.changes import changed
from avaffect.signal.sound.rooms import Room
from avaffect.signal.sound.speed import perturbed


@dataclass(frozen=True)
class Views:
    """Of faces: FixMatch's, whose paper has pictures. sound: instead of them, where an encoder only
    hears; its weak view is the sound itself."""

    sound: SoundAugmentation | None = None

    @classmethod
    def of(cls, encoder: Encoder, streams: Sequence[str]) -> Views:
        """Those of the streams that an encoder is given: faces alone, if there are any. Of sound: a
        simulated room, another speed, and masks where the encoder has local features."""
        if FACE in streams:
            return cls()
        padded = isinstance(encoder, Whisper) and encoder.configuration.padded
        masks = isinstance(encoder, Maskable) and not padded
        return cls(SoundAugmentation((Room(), perturbed), masks=masks))

    def weak(self, batch: Batch, generator: torch.Generator) -> Batch:
        """The batch that the encoder's own view of training gives, flipped and shifted."""
        return batch if self.sound else augmented(batch, flip_and_shift, generator)

    def strong(
        self, encoder: Encoder, batch: Batch, layer: int | None, generator: torch.Generator
    ) -> Tensor:
        """(B, D): the mean of the encoder's frames or tokens of a strong view of the batch."""
        batch = encoder.view(batch, generator)
        if self.sound is None:
            return encoder(augmented(batch, strong_view, generator), layer=layer).mean()
        batch = changed(batch, self.sound.changes, generator)
        masking = contextlib.nullcontext()
        with self.sound.masking(encoder, generator) if self.sound.masks else masking:
            return encoder(batch, layer=layer).mean()
