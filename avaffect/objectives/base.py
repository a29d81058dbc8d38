"""The interface between the training loop and objectives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor, nn

from avaffect.core.batch import Batch
from avaffect.models.encoder import Encoded, Encoder


@dataclass
class Context:
    """The state of training for a batch.

    generator: a new CPU generator for this step and micro-batch, the same in all ranks. An
    objective draws its masks and views from it, for the whole batch (`signal.ranks`), so that a
    resumed run, or one on other ranks, draws the same ones. gather: where ranks share a batch and
    the objective `gathers`, what gives it the rows of all ranks (`training.gathering`).
    """

    step: int = 0
    epoch: int = 0
    progress: float = 0.0
    generator: torch.Generator = field(default_factory=torch.Generator)
    gather: Callable[[Mapping[str, Tensor]], tuple[int, dict[str, Tensor]]] | None = None


@dataclass
class Step:
    """losses: name -> (sum, count). The loop adds sums and counts over micro-batches and ranks
    before it divides, so that 1 and N ranks agree. metrics: likewise, not optimised."""

    losses: dict[str, tuple[Tensor, Tensor | float]]
    metrics: dict[str, tuple[Tensor | float, Tensor | float]] = field(default_factory=dict)


@dataclass
class ParameterGroup:
    """Parameters that share optimiser options; `options` overrides the run's (lr, weight_decay)."""

    name: str
    parameters: list[nn.Parameter]
    options: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Needs:
    """What an objective can learn from.

    frames    fewest frames that the encoder makes of an utterance; of tokens, any
    streams   streams that the objective reads beside the encoder's, and the fewest steps of each
    together  fewest utterances of a batch
    crop_s    length in seconds of the clips that it compares; None where any length will do
    """

    frames: int = 1
    streams: Mapping[str, int] = field(default_factory=dict)
    together: int = 1
    crop_s: float | None = None


class Objective(nn.Module):
    """What the loop trains; `forward(batch, context, phase) -> Step`.

    weights: loss name -> weight in the total, 1 by default.
    phases: one by default; each names its own parameters and optimiser (VAVL has three).
    coupled: whether a loss depends on several utterances of a batch together (contrastive,
        Multi-Similarity, CCC); such objectives do not allow plain gradient accumulation.
    gathers: whether it then compares them with those of other ranks (`Context.gather`,
        `signal.ranks`); otherwise a batch is not divided among ranks.
    """

    phases: tuple[str, ...] = ("main",)
    coupled: bool = False
    gathers: bool = False
    # Adam's constants; torch's defaults unless a paper has others.
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    # Of stochastic gradient descent, which takes the place of Adam; None: Adam.
    sgd_momentum: float | None = None

    def __init__(self, weights: dict[str, float] | None = None) -> None:
        super().__init__()
        self.weights: dict[str, float] = dict(weights or {})

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        raise NotImplementedError

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        """The counts that `forward` will return for this batch, without the forward pass.

        Needed for gradient accumulation alone: the sums of micro-batches are divided by the total
        count, which must be known before the first backward pass.
        """
        raise NotImplementedError(f"{type(self).__name__} does not support gradient accumulation")

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        """Trainable parameters of a phase; one group unless overridden."""
        return [ParameterGroup("all", [p for p in self.parameters() if p.requires_grad])]

    def collapse(self, metrics: Mapping[str, float]) -> str | None:
        """A message if the last metrics of training, those of the development split (development_X)
        included, show a collapse; otherwise None."""
        return None

    def before_step(self, context: Context, phase: str = "main") -> None:
        """Called before the optimiser's step, with gradients (frozen last layers)."""

    def after_step(self, context: Context, phase: str = "main") -> None:
        """Called after the optimiser's step (EMA teachers)."""


class Pretraining(Objective):
    """Owns an encoder and its heads, and learns from the recordings themselves.

    A checkpoint can bring it back: it is registered in objectives.registry, made of an encoder and
    its frozen `configuration`, and takes any batch: utterances that lack what it `needs` take no
    part. loss: its loss that a summary tells. kept_as: names of its weights -> their names in a
    checkpoint, both as prefixes. tied: fields of its configuration without which its weights mean
    something else, though they have the same shapes.
    """

    configuration: Any
    loss: ClassVar[str] = ""
    tied: ClassVar[tuple[str, ...]] = ()
    kept_as: ClassVar[tuple[str, str]] = ("", "objective.")

    if TYPE_CHECKING:
        # For users to read: most have it as an attribute, some within a student.
        @property
        def encoder(self) -> Encoder: ...

    @property
    def needs(self) -> Needs:
        """What it can learn from."""
        return Needs()

    def with_frames(
        self, batch: Batch, context: Context, phase: str = "main"
    ) -> tuple[Step, Encoded]:
        """The step, and what the encoder makes of the batch with nothing hidden or changed but the
        random view that training takes. Overridden where one pass gives both."""
        step = self(batch, context, phase)
        return step, self.encoder(self.view(batch, context))

    def keep_modalities(self) -> None:
        """Drop no modality from now on: the caller does. For tasks that have a modality dropout."""

    def view(self, batch: Batch, context: Context) -> Batch:
        """The encoder's random view of the batch in training, otherwise the batch."""
        return self.encoder.view(batch, context.generator) if self.training else batch
