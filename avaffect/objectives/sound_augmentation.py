"""Augmentation of the sound, and of its labels, that a supervised head is trained on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from avaffect.core.batch import Batch
from avaffect.models.encoder import Corruption, Encoder, Frames, maskable
from avaffect.models.heads.labels import Readout
from avaffect.objectives.losses.soft_cross_entropy import as_shares, known_rows
from avaffect.signal.sound import masks, mixing
from avaffect.signal.sound.changes import SoundChange, changed


@dataclass(frozen=True)
class SoundAugmentation:
    """changes: of each waveform, one after the other; then mixup with this alpha, None: none;
    masks: SpecAugment on the local features of the encoder."""

    changes: tuple[SoundChange, ...] = ()
    mixup: float | None = None
    masks: bool = False

    def seen(
        self, batch: Batch, labels: Sequence[Readout], usable: Tensor, generator: torch.Generator
    ) -> Batch:
        """The batch with its changed sound, and with the shares of mixed utterances as labels.

        usable (B,) bool: utterances with any frame. Only such ones are mixed, that have all labels;
        mixup is for labels of classes alone.
        """
        batch = changed(batch, self.changes, generator)
        if self.mixup is None:
            return batch
        shares = {}
        for label in labels:
            gold = batch.labels[label.name]
            shares[label.name] = as_shares(gold, label.classes) if gold.ndim == 1 else gold
        known = torch.stack([known_rows(rows) for rows in shares.values()]).all(dim=0)
        return mixing.mixed(batch, shares, usable & known, self.mixup, generator)

    @contextmanager
    def masking(self, encoder: Encoder, generator: torch.Generator) -> Iterator[None]:
        """Within it, the encoder's `features` are masked, alike in each pass. Raises ValueError
        where the encoder has no local features."""
        if not self.masks:
            yield
            return
        local, state = maskable(encoder).features, generator.get_state()

        def features(batch: Batch, corruption: Corruption | None = None) -> Frames:
            found = local(batch, corruption)
            generator.set_state(state)
            return Frames(masks.masked(found.values, found.lengths, generator), found.lengths)

        # The encoder's own passes look it up on the instance first.
        encoder.__dict__["features"] = features
        try:
            yield
        finally:
            del encoder.__dict__["features"]
