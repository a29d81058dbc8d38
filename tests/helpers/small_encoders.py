"""A transformer small enough for tests, and what every encoder has to fulfil."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from waves import one

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoder
from avaffect.models.transformer import TransformerConfiguration

SMALL_TRANSFORMER = TransformerConfiguration(
    layers=1, dim=16, ffn_dim=32, heads=2, pre_norm=True, position_kernel=8, position_groups=2,
    dropout=0.0, attention_dropout=0.0, layerdrop=0.0,
)  # fmt: skip


@torch.no_grad()
def check_padding(encoder: Encoder, batch: Batch, frames: Sequence[int], rtol: float = 0.0) -> None:
    """Each utterance of sound has so many frames, those that it has alone, then zeros."""
    together = encoder(batch)
    assert together.lengths.tolist() == list(frames)
    for row, count in enumerate(frames):
        alone = encoder(one(batch, row)).values[0, :count]
        torch.testing.assert_close(together.values[row, :count], alone, atol=1e-5, rtol=rtol)
        assert not together.values[row, count:].any()


def check_feature_grad_mult(model_of: Callable[[float], Encoder], batch: Batch) -> None:
    """The factor scales gradients of the front-ends alone; model_of: the model with a factor."""
    gradients = []
    for factor in (1.0, 0.1):
        model = model_of(factor)
        model(batch).values.square().sum().backward()
        gradients.append({name: p.grad for name, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        if gradient is not None:
            factor = 0.1 if name.startswith("feature_extractor") else 1.0
            torch.testing.assert_close(gradients[1][name], gradient * factor)
