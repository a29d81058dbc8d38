"""Augmentation of the faces, parts of the encoder that `finetune` freezes, and adapters in it."""

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
from avaffect.settings.encoder_training import LORA
from avaffect.settings.finetune import FinetuneSettings
from avaffect.signal.augmentations import Augmentation, augmentation


@dataclass(frozen=True)
class Treatment:
    """augmentation: of the faces in training; kept: parts of the encoder that keep their weights;
    adapters: what is trained of the encoder, where that is not its weights."""

    augmentation: Augmentation | None = None
    kept: tuple[str, ...] = ()
    adapters: Adapters | None = None

    def apply(self, objective: Supervised) -> None:
        objective.augmentation = self.augmentation
        objective.keep(self.kept)


def treatment_of(
    settings: FinetuneSettings,
    encoder: Encoder | None,
    stores: Sequence[Store],
    streams: Sequence[str],
) -> Treatment:
    """The options of the settings, checked before training.

    streams: the encoder's inputs. Raises UsageError for an unknown augmentation, faces to augment
    that the encoder does not read or that are too small, a part that the encoder does not have, and
    an encoder without anything to adapt.
    """
    adapters = None
    if encoder is not None:
        _check_parts(settings, encoder)
        adapters = _adapters(settings, encoder)
    found = _augmentation(settings, encoder, stores, streams)
    return Treatment(found, settings.freeze, adapters)


def _check_parts(settings: FinetuneSettings, encoder: Encoder) -> None:
    have = encoder.parts()
    for name in settings.freeze:
        if name not in have:
            words = f"its parts are {' and '.join(have)}" if have else "it is one whole"
            raise UsageError(
                f"--freeze {name}: the encoder has no such part ({words}); --mode frozen keeps all "
                "of it"
            )


def _adapters(settings: FinetuneSettings, encoder: Encoder) -> Adapters | None:
    """Those of --mode lora, in all attention outside the parts that are frozen."""
    if settings.mode != LORA:
        return None
    assert settings.rank is not None and settings.lora_alpha is not None
    parts = encoder.parts()
    modules = lora.projections(encoder, [parts[name] for name in settings.freeze])
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
    if settings.augment is None:
        return None
    found = augmentation(settings.augment, settings.crop_pixels)
    if encoder is None or FACE not in streams:
        read = "features" if encoder is None else " and ".join(streams)
        raise UsageError(
            f"--augment {settings.augment} changes faces, and the input is {read} alone"
        )
    shape = next(store.streams[FACE].shape for store in stores if FACE in store.streams)
    black = torch.zeros(1, 1, *shape, dtype=torch.uint8)
    one = Batch(["black"], {FACE: black}, {FACE: torch.ones(1, dtype=torch.long)})
    augmented(encoder.view(one, torch.Generator()), found, torch.Generator())
    return found
