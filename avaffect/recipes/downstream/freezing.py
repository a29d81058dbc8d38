"""Augmentation of faces and sound, parts of the encoder that `finetune` freezes, and adapters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from avaffect.core.batch import Batch
from avaffect.core.errors import UsageError
from avaffect.core.headers import Adapters
from avaffect.core.streams import FACE
from avaffect.data.store.reader import Store
from avaffect.models import lora
from avaffect.models.encoder import Encoder
from avaffect.objectives.supervised import Supervised, augmented
from avaffect.recipes.downstream.labelled_data import Utterances
from avaffect.recipes.downstream.sound_treatment import SoundTreatment, sound_treatment
from avaffect.settings.encoder_training import LORA
from avaffect.settings.finetune import FinetuneSettings
from avaffect.signal.augmentations import Augmentation, augmentation


@dataclass(frozen=True)
class Treatment:
    """augmentation: of the faces in training, sound: of the sound; kept: parts of the encoder that
    keep their weights; adapters: what is trained of the encoder, where that is not its weights."""

    augmentation: Augmentation | None = None
    kept: tuple[str, ...] = ()
    adapters: Adapters | None = None
    sound: SoundTreatment | None = None

    @property
    def augments(self) -> bool:
        return self.augmentation is not None or self.sound is not None

    def apply(self, objective: Supervised, kept_apart: frozenset[str]) -> None:
        """kept_apart: ids of utterances that a run is not trained on."""
        objective.augmentation = self.augmentation
        objective.sound = None if self.sound is None else self.sound.of(kept_apart)
        objective.keep(self.kept)


def treatment_of(
    settings: FinetuneSettings,
    encoder: Encoder | None,
    stores: Sequence[Store],
    streams: Sequence[str],
    utterances: Utterances,
) -> Treatment:
    """The options of the settings, checked before training.

    streams: the encoder's inputs. Raises DataError and UsageError as `sound_treatment` does, and
    UsageError for faces to augment that the encoder does not read or that are too small, a part
    that the encoder does not have, and an encoder without anything to adapt.
    """
    adapters = None
    if encoder is not None:
        encoder.structure.check_parts(settings.freeze)
        adapters = _adapters(settings, encoder)
    sound = sound_treatment(settings, encoder, streams, utterances)
    found = _augmentation(settings, encoder, stores, streams)
    return Treatment(found, settings.freeze, adapters, sound)


def _adapters(settings: FinetuneSettings, encoder: Encoder) -> Adapters | None:
    """Those of --mode lora, in all attention that the head reads outside the parts that are
    frozen."""
    if settings.mode != LORA:
        return None
    assert settings.rank is not None and settings.lora_alpha is not None
    parts = encoder.parts()
    left_out = [parts[name] for name in settings.freeze] + lora.above(encoder, settings.layer)
    modules = lora.projections(encoder, left_out)
    if not modules:
        raise UsageError(
            "--mode lora: nothing is left of the encoder that has queries and values"
            + f" outside {' and '.join(settings.freeze)}" * bool(settings.freeze)
        )
    return Adapters(rank=settings.rank, alpha=settings.lora_alpha, modules=modules)


def _augmentation(
    settings: FinetuneSettings,
    encoder: Encoder | None,
    stores: Sequence[Store],
    streams: Sequence[str],
) -> Augmentation | None:
    if not settings.of_faces:
        return None
    name = "+".join(settings.of_faces)
    found = augmentation(name, settings.crop_pixels)
    if encoder is None or FACE not in streams:
        read = "features" if encoder is None else " and ".join(streams)
        raise UsageError(f"--augment {name} changes faces, and the input is {read} alone")
    shape = next(store.streams[FACE].shape for store in stores if FACE in store.streams)
    black = torch.zeros(1, 1, *shape, dtype=torch.uint8)
    one = Batch(["black"], {FACE: black}, {FACE: torch.ones(1, dtype=torch.long)})
    augmented(encoder.view(one, torch.Generator()), found, torch.Generator())
    return found
