"""A task so small that every step of its training can be interrupted."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from avaffect.core.batch import Batch
from avaffect.core.progress import SILENT
from avaffect.core.seeds import derive, generator
from avaffect.objectives.base import Context, Objective, ParameterGroup, Step
from avaffect.settings.training import TrainingSettings
from avaffect.training.device import make_fabric
from avaffect.training.loop import train
from avaffect.training.run import Outcome, Run

ROWS, INPUTS = 22, 5


class Tiny(Objective):
    """Two losses whose counts differ: a square error of each row, another of the labelled rows."""

    def __init__(self, dropout: float = 0.0, noise: float = 0.0) -> None:
        super().__init__({"second": 0.5})
        torch.manual_seed(derive(0, "initialise"))
        self.body = nn.Sequential(nn.Linear(INPUTS, 7), nn.Tanh(), nn.Dropout(dropout))
        self.norm = nn.BatchNorm1d(7, affine=False, momentum=0.1)
        self.first, self.second = nn.Linear(7, 1), nn.Linear(7, 1)
        self.noise = noise

    def forward(self, batch: Batch, context: Context, phase: str = "main") -> Step:
        weight = self.first.weight
        hidden = self.body(batch.streams["x"].to(weight.dtype))
        if self.noise:
            self.norm(hidden.detach())
            noise = torch.randn(hidden.shape, generator=context.generator).to(hidden.dtype)
            hidden = hidden + self.noise * noise
        target = batch.labels["y"].to(weight.dtype)
        known = batch.labels["known"].to(weight.dtype)
        first = (self.first(hidden)[:, 0] - target).square()
        second = (self.second(hidden)[:, 0] + target).square() * known
        return Step(
            {"first": (first.sum(), float(len(batch))), "second": (second.sum(), known.sum())},
            {"progress": (context.progress, 1.0)},
        )

    def counts(self, batch: Batch, context: Context, phase: str = "main") -> dict[str, float]:
        return {"first": float(len(batch)), "second": float(batch.labels["known"].sum())}

    def parameter_groups(self, phase: str = "main") -> list[ParameterGroup]:
        heads = [*self.first.parameters(), *self.second.parameters()]
        return [
            ParameterGroup("body", list(self.body.parameters())),
            ParameterGroup("heads", heads, {"lr": 0.05, "weight_decay": 0.1}),
        ]


@dataclass
class Rows:
    """Rows of a fixed table, in batches drawn for each epoch, or always the batches `parts`.

    seen: the epoch and the indices of every batch that was asked for.
    """

    size: int = 4
    parts: Sequence[Sequence[int]] | None = None
    seen: list[tuple[int, list[int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        random = generator(0, "rows")
        self.x = random.standard_normal((ROWS, INPUTS)).astype(np.float32)
        self.y = random.standard_normal(ROWS).astype(np.float32)
        # Some batches have many labelled rows, some none.
        self.known = (np.arange(ROWS) % 11 < 4).astype(np.float32)

    def plan(self, epoch: int) -> list[np.ndarray]:
        if self.parts is not None:
            return [np.array(part) for part in self.parts]
        order = generator(0, "plan", epoch).permutation(ROWS)
        return [order[start : start + self.size] for start in range(0, ROWS, self.size)]

    def batch(self, indices: np.ndarray, epoch: int) -> Batch:
        self.seen.append((epoch, indices.tolist()))
        return Batch(
            [str(index) for index in indices],
            {"x": self.x[indices]},
            labels={"y": self.y[indices], "known": self.known[indices]},
        )


class Killed(Exception):
    """Stands for SIGKILL."""


class Killing(Rows):
    """Gives so many batches, then raises Killed."""

    def __init__(self, left: int) -> None:
        super().__init__()
        self.left = left

    def batch(self, indices: np.ndarray, epoch: int):
        if self.left == 0:
            raise Killed
        self.left -= 1
        return super().batch(indices, epoch)


def run(
    objective: Objective, batches: Any, folder: Path | None = None, *,
    run_options: dict[str, Any] | None = None, **settings: Any,
) -> Outcome:  # fmt: skip
    """Train on the CPU; state and history.jsonl go to `folder`."""
    chosen = {"learning_rate": 0.02, "log_every": 2, **settings}
    if folder is not None:
        folder.mkdir(exist_ok=True)
    history = None if folder is None else folder / "history.jsonl"
    options = {"seed": 3, "folder": folder, "history": history, **(run_options or {})}
    return train(
        objective, batches, TrainingSettings(**chosen), Run(**options), make_fabric("cpu", "32"),
        SILENT,
    )  # fmt: skip


# What differs between runs that are the same.
TIMES = {"seconds", "times_real_time"}


def history(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics file, without the seconds that they took."""
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert all(line["seconds"] >= 0 for line in lines)
    return [{key: value for key, value in line.items() if key not in TIMES} for line in lines]


def weights(objective: Objective) -> dict[str, bytes]:
    """Every parameter and buffer, bit for bit."""
    return {name: t.numpy().tobytes() for name, t in objective.state_dict().items()}
