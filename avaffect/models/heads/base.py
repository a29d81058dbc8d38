"""The contract of a head: its inputs, and its outputs for utterances and over time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from avaffect.core.errors import DataError
from avaffect.core.progress import SILENT, Progress
from avaffect.models.encoder import Encoded, Frames
from avaffect.models.standardisation import Standardisation
from avaffect.signal import ranks


@dataclass(frozen=True)
class HeadInput:
    """Input of a head, frames or tokens: name, size of a vector, and vectors a second; 0 of
    tokens."""

    name: str
    dim: int
    rate_hz: float


@dataclass(frozen=True)
class FrameHeadConfiguration:
    """Base of every head's configuration: its inputs, and the number of its outputs."""

    inputs: tuple[HeadInput, ...]
    outputs: int

    @property
    def dim(self) -> int:
        """Of all inputs, concatenated."""
        return sum(item.dim for item in self.inputs)


class Outputs:
    """Outputs of a head, each computed on first use.

    utterance (B, outputs): of whole utterances; over_time (B, steps, outputs): of each step, zero
    in padding.
    """

    def __init__(self, utterance: Callable[[], Tensor], over_time: Callable[[], Frames]) -> None:
        self._utterance, self._over_time = utterance, over_time

    @cached_property
    def utterance(self) -> Tensor:
        return self._utterance()

    @cached_property
    def over_time(self) -> Frames:
        return self._over_time()


class FrameHead(nn.Module):
    """A head on frames of one or more inputs.

    inputs           frames of several inputs have rates and sizes of their own
    outputs          numbers for an utterance, and for a step
    frames_per_step  frames of the fastest input for each of its steps
    standardisation  of its inputs, concatenated, (sum of dims,); None without
    pooled           of the vectors of utterances that it pools itself (`pool`); None without
    reads_means      an utterance's outputs depend on the means over time alone, which can be
                     computed once; reads_moments: on means and covariances (`models.pooling`)
    needs_time       class attribute: False where an utterance's outputs can also be computed from
                     tokens
    whole            class attribute: True where outputs over time compare all steps of a recording,
                     which is therefore neither cropped nor read in windows
    """

    standardisation: Standardisation | None
    pooled: Standardisation | None
    reads_means: bool = False
    reads_moments: bool = False
    needs_time: bool = True
    whole: bool = False

    def __init__(
        self, inputs: tuple[HeadInput, ...], outputs: int, frames_per_step: int = 1
    ) -> None:
        super().__init__()
        self.inputs, self.outputs, self.frames_per_step = inputs, outputs, frames_per_step
        self.standardisation = None
        self.pooled = None

    @property
    def streams(self) -> tuple[str, ...]:
        """Names of the inputs."""
        return tuple(item.name for item in self.inputs)

    @property
    def rate_hz(self) -> float:
        """Frames a second of the fastest input."""
        return max(item.rate_hz for item in self.inputs)

    @property
    def steps_hz(self) -> float:
        """Steps a second over time."""
        return self.rate_hz / self.frames_per_step

    def step_count(self, frames: int) -> int:
        """Steps of so many frames of the fastest input; the last may have fewer."""
        return -(-frames // self.frames_per_step)

    def pool(self, frames: Mapping[str, Encoded]) -> Tensor:
        """(B, dim) vectors of utterances, before `pooled` standardises them."""
        raise NotImplementedError

    def forward(
        self, frames: Mapping[str, Encoded], present: Mapping[str, Tensor] | None = None
    ) -> Outputs:
        """frames: name of an input -> (B, T, dim), each at its own rate, or tokens; present:
        name -> (B,) bool, False where an utterance lacks this input; by default where it has no
        frames."""
        raise NotImplementedError


@dataclass(frozen=True)
class Examples:
    """What a head is fitted to. vectors (N, D) float32: all inputs of an utterance, concatenated,
    NaN where it lacks one; targets (N,) int64: their classes; weights (classes,): how much an error
    of each counts."""

    vectors: np.ndarray
    targets: np.ndarray
    weights: np.ndarray


class FittedHead(FrameHead):
    """A head on means whose weights are computed from all utterances at once, rather than learned
    step by step. Its configuration is also a `settings.head_options.FittedOptions`."""

    reads_means = True
    needs_time = False

    def fit(
        self,
        examples: Examples,
        score: Callable[[], float] | None = None,
        progress: Progress = SILENT,
    ) -> dict[str, str | float]:
        """Compute the weights; the standardisation is set before.

        score: how good the head is as it is now, on development, higher is better, to choose among
        weights; None without development. Returns what was chosen, for the metrics of the run. The
        result depends on the arguments alone: every process computes the same.
        """
        raise NotImplementedError

    def seconds(self, count: int, choosing: bool) -> float:
        """A rough estimate of how long it takes to fit so many utterances. choosing: whether there
        is development to choose by."""
        return 0.0

    def make_room(self, tensors: Mapping[str, Tensor]) -> None:
        """Give buffers, whose sizes depend on what was fitted, those of these weights, which are
        then loaded."""


def means(
    frames: Mapping[str, Encoded],
    inputs: tuple[HeadInput, ...],
    present: Mapping[str, Tensor] | None,
    missing: Tensor,
) -> Tensor:
    """(B, D) means over time, or over tokens, of all inputs, concatenated.

    missing (D,): values where an utterance lacks one of several inputs.
    """
    parts = [frames[item.name].mean() for item in inputs]
    if len(parts) == 1:
        return parts[0]
    there = [
        present_of(frames, item, present)[:, None].expand_as(p) for item, p in zip(inputs, parts)
    ]
    return torch.where(torch.cat(there, dim=1), torch.cat(parts, dim=1), missing)


def joined(
    encoded: Mapping[str, Encoded],
    inputs: tuple[HeadInput, ...],
    present: Mapping[str, Tensor] | None,
    missing: Tensor,
) -> Frames:
    """(B, T, D) frames of all inputs, concatenated, at the rate of the fastest: a slower one's
    frame is repeated for its duration. An utterance is as long as its longest input.

    missing (D,): values where an utterance lacks one of several inputs. Raises DataError where an
    input is of tokens.
    """
    frames = {item.name: _in_time(encoded[item.name], item) for item in inputs}
    if len(inputs) == 1:
        return frames[inputs[0].name]
    rate_hz = max(item.rate_hz for item in inputs)
    lengths = torch.stack([_steps(frames[item.name].lengths, item, rate_hz) for item in inputs])
    lengths = lengths.amax(dim=0)
    time = torch.arange(ranks.longest(lengths), device=lengths.device)
    parts, known = [], []
    for item in inputs:
        own = frames[item.name]
        # The frame at the middle of each step.
        place = torch.floor((time + 0.5) * (item.rate_hz / rate_hz)).long()
        there = (place < own.lengths[:, None]) & present_of(frames, item, present)[:, None]
        if own.values.shape[1]:
            values = own.values[:, place.clamp(max=own.values.shape[1] - 1)]
        else:
            values = own.values.new_zeros(len(lengths), len(time), item.dim)
        parts.append(values)
        known.append(there[..., None].expand_as(values))
    values = torch.where(torch.cat(known, dim=2), torch.cat(parts, dim=2), missing)
    return Frames(values, lengths)


def _steps(lengths: Tensor, item: HeadInput, rate_hz: float) -> Tensor:
    """Frames at the rate whose frames last as long as these."""
    if item.rate_hz == rate_hz:
        return lengths
    return torch.round(lengths * (rate_hz / item.rate_hz)).long()


def _in_time(encoded: Encoded, item: HeadInput) -> Frames:
    if not isinstance(encoded, Frames):
        raise DataError(f"{item.name} gives tokens, which cannot be read over time")
    return encoded


def present_of(
    frames: Mapping[str, Encoded], item: HeadInput, present: Mapping[str, Tensor] | None
) -> Tensor:
    """(B,) bool: utterances that have this input."""
    there = frames[item.name].present
    return there if present is None else there & present[item.name]
