"""PASE's workers: small networks, one for each task on an encoder's frames (Pascual et al.
2019, section 2.2)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from avaffect.models.standardisation import Standardisation
from avaffect.signal import ranks


class RunningStandardisation(Standardisation):
    """Standardisation with the statistics of all rows that were passed to `gather`."""

    rows: Tensor
    centre: Tensor
    squares: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__(dim)
        self.register_buffer("rows", torch.zeros((), dtype=torch.float64))
        self.register_buffer("centre", torch.zeros(dim, dtype=torch.float64))
        self.register_buffer("squares", torch.zeros(dim, dtype=torch.float64))

    @torch.no_grad()
    def gather(self, x: Tensor) -> None:
        """Add rows x (N, D), those of all ranks, to the statistics, in double precision (Chan et
        al. 1983)."""
        x = x.double()
        count = ranks.total(torch.tensor(float(len(x)), dtype=x.dtype, device=x.device))
        if not count:
            return
        centre = ranks.total(x.sum(dim=0)) / count
        rows = self.rows + count
        apart = centre - self.centre
        self.squares += ranks.total((x - centre).square().sum(dim=0))
        self.squares += apart.square() * (self.rows * count / rows)
        self.centre += apart * (count / rows)
        self.rows.copy_(rows)
        self.set(self.centre, (self.squares / rows).sqrt())


@dataclass(frozen=True)
class WorkerConfiguration:
    """inputs: size of an encoder's frame, or of two side by side; outputs; hidden: units."""

    inputs: int
    outputs: int
    hidden: int = 256


class Worker(nn.Module):
    """A hidden layer with PReLU and a linear one: small, so that the encoder must do the work."""

    def __init__(self, configuration: WorkerConfiguration) -> None:
        super().__init__()
        c = configuration
        self.configuration = c
        self.layers = nn.Sequential(
            nn.Linear(c.inputs, c.hidden), nn.PReLU(c.hidden), nn.Linear(c.hidden, c.outputs)
        )

    def forward(self, frames: Tensor) -> Tensor:
        """frames (N, inputs) -> (N, outputs)"""
        return self.layers(frames)


class Regressor(Worker):
    """A worker for regression; `standardisation` is that of its targets.

    alike: all outputs have one mean and deviation (the samples of a waveform).
    """

    def __init__(self, configuration: WorkerConfiguration, alike: bool = False) -> None:
        super().__init__(configuration)
        self.alike = alike
        self.standardisation = RunningStandardisation(1 if alike else configuration.outputs)

    def gather(self, targets: Tensor) -> None:
        """Add targets (N, outputs) to their mean and deviation."""
        self.standardisation.gather(targets.reshape(-1, 1) if self.alike else targets)
