"""Context network of HuBERT and AV-HuBERT on local features, under published parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.dropout import Dropout
from avaffect.models.encoder import Corruption, FrameEncoder, Frames
from avaffect.models.transformer import EVERY, TransformerConfiguration, TransformerEncoder


class ContextEncoder(FrameEncoder):
    """Local features, normalised and projected, then a Transformer. Subclasses give `features`.

    `mask_emb` (mask_dim,) replaces masked frames: projected ones if mask_dim is the Transformer's
    dim, otherwise inputs of the subclass.
    """

    first_layer = 0

    def __init__(
        self,
        feature_dim: int,
        transformer: TransformerConfiguration,
        input_dropout: float,
        mask_dim: int,
    ) -> None:
        super().__init__()
        self.dim, self.depth = transformer.dim, transformer.layers
        self.feature_dim = feature_dim
        self.layer_norm = nn.LayerNorm(feature_dim)
        self.post_extract_proj = nn.Linear(feature_dim, self.dim)
        self.input_dropout = Dropout(input_dropout)
        self.mask_emb = nn.Parameter(torch.rand(mask_dim))
        self.encoder = TransformerEncoder(transformer)

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """See Maskable."""
        raise NotImplementedError

    def contextualise(
        self, features: Frames, mask: Tensor | None = None, layer: int | None = None
    ) -> Frames:
        """See Maskable. ValueError for a mask if `mask_emb` does not replace projected frames."""
        x = self.input_dropout(self.post_extract_proj(self.layer_norm(features.values)))
        if mask is not None:
            if len(self.mask_emb) != self.dim:
                raise ValueError("this encoder masks its inputs (Corruption), not its features")
            x = torch.where(mask[..., None], self.mask_emb.to(x.dtype), x)
        return Frames(self.encoder(x, features.valid, layer).float(), features.lengths)

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        """Frames of the last layer, or raw output of layer 1, 2, … (UsageError past the last)."""
        return self.contextualise(self.features(batch), layer=layer)

    def every_layer(self, batch: Batch) -> Frames:
        """One pass; layer 0 is the input of the Transformer, with positions."""
        return self.forward(batch, layer=EVERY)
