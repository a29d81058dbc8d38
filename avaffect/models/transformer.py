"""The Transformer encoder of HuBERT and AV-HuBERT, under their published parameter names.

A convolution over time gives each frame its position; then self-attention layers, normalised
after each sublayer (HuBERT base) or before it (`pre_norm`: HuBERT large, AV-HuBERT).
Hsu et al. 2021 (HuBERT), Shi et al. 2022 (AV-HuBERT).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.structure import check_layer
from avaffect.models.convolution import convolve
from avaffect.models.dropout import Dropout, dropout, torch_dropout
from avaffect.models.relative_positions import buckets_of
from avaffect.models.valid_norm import ValidBatchNorm
from avaffect.signal import ranks

# On the CPU, with dropout or in half precision, explicit attention is faster than the fused kernel
# (`python -m benchmarks.encoder`); for longer utterances than this it takes too much memory.
_EXPLICIT_FRAMES = 512

# In place of the number of a layer: the input of each layer and the output, side by side.
EVERY = 1 << 30


@dataclass(frozen=True)
class TransformerConfiguration:
    """Sizes and regularisation; the defaults are those of the published base models.

    position_norm: "weight", the kernel of the positional convolution is normalised; "batch", its
    input is (mHuBERT); "layer", its output is, and there are position_layers of them (data2vec);
    "none", there is no such convolution (Whisper).
    relative_buckets, relative_distance: of distances between frames, each of which has a learned
    bias of attention, gated by the frame (WavLM); 0, there is none.
    """

    layers: int = 12
    dim: int = 768
    ffn_dim: int = 3072
    heads: int = 12
    pre_norm: bool = False
    position_kernel: int = 128
    position_groups: int = 16
    position_norm: str = "weight"
    position_layers: int = 1
    relative_buckets: int = 0
    relative_distance: int = 800
    dropout: float = 0.1
    attention_dropout: float = 0.1
    activation_dropout: float = 0.0
    layerdrop: float = 0.05


class PositionalConvolution(nn.Module):
    """Grouped convolution over time whose kernel is normalised for each tap (weight norm, dim 2).

    weight_g (1, 1, K) and weight_v (dim, dim / groups, K) are plain parameters. The extra last
    frame of an even kernel is dropped.
    """

    def __init__(self, dim: int, kernel: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.bias = nn.Parameter(torch.zeros(dim))
        direction = torch.randn(dim, dim // groups, kernel) * math.sqrt(4.0 / (kernel * dim))
        self.weight_g = nn.Parameter(direction.norm(dim=(0, 1), keepdim=True))
        self.weight_v = nn.Parameter(direction)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, dim) -> (B, T, dim)"""
        # Tensor.norm over two dimensions takes five times as long.
        norm = self.weight_v.square().sum(dim=(0, 1), keepdim=True).sqrt()
        weight = self.weight_v * (self.weight_g / norm)
        return _positions(x.transpose(1, 2), weight, self.bias, self.groups)


class BatchNormalisedConvolution(nn.Sequential):
    """Batch norm, then a grouped convolution over time; published in this order, as 0 and 1."""

    def __init__(self, dim: int, kernel: int, groups: int) -> None:
        convolution = nn.Conv1d(dim, dim, kernel, groups=groups)
        nn.init.normal_(convolution.weight, std=math.sqrt(4.0 / (kernel * dim)))
        assert convolution.bias is not None
        nn.init.zeros_(convolution.bias)
        super().__init__(ValidBatchNorm(dim), convolution)

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:  # type: ignore[override]
        """x (B, T, dim), valid (B, T) bool -> (B, T, dim)"""
        norm, convolution = self
        assert isinstance(convolution, nn.Conv1d)
        # The norm changes padding, which must be zero in the convolution, as for a single
        # utterance.
        y = norm(x.transpose(1, 2), valid.sum(1)).to(x.dtype) * valid[:, None]
        return _positions(y, convolution.weight, convolution.bias, convolution.groups)


class StackedConvolutions(nn.ModuleList):
    """Grouped convolutions over time, one after another, each with a layer norm without parameters
    and a GELU (Baevski et al. 2022, data2vec); published in this order."""

    def __init__(self, dim: int, kernel: int, groups: int, layers: int) -> None:
        super().__init__()
        for _ in range(layers):
            convolution = nn.Conv1d(dim, dim, kernel, groups=groups)
            nn.init.normal_(convolution.weight, std=math.sqrt(4.0 / (kernel * dim)))
            assert convolution.bias is not None
            nn.init.zeros_(convolution.bias)
            self.append(nn.Sequential(convolution))

    def forward(self, x: Tensor, valid: Tensor) -> Tensor:
        """x (B, T, dim), valid (B, T) bool -> (B, T, dim)"""
        keep = valid[..., None].to(x.dtype)
        for layer in self:
            assert isinstance(layer, nn.Sequential)
            (convolution,) = layer
            assert isinstance(convolution, nn.Conv1d)
            weight, groups = convolution.weight, convolution.groups
            # What the convolution puts into padding is no input of the next one.
            y = convolve(
                (x * keep).transpose(1, 2), weight, convolution.bias,
                padding=weight.shape[-1] // 2, groups=groups,
            )[..., : x.shape[1]]  # fmt: skip
            x = F.gelu(F.layer_norm(y.transpose(1, 2), (x.shape[2],)).to(x.dtype))
        return x


def _positions(x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
    """(B, dim, T) -> (B, T, dim)"""
    y = convolve(x, weight, bias, padding=weight.shape[-1] // 2, groups=groups)
    return F.gelu(y[..., : x.shape[2]]).transpose(1, 2)


def _explicit_attention(
    q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, probability: float,
    drop: Callable[[Tensor, float], Tensor] = dropout,
) -> Tensor:  # fmt: skip
    """scaled_dot_product_attention as explicit products."""
    scores = (q * q.shape[-1] ** -0.5) @ k.transpose(2, 3)
    if bias is not None:
        scores = scores + bias
    weights = drop(F.softmax(scores, dim=-1).to(v.dtype), probability)
    return weights @ v


def lowest(dtype: torch.dtype) -> float:
    """Far below any score of attention, and finite in this precision."""
    return max(-1e30, torch.finfo(dtype).min / 2)


def key_bias(valid: Tensor, dtype: torch.dtype) -> Tensor:
    """0 where a key may be attended to, valid (...) bool, and `lowest` where not: finite, so that
    an utterance without valid frames does not give NaN."""
    return torch.zeros_like(valid, dtype=dtype).masked_fill(~valid, lowest(dtype))


class SelfAttention(nn.Module):
    """Multi-head self-attention over the valid frames of each utterance; or over other `keys`.

    gated: biases by distance are scaled by a gate that each query computes (WavLM).
    relative_attention_bias: these biases, of the first layer of such a Transformer alone.
    input_bias: whether the projections of queries, keys and values have biases.
    """

    relative_attention_bias: nn.Embedding

    def __init__(
        self, dim: int, heads: int, dropout: float, key_bias: bool = True, gated: bool = False,
        input_bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if dim % heads:
            raise ValueError(f"{dim} dimensions cannot be divided among {heads} heads")
        self.heads = heads
        self.dropout = dropout
        self.q_proj = nn.Linear(dim, dim, bias=input_bias)
        self.k_proj = nn.Linear(dim, dim, bias=key_bias and input_bias)
        self.v_proj = nn.Linear(dim, dim, bias=input_bias)
        self.out_proj = nn.Linear(dim, dim)
        if gated:
            self.grep_linear = nn.Linear(dim // heads, 8)
            self.grep_a = nn.Parameter(torch.ones(1, heads, 1, 1))

    def forward(
        self, x: Tensor, bias: Tensor | None, distances: Tensor | None = None,
        keys: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        """x (B, T, dim), bias (B, 1, 1 or T, S) added to the scores of each key, distances (heads,
        T, T) likewise, behind a gate; keys (B, S, dim): what is attended to, x by default ->
        (B, T, dim)"""
        if distances is not None:
            gated = self._gate(self._apart(x)) * distances
            bias = gated if bias is None else bias + gated
        keys = x if keys is None else keys
        q = self._apart(self.q_proj(x))
        k, v = self._apart(self.k_proj(keys)), self._apart(self.v_proj(keys))
        probability = self.dropout if self.training else 0.0
        if bias is not None and bias.dtype != q.dtype:
            bias = bias.clamp(min=lowest(q.dtype)).to(q.dtype)
        fused_is_slower = probability > 0.0 or q.dtype != torch.float32
        if x.device.type == "cpu" and fused_is_slower and x.shape[1] <= _EXPLICIT_FRAMES:
            y = _explicit_attention(q, k, v, bias, probability)
        elif x.device.type == "cpu" and probability > 0.0 and ranks.part() is not None:
            # What the fused kernel would drop of the whole batch.
            y = _explicit_attention(q, k, v, bias, probability, torch_dropout)
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias, dropout_p=probability)
        return self.out_proj(y.transpose(1, 2).flatten(2))

    def _apart(self, x: Tensor) -> Tensor:
        """(B, T, dim) -> (B, heads, T, dim / heads)"""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)

    def _gate(self, x: Tensor) -> Tensor:
        """x (B, heads, T, dim / heads) -> (B, heads, T, 1)"""
        sums = self.grep_linear(x).unflatten(-1, (2, 4)).sum(-1)
        update, reset = torch.sigmoid(sums).chunk(2, dim=-1)
        return update * (reset * self.grep_a - 1.0) + 2.0


class TransformerLayer(nn.Module):
    def __init__(
        self, configuration: TransformerConfiguration, key_bias: bool = True,
        input_bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        c = configuration
        self.pre_norm = c.pre_norm
        self.self_attn = SelfAttention(
            c.dim, c.heads, c.attention_dropout, key_bias, c.relative_buckets > 0, input_bias
        )
        self.self_attn_layer_norm = nn.LayerNorm(c.dim)
        self.fc1 = nn.Linear(c.dim, c.ffn_dim)
        self.fc2 = nn.Linear(c.ffn_dim, c.dim)
        self.final_layer_norm = nn.LayerNorm(c.dim)
        self.dropout = Dropout(c.dropout)
        self.activation_dropout = Dropout(c.activation_dropout)

    def _feed_forward(self, x: Tensor) -> Tensor:
        return self.dropout(self.fc2(self.activation_dropout(F.gelu(self.fc1(x)))))

    def forward(self, x: Tensor, bias: Tensor | None, distances: Tensor | None = None) -> Tensor:
        if self.pre_norm:
            x = x + self.dropout(self.self_attn(self.self_attn_layer_norm(x), bias, distances))
            return x + self._feed_forward(self.final_layer_norm(x))
        x = self.self_attn_layer_norm(x + self.dropout(self.self_attn(x, bias, distances)))
        return self.final_layer_norm(x + self._feed_forward(x))


class TransformerEncoder(nn.Module):
    """key_bias: whether keys have a bias; it does not affect attention, but most published weights
    have it."""

    def __init__(self, configuration: TransformerConfiguration, key_bias: bool = True) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        sizes = (c.dim, c.position_kernel, c.position_groups)
        if c.position_norm == "batch":
            self.pos_conv: nn.Module = BatchNormalisedConvolution(*sizes)
        elif c.position_norm == "layer":
            self.pos_conv = StackedConvolutions(*sizes, c.position_layers)
        elif c.position_norm == "weight":
            self.pos_conv = nn.Sequential(PositionalConvolution(*sizes))
        elif c.position_norm != "none":
            raise ValueError(
                f"position_norm {c.position_norm!r}: expected 'weight', 'batch', 'layer' or 'none'"
            )
        self.layers = nn.ModuleList(TransformerLayer(c, key_bias) for _ in range(c.layers))
        if c.relative_buckets:
            # All layers share it; it was published as a part of the first.
            self._first.self_attn.relative_attention_bias = nn.Embedding(
                c.relative_buckets, c.heads
            )
        self.layer_norm = nn.LayerNorm(c.dim)
        self.dropout = Dropout(c.dropout)
        for module in self.layers.modules():
            if isinstance(module, nn.Linear):
                # 0.02 is published for 768 dimensions; narrower layers need larger weights.
                nn.init.normal_(module.weight, std=0.02 * math.sqrt(768 / c.dim))
                if module.bias is not None:
                    nn.init.zeros_(module.bias)

    def forward(self, x: Tensor, valid: Tensor, layer: int | None = None) -> Tensor:
        """x (B, T, dim), valid (B, T) bool -> (B, T, dim), zero where not valid.

        `layer` n stops after the n-th layer (0: before the first) and omits the final
        normalisation; EVERY gives the input of each layer and the output, (B, T, (layers + 1) *
        dim). In training each layer is skipped with probability `layerdrop`, drawn from
        torch's CPU generator, like dropout on the CPU. Raises UsageError for a layer that does not
        exist.
        """
        count, every = len(self.layers), layer == EVERY
        if not every:
            check_layer(layer, count, first=0)
        keep = valid[..., None].to(x.dtype)
        x = x * keep
        if self.configuration.position_norm in ("batch", "layer"):
            x = x + self.pos_conv(x, valid)
        elif self.configuration.position_norm == "weight":
            x = x + self.pos_conv(x)
        if not self.configuration.pre_norm:
            x = self.layer_norm(x)
        x = self.dropout(x)
        bias = key_bias(valid, x.dtype)[:, None, None]
        distances = self._distances(x)
        layerdrop = self.configuration.layerdrop if self.training else 0.0
        before = []
        for module in self.layers[: count if layer is None or every else layer]:
            before.append(x)
            if layerdrop == 0.0 or torch.rand(()).item() >= layerdrop:
                x = module(x, bias, distances)
        if (layer is None or every) and self.configuration.pre_norm:
            x = self.layer_norm(x)
        if every:
            x = torch.cat([*before, x], dim=2)
        return x * valid[..., None].to(x.dtype)

    @property
    def _first(self) -> TransformerLayer:
        first = self.layers[0]
        assert isinstance(first, TransformerLayer)
        return first

    def _distances(self, x: Tensor) -> Tensor | None:
        """x (B, T, dim) -> (heads, T, T): the bias of each distance; None where there is none."""
        c = self.configuration
        if not c.relative_buckets:
            return None
        table = self._first.self_attn.relative_attention_bias
        found = buckets_of(x.shape[1], c.relative_buckets, c.relative_distance, x.device)
        return table(found).permute(2, 0, 1)
