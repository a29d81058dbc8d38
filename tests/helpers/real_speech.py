"""Imported encoders of waveforms, against the models of transformers that they were imported from,
and against themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from test_hubert import row, speech

from avaffect.core.batch import Batch
from avaffect.data.store.reader import Store
from avaffect.models.encoder import Encoder


@torch.no_grad()
def every_layer_agrees(encoder: Encoder, model: torch.nn.Module, store: Path) -> None:
    """On every second utterance of a store of real speech, layers before the last and the
    output."""
    media = Store(store)
    for place in range(0, media.count, 2):
        samples = media.read("waveform", place).astype(np.float32) / 32768.0
        wave, length = torch.from_numpy(samples)[None], torch.tensor([len(samples)])
        batch = Batch(["real"], {"waveform": wave}, {"waveform": length})
        expected = model(wave, output_hidden_states=True)
        frames = dict(enumerate(expected.hidden_states[1 : encoder.depth], 1))
        for layer, values in (*frames.items(), (None, expected.last_hidden_state)):
            found = encoder(batch, layer=layer).values
            torch.testing.assert_close(found, values, atol=1e-4, rtol=0)


@torch.no_grad()
def padding_and_batch_mates_change_nothing(encoder: Encoder) -> None:
    together = speech(9000, 16000)
    found, expected = encoder(together), encoder(row(together, 0))
    length = int(expected.lengths[0])
    torch.testing.assert_close(found.values[0, :length], expected.values[0], atol=1e-5, rtol=0)
