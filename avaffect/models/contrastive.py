"""The encoder of Contrastive Predictive Coding (van den Oord et al. 2018, section 3.1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.core.streams import WAVEFORM
from avaffect.models.encoder import Corruption, FrameEncoder, Frames, side_by_side
from avaffect.models.gated_recurrent import GatedRecurrent
from avaffect.signal.features import unit_scale

CELLS: dict[str, Callable[[int, int], nn.Module]] = {
    "gru": GatedRecurrent,
    "lstm": partial(nn.LSTM, batch_first=True),
}
STRIDES = (5, 4, 2, 2, 2)


@dataclass(frozen=True)
class ContrastiveConfiguration:
    """dim: of the convolutions, of the recurrence and of a frame; cell: "gru" or "lstm"; layers: of
    the recurrence."""

    dim: int = 256
    cell: str = "gru"
    layers: int = 1


PRESETS: dict[str, ContrastiveConfiguration] = {
    "nano": ContrastiveConfiguration(dim=96),
    "base": ContrastiveConfiguration(),
}


class HalvesConvolution(nn.Module):
    """A convolution over time whose kernel is twice its stride: a window is two blocks of `stride`
    steps. Time precedes the channels, which saves the following norm two transpositions.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        # (outputs, inputs, kernel), as in nn.Conv1d.
        self.weight = nn.Parameter(torch.empty(outputs, inputs, 2 * stride))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.kaiming_normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """x (B, T, inputs), T a multiple of the stride, 2 strides at least
        -> (B, T / stride - 1, outputs)"""
        outputs, inputs, kernel = self.weight.shape
        blocks = x.reshape(x.shape[0], -1, self.stride * inputs)
        if inputs == 1:
            windows = torch.cat([blocks[:, :-1], blocks[:, 1:]], dim=2)
            return F.linear(windows, self.weight.flatten(1), self.bias)
        weight = self.weight.transpose(1, 2).reshape(outputs, kernel * inputs)
        # Blocks are multiplied by both halves of the kernel at once: windows are not copied.
        halves = weight.view(outputs, 2, -1).transpose(0, 1).reshape(2 * outputs, -1)
        return _AddHalves.apply(F.linear(blocks, halves)) + self.bias


class _AddHalves(torch.autograd.Function):
    """(B, N, 2 D) -> (B, N - 1, D): the first half of a block and the second of the next.

    The same as slices of the products, whose backward passes would fill two tensors of the
    products' size with zeros and add them.
    """

    @staticmethod
    def forward(context: Any, products: Tensor) -> Tensor:
        half = products.shape[2] // 2
        return products[:, :-1, :half] + products[:, 1:, half:]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        return torch.cat([F.pad(gradient, (0, 0, 0, 1)), F.pad(gradient, (0, 0, 1, 0))], dim=2)


class ContrastiveEncoder(FrameEncoder):
    """Frames at 100 Hz from 16 kHz waveforms: five strided convolutions over samples, each with a
    norm over the channels of a frame and a ReLU, then layers of GRU or LSTM.

    A waveform of S samples gives 1 + (S - 465) // 160 frames, none if it is shorter than 465. The
    receptive field of a frame is 29 ms, and by the recurrence all frames before it. `features` are
    the outputs of the convolutions, `contextualise` is the recurrence.
    """

    streams = (WAVEFORM,)
    rate_hz = 100.0

    def __init__(self, configuration: ContrastiveConfiguration) -> None:
        super().__init__()
        c = configuration
        if c.cell not in CELLS:
            raise ValueError(f"cell {c.cell!r}: expected {' or '.join(CELLS)}")
        self.configuration = c
        self.dim = self.feature_dim = c.dim
        self.depth = 1 + c.layers
        self.convolutions = nn.ModuleList(
            HalvesConvolution(inputs, outputs, stride)
            for (inputs, outputs), stride in zip(pairwise([1, *[c.dim] * 5]), STRIDES)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(c.dim) for _ in STRIDES)
        self.recurrence = nn.ModuleList(CELLS[c.cell](c.dim, c.dim) for _ in range(c.layers))

    def frame_count(self, lengths: dict[str, Tensor]) -> Tensor:
        """(B,) frames for lengths["waveform"] (B,) samples"""
        count = lengths[WAVEFORM]
        for stride in STRIDES:
            count = torch.div(count, stride, rounding_mode="floor").sub(1).clamp(min=0)
        return count

    def features(self, batch: Batch, corruption: Corruption | None = None) -> Frames:
        """(B, T, dim) of the convolutions from batch.streams["waveform"] (B, S) int16, or float
        with full scale at 1.0."""
        if corruption is not None:
            raise ValueError("this encoder has no mask embedding for its inputs")
        x = unit_scale(batch.streams[WAVEFORM])[..., None]
        for convolution, norm in zip(self.convolutions, self.norms):
            assert isinstance(convolution, HalvesConvolution)
            stride = convolution.stride
            # A batch of fragments has one (padded) frame.
            steps = max(2 * stride, x.shape[1] // stride * stride)
            x = F.pad(x, (0, 0, 0, steps - x.shape[1]))
            x = F.relu(norm(convolution(x)), inplace=True)
        frames = Frames(x.float(), self.frame_count(batch.lengths))
        return Frames(frames.values * frames.valid[..., None], frames.lengths)

    def contextualise(
        self, features: Frames, mask: Tensor | None = None, layer: int | None = None
    ) -> Frames:
        """(B, T, dim) of the last layer, or of `layer`: 1 is the output of the convolutions, 2 the
        first layer of recurrence.

        Raises UsageError past the last layer, ValueError for a mask, as there is no embedding.
        """
        if mask is not None:
            raise ValueError("this encoder has no mask embedding for frames")
        self.check_layer(layer)
        x = features.values
        for recurrent in self.recurrence[: (layer or self.depth) - 1]:
            x, _ = recurrent(x)
        # Frames past the end do not affect valid ones; they only have to be zero.
        return Frames(x.float() * features.valid[..., None], features.lengths)

    def forward(self, batch: Batch, layer: int | None = None) -> Frames:
        return self.contextualise(self.features(batch), layer=layer)

    def every_layer(self, batch: Batch) -> Frames:
        """One pass; layer 1 is the output of the convolutions."""
        features = self.features(batch)
        found = [features.values]
        for recurrent in self.recurrence:
            found.append(recurrent(found[-1])[0])
        return Frames(side_by_side(found, features), features.lengths)
