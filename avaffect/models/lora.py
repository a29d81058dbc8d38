"""Low-rank adaptation of the attention in an encoder (Hu et al. 2022, "LoRA").

The weight W of a projection stays; W + (alpha / r) B A takes its place, with A (r, in) and
B (out, r), the only weights that are trained. B is zero at the start. As in the paper, the
projections of queries and values are adapted.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.headers import Adapters
from avaffect.models.encoder import Encoder
from avaffect.settings.encoder_training import PROJECTIONS

_DOWN, _UP = "lora_a", "lora_b"


class AdaptedLinear(nn.Linear):
    """A linear layer under the names of its own, frozen, with an adapter.

    lora_a (rank, in), normal; lora_b (out, rank), zero.
    """

    def __init__(self, base: nn.Linear, rank: int, alpha: float) -> None:
        nn.Module.__init__(self)
        self.in_features, self.out_features = base.in_features, base.out_features
        self.weight, self.bias = base.weight, base.bias
        self.scale = alpha / rank
        self.lora_a = nn.Parameter(self.weight.new_empty(rank, self.in_features))
        self.lora_b = nn.Parameter(self.weight.new_zeros(self.out_features, rank))
        nn.init.normal_(self.lora_a, std=1 / math.sqrt(self.in_features))

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out)"""
        # Two thin products: the gradient of their product would be as large as that of W.
        change = F.linear(F.linear(x, self.lora_a * self.scale), self.lora_b)
        return F.linear(x, self.weight, self.bias) + change


def projections(encoder: nn.Module, kept: Sequence[nn.Module] = ()) -> tuple[str, ...]:
    """Names of the projections of queries and values, in order; none within the parts `kept`."""
    left_out = {id(module) for part in kept for module in part.modules()}
    return tuple(
        f"{name}.{projection}"
        for name, module in encoder.named_modules()
        if id(module) not in left_out
        and all(isinstance(getattr(module, one, None), nn.Linear) for one in PROJECTIONS)
        for projection in PROJECTIONS
    )


def above(encoder: Encoder, layer: int | None) -> list[nn.Module]:
    """The layers after the chosen one, which take no part; None: the encoder's output."""
    stacks = (m for m in encoder.modules() if isinstance(m, nn.ModuleList))
    if layer is None:
        return []
    return [one for stack in stacks if len(stack) == encoder.depth for one in stack[layer:]]


def insert(encoder: nn.Module, adapters: Adapters) -> None:
    """Put new adapters into an encoder, in the place of earlier ones; all other weights are frozen.

    Raises AttributeError for a module that it does not have.
    """
    encoder.requires_grad_(False)
    for name in adapters.modules:
        place, _, last = name.rpartition(".")
        parent = encoder.get_submodule(place)
        base = getattr(parent, last)
        setattr(parent, last, AdaptedLinear(base, adapters.rank, adapters.alpha))


def weights(encoder: nn.Module) -> dict[str, Tensor]:
    """The adapters' tensors, by their names in the encoder."""
    found: dict[str, Tensor] = {}
    for name, module in encoder.named_modules():
        if isinstance(module, AdaptedLinear):
            found |= {f"{name}.{_DOWN}": module.lora_a, f"{name}.{_UP}": module.lora_b}
    return {name: tensor.detach() for name, tensor in found.items()}


def keepers_of_statistics(encoder: nn.Module) -> Iterator[nn.Module]:
    """The modules of an adapted encoder that would change in training without a gradient: those
    with buffers of their own and no adapter within (batch norms)."""
    around = {name for name, module in encoder.named_modules() if isinstance(module, AdaptedLinear)}
    if not around:
        return
    for name, module in encoder.named_modules():
        within = any(one.startswith(f"{name}.") for one in around) or not name
        if not within and next(module.buffers(recurse=False), None) is not None:
            yield module


def folded(weight: Tensor, tensors: dict[str, Tensor], name: str, alpha: float) -> Tensor:
    """W + (alpha / r) B A of the module `name`, in W's precision. tensors: as `weights` gives
    them."""
    down, up = tensors[f"{name}.{_DOWN}"].double(), tensors[f"{name}.{_UP}"].double()
    return (weight.double() + alpha / len(down) * (up @ down)).to(weight.dtype)
